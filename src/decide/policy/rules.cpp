#include "decide/policy/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "decide/policy/policy.h"

namespace thalweg::policy {
namespace {

bool holds(const std::vector<std::string>& list, std::string_view text) {
  return std::ranges::find(list, text) != list.end();
}

bool holds_or_any(const std::vector<std::string>& list, std::string_view text) {
  return list.empty() || holds(list, text);
}

bool has(const fleet::Place& place, const std::string& attestation) {
  return holds(place.attestations, attestation);
}

// The first thing that is asked for and does not hold, or is not known.
Breach missed(const PlaceTest& only, const fleet::Place& place) {
  if (!holds_or_any(only.names, place.name)) return Breach::kPlace;
  if (!only.kinds.empty() && !only.kinds.has(place.kind)) return Breach::kPlaceKind;
  if (!only.countries.empty() && place.country.empty()) return Breach::kCountryUnknown;
  if (!holds_or_any(only.countries, place.country)) return Breach::kCountry;
  if (!only.operators.empty() && place.operator_name.empty()) return Breach::kOperatorUnknown;
  if (!holds_or_any(only.operators, place.operator_name)) return Breach::kOperator;
  const bool attested = std::ranges::all_of(only.attestations, [&](const std::string& one) { return has(place, one); });
  return attested ? Breach::kNone : Breach::kAttestation;
}

// The first thing that is ruled out and holds, or might.
Breach met(const PlaceTest& never, const fleet::Place& place) {
  if (holds(never.names, place.name)) return Breach::kPlace;
  if (never.kinds.has(place.kind)) return Breach::kPlaceKind;
  if (!never.countries.empty() && place.country.empty()) return Breach::kCountryUnknown;
  if (holds(never.countries, place.country)) return Breach::kCountry;
  if (!never.operators.empty() && place.operator_name.empty()) return Breach::kOperatorUnknown;
  if (holds(never.operators, place.operator_name)) return Breach::kOperator;
  const bool attested =
      std::ranges::any_of(never.attestations, [&](const std::string& one) { return has(place, one); });
  return attested ? Breach::kAttestation : Breach::kNone;
}

}  // namespace

bool Rule::applies(const Asked& asked) const {
  const std::string_view key = asked.subject.key == nullptr ? std::string_view() : asked.subject.key->id;
  if (!holds_or_any(when.tenants, asked.subject.tenant)) return false;
  if (!when.keys.empty() && (key.empty() || !holds(when.keys, key))) return false;
  if (!when.surfaces.empty() && !when.surfaces.has(asked.surface)) return false;
  // What is not known may use it.
  return when.uses.empty() || when.uses.meets(asked.uses) || asked.uses.has(inference::Use::kOther);
}

bool Rule::covers(const Asked& asked, std::string_view own_model) const {
  return when.models.empty() || holds(when.models, asked.model) || holds(when.models, own_model);
}

bool Rule::forbids(const Asked& asked) const {
  if (asked.surface == inference::Surface::kPassthrough && (zero_retention || output_cap != 0)) return true;
  return forbidden.meets(asked.uses);
}

Breach breach_of(const Rule& rule, const fleet::Fleet& fleet, EndpointIndex index) {
  const fleet::Endpoint& endpoint = fleet.endpoints[index.value];
  const fleet::Place& place = fleet.places[endpoint.place.value];
  if (const Breach breach = missed(rule.only, place); breach != Breach::kNone) return breach;
  if (const Breach breach = met(rule.never, place); breach != Breach::kNone) return breach;
  if (rule.names_endpoints && !rule.only_endpoints.has(index)) return Breach::kEndpoint;
  if (rule.never_endpoints.has(index)) return Breach::kEndpoint;
  if (rule.local_only && !endpoint.on_this_machine) return Breach::kElsewhere;
  const bool keeps = !endpoint.zero_retention && endpoint.kind != fleet::EndpointKind::kEngine;
  return rule.zero_retention && keeps ? Breach::kRetention : Breach::kNone;
}

std::string describe(Breach breach, const fleet::Fleet& fleet, EndpointIndex index) {
  const fleet::Endpoint& endpoint = fleet.endpoints[index.value];
  const fleet::Place& place = fleet.places[endpoint.place.value];
  switch (breach) {
    case Breach::kNone:
      return "is inside it";
    case Breach::kPlace:
      return fmt::format("stands at {}", place.name);
    case Breach::kPlaceKind:
      return fmt::format("stands at {}, which is of kind {}", place.name, fleet::name_of(place.kind));
    case Breach::kCountry:
      return fmt::format("stands in {}", place.country);
    case Breach::kCountryUnknown:
      return fmt::format("stands at {}, whose country is not known", place.name);
    case Breach::kOperator:
      return fmt::format("is run by {}", place.operator_name);
    case Breach::kOperatorUnknown:
      return fmt::format("stands at {}, whose operator is not known", place.name);
    case Breach::kAttestation:
      return fmt::format("stands at {}, whose attestations are {}", place.name,
                         place.attestations.empty() ? "none" : fmt::format("{}", fmt::join(place.attestations, ", ")));
    case Breach::kEndpoint:
      return "is not an endpoint of the rule";
    case Breach::kElsewhere:
      return "is not on this machine";
    case Breach::kRetention:
      return "is not said to keep nothing (zero_retention)";
  }
  return {};
}

const std::vector<std::string>& built_in_group(std::string_view name) {
  using Countries = std::vector<std::string>;
  static const Countries kEu = {"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
                                "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"};
  static const Countries kEea = [] {
    Countries all = kEu;
    all.insert(all.end(), {"IS", "LI", "NO"});
    return all;
  }();
  static const Countries kEfta = {"CH", "IS", "LI", "NO"};
  static const Countries kNone;
  return name == "EU" ? kEu : name == "EEA" ? kEea : name == "EFTA" ? kEfta : kNone;
}

}  // namespace thalweg::policy
