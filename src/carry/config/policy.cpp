// `policy:` into policy.rules. Everything that a rule names must exist, so that a slip of the pen is an error and not a
// rule that never applies.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "carry/config/names.h"
#include "carry/config/sections.h"
#include "decide/fleet/countries.h"

namespace thalweg::config {
namespace {

using document::Errors;
using document::Member;
using document::Node;
using document::Section;
using inference::Use;
using inference::Uses;

using Groups = std::map<std::string, std::vector<std::string>, std::less<>>;
using Names = std::vector<std::string_view>;

constexpr std::size_t kCountryCode = 2;
constexpr std::uint64_t kMostTokens = 100'000'000;

template <class Range, class Name>
Names names_in(const Range& range, Name name) {
  Names names;
  for (const auto& each : range) names.emplace_back(std::invoke(name, each));
  return names;
}

/// The section's list, an error where it is there and empty.
std::vector<Section::Word> words(Section& section, std::string_view key) {
  std::vector<Section::Word> found = section.texts(key, policy::kMaxListed);
  const Node* const node = section.optional(key);
  if (node != nullptr && node->kind == Node::Kind::kList && node->items.empty())
    section.error(key, "lists none; name at least one, or leave it out");
  return found;
}

/// Each word that is known; others are reported.
std::vector<std::string> known_words(Section& section, std::string_view key, std::string_view what, const Names& known,
                                     Errors& errors) {
  std::vector<std::string> found;
  for (Section::Word& word : words(section, key)) {
    if (std::ranges::find(known, word.text) == known.end()) {
      errors.add(word.position, fmt::format("{}: there is no {} \"{}\"{}", section.path_of(key), what,
                                            word.text.substr(0, 64), known_instead(word.text, known)));
    } else {
      found.push_back(std::move(word.text));
    }
  }
  return found;
}

/// The values of an enumeration, by their names.
template <class Set, class Kind, std::size_t kCount>
Set known_set(Section& section, std::string_view key, std::string_view what, Errors& errors) {
  Names names;
  for (std::size_t i = 0; i < kCount; ++i) names.push_back(name_of(static_cast<Kind>(i)));
  Set set;
  for (const std::string& word : known_words(section, key, what, names, errors))
    set.add(static_cast<Kind>(std::ranges::find(names, word) - names.begin()));
  return set;
}

Uses read_uses(Section& section, std::string_view key, Errors& errors) {
  return known_set<Uses, Use, inference::kUseCount>(section, key, "use", errors);
}

class Reader {
 public:
  Reader(const Settings& settings, Errors& errors) : settings_(settings), errors_(errors) {
    const auto& fleet = settings.fleet;
    places_ = names_in(fleet.places, &fleet::Place::name);
    endpoints_ = names_in(fleet.endpoints, &fleet::Endpoint::name);
    keys_ = names_in(settings.policy.keys, &policy::Key::id);
    std::set<std::string_view> models = {fleet::kAutoModel};
    for (const fleet::Model& model : fleet.models) models.insert(model.name);
    for (const fleet::Endpoint& endpoint : fleet.endpoints) {
      for (const fleet::EndpointModel& model : endpoint.models) models.insert(model.name);
    }
    models_.assign(models.begin(), models.end());
    std::set<std::string_view> tenants = {policy::Subject{}.tenant, policy::kProbeTenant};
    for (const policy::Key& key : settings.policy.keys) tenants.insert(key.tenant);
    tenants_.assign(tenants.begin(), tenants.end());
  }

  void read_groups(Section& section) {
    const Node* const node = section.optional("groups");
    if (node == nullptr) return;
    if (node->kind != Node::Kind::kMap)
      return section.error("groups", "expected a map like `dach: [AT, CH, DE]`, not " + document::describe(*node));
    if (node->members.size() > policy::kMaxGroups) {
      return section.error("groups",
                           fmt::format("has {} groups; {} are allowed", node->members.size(), policy::kMaxGroups));
    }
    Section groups(*node, "policy.groups", errors_);
    for (const Member& member : node->members) read_group(member, groups);
    groups.finish();
  }

