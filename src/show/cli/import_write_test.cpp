#include <gtest/gtest.h>

#include "base/document/document.h"
#include "show/cli/import.h"
#include "show/cli/import_place.h"
#include "show/cli/import_test.h"

namespace thalweg::cli {
namespace {

TEST(YamlText, IsReadAsTheSameTextWhateverItHolds) {
  for (const std::string text :
       {"plain", "a b",  "a: b", "#x", "- x",  "null",  "True", "yes",  "1",  "1e3", "0x1F", "2024-10-21", "",  "\"",
        "\\",    "'",    "a\nb", "\t", "\x01", "{x}",   "[x]",  "&a",   "*a", "!t",  "@",    "`",          "%", "|",
        ">",     "a #b", " a ",  "é",  "${X}", "a\\nb", "\x7F", "\r\n", "~",  "?",   ": ",   "…"}) {
    const std::string yaml = "k: " + yaml_text(text) + "\n" + yaml_text(text.empty() ? "e" : text) + ": v\nlist: [" +
                             yaml_text(text) + ", b]\n";
    document::Errors errors;
    const auto tree = document::parse(yaml, errors);
    ASSERT_TRUE(tree) << yaml << tree.error().message;
    EXPECT_EQ(tree->find("k")->kind, document::Node::Kind::kScalar) << yaml;
    EXPECT_EQ(tree->find("k")->text, text) << yaml;
    EXPECT_EQ(tree->members[1].key, text.empty() ? "e" : text) << yaml;
    EXPECT_EQ(tree->find("list")->items.at(0).text, text) << yaml;
  }
}

TEST(YamlText, IsQuotedWhereOtherReadersGuessATypeAndPlainElsewhere) {
  for (const char* const text : {"true", "No", "OFF", "y", "null", "12", "1.5", "a:b"})
    EXPECT_EQ(yaml_text(text)[0], '"') << text;
  EXPECT_EQ(yaml_text("meta-llama/Llama-3.1_8B"), "meta-llama/Llama-3.1_8B");
}

TEST(Imports, WriteAPathThatLooksLikeAVariableAsItIs) {
  const ImportFolder folder;
  Imported imported;
  ASSERT_TRUE(add_local_model(
      imported, {.name = "m", .file = folder.write_model("${HOME}/$x/a b.gguf"), .origin = "a\nb"}, "f", {}));
  EXPECT_EQ(settings_of(imported).endpoints.at(0).engine->model_file, folder.path / "${HOME}/$x/a b.gguf");
}

TEST(Imports, MakeNamesThatTheConfigurationTakes) {
  EXPECT_EQ(as_model_name("@cf/meta/llama 3!"), "cf/meta/llama-3");
  EXPECT_EQ(as_endpoint_name("hf.co/a/b:Q4"), "hf.co-a-b:Q4");
  EXPECT_EQ(as_endpoint_name("???"), "");
  EXPECT_EQ(as_model_name(std::string(200, 'a')).size(), 128u);
  Imported imported;
  imported.endpoints.push_back({.name = "a"});
  imported.endpoints.push_back({.name = "a-2"});
  EXPECT_EQ(imported.free_endpoint_name("a"), "a-3");
  EXPECT_EQ(imported.free_endpoint_name("é"), "endpoint");
}

TEST(Imports, GuessAPlaceByTheAddress) {
  for (const char* const host : {"127.0.0.1", "localhost", "::1"})
    EXPECT_EQ(nearness_of(host), Nearness::kHere) << host;
  for (const char* const host : {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1", "100.64.0.1",
                                 "fd00::1", "fe80::1", "vllm", "gpu.lan", "a.svc.cluster.local"})
    EXPECT_EQ(nearness_of(host), Nearness::kNear) << host;
  for (const char* const host : {"8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "2001:db8::1",
                                 "api.openai.com", "local.example"})
    EXPECT_EQ(nearness_of(host), Nearness::kFar) << host;
}

}  // namespace
}  // namespace thalweg::cli
