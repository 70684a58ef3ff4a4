#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "carry/config/names.h"
#include "carry/config/sections.h"

namespace thalweg::config {
namespace {

constexpr std::size_t kMaxFact = 128;

// Facts go into records and reports as they are.
bool is_fact(std::string_view text) {
  return text.size() <= kMaxFact && is_valid_utf8(text) &&
         std::ranges::none_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

std::string read_fact(document::Section& section, std::string_view key) {
  std::string text = section.text(key, "");
  if (is_fact(text)) return text;
  section.error(key, fmt::format("expected at most {} bytes on one line", kMaxFact));
  return {};
}

fleet::Place read_place(const document::Member& member, document::Errors& errors) {
  static constexpr std::array<std::string_view, 4> kKinds = {"device", "edge", "factory",
                                                             "cloud"};  // in the order of PlaceKind
  fleet::Place place;
  place.name = member.key;
  document::Section section(member.value, fmt::format("places.{}", member.key.substr(0, 64)), errors);
  if (member.value.kind == document::Node::Kind::kMap && member.value.find("kind") == nullptr) {
    errors.add(member.key_position,
               fmt::format("{} is missing: a place is a device, edge, factory or cloud", section.path_of("kind")));
  }
  place.kind = static_cast<fleet::PlaceKind>(section.one_of("kind", 0, kKinds));
  place.country = section.text("country", "");
  if (const auto fault = fault_of_country(place.country); !place.country.empty() && !fault.empty())
    section.error("country", std::string(fault));
  place.operator_name = read_fact(section, "operator");
  place.grid_zone = read_fact(section, "grid_zone");
  for (document::Section::Word& word : section.texts("attestations", kMaxAttestations)) {
    if (word.text.empty() || !is_fact(word.text)) {
      errors.add(word.position,
                 fmt::format("{}: expected 1 to {} bytes on one line", section.path_of("attestations"), kMaxFact));
    }
    place.attestations.push_back(std::move(word.text));
  }
  section.finish();
  return place;
}

}  // namespace

void read_places(document::Section& top, Settings& settings, document::Errors& errors) {
  const document::Node* node = top.required("places", "name at least one, like `here: {kind: device}`");
  if (node == nullptr) return;
  if (node->kind != document::Node::Kind::kMap || node->members.empty()) {
    return top.error(
        "places", fmt::format("expected a map with at least one place, not {}",
                              node->kind == document::Node::Kind::kMap ? "an empty one" : document::describe(*node)));
  }
  if (node->members.size() > fleet::kMaxPlaces) {
    return top.error("places", fmt::format("has {} places; {} are allowed", node->members.size(), fleet::kMaxPlaces));
  }
  for (const document::Member& member : node->members) {
    check_name(NameKind::kPlace, member.key, member.key_position, errors);
    settings.fleet.places.push_back(read_place(member, errors));
  }
}

}  // namespace thalweg::config
