// Laws that hold in every world. The oracle is written from the sentences of place.h, a target at a time, without
// order.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "decide/placement/place.h"
#include "decide/placement/random_world_test.h"
#include "decide/placement/rules_oracle_test.h"

namespace thalweg::placement {
namespace {

using fleet::Health;
using fleet::Target;
using inference::Capability;
using inference::Surface;

constexpr std::uint64_t kWorlds = 20'000;

bool can_do(const RandomWorld& random, Target target, Capability capability) {
  const auto& configured = random.fleet.endpoints[target.endpoint.value].models[target.model.value];
  const auto& now = random.conditions.endpoints[target.endpoint.value].models[target.model.value];
  if (now.told.has(capability)) return now.has.has(capability);
  return configured.capabilities.has(capability) && !configured.asked.has(capability);
}

bool serves_model(const RandomWorld& random, Target target) {
  const Question& q = random.question;
  for (const fleet::Model& model : random.fleet.models) {
    if (q.model != "auto" && q.model != model.name) continue;
    if (q.subject.key != nullptr && !q.subject.key->models.empty() &&
        std::ranges::find(q.subject.key->models, model.name) == q.subject.key->models.end()) {
      continue;
    }
    if (std::ranges::find(model.targets, target) != model.targets.end()) return true;
  }
  return false;
}

/// Endpoints that could be told the request, of every model asked for, are of several issuers.
bool has_several_issuers(const RandomWorld& random) {
  std::set<std::uint16_t> issuers;
  for (std::uint16_t e = 0; e < random.fleet.endpoints.size(); ++e) {
    const fleet::Endpoint& endpoint = random.fleet.endpoints[e];
    for (std::uint16_t m = 0; m < endpoint.models.size(); ++m) {
      if (random.question.carried_by.has(endpoint.kind) && serves_model(random, {EndpointIndex{e}, ModelIndex{m}}))
        issuers.insert(endpoint.issuer);
    }
  }
  return issuers.size() > 1;
}

bool is_loaded(const RandomWorld& random, Target target) {
  const Health health = random.conditions.endpoints[target.endpoint.value].health;
  return health != Health::kUnloaded && health != Health::kLoading;
}

/// It can, or may yet tell that it can.
bool may_do(const RandomWorld& random, Target target, Capability capability) {
  const auto& told = random.conditions.endpoints[target.endpoint.value].models[target.model.value].told;
  const bool runs =
      is_loaded(random, target) && random.conditions.endpoints[target.endpoint.value].health != Health::kDown;
  if (!runs && random.fleet.at(target).asked.has(capability) && !told.has(capability)) return true;
  return can_do(random, target, capability);
}

/// Nothing lasting speaks against it: capability, API, issuer, context, a rule, earlier silence or unfitness, health.
bool may_ever_run(const RandomWorld& random, Target target) {
  const Question& q = random.question;
  if (q.only && q.only != target.endpoint) return false;
  if (!serves_model(random, target)) return false;
  if (!may_do(random, target, q.surface == Surface::kOpenAiChat ? Capability::kChat : Capability::kCompletions))
    return false;
  for (std::size_t i = 0; i < inference::kCapabilityCount; ++i) {
    const auto capability = static_cast<Capability>(i);
    if (q.needs.has(capability) && !may_do(random, target, capability)) return false;
  }
  if (!q.carried_by.has(random.fleet.endpoints[target.endpoint.value].kind)) return false;
  if (q.bound_elsewhere && has_several_issuers(random)) return false;
  const auto& endpoint = random.conditions.endpoints[target.endpoint.value];
  const auto& told = endpoint.models[target.model.value];
  const std::uint64_t configured_context = random.fleet.at(target).context_tokens;
  const std::uint64_t context = told.context_tokens != 0 ? told.context_tokens : configured_context;
  if (context != 0 && q.estimated_input_tokens > 2 * context) return false;
  if (!keeps_rules(random, target)) return false;
  if (!q.only && endpoint.health == Health::kDown) return false;
  for (const EarlierAttempt& earlier : q.earlier.view()) {
    if (earlier.end == AttemptEnd::kSilent && earlier.target.endpoint == target.endpoint) return false;
    if (earlier.end == AttemptEnd::kUnfit && random.fleet.at(earlier.target).name == random.fleet.at(target).name)
      return false;
  }
  return true;
}

bool is_full(const RandomWorld& random, Target target) {
  for (const EarlierAttempt& earlier : random.question.earlier.view()) {
    if (earlier.end == AttemptEnd::kLostRace && earlier.target.endpoint == target.endpoint) return true;
  }
  const fleet::Endpoint& endpoint = random.fleet.endpoints[target.endpoint.value];
  const std::uint32_t running = random.conditions.endpoints[target.endpoint.value].running;
  if (random.question.only || endpoint.slots == 0) return false;
  const std::uint32_t free = running < endpoint.slots ? endpoint.slots - running : 0;
  // An engine needs a slot a choice, and all of its slots where it has fewer than that.
  const bool each = endpoint.kind == fleet::EndpointKind::kEngine;
  return free == 0 || (each && free < random.question.choices && free < endpoint.slots);
}

bool was_tried(const RandomWorld& random, Target target) {
  return std::ranges::any_of(random.question.earlier.view(), [&](const EarlierAttempt& earlier) {
    return earlier.target.endpoint == target.endpoint && earlier.end != AttemptEnd::kLostRace &&
           earlier.end != AttemptEnd::kUnfit;
  });
}

std::vector<Target> all_targets(const RandomWorld& random) {
  std::vector<Target> out;
  for (std::uint16_t e = 0; e < random.fleet.endpoints.size(); ++e) {
    for (std::uint16_t m = 0; m < random.fleet.endpoints[e].models.size(); ++m) {
      out.push_back({EndpointIndex{e}, ModelIndex{m}});
    }
  }
  return out;
}

bool is_probe_of_endpoint(const Question& question) {
  return question.only && question.model.empty();
}

TEST(PlaceLaw, RunsOnlyWhereEverythingAllowsIt) {
  Scratch scratch;
  std::size_t runs = 0;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    const RandomWorld random(seed);
    const Decision decision = place(random.question, random.world(), scratch);
    if (decision.outcome() != Outcome::kRun || is_probe_of_endpoint(random.question)) continue;
    ++runs;
    ASSERT_LE(random.question.attempt, kMaxAttempts);
    ASSERT_TRUE(may_ever_run(random, decision.target()));
    ASSERT_FALSE(is_full(random, decision.target()));
    ASSERT_TRUE(random.question.only || is_loaded(random, decision.target()));
    for (const EarlierAttempt& earlier : random.question.earlier.view()) {
      const bool later = &earlier == &random.question.earlier.view().back();
      if (later && earlier.target.endpoint == decision.target().endpoint && earlier.end != AttemptEnd::kUnfit) {
        ASSERT_LE(earlier.retry_at, random.question.asked_at);
      }
    }
    ASSERT_GT(decision.timeouts().connect, 0s);
    ASSERT_GT(decision.timeouts().first_token, 0s);
    ASSERT_GT(decision.timeouts().gap, 0s);
  }
  EXPECT_GT(runs, kWorlds / 10);
}

TEST(PlaceLaw, RunsWhereverAnUntriedTargetIsFree) {
  Scratch scratch;
  std::size_t untried = 0;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    const RandomWorld random(seed);
    if (random.question.attempt > kMaxAttempts || is_probe_of_endpoint(random.question)) continue;
    const Decision decision = place(random.question, random.world(), scratch);
    if (decision.to_load()) {  // of one that comes first
      ASSERT_EQ(decision.outcome(), Outcome::kWait);
      ASSERT_NE(random.question.model, "");
      continue;
    }
    bool any = false;
    bool any_not_on_trial = false;
    for (const Target target : all_targets(random)) {
      if (!may_ever_run(random, target) || is_full(random, target) || was_tried(random, target)) continue;
      if (!random.question.only && !is_loaded(random, target)) continue;
      any = true;
      any_not_on_trial |= random.conditions.endpoints[target.endpoint.value].health != Health::kTrial;
    }
    if (!any) continue;
    ++untried;
    ASSERT_EQ(decision.outcome(), Outcome::kRun);
    ASSERT_FALSE(was_tried(random, decision.target()));
    if (any_not_on_trial) {
      ASSERT_NE(random.conditions.endpoints[decision.target().endpoint.value].health, Health::kTrial);
    }
  }
  EXPECT_GT(untried, kWorlds / 10);
}

