#include "carry/config/passthrough.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "carry/config/folder_test.h"
#include "carry/config/settings.h"

namespace thalweg::config {
namespace {

std::string found(const Passages& passages, std::string_view path) {
  const Passage* passage = passages.find(path);
  return passage == nullptr ? "none" : passage->model;
}

TEST(Passages, FindsThePathItselfElseTheNearestAbove) {
  Passages passages;
  passages.add({"files", {http::Method::kPost}}, {"/v1/files", "/v1/files/*", "/v1/images/edits"});
  passages.add({"parts", {http::Method::kGet}}, {"/v1/files/a/*", "/v1/files/b"});
  EXPECT_EQ(found(passages, "/v1/files"), "files");
  EXPECT_EQ(found(passages, "/v1/files/x"), "files");
  EXPECT_EQ(found(passages, "/v1/files/x/y/z"), "files");
  EXPECT_EQ(found(passages, "/v1/files/a"), "files");
  EXPECT_EQ(found(passages, "/v1/files/a/x"), "parts");
  EXPECT_EQ(found(passages, "/v1/files/b"), "parts");
  EXPECT_EQ(found(passages, "/v1/files/b/x"), "files");
  EXPECT_EQ(found(passages, "/v1/files/*"), "files");
  for (const char* path : {"/v1/filesx", "/v1/file", "/v1", "/", "", "v1/files", "/v1/images", "/v1/images/edits/x",
                           "/v1/images/*", "/V1/files", "/v1//files", "/v1/images/../files"}) {
    EXPECT_EQ(found(passages, path), "none") << path;
  }
  EXPECT_EQ(found(Passages{}, "/v1/files"), "none");
}

TEST(Passages, LetThroughPlainPathsOnly) {
  for (const char* path : {"/a", "/v1/files/file-abc_1.2~3", "/v1/x!$&'()*+,=:@", "/v1/..a", "/v1/a.."})
    EXPECT_EQ(fault_of_path(path), "") << path;
  for (const char* path :
       {"",      "a",      "/",    "//a",   "/a//b", "/a/",  "/a/.", "/a/..",     "/a/.../b", "/../a",
        "/a%2e", "/a%2Fb", "/a;b", "/a\\b", "/a?b",  "/a#b", "/a b", "/\xC3\xA9", "/a\x7F",   "/a\"b"}) {
    EXPECT_NE(fault_of_path(path), "") << path;
  }
}

TEST(Passages, StandInTheFleetAsModelsOfTheirOwn) {
  const Folder folder;
  const Settings settings = accepted(R"(
places: {here: {kind: edge}}
endpoints:
  a: {place: here, api: openai, url: "https://a.example/v1", models: {m: {}}}
  b: {place: here, api: openai, url: "https://b.example/v1", models: {m: {}, n: {}}}
passthrough: {files: {endpoints: [b, a], paths: [/v1/files]}}
)",
                                     folder);
  const fleet::Model* model = settings.fleet.find_model("files");
  ASSERT_NE(model, nullptr);
  ASSERT_EQ(model->targets.size(), 2U);
  EXPECT_EQ(model->targets[0], (fleet::Target{EndpointIndex{1}, ModelIndex{2}}));
  EXPECT_EQ(model->targets[1], (fleet::Target{EndpointIndex{0}, ModelIndex{1}}));
  for (const fleet::Target target : model->targets) {
    EXPECT_EQ(settings.fleet.at(target).name, "files");
    EXPECT_EQ(settings.fleet.at(target).capabilities, inference::Capabilities{inference::Capability::kPassthrough});
  }
  EXPECT_EQ(settings.fleet.find_model("m")->targets.size(), 2U);
  EXPECT_EQ(settings.passages.size(), 1U);
}

// As many as are allowed, and one more.
TEST(Passages, AreBounded) {
  const Folder folder;
  const auto with = [&](std::size_t passages, std::size_t paths, std::size_t length) {
    std::string yaml = R"(
places: {here: {kind: edge}}
endpoints: {a: {place: here, api: openai, url: "https://a.example/v1", models: {m: {}}}}
passthrough:
)";
    for (std::size_t i = 0; i < passages; ++i) {
      yaml += fmt::format("  p{}: {{endpoints: [a], paths: [", i);
      for (std::size_t j = 0; j < paths; ++j) yaml += fmt::format("/v1/{}/{}, ", i, j);
      yaml += fmt::format("/v1/{}{}]}}\n", i, std::string(length - 4 - std::to_string(i).size(), 'x'));
    }
    return parse(yaml, folder.path).has_value();
  };
  EXPECT_TRUE(with(kMaxPassages, 1, 16));
  EXPECT_FALSE(with(kMaxPassages + 1, 1, 16));
  EXPECT_TRUE(with(1, kMaxPassagePaths - 1, 16));
  EXPECT_FALSE(with(1, kMaxPassagePaths, 16));
  EXPECT_TRUE(with(1, 1, kMaxPassagePath));
  EXPECT_FALSE(with(1, 1, kMaxPassagePath + 1));
}

}  // namespace
}  // namespace thalweg::config
