#include "carry/config/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "base/document/document.h"
#include "carry/config/outside.h"
#include "carry/config/sections.h"

namespace thalweg::config {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxCatalogueFiles = 64;

using Errors = std::vector<Error>;

// The error as it reads in another place than its own file.
std::string told(const std::string& file, const Error& error) {
  if (error.position.line == 0) return fmt::format("{}: {}", file, error.message);
  return fmt::format("{}:{}:{}: {}", file, error.position.line, error.position.column, error.message);
}

std::expected<std::vector<fs::path>, Errors> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code failed;
  for (auto at = fs::directory_iterator(folder, failed); !failed && at != fs::directory_iterator();
       at.increment(failed))
    if (at->path().extension() == ".yaml") files.push_back(at->path());
  std::ranges::sort(files);
  std::string fault;
  if (failed) fault = fmt::format("the folder cannot be read: {}", failed.message());
  if (!failed && files.empty()) fault = "there is no file of facts (*.yaml) in it";
  if (files.size() > kMaxCatalogueFiles)
    fault = fmt::format("there are {} files of facts in it; {} are allowed", files.size(), kMaxCatalogueFiles);
  if (!fault.empty())
    return std::unexpected(Errors{{ErrorCode::kIo, fmt::format("{}: {}", folder.string(), fault), {}}});
  return files;
}

}  // namespace

std::expected<facts::Sheet, std::vector<Error>> read_facts(const fs::path& file) {
  const auto bytes = read_bounded(file, document::Limits{}.bytes);
  if (!bytes) return std::unexpected(Errors{bytes.error()});
  auto sheet = facts::parse(*bytes);
  if (sheet) sheet->file = file.string();
  return sheet;
}

fs::path catalogue_folder() {
  std::error_code failed;
  const fs::path self = fs::read_symlink("/proc/self/exe", failed);
  if (failed) return {};
  const fs::path above = self.parent_path().parent_path();
  for (const fs::path& folder : {above / "share/thalweg/facts", above / "data/facts"})
    if (fs::is_directory(folder, failed)) return folder;
  return {};
}

std::expected<facts::Facts, std::vector<Error>> load_catalogue(const fs::path& folder,
                                                               std::span<const facts::Sheet> overrides) {
  const auto files = files_of(folder);
  if (!files) return std::unexpected(files.error());
  Errors errors;
  std::vector<facts::Sheet> sheets;
  for (const fs::path& file : *files) {
    auto sheet = read_facts(file);
    if (sheet) {
      sheet->file = file.filename().string();
      sheets.push_back(std::move(*sheet));
      continue;
    }
    for (const Error& error : sheet.error()) errors.push_back({error.code, told(file.string(), error), {}});
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return facts::merge(sheets, overrides);
}

void read_facts_files(document::Section& top, const fs::path& folder, Settings& settings, document::Errors& errors) {
  const document::Node* node = top.optional("facts");
  if (node == nullptr) return;
  document::Section section(*node, "facts", errors);
  for (const document::Section::Word& word : section.texts("files", kMaxFactsFiles)) {
    const auto file = resolve_file(word.text, folder);
    if (!file) {
      errors.add(word.position, fmt::format("facts.files: {}", file.error().message));
      continue;
    }
    auto sheet = read_facts(*file);
    if (sheet) {
      settings.facts.push_back(std::move(*sheet));
      continue;
    }
    for (const Error& error : sheet.error())
      errors.add(word.position, fmt::format("facts.files: {}", told(word.text, error)));
  }
  section.finish();
}

}  // namespace thalweg::config
