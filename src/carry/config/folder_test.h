// What this room's tests share: a folder with the files that configurations name, and a configuration that must be
// right.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "carry/config/settings.h"

namespace thalweg::config {

inline std::string read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// A folder with the files that examples name.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "thalweg-config-XXXXXX").string();
    path = ::mkdtemp(name.data());
    for (const char* file : {"model.gguf", "smollm2-135m.gguf", "ca.pem"}) std::ofstream(path / file) << "x";
    for (const char* file : {"secret", "engine"}) std::ofstream(path / file) << "sk-from-a-file\r\n";
    std::filesystem::permissions(path / "secret", std::filesystem::perms::owner_read);
    std::filesystem::permissions(path / "engine", std::filesystem::perms::owner_all);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

inline Settings accepted(std::string_view yaml, const Folder& folder) {
  auto settings = parse(yaml, folder.path);
  EXPECT_TRUE(settings) << render(settings.error(), "yaml") << yaml;
  return settings ? std::move(*settings) : Settings{};
}

}  // namespace thalweg::config
