// `thalweg import`: reads a configuration of another program, writes ours, and says line by line what differs.
#include "show/cli/import.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <system_error>
#include <tuple>

#include "base/document/section.h"
#include "carry/config/settings.h"
#include "show/cli/cli.h"
#include "show/cli/terminal.h"

namespace thalweg::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kRefused = 1;
constexpr int kWrong = 2;

std::string_view name_of(NoteKind kind) {
  switch (kind) {
    case NoteKind::kNotCarried:
      return "not carried";
    case NoteKind::kChanged:
      return "changed";
    case NoteKind::kToDo:
      return "to do";
  }
  return "unknown";
}

/// On one line, whatever a source's words hold.
void print_line(std::string line) {
  std::ranges::replace(line, '\n', ' ');
  fmt::print(stderr, "{}\n", without_controls(line));
}

void print_notes(std::vector<Note> notes) {
  std::ranges::stable_sort(
      notes, {}, [](const Note& note) { return std::tuple(note.file, note.position.line, note.position.column); });
  for (const Note& note : notes) {
    std::string place = note.file.string();
    if (note.position.line != 0) place += fmt::format(":{}:{}", note.position.line, note.position.column);
    print_line(fmt::format("{}: {}: {}", place, name_of(note.kind), note.sentence));
  }
}

/// What `config check` would say now, most often that a variable is not set yet.
void print_what_is_missing(const std::string& yaml, const std::string& out) {
  const auto settings = config::parse(yaml, fs::current_path());
  if (settings) return;
  for (const Error& error : settings.error()) {
    print_line(fmt::format("{}:{}:{}: to do: {}", out.empty() ? "stdout" : out, error.position.line,
                           error.position.column, error.message));
  }
}

/// Never over something: what stands there may be a configuration that is in use.
Result<void> write_new(const fs::path& file, const std::string& text) {
  std::FILE* const stream = std::fopen(file.c_str(), "wxe");
  bool whole = stream != nullptr && std::fwrite(text.data(), 1, text.size(), stream) == text.size();
  const int reason = errno;
  if (stream != nullptr) whole = std::fclose(stream) == 0 && whole;
  if (whole) return {};
  std::error_code ignored;
  if (stream != nullptr) fs::remove(file, ignored);
  return fail(ErrorCode::kIo,
              fmt::format("cannot write {}: {}", file.string(), std::generic_category().message(reason)));
}

struct Source {
  const char* name;
  const char* about;
  const char* file_about;
  const char* example;
  ImportResult (*read)(const fs::path& file);
};

int run(const Source& source, const std::string& file, const std::string& out) {
  std::error_code failed;
  if (!out.empty() && fs::exists(fs::symlink_status(out, failed))) {
    fmt::print(stderr, "thalweg: {} is there already; it was left as it is. Name another file\n", out);
    return kRefused;
  }
  const auto imported = source.read(file);
  if (!imported) {
    show_text(stderr, config::render(imported.error(), file));
    return imported.error().front().code == ErrorCode::kIo ? kRefused : kWrong;
  }
  print_notes(imported->notes);
  if (imported->endpoints.empty()) {
    fmt::print(stderr, "thalweg: nothing in {} could be carried\n", file);
    return kWrong;
  }
  const std::string yaml =
      write_yaml(*imported, fmt::format("Thalweg's configuration, made by `thalweg import {} {}`.", source.name, file));
  print_what_is_missing(yaml, out);
  if (out.empty()) {
    show_text(stdout, yaml);
  } else if (const auto written = write_new(out, yaml); !written) {
    fmt::print(stderr, "thalweg: {}\n", written.error().message);
    return kRefused;
  } else {
    fmt::print(stderr, "wrote {}; `thalweg config check {}` says whether it is right\n", out, out);
  }
  return 0;
}

ImportResult read_litellm(const fs::path& file) {
  const auto bytes = read_source(file);
  if (!bytes) return std::unexpected(std::vector<Error>{bytes.error()});
  return import_litellm(*bytes, file);
}

constexpr Source kSources[] = {
    {"litellm", "The proxy's config.yaml", "The configuration of LiteLLM's proxy", "litellm config.yaml", read_litellm},
    {"ollama", "A Modelfile, a manifest, or the models folder", "A Modelfile, a manifest, or the folder of models",
     "ollama ~/.ollama/models --out thalweg.yaml", import_ollama},
    {"lmstudio", "The folder of LM Studio, or one of models", "The folder ~/.lmstudio, or a folder of models",
     "lmstudio ~/.lmstudio --out thalweg.yaml", import_lmstudio},
};

}  // namespace

Result<std::string> read_source(const fs::path& file) {
  std::error_code failed;
  const fs::file_status status = fs::status(file, failed);
  if (status.type() == fs::file_type::not_found) return fail(ErrorCode::kIo, "there is no such file");
  if (status.type() != fs::file_type::regular) return fail(ErrorCode::kIo, "this is no file");
  std::ifstream stream(file, std::ios::binary);
  const std::size_t most = document::Limits{}.bytes;
  std::string bytes(static_cast<std::size_t>(std::min<std::uintmax_t>(fs::file_size(file, failed), most)) + 1, '\0');
  stream.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!stream.is_open() || stream.bad()) return fail(ErrorCode::kIo, "it cannot be read; check its permissions");
  bytes.resize(static_cast<std::size_t>(stream.gcount()));
  if (bytes.size() > most) return fail(ErrorCode::kIo, fmt::format("it has more than {}", document::show_size(most)));
  return bytes;
}

std::expected<document::Node, std::vector<Error>> parse_source(std::string_view bytes) {
  document::Errors errors;
  auto tree = document::parse(bytes, errors);
  if (!tree) return std::unexpected(std::vector<Error>{tree.error()});
  if (!errors.empty()) return std::unexpected(errors.take());
  return std::move(*tree);
}

std::string text_at(const document::Node& node, std::string_view key) {
  const document::Node* const found = node.find(key);
  return found != nullptr && found->kind == document::Node::Kind::kScalar ? found->text : std::string();
}

std::uint64_t number_at(const document::Node& node, std::string_view key, std::uint64_t most) {
  const auto number = document::read_integer(text_at(node, key));
  return number && *number <= most ? *number : 0;
}

void add_import(CLI::App& app, int& exit_code) {
  CLI::App* import = app.add_subcommand("import", "Make a configuration out of another program's");
  import->require_subcommand(1);
  import->footer("Example: thalweg import litellm config.yaml --out thalweg.yaml");
  for (const Source& source : kSources) {
    CLI::App* command = import->add_subcommand(source.name, source.about);
    command->footer(fmt::format(
        "Example: thalweg import {}\nWhat could not be carried is told on stderr, line by line.", source.example));
    const auto file = std::make_shared<std::string>();
    const auto out = std::make_shared<std::string>();
    command->add_option("FILE", *file, source.file_about)->required();
    command->add_option("-o,--out", *out, "A new file for the result (default: stdout)");
    command->callback([&source, file, out, &exit_code] { exit_code = run(source, *file, *out); });
  }
}

}  // namespace thalweg::cli
