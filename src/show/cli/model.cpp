#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "carry/engine/engine.h"
#include "carry/gateway/outside.h"
#include "carry/gateway/part_file.h"
#include "show/cli/cli.h"

namespace thalweg::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGgufMagic = "GGUF";

fs::path models_folder() {
  return engine::cache_folder() / "models";
}

std::string size_text(std::uintmax_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024.0 * 1024.0));
}

// Asked of a file before it takes a model's place: what stood there may be good.
Result<void> check_gguf(const fs::path& file, const std::string& name) {
  std::ifstream in(file, std::ios::binary);
  std::string magic(kGgufMagic.size(), '\0');
  in.read(magic.data(), static_cast<std::streamsize>(magic.size()));
  if (in && magic == kGgufMagic) return {};
  return fail(ErrorCode::kCorrupt, fmt::format("{} does not begin like a GGUF file; it was not added", name));
}

// `expected` absent: any.
Result<void> check_sha256(const fs::path& file, const std::string& source, const std::optional<Sha256>& expected) {
  if (!expected) return {};
  const auto got = gateway::sha256_of(file);
  if (!got) return std::unexpected(got.error());
  if (*got == *expected) return {};
  return fail(ErrorCode::kCorrupt, fmt::format("{}: its SHA-256 is {}, not the expected one", source, to_hex(*got)));
}

// What is checked is the copy, since another may write to the source meanwhile. A source that already is the target
// stays as it is, whatever it holds: it is the user's.
Result<void> copy_checked(const std::string& source, const fs::path& target, const std::optional<Sha256>& expected) {
  const auto check = [&](const fs::path& file) {
    const auto right = check_sha256(file, source, expected);
    return right ? check_gguf(file, source) : right;
  };
  std::error_code failed;
  if (fs::equivalent(source, target, failed)) return check(target);
  auto part = gateway::PartFile::create(target);
  if (!part) return std::unexpected(part.error());
  fs::copy_file(source, part->path(), fs::copy_options::overwrite_existing, failed);
  if (failed) return fail(ErrorCode::kIo, fmt::format("cannot copy {}: {}", source, failed.message()));
  if (auto right = check(part->path()); !right) return right;
  return part->install();
}

int list(bool json) {
  std::error_code ignored;
  std::vector<fs::directory_entry> files;
  for (const auto& entry : fs::directory_iterator(models_folder(), ignored)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry);
  }
  std::ranges::sort(files, {}, [](const fs::directory_entry& entry) { return entry.path(); });
  nlohmann::json rows = nlohmann::json::array();
  for (const auto& entry : files) {
    // A link that leads nowhere has no size; it is shown, so that it can be removed.
    std::error_code missing;
    const std::uintmax_t bytes = entry.file_size(missing);
    rows.push_back({{"name", entry.path().stem().string()},
                    {"file", entry.path().string()},
                    {"bytes", missing ? nlohmann::json() : nlohmann::json(bytes)}});
  }
  if (json) {
    // File names need not be UTF-8; JSON must.
    fmt::print("{}\n", rows.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else if (rows.empty()) {
    fmt::print("no models in {}; `thalweg model add FILE` copies one there\n", models_folder().string());
  } else {
    for (const auto& row : rows) {
      fmt::print("{:<44} {:>12}  {}\n", row["name"].get<std::string>(),
                 row["bytes"].is_null() ? "no file" : size_text(row["bytes"].get<std::uintmax_t>()),
                 row["file"].get<std::string>());
    }
  }
  return 0;
}

int add(const std::string& source, const std::string& sha256_hex) {
  const auto complain = [](const Error& error) {
    fmt::print(stderr, "thalweg: {}\n", error.message);
    return 1;
  };
  std::error_code failed;
  fs::create_directories(models_folder(), failed);
  const bool remote = source.starts_with("https://") || source.starts_with("http://");
  const std::string name = fs::path(source.substr(0, source.find('?'))).filename();
  const fs::path file = models_folder() / name;
  if (file.extension() != ".gguf")
    return complain({ErrorCode::kInvalidRequest, fmt::format("\"{}\" is not a .gguf file", name), {}});
  std::optional<Sha256> expected;
  if (!sha256_hex.empty()) {
    const auto parsed = parse_sha256(sha256_hex);
    if (!parsed) return complain(parsed.error());
    expected = *parsed;
  }
  if (remote) {
    if (!expected)
      return complain(
          {ErrorCode::kInvalidRequest, "a file from an address needs --sha256, so that it is the one you mean", {}});
    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    const auto fetched = gateway::fetch(
        source, *expected, file,
        [&](std::uint64_t done, std::uint64_t total) {
          if (terminal) fmt::print(stderr, "\r{} of {} ", size_text(done), total == 0 ? "?" : size_text(total));
        },
        [&](const fs::path& part) { return check_gguf(part, source); });
    if (terminal) fmt::print(stderr, "\n");
    if (!fetched) return complain(fetched.error());
  } else if (const auto copied = copy_checked(source, file, expected); !copied) {
    return complain(copied.error());
  }
  fmt::print("{}\nfor the `models:` of an engine in thalweg.yaml:\n  {}: {{file: {}}}\n", file.string(),
             file.stem().string(), file.string());
  return 0;
}

int remove(const std::string& name) {
  const fs::path file =
      models_folder() / (fs::path(name).filename().string() + (name.ends_with(".gguf") ? "" : ".gguf"));
  std::error_code failed;
  if (!fs::remove(file, failed)) {
    fmt::print(stderr, "thalweg: there is no model \"{}\"; `thalweg model list` shows what there is\n", name);
    return 1;
  }
  fmt::print("removed {}\n", file.string());
  return 0;
}

}  // namespace

void add_model(CLI::App& app, int& exit_code) {
  CLI::App* model = app.add_subcommand("model", "Model files for the engine");
  model->require_subcommand(1);
  model->footer("Example: thalweg model list");
  CLI::App* listing = model->add_subcommand("list", "Show the model files of this machine");
  const auto json = std::make_shared<bool>(false);
  listing->add_flag("--json", *json, "Print them as JSON");
  listing->footer("Example: thalweg model list\nA link that leads nowhere has no size: `no file`, null in JSON.");
  listing->callback([json, &exit_code] { exit_code = list(*json); });

  CLI::App* adding = model->add_subcommand("add", "Copy or fetch a GGUF file");
  adding->footer("Example: thalweg model add https://models.example/x.gguf --sha256 64-HEX-DIGITS");
  const auto source = std::make_shared<std::string>();
  const auto sha = std::make_shared<std::string>();
  adding->add_option("SOURCE", *source, "A file, or an https address")->required();
  adding->add_option("--sha256", *sha, "What the file's SHA-256 must be; needed for addresses");
  adding->callback([source, sha, &exit_code] { exit_code = add(*source, *sha); });

  CLI::App* removing = model->add_subcommand("rm", "Remove a model file");
  removing->footer("Example: thalweg model rm SmolLM2-135M-Instruct.Q4_1");
  const auto name = std::make_shared<std::string>();
  removing->add_option("NAME", *name, "As `model list` names it")->required();
  removing->callback([name, &exit_code] { exit_code = remove(*name); });
}

}  // namespace thalweg::cli
