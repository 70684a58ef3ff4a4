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

inline bool uses(const Question& question, inference::Use use) {
  using inference::Capability;
  using inference::Use;
  if (question.surface == inference::Surface::kPassthrough || question.uses.has(use)) return true;
  switch (use) {
    case Use::kHostedTools:
      return question.needs.has(Capability::kHostedTools);
    case Use::kStore:
      return question.needs.has(Capability::kStorage);
    case Use::kImages:
      return question.needs.has(Capability::kImages);
    case Use::kAudio:
      return question.needs.has(Capability::kAudio);
    case Use::kFiles:
      return question.needs.has(Capability::kFiles);
    default:
      return false;
  }
}

inline constexpr inference::Use kEachUse[] = {
    inference::Use::kHostedTools, inference::Use::kStore,      inference::Use::kImages,  inference::Use::kAudio,
    inference::Use::kFiles,       inference::Use::kRemoteUrls, inference::Use::kFileIds, inference::Use::kOther};

inline bool rule_applies(const RandomWorld& random, const policy::Rule& rule, fleet::Target target) {
  const Question& q = random.question;
  const policy::When& when = rule.when;
  if (!when.tenants.empty() && !lists(when.tenants, q.subject.tenant)) return false;
  if (!when.keys.empty() && (q.subject.key == nullptr || !lists(when.keys, q.subject.key->id))) return false;
  if (!when.models.empty() && !lists(when.models, q.model) && !lists(when.models, random.fleet.at(target).name))
    return false;
  if (!when.surfaces.empty() && !when.surfaces.has(q.surface)) return false;
  if (when.uses.empty() || uses(q, inference::Use::kOther)) return true;
  return std::ranges::any_of(kEachUse, [&](inference::Use use) { return when.uses.has(use) && uses(q, use); });
}

inline bool keeps_rule(const RandomWorld& random, const policy::Rule& rule, fleet::Target target) {
  using inference::Use;
  const Question& q = random.question;
  const fleet::Endpoint& endpoint = random.fleet.endpoints[target.endpoint.value];
  const fleet::Place& place = random.fleet.places[endpoint.place.value];
  const policy::PlaceTest& only = rule.only;
  if (!only.names.empty() && !lists(only.names, place.name)) return false;
  if (!only.kinds.empty() && !only.kinds.has(place.kind)) return false;
  if (!only.countries.empty() && (place.country.empty() || !lists(only.countries, place.country))) return false;
  if (!only.operators.empty() && (place.operator_name.empty() || !lists(only.operators, place.operator_name)))
    return false;
  for (const std::string& attestation : only.attestations) {
    if (!lists(place.attestations, attestation)) return false;
  }
  const policy::PlaceTest& never = rule.never;
  if (lists(never.names, place.name) || never.kinds.has(place.kind)) return false;
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
  // What leaves by other doors is forbidden by the two demands, unless the rule allows it.
  bool forbids_any = false;
  for (const Use use : kEachUse) {
    const bool leaves =
        use == Use::kHostedTools || use == Use::kStore || use == Use::kRemoteUrls || use == Use::kFileIds;
    const bool by_demand = (rule.local_only || rule.zero_retention) && leaves && !rule.allowed_uses.has(use);
    if (!rule.never_uses.has(use) && !by_demand) continue;
    forbids_any = true;
    if (uses(q, use)) return false;
  }
  if (forbids_any && uses(q, Use::kOther) && !rule.allowed_uses.has(Use::kOther)) return false;
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