  policy::Rule read_rule(const Member& member) {
    policy::Rule rule;
    rule.name = member.key;
    check_name(NameKind::kRule, member.key, member.key_position, errors_);
    Section section(member.value, fmt::format("policy.rules.{}", member.key.substr(0, 64)), errors_);
    read_when(section, rule.when);
    read_places(section, rule);
    read_endpoints(section, rule);
    rule.local_only = read_demand(section, "local_only");
    rule.zero_retention = read_demand(section, "zero_retention");
    read_uses_of(section, rule);
    rule.output_cap = static_cast<std::uint32_t>(section.integer("output_tokens", 0, {1, kMostTokens}));
    const bool is_map = member.value.kind == Node::Kind::kMap;
    const auto limits = {"places", "endpoints", "local_only", "zero_retention", "uses", "output_tokens"};
    if (is_map && std::ranges::none_of(limits, [&](const char* key) { return member.value.find(key) != nullptr; })) {
      errors_.add(member.key_position,
                  fmt::format("policy.rules.{}: limits nothing; give it one of places, endpoints, local_only, "
                              "zero_retention, uses and output_tokens",
                              member.key.substr(0, 64)));
    }
    section.finish();
    return rule;
  }

 private:
  void read_group(const Member& member, Section& groups) {
    std::vector<std::string>& countries = groups_[member.key];
    if (fault_of_name(NameKind::kRule, member.key).empty() && member.key.size() <= kCountryCode) {
      errors_.add(member.key_position, fmt::format("policy.groups: \"{}\" could be a country; a group's name has three "
                                                   "characters at least",
                                                   member.key));
    } else {
      check_name(NameKind::kRule, member.key, member.key_position, errors_);
    }
    if (!policy::built_in_group(member.key).empty()) {
      errors_.add(member.key_position, fmt::format("policy.groups: {} is built in; choose another name", member.key));
    }
    for (Section::Word& word : words(groups, member.key)) {
      const std::string_view fault = fault_of_country(word.text);
      if (!fault.empty())
        errors_.add(word.position, fmt::format("policy.groups.{}: {}", member.key.substr(0, 64), fault));
      countries.push_back(std::move(word.text));
    }
  }

  void read_when(Section& rule, policy::When& when) {
    const Node* const node = rule.optional("when");
    if (node == nullptr) return;
    Section section(*node, rule.path_of("when"), errors_);
    when.tenants = known_words(section, "tenants", "tenant", tenants_, errors_);
    when.keys = known_words(section, "keys", "key", keys_, errors_);
    when.models = known_words(section, "models", "model", models_, errors_);
    when.surfaces = known_set<policy::Surfaces, inference::Surface, inference::kSurfaceCount>(section, "surfaces",
                                                                                              "surface", errors_);
    when.uses = read_uses(section, "uses", errors_);
    if (node->kind == Node::Kind::kMap && node->members.empty())
      rule.error("when", "says nothing; leave it out for a rule that always applies");
    section.finish();
  }

  void read_places(Section& rule, policy::Rule& into) {
    const Node* const node = rule.optional("places");
    if (node == nullptr) return;
    Section section(*node, rule.path_of("places"), errors_);
    const bool has_only = read_test(section, "only", into.only);
    const bool has_never = read_test(section, "never", into.never);
    if (node->kind == Node::Kind::kMap && !has_only && !has_never)
      rule.error("places", "limits nothing; give it `only` or `never`");
    section.finish();
  }

  bool read_test(Section& places, std::string_view key, policy::PlaceTest& test) {
    const Node* const node = places.optional(key);
    if (node == nullptr) return false;
    Section section(*node, places.path_of(key), errors_);
    test.names = known_words(section, "names", "place", places_, errors_);
    test.kinds =
        known_set<fleet::PlaceKinds, fleet::PlaceKind, fleet::kPlaceKindCount>(section, "kinds", "kind", errors_);
    test.countries = read_countries(section);
    for (Section::Word& word : words(section, "operators")) test.operators.push_back(std::move(word.text));
    for (Section::Word& word : words(section, "attestations")) test.attestations.push_back(std::move(word.text));
    if (node->kind == Node::Kind::kMap && node->members.empty())
      places.error(key, "limits nothing; give it names, kinds, countries, operators or attestations");
    section.finish();
    return true;
  }

