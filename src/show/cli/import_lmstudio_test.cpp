#include <gtest/gtest.h>

#include "show/cli/import_test.h"

namespace thalweg::cli {
namespace {

using Targets = std::vector<std::string>;

Imported read(const std::filesystem::path& file) {
  auto imported = import_lmstudio(file);
  EXPECT_TRUE(imported) << config::render(imported.error(), file);
  return imported ? std::move(*imported) : Imported{};
}

/// LM Studio's folder, as version 0.3 leaves it.
ImportFolder& home(ImportFolder& folder) {
  folder.write_model("models/lmstudio-community/Llama-3.2-1B-Instruct-GGUF/Llama-3.2-1B-Instruct-Q4_K_M.gguf");
  folder.write_model("models/someone/Big-GGUF/Big-00001-of-00002.gguf");
  folder.write("models/someone/Big-GGUF/Big-00002-of-00002.gguf", "GGUF");
  folder.write("models/someone/Big-GGUF/mmproj-Big.gguf", "GGUF");
  folder.write("models/someone/Broken/broken.gguf", "no model");
  folder.write("models/mlx/Thing/model.safetensors", "x");
  folder.write("settings.json", R"({"defaultContextLength": {"type": "custom", "value": 6000},
    "developer": {"jitModelTTL": {"enabled": true, "ttlSeconds": 3600}}})");
  folder.write(".internal/http-server-config.json", R"({"port": 1234, "cors": true,
    "networkInterface": "0.0.0.0"})");
  folder.write(
      ".internal/user-concrete-model-default-config/lmstudio-community/Llama-3.2-1B-Instruct-GGUF/"
      "Llama-3.2-1B-Instruct-Q4_K_M.gguf.json",
      R"({"preset": "", "operation": {"fields": [{"key": "llm.prediction.systemPrompt", "value": "canary"}]},
    "load": {"fields": [{"key": "llm.load.contextLength", "value": 8192}, {"key": "llm.load.numParallelSessions", "value": 2},
    {"key": "llm.load.llama.cpuThreadPoolSize", "value": 3}, {"key": "llm.load.llama.kCacheQuantizationType", "value": {"checked": true, "value": "q8_0"}}]}})");
  return folder;
}

TEST(ImportLmStudio, MakesAnEngineOfEachModelWithItsDefaults) {
  ImportFolder folder;
  home(folder);
  for (const auto& given :
       {folder.path, folder.path / "settings.json", folder.path / ".internal/http-server-config.json"}) {
    const Imported imported = read(given);
    ASSERT_EQ(imported.endpoints.size(), 2u) << given << notes_of(imported);
    EXPECT_EQ(targets_of(imported, "llama-3.2-1b-instruct"),
              (Targets{"Llama-3.2-1B-Instruct-Q4_K_M/Llama-3.2-1B-Instruct-Q4_K_M"}));
    const config::Settings settings = settings_of(imported);
    EXPECT_EQ(settings.listen.port, 1234);
    EXPECT_TRUE(settings.listen.loopback);
    const config::EngineSettings& llama = *settings.endpoints[0].engine;
    EXPECT_EQ(llama.context_tokens, 8192u);
    EXPECT_EQ(llama.slots, 2u);
    EXPECT_EQ(llama.threads, 3u);
    EXPECT_TRUE(llama.on_demand);
    EXPECT_EQ(llama.unload_after, 1h);
    EXPECT_EQ(settings.endpoints[1].engine->context_tokens, 6000u);
    const std::string notes = notes_of(imported);
    for (const char* const told :
         {"networkInterface is 0.0.0.0", "cors", "kCacheQuantizationType", "systemPrompt", "projector", "broken"})
      EXPECT_NE(notes.find(told), std::string::npos) << told << "\n" << notes;
    EXPECT_EQ(notes.find("canary"), std::string::npos);
  }
}

TEST(ImportLmStudio, ReadsAFolderOfModelsWithoutSettings) {
  ImportFolder folder;
  home(folder);
  const Imported imported = read(folder.path / "models");
  ASSERT_EQ(imported.endpoints.size(), 2u);
  EXPECT_EQ(imported.listen, "");
  EXPECT_EQ(imported.endpoints[0].context, 0u);
  settings_of(imported);
}

TEST(ImportLmStudio, TellsModelsOfOneNameApart) {
  const ImportFolder folder;
  folder.write_model("a/x/model.gguf");
  folder.write_model("b/y/model.gguf");
  const Imported imported = read(folder.path);
  EXPECT_EQ(targets_of(imported, "model"), (Targets{"model/model"}));
  EXPECT_EQ(targets_of(imported, "model-2"), (Targets{"model-2/model-2"}));
  settings_of(imported);
}

TEST(ImportLmStudio, LeavesOutNumbersThatNoEngineTakes) {
  const ImportFolder folder;
  folder.write_model("models/a/b/m.gguf");
  folder.write(
      ".internal/user-concrete-model-default-config/a/b/m.gguf.json",
      R"({"load": {"fields": [{"key": "llm.load.contextLength", "value": 127}, {"key": "llm.load.numParallelSessions", "value": 257}]}})");
  const Imported imported = read(folder.path);
  EXPECT_EQ(imported.endpoints.at(0).context, 0u);
  EXPECT_EQ(imported.endpoints.at(0).slots, 0u);
  EXPECT_EQ(imported.notes.size(), 2u) << notes_of(imported);
  settings_of(imported);
}

TEST(ImportLmStudio, GoesOnWithoutASettingsFileThatIsBroken) {
  ImportFolder folder;
  home(folder).write("settings.json", R"({"a": "b)");
  const Imported imported = read(folder.path);
  EXPECT_EQ(imported.endpoints.size(), 2u);
  EXPECT_NE(notes_of(imported).find("no valid YAML"), std::string::npos) << notes_of(imported);
  EXPECT_FALSE(import_lmstudio(folder.path / "nowhere"));
  EXPECT_FALSE(import_lmstudio(folder.write("x.json", "{}")));
}

}  // namespace
}  // namespace thalweg::cli