TEST(PlaceLaw, WaitsForAModelToLoadOnlyWhereItMayServe) {
  Scratch scratch;
  std::size_t loads = 0;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    const RandomWorld random(seed);
    const Decision decision = place(random.question, random.world(), scratch);
    if (!decision.to_load()) continue;
    ++loads;
    ASSERT_EQ(decision.outcome(), Outcome::kWait);
    ASSERT_GT(decision.wait(), 0s);
    const auto endpoint = decision.to_load();
    const Health health = random.conditions.endpoints[endpoint.value].health;
    ASSERT_TRUE(health == Health::kUnloaded || health == Health::kLoading);
    bool serves = false;
    bool loaded_and_free = false;
    for (const Target target : all_targets(random)) {
      if (!may_ever_run(random, target)) continue;
      serves |= target.endpoint == endpoint;
      loaded_and_free |= is_loaded(random, target) && !is_full(random, target) && !was_tried(random, target);
    }
    ASSERT_TRUE(serves);
    if (random.question.model == fleet::kAutoModel) {
      ASSERT_FALSE(loaded_and_free);
    }
  }
  EXPECT_GT(loads, kWorlds / 100);
}

TEST(PlaceLaw, DeniesOrWaitsForAReasonThatHolds) {
  Scratch scratch;
  std::array<std::size_t, 25> denials{};
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    const RandomWorld random(seed);
    if (is_probe_of_endpoint(random.question)) continue;
    const Decision decision = place(random.question, random.world(), scratch);
    if (decision.outcome() != Outcome::kDeny) continue;
    ++denials[static_cast<std::size_t>(decision.denial())];
    bool any_ever = false;
    for (const Target target : all_targets(random)) any_ever |= may_ever_run(random, target);
    switch (decision.denial()) {
      case ErrorCode::kModelNotFound:
        for (const Target target : all_targets(random)) ASSERT_FALSE(serves_model(random, target));
        break;
      case ErrorCode::kUnsupported:
      case ErrorCode::kContextExceeded:
      case ErrorCode::kForbidden:
        ASSERT_FALSE(any_ever);
        break;
      case ErrorCode::kOverloaded:
        ASSERT_TRUE(any_ever);
        ASSERT_GE(random.question.asked_at - random.question.first_asked_at, random.question.wait_limit);
        break;
      case ErrorCode::kUnavailable:
      case ErrorCode::kRateLimited:
        break;
      default:
        FAIL() << name_of(decision.denial());
    }
  }
  for (const ErrorCode code :
       {ErrorCode::kModelNotFound, ErrorCode::kUnsupported, ErrorCode::kContextExceeded, ErrorCode::kForbidden,
        ErrorCode::kOverloaded, ErrorCode::kUnavailable, ErrorCode::kRateLimited}) {
    EXPECT_GT(denials[static_cast<std::size_t>(code)], 0U) << name_of(code);
  }
}

