// Seeded random fleets, conditions and questions for the tests and benchmarks of this room: small enough that every
// reason to refuse a target turns up often, and the same on every machine.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/id.h"
#include "decide/placement/place.h"

namespace thalweg::placement {

/// Owns the snapshots and one question about them. Not copied or moved: the question points into it.
class RandomWorld {
 public:
  explicit RandomWorld(std::uint64_t seed) : random_(seed) {
    make_fleet();
    make_policy();
    make_conditions();
    make_question();
  }
  RandomWorld(const RandomWorld&) = delete;
  RandomWorld& operator=(const RandomWorld&) = delete;

  World world() const { return {&fleet, &policy, &facts, &conditions}; }

  fleet::Fleet fleet;
  policy::Policy policy;
  facts::Facts facts;
  fleet::Conditions conditions;
  Question question;

 private:
  std::uint64_t below(std::uint64_t n) { return random_.random() % n; }
  bool once_in(std::uint64_t n) { return below(n) == 0; }
  inference::Capabilities any_capabilities() {
    return inference::Capabilities::from_bits(
        static_cast<std::uint32_t>(below(std::uint64_t{1} << inference::kCapabilityCount)));
  }

  void make_fleet() {
    static constexpr std::string_view kNames[] = {"small", "large", "coder", "vision"};
    static constexpr std::uint32_t kContexts[] = {0, 512, 4096, 131072};
    fleet.number = 1 + below(1000);
    fleet.places.resize(1 + below(3));
    for (auto& place : fleet.places) make_place(place);
    fleet.endpoints.resize(1 + below(5));
    for (auto& endpoint : fleet.endpoints) {
      endpoint.name = "e" + std::to_string(&endpoint - fleet.endpoints.data());
      endpoint.place = PlaceIndex{static_cast<std::uint16_t>(below(fleet.places.size()))};
      endpoint.kind = static_cast<fleet::EndpointKind>(below(fleet::kEndpointKindCount));
      endpoint.on_this_machine = endpoint.kind == fleet::EndpointKind::kEngine || once_in(3);
      endpoint.zero_retention = once_in(2);
      endpoint.issuer = static_cast<std::uint16_t>(below(2));
      endpoint.slots = static_cast<std::uint32_t>(below(4));
      if (once_in(2)) endpoint.timeouts.first_token = Duration::zero();
      if (once_in(3)) endpoint.timeouts.gap = Duration::zero();
      if (once_in(4)) endpoint.timeouts.connect = Duration::zero();
      if (once_in(4)) endpoint.timeouts.total = Duration::zero();
      endpoint.models.resize(1 + below(3));
      for (auto& model : endpoint.models) {
        model.name = kNames[below(std::size(kNames))];
        model.upstream_name = "up-" + model.name;
        model.context_tokens = kContexts[below(std::size(kContexts))];
        model.capabilities = any_capabilities().joined(any_capabilities());
        if (!once_in(8)) model.capabilities.add(inference::Capability::kChat);
        if (once_in(3))
          model.asked = inference::Capabilities::from_bits(any_capabilities().bits() & any_capabilities().bits());
      }
    }
    for (const std::string_view name : kNames) fleet.models.push_back({std::string(name), {}});
    fleet.models.push_back({"any", {}});
    for (std::uint16_t e = 0; e < fleet.endpoints.size(); ++e) {
      for (std::uint16_t m = 0; m < fleet.endpoints[e].models.size(); ++m) {
        const fleet::Target target{EndpointIndex{e}, ModelIndex{m}};
        for (auto& model : fleet.models) {
          if (model.name == fleet.at(target).name || model.name == "any") {
            model.targets.insert(model.targets.begin() + static_cast<std::ptrdiff_t>(below(model.targets.size() + 1)),
                                 target);
          }
        }
      }
    }
    fleet::seal(fleet);
  }

  std::string any_of(std::initializer_list<const char*> words) { return words.begin()[below(words.size())]; }

  void make_place(fleet::Place& place) {
    place.name = "p" + std::to_string(&place - fleet.places.data());
    place.kind = static_cast<fleet::PlaceKind>(below(4));
    place.country = any_of({"", "DE", "FR", "US"});
    place.operator_name = any_of({"", "own", "acme"});
    if (once_in(2)) place.attestations.push_back("ISO27001");
    if (once_in(3)) place.attestations.push_back("C5");
  }

  policy::PlaceTest any_test() {
    policy::PlaceTest test;
    if (once_in(5)) test.names.push_back(any_of({"p0", "p1", "p2"}));
    if (once_in(4)) test.kinds = fleet::PlaceKinds::from_bits(static_cast<std::uint8_t>(1 + below(15)));
    if (once_in(3)) test.countries = once_in(2) ? std::vector<std::string>{"DE", "FR"} : std::vector<std::string>{"US"};
    if (once_in(5)) test.operators.push_back(any_of({"own", "acme"}));
    if (once_in(5)) test.attestations.push_back(any_of({"ISO27001", "C5"}));
    return test;
  }

  inference::Uses any_uses() {
    return inference::Uses::from_bits(static_cast<std::uint16_t>(below(1U << inference::kUseCount)));
  }

  fleet::EndpointSet any_endpoints() {
    fleet::EndpointSet set;
    for (std::uint16_t e = 0; e < fleet.endpoints.size(); ++e) {
      if (once_in(2)) set.add({e});
    }
    return set;
  }

