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
#include "carry/net/authority_test.h"

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
    write("model.gguf", "GGUF", 0644);
    write("smollm2-135m.gguf", "GGUF", 0644);
    write("engine", "#!/bin/sh\n", 0755);
    write("plain", "no program\n", 0644);
    write("secret", "sk-from-a-file\r\n", 0600);
    write("two-lines", "sk-secret\nmore\n", 0600);
    write("open", "sk-open\n", 0644);
    const net::Authority authority;
    write("ca.pem", authority.pem(), 0644);
    write("ca.key", authority.key_pem(), 0600);
    write("open.key", authority.key_pem(), 0644);
    write("other.key", net::Authority().key_pem(), 0600);
    write("prices.yaml",
          "facts: prices\nunit: USD/Mtok\nsources: {s: {title: T, licence: MIT, class: p, kind: published, as_of: "
          "2026-11-01}}\nentries: {example/large: {input: 2.5, output: 10}}\n",
          0644);
    write("wrong-prices.yaml",
          "facts: prices\nsources: {s: {title: T, licence: MIT, class: p, kind: published, as_of: 2026-11-01}}\n"
          "entries: {example/large: {imput: 2.5}}\n",
          0644);
    std::filesystem::create_directory(path / "folder");
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;

 private:
  void write(const char* name, std::string_view text, unsigned mode) const {
    std::ofstream(path / name) << text;
    std::filesystem::permissions(path / name, static_cast<std::filesystem::perms>(mode));
  }
};

inline Settings accepted(std::string_view yaml, const Folder& folder) {
  auto settings = parse(yaml, folder.path);
  EXPECT_TRUE(settings) << render(settings.error(), "yaml") << yaml;
  return settings ? std::move(*settings) : Settings{};
}

}  // namespace thalweg::config
