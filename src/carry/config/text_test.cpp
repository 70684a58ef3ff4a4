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
#include <string>

#include "base/text_cases_test.h"
#include "carry/config/folder_test.h"
#include "carry/config/settings.h"

namespace thalweg::config {
namespace {

std::string outcome(std::string yaml, const Folder& folder) {
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
  const std::size_t count = run_text_cases(THALWEG_SOURCE_DIR "/tests/config",
                                           [&](const std::string& input) { return outcome(input, folder); });
  EXPECT_GT(count, 100U);
  RecordProperty("cases", static_cast<int>(count));
}

}  // namespace
}  // namespace thalweg::config
