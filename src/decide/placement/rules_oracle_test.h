// What docs/formats/policy.md says, once more and a sentence at a time, without bits or sets worked out before: the
// oracle for the tests of this room.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "decide/placement/random_world_test.h"

namespace thalweg::placement {

inline bool lists(const std::vector<std::string>& list, std::string_view text) {
  return std::ranges::find(list, text) != list.end();
}

inline bool uses(const Question& question, inference::Capability use) {
  return question.surface == inference::Surface::kPassthrough || question.needs.has(use);
}

inline bool rule_applies(const RandomWorld& random, const policy::Rule& rule, fleet::Target target) {
  using inference::Capability;
  const Question& q = random.question;
  const policy::When& when = rule.when;
  if (!when.tenants.empty() && !lists(when.tenants, q.subject.tenant)) return false;
  if (!when.keys.empty() && (q.subject.key == nullptr || !lists(when.keys, q.subject.key->id))) return false;
  if (!when.models.empty() && !lists(when.models, q.model) && !lists(when.models, random.fleet.at(target).name))
    return false;
  if (when.surfaces != 0 && (when.surfaces & 1U << static_cast<unsigned>(q.surface)) == 0) return false;
  if (when.uses.empty()) return true;
  for (const Capability use :
       {Capability::kHostedTools, Capability::kStorage, Capability::kImages, Capability::kAudio, Capability::kFiles}) {
    if (when.uses.has(use) && uses(q, use)) return true;
  }
  return false;
}

inline bool keeps_rule(const RandomWorld& random, const policy::Rule& rule, fleet::Target target) {
  using inference::Capability;
  const Question& q = random.question;
  const fleet::Endpoint& endpoint = random.fleet.endpoints[target.endpoint.value];
  const fleet::Place& place = random.fleet.places[endpoint.place.value];
  const auto of_kind = [&](std::uint8_t kinds) { return (kinds & 1U << static_cast<unsigned>(place.kind)) != 0; };
  const policy::PlaceTest& only = rule.only;
  if (!only.names.empty() && !lists(only.names, place.name)) return false;
  if (only.kinds != 0 && !of_kind(only.kinds)) return false;
  if (!only.countries.empty() && (place.country.empty() || !lists(only.countries, place.country))) return false;
  if (!only.operators.empty() && (place.operator_name.empty() || !lists(only.operators, place.operator_name)))
    return false;
  for (const std::string& attestation : only.attestations) {
    if (!lists(place.attestations, attestation)) return false;
  }
  const policy::PlaceTest& never = rule.never;
  if (lists(never.names, place.name) || of_kind(never.kinds)) return false;
  if (!never.countries.empty() && (place.country.empty() || lists(never.countries, place.country))) return false;
  if (!never.operators.empty() && (place.operator_name.empty() || lists(never.operators, place.operator_name)))
    return false;
  for (const std::string& attestation : never.attestations) {
    if (lists(place.attestations, attestation)) return false;
  }
  if (rule.names_endpoints && !rule.only_endpoints.has(target.endpoint)) return false;
  if (rule.never_endpoints.has(target.endpoint)) return false;
  if (rule.local_only && !endpoint.on_this_machine) return false;
  const bool engine = endpoint.kind == fleet::EndpointKind::kEngine;
  if (rule.zero_retention && !engine && !endpoint.zero_retention) return false;
  for (const Capability use :
       {Capability::kHostedTools, Capability::kStorage, Capability::kImages, Capability::kAudio, Capability::kFiles}) {
    if (!uses(q, use)) continue;
    if (rule.never_uses.has(use)) return false;
    const bool leaves = use == Capability::kHostedTools || use == Capability::kStorage;
    const bool kept = leaves || use == Capability::kFiles;
    const bool allowed = rule.allowed_uses.has(use);
    if ((rule.local_only && leaves && !allowed) || (rule.zero_retention && kept && !allowed)) return false;
  }
  const bool unread = q.surface == inference::Surface::kPassthrough;
  return !unread || (!rule.zero_retention && rule.output_cap == 0);
}

/// Every rule that applies to the target is kept there.
inline bool keeps_rules(const RandomWorld& random, fleet::Target target) {
  return std::ranges::all_of(random.policy.rules, [&](const policy::Rule& rule) {
    return !rule_applies(random, rule, target) || keeps_rule(random, rule, target);
  });
}

}  // namespace thalweg::placement
