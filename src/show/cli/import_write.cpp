// Imported settings as YAML that a person would have written, and the quoting of its texts.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/document/section.h"
#include "base/text.h"
#include "carry/config/names.h"
#include "show/cli/import.h"

namespace thalweg::cli {
namespace {

constexpr std::size_t kMostOfName = 128;  // docs/formats/config.md

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string as_name(std::string_view text, std::string_view signs) {
  std::string name;
  for (const char c : text) {
    const bool first = name.empty();
    if (is_letter(c) || is_digit(c) || (!first && signs.find(c) != signs.npos)) {
      name += c;
    } else if (!first && name.back() != '-') {
      name += '-';
    }
  }
  name.resize(std::min(name.size(), kMostOfName));
  while (name.ends_with('-')) name.pop_back();
  return name;
}

/// One line, whatever the text.
std::string in_comment(std::string_view text) {
  std::string line(text);
  std::ranges::replace_if(line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, '?');
  return is_valid_utf8(line) ? line : "?";
}

void write_places(std::string& out, const Imported& imported) {
  out += "\n# Guessed by the addresses. Say `country: XX` and `operator` where you know them.\nplaces:\n";
  for (const ImportedPlace& place : imported.places) {
    out +=
        fmt::format("  {}: {{kind: {}{}}}\n", yaml_text(place.name), place.kind,
                    place.operator_name.empty() ? "" : fmt::format(", operator: {}", yaml_text(place.operator_name)));
  }
}

std::string list_of(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(yaml_text(text));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

void write_engine(std::string& out, const ImportedEndpoint& endpoint) {
  out += "    engine:\n";
  if (endpoint.context != 0) out += fmt::format("      context: {}\n", endpoint.context);
  if (endpoint.slots != 0) out += fmt::format("      slots: {}\n", endpoint.slots);
  if (endpoint.threads != 0) out += fmt::format("      threads: {}\n", endpoint.threads);
  if (endpoint.on_demand) out += "      load: demand\n";
  if (endpoint.on_demand && endpoint.unload_after != Duration{})
    out += fmt::format("      unload_after: {}\n", document::show_duration(endpoint.unload_after));
  if (!endpoint.arguments.empty()) out += fmt::format("      arguments: {}\n", list_of(endpoint.arguments));
  out += "      models:\n";
  for (const ImportedModel& model : endpoint.models) {
    out += fmt::format("        {}: {{file: {}{}}}\n", yaml_text(model.name),
                       yaml_text(without_variables(endpoint.file.string())),
                       model.capability.empty() ? "" : fmt::format(", capabilities: [{}]", model.capability));
  }
}

void write_server(std::string& out, const ImportedEndpoint& endpoint) {
  out += fmt::format("    api: {}\n    url: {}\n", endpoint.api, yaml_text(endpoint.url));
  if (!endpoint.key.empty()) out += fmt::format("    key: {}\n", yaml_text(endpoint.key));
  if (!endpoint.api_version.empty()) out += fmt::format("    api_version: {}\n", yaml_text(endpoint.api_version));
  if (endpoint.slots != 0) out += fmt::format("    slots: {}\n", endpoint.slots);
  std::vector<std::string> timeouts;
  if (endpoint.first_token != Duration{})
    timeouts.push_back(fmt::format("first_token: {}", document::show_duration(endpoint.first_token)));
  if (endpoint.whole != Duration{}) {
    const std::string whole = document::show_duration(endpoint.whole);
    timeouts.push_back(fmt::format("whole: {}, total: {}", whole, whole));
  }
  if (!timeouts.empty()) out += fmt::format("    timeouts: {{{}}}\n", fmt::join(timeouts, ", "));
  out += "    models:\n";
  for (const ImportedModel& model : endpoint.models) {
    std::vector<std::string> facts;
    if (model.upstream != model.name) facts.push_back(fmt::format("name: {}", yaml_text(model.upstream)));
    if (model.context != 0) facts.push_back(fmt::format("context: {}", model.context));
    if (model.output != 0) facts.push_back(fmt::format("output: {}", model.output));
    if (!model.capability.empty()) facts.push_back(fmt::format("capabilities: [{}]", model.capability));
    out += fmt::format("      {}: {{{}}}\n", yaml_text(model.name), fmt::join(facts, ", "));
  }
}

}  // namespace

std::string yaml_text(std::string_view text) {
  // What YAML 1.1 readers, such as an editor's, take for something else.
  static constexpr std::array<std::string_view, 9> kWords = {"true", "false", "yes", "no", "on",
                                                             "off",  "null",  "y",   "n"};
  const bool plain = !text.empty() && is_letter(text[0]) && std::ranges::all_of(text, [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '/' || c == '-';
  });
  if (plain && std::ranges::none_of(kWords, [&](std::string_view word) { return equals_ignoring_case(text, word); }))
    return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      quoted += fmt::format("\\x{:02X}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string without_variables(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("${")) out += '$';
    out += text[i];
  }
  return out;
}

std::string as_endpoint_name(std::string_view text) {
  return as_name(text, "._:-");
}

std::string as_model_name(std::string_view text) {
  return as_name(text, "._:/-");
}

void Imported::note(NoteKind kind, const std::filesystem::path& file, Position position, std::string sentence) {
  notes.push_back({kind, file, position, std::move(sentence)});
}

void Imported::need_place(const ImportedPlace& place) {
  if (std::ranges::find(places, place.name, &ImportedPlace::name) == places.end()) places.push_back(place);
}

std::string Imported::free_endpoint_name(std::string_view wished) const {
  std::string base = as_endpoint_name(wished);
  if (base.empty()) base = "endpoint";
  constexpr std::size_t kRoomForNumber = 8;
  std::string name = base;
  for (std::size_t i = 2; std::ranges::find(endpoints, name, &ImportedEndpoint::name) != endpoints.end(); ++i) {
    name = fmt::format("{}-{}", base.substr(0, kMostOfName - kRoomForNumber), i);
  }
  return name;
}

void Imported::offer(const std::string& name, const std::vector<std::string>& targets) {
  auto found = std::ranges::find(names, name, &ImportedName::name);
  if (found == names.end()) found = names.insert(names.end(), {name, {}});
  for (const std::string& target : targets) {
    if (std::ranges::find(found->targets, target) == found->targets.end()) found->targets.push_back(target);
  }
}

std::string write_yaml(const Imported& imported, std::string_view comment) {
  std::string out = fmt::format(
      "# {}\n# What could not be carried was told then. docs/formats/config.md describes every setting;\n"
      "# `thalweg config check FILE` says whether a change is right.\n",
      in_comment(comment));
  if (!imported.listen.empty()) out += fmt::format("\nlisten: {}\n", yaml_text(imported.listen));
  write_places(out, imported);
  out += "\nendpoints:\n";
  for (const ImportedEndpoint& endpoint : imported.endpoints) {
    if (!endpoint.origin.empty()) out += fmt::format("  # {}\n", in_comment(endpoint.origin));
    out += fmt::format("  {}:\n    place: {}\n", yaml_text(endpoint.name), yaml_text(endpoint.place));
    endpoint.file.empty() ? write_server(out, endpoint) : write_engine(out, endpoint);
  }
  if (!imported.names.empty()) {
    out += "\n# What applications may ask for: the first target that can answer does.\nmodels:\n";
    for (const ImportedName& name : imported.names)
      out += fmt::format("  {}: {}\n", yaml_text(name.name), list_of(name.targets));
  }
  return out;
}

}  // namespace thalweg::cli
