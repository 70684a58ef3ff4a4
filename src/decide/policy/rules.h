// Rules: where requests may run. Each rule says when it applies and what then must hold; all that apply must be met.
// What can be read off the fleet alone is worked out once, when the policy is sealed, into a set of endpoints for each
// rule, so that a request pays for a few words of bits. docs/formats/policy.md is the contract.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/enum_set.h"
#include "decide/fleet/fleet.h"

namespace thalweg::policy {

struct Subject;

inline constexpr std::size_t kMaxRules = 500;
inline constexpr std::size_t kMaxGroups = 64;
inline constexpr std::size_t kMaxListed = 64;  // entries of one list of a rule

/// All that rules read of a request.
struct Asked {
  const Subject& subject;
  inference::Surface surface;
  std::string_view model;  // as asked for
  inference::Uses uses;    // all of them where the request is not read
};

using Surfaces = EnumSet<inference::Surface, std::uint32_t>;

/// When a rule applies. An empty list asks for nothing; every other one for one of its entries.
struct When {
  std::vector<std::string> tenants;
  std::vector<std::string> keys;
  std::vector<std::string> models;  // as asked for, or as the candidate's own model is called
  Surfaces surfaces;
  inference::Uses uses;
};

/// Of places. An empty list asks for nothing.
struct PlaceTest {
  std::vector<std::string> names;
  fleet::PlaceKinds kinds;
  std::vector<std::string> countries;  // groups resolved
  std::vector<std::string> operators;
  std::vector<std::string> attestations;
  bool empty() const {
    return names.empty() && kinds.empty() && countries.empty() && operators.empty() && attestations.empty();
  }
};

struct Rule {
  std::string name;
  When when;
  PlaceTest only, never;
  bool names_endpoints = false;  // only_endpoints counts
  fleet::EndpointSet only_endpoints;
  fleet::EndpointSet never_endpoints;
  bool local_only = false;
  bool zero_retention = false;
  inference::Uses never_uses;
  inference::Uses allowed_uses;  // taken off what local_only and zero_retention forbid
  std::uint32_t output_cap = 0;  // tokens; 0: none

  // Made by seal().
  inference::Uses forbidden;   // that end a request; with any, also what is not known
  fleet::EndpointSet allowed;  // endpoints inside the rule, whatever the request

  /// Whether it applies to the request, its models left out.
  bool applies(const Asked& asked) const;
  /// Whether it applies to a candidate whose own model is called so; always where it names no models.
  bool covers(const Asked& asked, std::string_view own_model) const;
  /// Whether a request that uses this may run nowhere under it. One that is not read can carry out no obligation.
  bool forbids(const Asked& asked) const;
};

/// Why an endpoint is outside of a rule.
enum class Breach : std::uint8_t {
  kNone,
  kPlace,
  kPlaceKind,
  kCountry,
  kCountryUnknown,
  kOperator,
  kOperatorUnknown,
  kAttestation,
  kEndpoint,
  kElsewhere,  // not on this machine
  kRetention,
};
Breach breach_of(const Rule& rule, const fleet::Fleet& fleet, EndpointIndex endpoint);
/// As the rest of a sentence: "stands in US".
std::string describe(Breach breach, const fleet::Fleet& fleet, EndpointIndex endpoint);

/// The countries of EU, EEA or EFTA, as of 2026-11 (europa.eu, efta.int); empty: there is no such group.
const std::vector<std::string>& built_in_group(std::string_view name);

}  // namespace thalweg::policy