  policy::Rule any_rule() {
    policy::Rule rule;
    rule.name = "r" + std::to_string(policy.rules.size());
    if (once_in(3)) rule.when.tenants.push_back(any_of({"tenant-a", "tenant-b", "default"}));
    if (once_in(4)) rule.when.keys.push_back(any_of({"all", "some"}));
    if (once_in(3)) rule.when.models.push_back(any_of({"small", "large", "any", "auto"}));
    if (once_in(4)) rule.when.surfaces = policy::Surfaces::from_bits(static_cast<std::uint32_t>(1 + below(3)));
    if (once_in(4)) rule.when.uses = any_uses();
    if (once_in(2)) rule.only = any_test();
    if (once_in(3)) rule.never = any_test();
    rule.names_endpoints = once_in(6);
    if (rule.names_endpoints) rule.only_endpoints = any_endpoints();
    if (once_in(6)) rule.never_endpoints = any_endpoints();
    rule.local_only = once_in(8);
    rule.zero_retention = once_in(6);
    if (once_in(6)) rule.never_uses = any_uses().shared(any_uses()).shared(any_uses());
    if (once_in(3)) rule.allowed_uses = any_uses();
    if (once_in(4)) rule.output_cap = static_cast<std::uint32_t>(1 + below(1000));
    return rule;
  }

  void make_policy() {
    policy.number = 1 + below(1000);
    policy.keys.push_back({"all", {}, "tenant-a", {}});
    policy.keys.push_back({"some", {}, "tenant-b", {"small", "any"}});
    policy.keys.push_back({"none", {}, "tenant-c", {"retired"}});
    if (once_in(2)) {
      for (std::uint64_t rules = 1 + below(3); rules > 0; --rules) policy.rules.push_back(any_rule());
    }
    policy::seal(policy, fleet);
  }

  void make_conditions() {
    static constexpr fleet::Health kHealths[] = {
        fleet::Health::kUnknown, fleet::Health::kHealthy,  fleet::Health::kHealthy, fleet::Health::kTrial,
        fleet::Health::kDown,    fleet::Health::kUnloaded, fleet::Health::kLoading};
    conditions.number = 1 + below(1000);
    conditions.endpoints.resize(fleet.endpoints.size());
    for (std::size_t e = 0; e < fleet.endpoints.size(); ++e) {
      auto& endpoint = conditions.endpoints[e];
      endpoint.health = kHealths[below(std::size(kHealths))];
      endpoint.running = static_cast<std::uint32_t>(below(4));
      endpoint.prefill_tokens_per_second = once_in(3) ? 0 : static_cast<std::uint32_t>(below(5000));
      endpoint.models.resize(fleet.endpoints[e].models.size());
      for (auto& model : endpoint.models) {
        if (once_in(4)) model.context_tokens = static_cast<std::uint32_t>(256 + below(4096));
        if (once_in(2)) model.told = any_capabilities();
        model.has = any_capabilities().joined({inference::Capability::kChat});
      }
    }
  }

  void make_question() {
    static constexpr std::string_view kAsked[] = {"small", "large", "coder", "vision", "any",
                                                  "any",   "auto",  "auto",  "absent", ""};
    static constexpr std::uint64_t kTokens[] = {0, 10, 10, 900, 1025, 9000, 300000};
    static constexpr Duration kWaited[] = {0ms, 0ms, 10ms, 1s, 29s, 29990ms, 30s, 40s};
    question.request.high = random_.random();
    question.request.low = random_.random();
    question.seed = random_.random();
    question.surface = once_in(6) ? inference::Surface::kOpenAiCompletions : inference::Surface::kOpenAiChat;
    question.model = kAsked[below(std::size(kAsked))];
    const std::uint64_t needs = any_capabilities().bits() & any_capabilities().bits();
    if (once_in(2))
      question.needs = inference::Capabilities::from_bits(static_cast<std::uint32_t>(needs & random_.random()));
    if (once_in(4)) question.uses = any_uses().shared(any_uses()).shared(any_uses());
    question.estimated_input_tokens = kTokens[below(std::size(kTokens))];
    question.max_output_tokens = static_cast<std::uint32_t>(below(1000));
    question.choices = once_in(3) ? static_cast<std::uint32_t>(1 + below(4)) : 1;
    if (once_in(4)) {
      question.carried_by = {static_cast<fleet::EndpointKind>(below(fleet::kEndpointKindCount))};
      question.bound_elsewhere = once_in(2);
    }
    if (!once_in(3)) {
      question.subject.key = &policy.keys[below(policy.keys.size())];
      question.subject.tenant = question.subject.key->tenant;
    }
    if (once_in(8)) question.only = EndpointIndex{static_cast<std::uint16_t>(below(fleet.endpoints.size()))};
    question.first_asked_at = Instant(std::chrono::seconds(1000 + below(1000)));
    question.asked_at = question.first_asked_at + kWaited[below(std::size(kWaited))];
    const std::uint64_t earlier = once_in(2) ? 0 : below(5);
    for (std::uint64_t i = 0; i < earlier; ++i) {
      EarlierAttempt attempt;
      attempt.target.endpoint.value = static_cast<std::uint16_t>(below(fleet.endpoints.size()));
      const std::size_t models = fleet.endpoints[attempt.target.endpoint.value].models.size();
      attempt.target.model.value = static_cast<std::uint16_t>(below(models));
      attempt.end = static_cast<AttemptEnd>(below(6));
      attempt.retry_at = question.first_asked_at + std::chrono::milliseconds(below(4) * below(15000));
      question.earlier.add(attempt);
      if (attempt.end != AttemptEnd::kLostRace) ++question.attempt;
    }
  }

  RequestIds random_;
};

}  // namespace thalweg::placement
