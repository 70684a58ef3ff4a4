// Rules in every world: what they forbid never runs, whatever else happens to a request; and what they demand is in
// the decision.
#include <gtest/gtest.h>

#include <array>

#include "decide/placement/explain.h"
#include "decide/placement/place.h"
#include "decide/placement/random_world_test.h"
#include "decide/placement/rules_oracle_test.h"

namespace thalweg::placement {
namespace {

using fleet::Target;

constexpr std::uint64_t kWorlds = 20'000;

TEST(PlaceRules, NothingRunsOrIsLoadedWhereARuleForbidsIt) {
  Scratch scratch;
  std::size_t forbidden = 0;
  std::size_t runs = 0;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    const RandomWorld random(seed);
    if (random.policy.rules.empty() || random.question.model.empty()) continue;
    const Decision decision = place(random.question, random.world(), scratch);
    for (const Verdict& verdict : decision.verdicts()) {
      if (verdict.rejection != Rejection::kForbidden) continue;
      ++forbidden;
      ASSERT_FALSE(keeps_rules(random, verdict.target));
    }
    if (decision.outcome() == Outcome::kRun) {
      ++runs;
      ASSERT_TRUE(keeps_rules(random, decision.target()));
    }
    if (decision.to_load()) {
      bool may = false;
      for (const Verdict& verdict : decision.verdicts()) {
        may |= verdict.target.endpoint == decision.to_load() && keeps_rules(random, verdict.target);
      }
      ASSERT_TRUE(may);
    }
  }
  EXPECT_GT(forbidden, kWorlds / 10);
  EXPECT_GT(runs, kWorlds / 50);
}

TEST(PlaceRules, AnotherRuleNeverOpensAPlace) {
  Scratch scratch;
  std::size_t stopped = 0;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    RandomWorld random(seed);
    if (random.policy.rules.empty()) continue;
    const Decision with = place(random.question, random.world(), scratch);
    const bool ran = with.outcome() == Outcome::kRun;
    const Target there = with.target();
    random.policy.rules.pop_back();
    policy::seal(random.policy, random.fleet);
    const Decision without = place(random.question, random.world(), scratch);
    stopped += !ran && without.outcome() == Outcome::kRun;
    if (!ran) continue;
    // It runs without the rule too, or waits for a better one that the rule forbade.
    ASSERT_NE(without.outcome(), Outcome::kDeny);
    bool may = false;
    for (const Verdict& verdict : without.verdicts())
      may |= verdict.target == there && verdict.rejection != Rejection::kForbidden;
    ASSERT_TRUE(may);
  }
  EXPECT_GT(stopped, kWorlds / 200);
}

TEST(PlaceRules, ARunCarriesWhatEveryRuleDemands) {
  Scratch scratch;
  std::size_t capped = 0;
  std::size_t unstored = 0;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    const RandomWorld random(seed);
    const Decision decision = place(random.question, random.world(), scratch);
    if (decision.outcome() != Outcome::kRun || random.question.model.empty()) continue;
    std::uint32_t cap = 0;
    bool no_storage = false;
    for (const policy::Rule& rule : random.policy.rules) {
      if (!rule_applies(random, rule, decision.target())) continue;
      no_storage |= rule.zero_retention;
      if (rule.output_cap != 0 && (cap == 0 || rule.output_cap < cap)) cap = rule.output_cap;
    }
    ASSERT_EQ(decision.obligations().output_cap, cap);
    ASSERT_EQ(decision.obligations().no_storage, no_storage);
    capped += cap != 0;
    unstored += no_storage;
  }
  EXPECT_GT(capped, 40U);
  EXPECT_GT(unstored, 20U);
}

TEST(PlaceRules, RulesOfAnotherFleetDenyEverything) {
  Scratch scratch;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    SCOPED_TRACE(seed);
    RandomWorld random(seed);
    if (random.policy.rules.empty()) continue;
    random.fleet.endpoints.front().slots += 1;
    fleet::seal(random.fleet);
    const Decision decision = place(random.question, random.world(), scratch);
    ASSERT_NE(decision.outcome(), Outcome::kRun);
    ASSERT_FALSE(decision.to_load());
    explain(decision, random.question, random.world());
  }
}

TEST(PlaceRules, ADenialNamesEveryRuleThatHadAPartInIt) {
  Scratch scratch;
  std::size_t denials = 0;
  for (std::uint64_t seed = 0; seed < kWorlds; ++seed) {
    SCOPED_TRACE(seed);
    const RandomWorld random(seed);
    const Decision decision = place(random.question, random.world(), scratch);
    if (decision.outcome() != Outcome::kDeny || decision.denial() != ErrorCode::kForbidden) continue;
    if (random.question.model.empty()) continue;  // a probe of an endpoint: no model to say of whether rules name it
    ++denials;
    const std::string said = denial_sentence(decision, random.question, random.world());
    for (const policy::Rule& rule : random.policy.rules) {
      bool had_part = false;
      for (const Verdict& verdict : decision.verdicts()) {
        had_part |= verdict.rejection == Rejection::kForbidden && rule_applies(random, rule, verdict.target) &&
                    !keeps_rule(random, rule, verdict.target);
      }
      ASSERT_EQ(said.find(rule.name) != std::string::npos, had_part) << said;
    }
  }
  EXPECT_GT(denials, kWorlds / 100);
}

}  // namespace
}  // namespace thalweg::placement