TEST(PlaceLaw, AWaitEndsWithinTheLimitAndADenialStays) {
  Scratch scratch;
  std::size_t waits = 0;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    RandomWorld random(seed);
    Question& q = random.question;
    const Instant limit = q.first_asked_at + q.wait_limit;
    Decision decision = place(q, random.world(), scratch);
    const auto loads = [&] {  // takes what it takes
      const EndpointIndex endpoint = decision.to_load();
      return endpoint && random.conditions.endpoints[endpoint.value].health == Health::kLoading;
    };
    for (int rounds = 0; decision.outcome() == Outcome::kWait && !loads(); ++rounds) {
      ++waits;
      ASSERT_GT(decision.wait(), 0s);
      q.asked_at += decision.wait();
      ASSERT_LE(q.asked_at, limit);
      ASSERT_LE(rounds, 30s / kSlotPoll + 8);
      decision = place(q, random.world(), scratch);
    }
    if (decision.outcome() != Outcome::kDeny) continue;
    for (const Duration later : {Duration(1ns), Duration(1ms), Duration(1s), Duration(40s)}) {
      q.asked_at += later;
      ASSERT_EQ(place(q, random.world(), scratch).outcome(), Outcome::kDeny);
    }
  }
  EXPECT_GT(waits, 1000U);
}

TEST(PlaceLaw, AskingForLessNeverEndsARun) {
  Scratch scratch;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    RandomWorld random(seed);
    if (place(random.question, random.world(), scratch).outcome() != Outcome::kRun) continue;
    Question less = random.question;
    less.needs = {};
    less.estimated_input_tokens /= 2;
    // It may also have become worth the wait for a better one.
    const auto goes = [&] {
      const Decision decision = place(less, random.world(), scratch);
      return decision.outcome() == Outcome::kRun || decision.to_load();
    };
    ASSERT_TRUE(goes());
    less.earlier = {};
    ASSERT_TRUE(goes());
  }
}

TEST(PlaceLaw, TheSameQuestionAndWorldGiveTheSameHash) {
  Scratch warm;
  std::size_t different = 0;
  std::uint64_t previous = 0;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    const RandomWorld one(seed);
    const RandomWorld other(seed);  // at other addresses
    Scratch cold;
    const std::uint64_t hash = place(one.question, one.world(), warm).hash();
    ASSERT_EQ(hash, place(other.question, other.world(), cold).hash());
    ASSERT_EQ(hash, place(one.question, one.world(), warm).hash());
    different += hash != previous;
    previous = hash;
  }
  EXPECT_EQ(different, kWorlds);
}

TEST(PlaceLaw, EveryVerdictIsOfAnotherTargetAndTheChosenOneMayRun) {
  Scratch scratch;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    const RandomWorld random(seed);
    const Decision decision = place(random.question, random.world(), scratch);
    const auto verdicts = decision.verdicts();
    bool chosen = false;
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) ASSERT_NE(verdicts[i].target, verdicts[j].target);
      ASSERT_EQ(verdicts[i].rejection == Rejection::kLacksCapability, !verdicts[i].lacking.empty());
      chosen |= verdicts[i].target == decision.target() && verdicts[i].rejection == Rejection::kNone;
    }
    ASSERT_EQ(chosen, decision.outcome() == Outcome::kRun);
  }
}

}  // namespace
}  // namespace thalweg::placement
