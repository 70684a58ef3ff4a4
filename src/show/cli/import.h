// Configurations of other programs as ours: each reader fills the same value, one writer makes YAML of it. What a
// reader cannot carry it notes, with the place in its source. docs/formats/import.md says what becomes what.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/document/document.h"
#include "base/result.h"
#include "base/units.h"

namespace thalweg::cli {

enum class NoteKind : std::uint8_t { kNotCarried, kChanged, kToDo };

/// What is not the same afterwards. Never holds a secret.
struct Note {
  NoteKind kind = NoteKind::kNotCarried;
  std::filesystem::path file;
  Position position;
  std::string sentence;
};

struct ImportedModel {
  std::string name;
  std::string upstream;       // what the server calls it; of an engine unused
  std::uint64_t context = 0;  // tokens; 0: unknown
  std::uint64_t output = 0;   // tokens; 0: not said
  std::string capability;     // the only one; empty: the default of the endpoint's kind
  friend bool operator==(const ImportedModel&, const ImportedModel&) = default;
};

/// An engine (`file` is set) or a server (`api` is set).
struct ImportedEndpoint {
  std::string name;
  std::string origin;  // for a comment: where it stood
  std::string place;
  // An engine.
  std::filesystem::path file;
  std::uint64_t context = 0, slots = 0, threads = 0;  // 0: not said
  bool on_demand = false;
  Duration unload_after{};  // 0: not said
  std::vector<std::string> arguments;
  // A server. Texts may hold ${NAME}.
  std::string api, url, key, api_version;
  Duration whole{}, first_token{};  // 0: not said
  std::vector<ImportedModel> models;
};

struct ImportedPlace {
  std::string name, kind, operator_name;
};

struct ImportedName {
  std::string name;
  std::vector<std::string> targets;  // endpoint/model
};

/// The result of one import. The words of sources are in notes and names as they are: whoever prints them cleans them.
struct Imported {
  std::string listen;  // empty: the default
  std::vector<ImportedPlace> places;
  std::vector<ImportedEndpoint> endpoints;
  std::vector<ImportedName> names;  // empty: every model under its own
  std::vector<Note> notes;

  void note(NoteKind kind, const std::filesystem::path& file, Position position, std::string sentence);
  /// Adds the place unless it is there.
  void need_place(const ImportedPlace& place);
  /// `wished` made a valid name of an endpoint that no other has.
  std::string free_endpoint_name(std::string_view wished) const;
  /// Adds the name unless it is there; its targets, each once, behind those that it has.
  void offer(const std::string& name, const std::vector<std::string>& targets);
};

/// One error a fault of the source, in its order.
using ImportResult = std::expected<Imported, std::vector<Error>>;

/// `bytes` are those of `file`, which only notes name.
ImportResult import_litellm(std::string_view bytes, const std::filesystem::path& file);
ImportResult import_ollama(const std::filesystem::path& file);
ImportResult import_lmstudio(const std::filesystem::path& file);

/// kIo: it cannot be read whole, or is larger than a document may be.
Result<std::string> read_source(const std::filesystem::path& file);
/// JSON or YAML as a tree.
std::expected<document::Node, std::vector<Error>> parse_source(std::string_view bytes);
/// The text of a scalar at `key`; empty where there is none.
std::string text_at(const document::Node& node, std::string_view key);
/// A whole number from 1 to `most` at `key`, or 0.
std::uint64_t number_at(const document::Node& node, std::string_view key, std::uint64_t most);

/// What one engine is to be; absent numbers are 0.
struct LocalModel {
  std::string name;
  std::filesystem::path file;
  std::string origin;
  std::uint64_t context = 0, slots = 0, threads = 0;
  std::vector<std::string> arguments;
};
/// Adds an engine with that model, and offers it under its name. False, with a note at `position` of `source`, where
/// the file is no GGUF that can be read.
bool add_local_model(Imported& imported, LocalModel model, const std::filesystem::path& source, Position position);
/// Engines that stand beside others are loaded when they are needed.
void load_on_demand(Imported& imported, Duration unload_after);

/// The configuration, with `comment` on top.
std::string write_yaml(const Imported& imported, std::string_view comment);
/// A text as one YAML value or key: plain where every reader takes it for this text, else in double quotes.
std::string yaml_text(std::string_view text);
/// The text where a configuration replaces ${NAME}: there a plain ${ is written $${.
std::string without_variables(std::string_view text);
/// The text with what no name may hold replaced by '-', and cut to fit. Empty where nothing is left.
std::string as_endpoint_name(std::string_view text);
std::string as_model_name(std::string_view text);

}  // namespace thalweg::cli
