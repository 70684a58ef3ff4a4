// Runs tests/config/*.test: each case is a configuration and the errors that it must give, all of them, as `thalweg
// config check` prints them. THALWEG_UPDATE_TESTS=1 writes what was given into the files instead; read the difference
// before you keep it.
//
//   ==== A sentence that names the case
//   limits: {body: 32MB}
//   ----
//   thalweg.yaml:1:16: error: ...
//
// A case without the word places or endpoints gets a working pair behind its own lines. The folder of a case holds
// model.gguf, engine (executable), plain (not), secret (0600), open (0644), ca.pem with ca.key (0600), open.key (0644)
// and other.key; in errors the folder is called FOLDER.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "carry/config/folder_test.h"
#include "carry/config/settings.h"

namespace thalweg::config {
namespace {

struct Case {
  std::string name, yaml, expected;
};

// The lines before the first case, and the cases.
std::pair<std::string, std::vector<Case>> read_cases(const std::filesystem::path& file) {
  std::istringstream lines(read(file));
  std::string head;
  std::vector<Case> cases;
  bool in_yaml = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("==== ")) {
      cases.push_back({.name = line.substr(5), .yaml = {}, .expected = {}});
      in_yaml = true;
    } else if (cases.empty()) {
      head += line + "\n";
    } else if (line == "----" && in_yaml) {
      in_yaml = false;
    } else {
      (in_yaml ? cases.back().yaml : cases.back().expected) += line + "\n";
    }
  }
  return {head, cases};
}

std::string outcome(const Case& test, const Folder& folder) {
  std::string yaml = test.yaml;
  if (yaml.find("places") == std::string::npos) yaml += "places: {here: {kind: device}}\n";
  if (yaml.find("endpoints") == std::string::npos) {
    yaml += "endpoints: {e: {place: here, api: openai, url: \"https://e.example/v1\", models: {m: {}, big: {}}}}\n";
  }
  const auto settings = parse(yaml, folder.path);
  std::string told = settings ? "accepted\n" : render(settings.error(), "thalweg.yaml");
  for (std::size_t at = 0; (at = told.find(folder.path.string(), at)) != std::string::npos;)
    told.replace(at, folder.path.string().size(), "FOLDER");
  return told;
}

TEST(ConfigText, GivesEveryErrorThatTheFilesExpect) {
  ::setenv("THALWEG_TEST_KEY", "sk-from-the-environment", 1);
  ::setenv("THALWEG_TEST_SPACE", "two words", 1);
  ::setenv("THALWEG_TEST_EMPTY", "", 1);
  ::unsetenv("THALWEG_TEST_UNSET");
  ::setenv("PATH", "/nowhere", 1);
  const Folder folder;
  const bool update = std::getenv("THALWEG_UPDATE_TESTS") != nullptr;
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(THALWEG_SOURCE_DIR "/tests/config")) {
    if (entry.path().extension() != ".test") continue;
    const auto [head, cases] = read_cases(entry.path());
    std::string rewritten = head;
    for (const Case& test : cases) {
      ++count;
      const std::string told = outcome(test, folder);
      rewritten += "==== " + test.name + "\n" + test.yaml + "----\n" + told;
      if (&test != &cases.back()) rewritten += "\n";
      const std::string expected = test.expected.substr(0, test.expected.find_last_not_of('\n') + 1) + "\n";
      if (!update) {
        EXPECT_EQ(told, expected) << entry.path().filename() << ": " << test.name << "\n" << test.yaml;
      }
    }
    if (update) std::ofstream(entry.path()) << rewritten;
  }
  EXPECT_GT(count, 100U);
  RecordProperty("cases", static_cast<int>(count));
}

}  // namespace
}  // namespace thalweg::config
