// The file's way: bytes -> tree -> parts -> checked settings. Every part is read even when an earlier one is wrong, so
// that one run tells all errors.
#include <fmt/format.h>

#include "base/document/document.h"
#include "base/document/section.h"
#include "carry/config/outside.h"
#include "carry/config/sections.h"
#include "carry/config/settings.h"

namespace thalweg::config {
namespace {

using Failure = std::unexpected<std::vector<Error>>;

Failure one(Error error) {
  return Failure(std::vector<Error>{std::move(error)});
}

}  // namespace

std::expected<Settings, std::vector<Error>> parse(std::string_view yaml, const std::filesystem::path& folder) {
  document::Errors errors;
  const auto tree = document::parse(yaml, errors);
  if (!tree) return one(tree.error());
  if (tree->kind == document::Node::Kind::kNull) {
    return one({ErrorCode::kConfig,
                "the file is empty; it needs `places` and `endpoints`, see docs/formats/config.md",
                {1, 1}});
  }
  Settings settings;
  document::Section top(*tree, "", errors);
  if (tree->kind == document::Node::Kind::kMap) {
    if (const document::Node* listen = top.optional("listen")) {
      const std::string text = top.text("listen", "");
      if (auto address = parse_listen(text)) {
        settings.listen = std::move(*address);
      } else if (listen->kind == document::Node::Kind::kScalar) {
        top.error("listen", std::move(address.error().message));
      }
    }
    read_tls(top, folder, settings, errors);
    settings.shards = static_cast<std::uint32_t>(top.integer("shards", settings.shards, {0, 256}));
    read_places(top, settings, errors);
    read_proxy(top, settings, errors);
    read_endpoints(top, folder, settings, errors);
    read_engines(top, settings, errors);
    read_models(top, settings, errors);
    read_passthrough(top, settings, errors);
    read_keys(top, settings, errors);
    read_policy(top, settings, errors);
    read_allowed(top, settings, errors);
    read_limits(top, settings, errors);
    read_facts_files(top, folder, settings, errors);
    read_log(top, folder, settings, errors);
    settings.probe_interval = top.duration("probe_interval", settings.probe_interval, {100ms, 1h});
    top.finish();
  }
  if (!errors.empty()) return Failure(errors.take());
  fleet::seal(settings.fleet);
  policy::seal(settings.policy, settings.fleet);
  return settings;
}

std::expected<Settings, std::vector<Error>> load(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::status(file, ignored).type() == std::filesystem::file_type::not_found) {
    return one({ErrorCode::kIo,
                "there is no such file; `make run` writes a first one, docs/formats/config.md describes it",
                {}});
  }
  const auto bytes = read_bounded(file, document::Limits{}.bytes);
  if (!bytes) return one(bytes.error());
  return parse(*bytes, file.has_parent_path() ? file.parent_path() : std::filesystem::path("."));
}

std::string render(const std::vector<Error>& errors, const std::filesystem::path& file) {
  std::string out;
  for (const Error& error : errors) {
    out += file.string();
    if (error.position.line != 0) out += fmt::format(":{}:{}", error.position.line, error.position.column);
    out += fmt::format(": error: {}\n", error.message);
  }
  return out;
}

}  // namespace thalweg::config
