#include "carry/config/names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "decide/fleet/countries.h"
#include "decide/fleet/fleet.h"

namespace thalweg::config {
namespace {

struct Grammar {
  std::string_view kind;
  std::string_view signs;  // allowed beside letters and digits, but not first
  std::size_t most;
  bool upper_case;
  std::string_view advice;
};

// In the order of NameKind.
constexpr std::array<Grammar, 6> kGrammars = {{
    {"a place", "._:-", 128, true, "letters, digits and ._:- , beginning with a letter or digit, at most 128"},
    {"an endpoint", "._:-", 128, true, "letters, digits and ._:- , beginning with a letter or digit, at most 128"},
    {"a model", "._:/-", 128, true, "letters, digits and ._:/- , beginning with a letter or digit, at most 128"},
    {"a tenant", "._:-", 64, true, "letters, digits and ._:- , beginning with a letter or digit, at most 64"},
    {"a key", "-", 32, false, "small letters, digits and - , beginning with a letter or digit, at most 32"},
    {"a rule or group", "._:-", 128, true, "letters, digits and ._:- , beginning with a letter or digit, at most 128"},
}};

bool is_alphanumeric(char c, bool upper_case) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (upper_case && c >= 'A' && c <= 'Z');
}

}  // namespace

std::string fault_of_name(NameKind kind, std::string_view name) {
  const Grammar& grammar = kGrammars[static_cast<std::size_t>(kind)];
  const bool fits = !name.empty() && name.size() <= grammar.most && is_alphanumeric(name[0], grammar.upper_case) &&
                    std::ranges::all_of(name, [&](char c) {
                      return is_alphanumeric(c, grammar.upper_case) || grammar.signs.find(c) != std::string_view::npos;
                    });
  if (kind == NameKind::kKey && name.starts_with("tw_")) {  // perhaps a whole key: not to be printed
    return "here stands the key's id only: what is between tw_ and the next _";
  }
  if (!fits) {
    document::Node shown;
    shown.kind = document::Node::Kind::kScalar;
    shown.text = name;
    return fmt::format("{} is no name for {}: it takes {}", document::describe(shown), grammar.kind, grammar.advice);
  }
  if (kind == NameKind::kModel && name == fleet::kAutoModel) {
    return "\"auto\" is built in (every chat model that the key may use); choose another name";
  }
  return {};
}

std::string_view fault_of_country(std::string_view text) {
  if (fleet::is_country(text)) return {};
  if (text == "UK") return "expected the two capital letters of ISO 3166-1; the United Kingdom is GB";
  if (text == "EL") return "expected the two capital letters of ISO 3166-1; Greece is GR";
  return "expected the two capital letters of ISO 3166-1, like DE";
}

bool check_name(NameKind kind, std::string_view name, Position position, document::Errors& errors) {
  std::string fault = fault_of_name(kind, name);
  if (fault.empty()) return true;
  errors.add(position, std::move(fault));
  return false;
}

std::string known_instead(std::string_view name, std::span<const std::string_view> known) {
  constexpr std::size_t kShown = 8;
  if (known.empty()) return "; there is none";
  if (std::string hint = suggestion(name, known); !hint.empty()) return hint;
  return fmt::format("; there is {}{}", fmt::join(known.first(std::min(known.size(), kShown)), ", "),
                     known.size() > kShown ? ", ..." : "");
}

}  // namespace thalweg::config