  std::vector<std::string> read_countries(Section& section) {
    std::vector<std::string> countries;
    for (const Section::Word& word : words(section, "countries")) {
      const std::vector<std::string>* group = &policy::built_in_group(word.text);
      if (const auto own = groups_.find(word.text); own != groups_.end()) group = &own->second;
      if (!group->empty()) {
        countries.insert(countries.end(), group->begin(), group->end());
      } else if (fleet::is_country(word.text)) {
        countries.push_back(word.text);
      } else if (word.text.size() == kCountryCode) {
        errors_.add(word.position, fmt::format("{}: \"{}\": {}", section.path_of("countries"), word.text,
                                               fault_of_country(word.text)));
      } else {
        Names known = {"EU", "EEA", "EFTA"};
        for (const auto& [name, members] : groups_) known.push_back(name);
        errors_.add(word.position, fmt::format("{}: \"{}\" is neither a country (two capital letters) nor a group{}",
                                               section.path_of("countries"), word.text.substr(0, 64),
                                               known_instead(word.text, known)));
      }
    }
    std::ranges::sort(countries);
    const auto again = std::ranges::unique(countries);
    countries.erase(again.begin(), again.end());
    return countries;
  }

  void read_endpoints(Section& rule, policy::Rule& into) {
    const Node* const node = rule.optional("endpoints");
    if (node == nullptr) return;
    Section section(*node, rule.path_of("endpoints"), errors_);
    const auto set_of = [&](std::string_view key) {
      fleet::EndpointSet set;
      for (const std::string& name : known_words(section, key, "endpoint", endpoints_, errors_))
        set.add({static_cast<std::uint16_t>(std::ranges::find(endpoints_, name) - endpoints_.begin())});
      return set;
    };
    into.names_endpoints = section.optional("only") != nullptr;
    into.only_endpoints = set_of("only");
    into.never_endpoints = set_of("never");
    if (node->kind == Node::Kind::kMap && node->members.empty())
      rule.error("endpoints", "limits nothing; give it `only` or `never`");
    section.finish();
  }

  void read_uses_of(Section& rule, policy::Rule& into) {
    const Node* const node = rule.optional("uses");
    if (node == nullptr) return;
    Section section(*node, rule.path_of("uses"), errors_);
    into.never_uses = read_uses(section, "never", errors_);
    into.allowed_uses = read_uses(section, "allow", errors_);
    if (!into.never_uses.shared(into.allowed_uses).empty())
      section.error("allow", "names what `never` names too; one of the two is meant");
    const bool demands = into.local_only || into.zero_retention;
    if (!demands && !into.allowed_uses.without({Use::kOther}).empty())
      section.error("allow", "takes uses off what local_only and zero_retention forbid, and the rule has neither");
    if (!demands && into.allowed_uses.has(Use::kOther) && into.never_uses.empty())
      section.error("allow", "takes `other` off a rule that forbids nothing");
    if (node->kind == Node::Kind::kMap && node->members.empty())
      rule.error("uses", "limits nothing; give it `never`, or `allow` beside local_only or zero_retention");
    section.finish();
  }

  /// `true`, or absent: `false` would read like a permission, which no rule can give.
  bool read_demand(Section& rule, std::string_view key) {
    const Node* const node = rule.optional(key);
    if (node == nullptr) return false;
    const bool demanded = rule.boolean(key, true);
    if (!demanded) rule.error(key, "is true or absent: a rule limits, and cannot allow what another forbids");
    return demanded;
  }

  const Settings& settings_;
  Errors& errors_;
  Names places_, endpoints_, keys_, models_, tenants_;
  Groups groups_;
};

}  // namespace

void read_policy(Section& top, Settings& settings, Errors& errors) {
  const Node* const node = top.optional("policy");
  if (node == nullptr) return;
  Section section(*node, "policy", errors);
  Reader reader(settings, errors);
  reader.read_groups(section);
  const Node* const rules = section.required("rules", "the limits, each under a name of its own");
  if (rules != nullptr && rules->kind != Node::Kind::kMap) {
    section.error("rules",
                  fmt::format("expected a map like `europe: {{places: {{only: {{countries: [EU]}}}}}}`, not {}",
                              document::describe(*rules)));
  } else if (rules != nullptr && rules->members.empty()) {
    section.error("rules", "has none; name at least one, or leave `policy` out");
  } else if (rules != nullptr && rules->members.size() > policy::kMaxRules) {
    section.error("rules", fmt::format("has {} rules; {} are allowed", rules->members.size(), policy::kMaxRules));
  } else if (rules != nullptr) {
    for (const Member& member : rules->members) settings.policy.rules.push_back(reader.read_rule(member));
  }
  section.finish();
}

}  // namespace thalweg::config
