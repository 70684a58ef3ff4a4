#include "show/cli/import_ollama.h"

#include <gtest/gtest.h>

#include "show/cli/import_test.h"

namespace thalweg::cli {
namespace {

using Targets = std::vector<std::string>;

Imported read(const std::filesystem::path& file) {
  auto imported = import_ollama(file);
  EXPECT_TRUE(imported) << config::render(imported.error(), file);
  return imported ? std::move(*imported) : Imported{};
}

std::string digest(char digit) {
  return std::string(64, digit);
}

std::string manifest(std::string_view layers) {
  return R"({"schemaVersion": 2, "config": {"digest": "sha256:00"}, "layers": [)" + std::string(layers) + "]}";
}
std::string layer(std::string_view kind, char digit) {
  return R"({"mediaType": "application/vnd.ollama.image.)" + std::string(kind) + R"(", "digest": "sha256:)" +
         digest(digit) + R"(", "size": 1})";
}

/// A store with two models, one of them of somebody's own.
std::filesystem::path store(const ImportFolder& folder) {
  folder.write_model("models/blobs/sha256-" + digest('a'));
  folder.write_model("models/blobs/sha256-" + digest('b'), "nomic-bert");
  folder.write("models/blobs/sha256-" + digest('c'), R"({"num_ctx": 8192, "stop": ["x"], "num_gpu": 20})");
  folder.write("models/manifests/registry.ollama.ai/library/llama3.2/latest",
               manifest(layer("model", 'a') + "," + layer("params", 'c') + "," + layer("template", 'd') + "," +
                        layer("license", 'd')));
  folder.write("models/manifests/hf.co/me/embedder/Q4", manifest(layer("model", 'b')));
  folder.write("models/manifests/registry.ollama.ai/library/big/cloud", manifest(""));
  return folder.path / "models";
}

TEST(ImportOllama, MakesAnEngineOfEachManifest) {
  const ImportFolder folder;
  for (const auto& given : {store(folder), folder.path}) {
    const Imported imported = read(given);
    ASSERT_EQ(imported.endpoints.size(), 2u) << given;
    EXPECT_EQ(targets_of(imported, "llama3.2:latest"), (Targets{"llama3.2:latest/llama3.2:latest"}));
    EXPECT_EQ(targets_of(imported, "llama3.2"), targets_of(imported, "llama3.2:latest"));
    EXPECT_EQ(targets_of(imported, "hf.co/me/embedder:Q4"), (Targets{"hf.co-me-embedder:Q4/hf.co/me/embedder:Q4"}));
    const config::Settings settings = settings_of(imported);
    const config::EngineSettings& engine = *settings.endpoints.at(1).engine;
    EXPECT_EQ(engine.model_file, folder.path / "models/blobs" / ("sha256-" + digest('a')));
    EXPECT_EQ(engine.context_tokens, 8192u);
    EXPECT_TRUE(engine.on_demand);
    EXPECT_EQ(engine.arguments, (Targets{"--n-gpu-layers", "20"}));
    EXPECT_EQ(settings.endpoints.at(0).engine->task, engine::Task::kEmbed);
    const std::string notes = notes_of(imported);
    for (const char* const told : {"template", "stop", "big:cloud: it has no GGUF file"})
      EXPECT_NE(notes.find(told), std::string::npos) << notes;
  }
}

TEST(ImportOllama, ReadsOneManifestWhereItLies) {
  const ImportFolder folder;
  const Imported imported = read(store(folder) / "manifests/registry.ollama.ai/library/llama3.2/latest");
  ASSERT_EQ(imported.endpoints.size(), 1u);
  EXPECT_FALSE(imported.endpoints[0].on_demand);
  EXPECT_FALSE(import_ollama(folder.write("elsewhere/manifest.json", manifest(layer("model", 'a')))));
}

