// What the tests of imports share: a folder of their own, a model file, and the judgement of what was made.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "carry/config/settings.h"
#include "show/cli/import.h"

namespace thalweg::cli {

class ImportFolder {
 public:
  ImportFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "thalweg-import-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ImportFolder(const ImportFolder&) = delete;
  ImportFolder& operator=(const ImportFolder&) = delete;
  ~ImportFolder() { std::filesystem::remove_all(path); }

  std::filesystem::path write(const std::filesystem::path& below, std::string_view text) const {
    const std::filesystem::path file = path / below;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return file;
  }
  /// A GGUF file's beginning with the architecture alone.
  std::filesystem::path write_model(const std::filesystem::path& below, std::string_view architecture = "llama") const {
    std::string bytes = "GGUF";
    const auto number = [&](auto value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof value); };
    const auto text = [&](std::string_view words) {
      number(std::uint64_t{words.size()});
      bytes += words;
    };
    number(std::uint32_t{3});  // version
    number(std::uint64_t{0});  // tensors
    number(std::uint64_t{1});  // entries
    text("general.architecture");
    number(std::uint32_t{8});  // a text
    text(architecture);
    return write(below, bytes);
  }

  std::filesystem::path path;
};

/// The settings that the result says, with every variable set that it names.
inline config::Settings settings_of(const Imported& imported) {
  const std::string yaml = write_yaml(imported, "a test");
  for (std::size_t at = 0; (at = yaml.find("${", at)) != yaml.npos; ++at)
    ::setenv(yaml.substr(at + 2, yaml.find('}', at) - at - 2).c_str(), "https://from.a.variable", 1);
  auto settings = config::parse(yaml, "/");
  EXPECT_TRUE(settings) << config::render(settings.error(), "yaml") << yaml;
  return settings ? std::move(*settings) : config::Settings{};
}

/// Every note as "LINE: sentence", one a line.
inline std::string notes_of(const Imported& imported) {
  std::string out;
  for (const Note& note : imported.notes) out += std::to_string(note.position.line) + ": " + note.sentence + "\n";
  return out;
}

inline const ImportedEndpoint* endpoint_of(const Imported& imported, std::string_view name) {
  for (const ImportedEndpoint& endpoint : imported.endpoints) {
    if (endpoint.name == name) return &endpoint;
  }
  return nullptr;
}

inline std::vector<std::string> targets_of(const Imported& imported, std::string_view name) {
  for (const ImportedName& offered : imported.names) {
    if (offered.name == name) return offered.targets;
  }
  return {};
}

}  // namespace thalweg::cli