TEST(ImportOllama, ReadsAModelfileOfAFileOrOfAModelThatWasPulled) {
  const ImportFolder folder;
  folder.write_model("pirate/model.gguf");
  const std::string rest =
      "PARAMETER num_ctx 4096\nparameter num_thread 3\nPARAMETER temperature 1\nSYSTEM \"\"\"You "
      "are\nMario\"\"\"\nADAPTER ./x\n";
  const Imported own = read(folder.write("pirate/Modelfile", "# mine\nFROM ./model.gguf\n" + rest));
  ASSERT_EQ(own.endpoints.size(), 1u);
  EXPECT_EQ(targets_of(own, "pirate"), (Targets{"pirate/pirate"}));
  EXPECT_EQ(settings_of(own).endpoints[0].engine->threads, 3u);
  const std::string notes = notes_of(own);
  for (const char* const told : {"5: PARAMETER temperature", "6: SYSTEM", "8: ADAPTER"})
    EXPECT_NE(notes.find(told), std::string::npos) << notes;
  EXPECT_EQ(notes.find("Mario"), std::string::npos) << "a prompt is not repeated";

  ::setenv("OLLAMA_MODELS", store(folder).c_str(), 1);
  const Imported pulled = read(folder.write("captain", "FROM llama3.2\n" + rest));
  ASSERT_EQ(pulled.endpoints.size(), 1u) << notes_of(pulled);
  EXPECT_EQ(pulled.endpoints[0].context, 4096u) << "the Modelfile's, not the manifest's";
  EXPECT_EQ(targets_of(pulled, "captain"), (Targets{"captain/captain"}));
  EXPECT_EQ(read(folder.write("Modelfile", "FROM hf.co/me/embedder:Q4\n")).endpoints.size(), 1u);
  ::unsetenv("OLLAMA_MODELS");
  EXPECT_TRUE(read(folder.write("Modelfile", "FROM nobody/has-this:7b\n")).endpoints.empty());
}

TEST(ImportOllama, ReadsAModelfilesQuotesAndSaysWhereOneIsNotClosed) {
  const auto lines = read_modelfile(
      "FROM a b\n\n# c\nTEMPLATE \"\"\"x\n\"y\" z\"\"\" rest\nPARAMETER stop \"a\nb\"\r\nMESSAGE user hi \"there\"\n");
  ASSERT_TRUE(lines) << lines.error().message;
  ASSERT_EQ(lines->size(), 4u);
  EXPECT_EQ((*lines)[0].argument, "a b");
  EXPECT_EQ((*lines)[1].argument, "x\n\"y\" z");
  EXPECT_EQ((*lines)[2].argument, "stop a\nb");
  EXPECT_EQ((*lines)[2].position.line, 6u);
  EXPECT_EQ((*lines)[3].position.line, 8u);
  for (const auto& [text, line] : {std::pair<std::string_view, unsigned>{"FROM a\nSYSTEM \"\"\"x\n", 2},
                                   {"FROM a\nSYSTEM \"x", 2},
                                   {"FROM\n", 1},
                                   {std::string_view("FROM a\0", 7), 1},
                                   {"\xFF", 1}}) {
    const auto wrong = read_modelfile(text);
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().position.line, line) << text;
  }
}

TEST(ImportOllama, RefusesWhatItCannotRead) {
  const ImportFolder folder;
  EXPECT_EQ(import_ollama(folder.path / "none").error().front().code, ErrorCode::kIo);
  EXPECT_EQ(import_ollama(folder.path).error().front().code, ErrorCode::kIo) << "no manifests";
  EXPECT_EQ(import_ollama(folder.write("x", "SYSTEM hi\n")).error().front().code, ErrorCode::kConfig);
  // A layer whose digest is none leads nowhere, and never out of the folder.
  store(folder);
  const auto odd = folder.write(
      "models/manifests/registry.ollama.ai/library/odd/latest",
      R"({"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../etc/passwd"}]})");
  EXPECT_TRUE(read(odd).endpoints.empty());
}

}  // namespace
}  // namespace thalweg::cli
