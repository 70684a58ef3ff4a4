#include "decide/placement/learn.h"

#include <gtest/gtest.h>

namespace thalweg::placement {
namespace {

using fleet::Health;

constexpr EndpointIndex kLocal{0};
constexpr EndpointIndex kCloud{1};

fleet::Fleet two_endpoints() {
  fleet::Fleet fleet;
  fleet.endpoints.resize(2);
  fleet.endpoints[0].name = "local";
  fleet.endpoints[0].kind = fleet::EndpointKind::kEngine;
  fleet.endpoints[0].models.resize(1);
  fleet.endpoints[0].models[0].name = "small";
  fleet.endpoints[1].name = "cloud";
  fleet.endpoints[1].models.resize(2);
  fleet.endpoints[1].models[0].name = "small";
  fleet.endpoints[1].models[1].name = "big";
  fleet::seal(fleet);
  return fleet;
}

fleet::ModelConditions context_of(std::uint32_t tokens) {
  fleet::ModelConditions told;
  told.context_tokens = tokens;
  return told;
}

class Learning : public testing::Test {
 protected:
  void see(Sight sight, EndpointIndex endpoint = kLocal) {
    learner_.observe({.endpoint = endpoint, .sight = sight}, now_);
  }
  void open_breaker(EndpointIndex endpoint = kLocal) {
    for (std::uint32_t i = 0; i < kFailuresToOpen; ++i) see(Sight::kServerError, endpoint);
  }
  Health health(EndpointIndex endpoint = kLocal) {
    learner_.publish(now_, conditions_);
    return conditions_.endpoints[endpoint.value].health;
  }
  void read_prompt(std::uint64_t tokens, Duration time) {
    learner_.observe({.endpoint = kLocal, .sight = Sight::kSuccess, .prefill_tokens = tokens, .prefill_time = time},
                     now_);
  }
  std::uint32_t rate() {
    learner_.publish(now_, conditions_);
    return conditions_.endpoints[0].prefill_tokens_per_second;
  }

  const fleet::Fleet fleet_ = two_endpoints();
  Learner learner_{fleet_};
  fleet::Conditions conditions_;
  Instant now_{1000s};
};

TEST_F(Learning, StartsWithNothingKnown) {
  EXPECT_TRUE(learner_.publish(now_, conditions_));
  ASSERT_EQ(conditions_.endpoints.size(), 2U);
  EXPECT_EQ(conditions_.endpoints[1].models.size(), 2U);
  EXPECT_EQ(health(), Health::kUnknown);
}

TEST_F(Learning, PublishesOnlyWhatChangedAndNumbersItUpwards) {
  EXPECT_TRUE(learner_.publish(now_, conditions_));
  const std::uint64_t number = conditions_.number;
  EXPECT_GT(number, 0U);
  conditions_.number = 77;
  EXPECT_FALSE(learner_.publish(now_, conditions_));
  EXPECT_EQ(conditions_.number, 77U);
  see(Sight::kSuccess);
  EXPECT_TRUE(learner_.publish(now_, conditions_));
  EXPECT_EQ(conditions_.number, number + 1);
  for (const Sight sight : {Sight::kSuccess, Sight::kBusy, Sight::kCut, Sight::kCut, Sight::kSuccess}) {
    see(sight);
    EXPECT_FALSE(learner_.publish(now_, conditions_));  // seen, but nobody can tell
  }
}

TEST_F(Learning, OpensTheBreakerAfterThreeFailuresInARow) {
  for (const Sight sight : {Sight::kNotConnected, Sight::kServerError, Sight::kSilence, Sight::kCut}) {
    see(Sight::kSuccess);
    see(sight);
    see(sight);
    EXPECT_EQ(health(), Health::kHealthy);
    see(sight);
    EXPECT_EQ(health(), Health::kDown);
    EXPECT_EQ(health(kCloud), Health::kUnknown);
  }
}

TEST_F(Learning, StartsToCountAgainAfterASuccess) {
  for (int i = 0; i < 10; ++i) {
    see(Sight::kCut);
    see(Sight::kCut);
    see(Sight::kSuccess);
  }
  EXPECT_EQ(health(), Health::kHealthy);
}

TEST_F(Learning, DoesNotCountABusyEndpointAsFailing) {
  for (int i = 0; i < 10; ++i) see(Sight::kBusy);
  EXPECT_EQ(health(), Health::kUnknown);
  see(Sight::kCut);
  see(Sight::kBusy);
  see(Sight::kCut);
  see(Sight::kCut);
  EXPECT_EQ(health(), Health::kDown);
}

TEST_F(Learning, ShowsATrialAfterTheRestAndASuccessClosesAtOnce) {
  open_breaker();
  now_ += kFirstRest - 1ns;
  EXPECT_EQ(health(), Health::kDown);
  now_ += 1ns;
  EXPECT_TRUE(learner_.publish(now_, conditions_));  // time alone changed it
  EXPECT_EQ(health(), Health::kTrial);
  see(Sight::kSuccess);
  EXPECT_EQ(health(), Health::kHealthy);
}

TEST_F(Learning, ASuccessClosesEvenBeforeTheRestIsOver) {
  open_breaker();
  see(Sight::kSuccess);
  EXPECT_EQ(health(), Health::kHealthy);
}

TEST_F(Learning, DoublesTheRestWithEachFailedTrialUpToTheLongest) {
  open_breaker();
  for (const Duration rest : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    now_ += rest - 1ns;
    EXPECT_EQ(health(), Health::kDown) << to_seconds(rest);
    now_ += 1ns;
    EXPECT_EQ(health(), Health::kTrial) << to_seconds(rest);
    see(Sight::kSilence);
    EXPECT_EQ(health(), Health::kDown) << to_seconds(rest);
  }
  now_ += kLongestRest;
  see(Sight::kSuccess);
  open_breaker();
  now_ += kFirstRest;  // a success forgets the long rests
  EXPECT_EQ(health(), Health::kTrial);
}

TEST_F(Learning, DoesNotPunishAttemptsThatBeganBeforeTheBreakerOpened) {
  open_breaker();
  now_ += kFirstRest / 2;
  for (int i = 0; i < 20; ++i) see(Sight::kCut);
  now_ += kFirstRest / 2;
  EXPECT_EQ(health(), Health::kTrial);
}

TEST_F(Learning, AnEngineIsDownUntilItIsUp) {
  see(Sight::kSuccess);
  see(Sight::kUnusable);
  EXPECT_EQ(health(), Health::kDown);
  see(Sight::kSuccess);  // of an attempt that ended before
  now_ += kLongestRest;
  EXPECT_EQ(health(), Health::kDown);
  see(Sight::kUsable);
  EXPECT_EQ(health(), Health::kHealthy);
}

TEST_F(Learning, AnEngineWithoutItsModelIsNotDown) {
  see(Sight::kUnloaded);
  EXPECT_EQ(health(), Health::kUnloaded);
  see(Sight::kSuccess);  // of an attempt that ended before
  EXPECT_EQ(health(), Health::kUnloaded);
  see(Sight::kLoading);
  EXPECT_EQ(health(), Health::kLoading);
  see(Sight::kUsable);
  EXPECT_EQ(health(), Health::kHealthy);
  see(Sight::kLoading);
  see(Sight::kUnusable);  // it could not be loaded
  EXPECT_EQ(health(), Health::kDown);
}

TEST_F(Learning, AnEngineThatCameUpForgetsItsFailures) {
  open_breaker();
  see(Sight::kUnusable);
  see(Sight::kUsable);
  EXPECT_EQ(health(), Health::kHealthy);
}

// 1000 tokens in 4 s are 250 tokens/s; then a fifth of the way to 500, and again: 250 -> 300 -> 340.
TEST_F(Learning, FollowsThePrefillRateByAFifth) {
  EXPECT_EQ(rate(), 0U);
  read_prompt(1000, 4s);
  EXPECT_EQ(rate(), 250U);
  read_prompt(1000, 2s);
  EXPECT_EQ(rate(), 300U);
  read_prompt(500, 1s);
  EXPECT_EQ(rate(), 340U);
}

TEST_F(Learning, TakesNoRateFromAnswersThatSayNothingOfPrefill) {
  read_prompt(1000, 4s);
  read_prompt(0, 4s);
  read_prompt(1000, 0s);
  read_prompt(1000, -1s);
  see(Sight::kSuccess);
  EXPECT_EQ(rate(), 250U);
}

TEST_F(Learning, PublishesARateWithinItsBounds) {
  read_prompt(1, 100s);
  EXPECT_EQ(rate(), 1U);  // 0 would mean unknown
  for (int i = 0; i < 50; ++i) read_prompt(~0ULL, 1ns);
  EXPECT_EQ(rate(), ~0U);
}

TEST_F(Learning, PassesOnWhatEndpointsTell) {
  learner_.publish(now_, conditions_);
  const std::vector<fleet::ModelConditions> told = {context_of(5), context_of(7)};
  learner_.told(kCloud, told);
  EXPECT_TRUE(learner_.publish(now_, conditions_));
  EXPECT_EQ(conditions_.endpoints[1].models, told);
  learner_.told(kCloud, told);
  EXPECT_FALSE(learner_.publish(now_, conditions_));
  learner_.told(kCloud, {context_of(6)});  // of a fleet with one model there
  learner_.told(EndpointIndex{9}, {});
  learner_.told(EndpointIndex{}, {});
  EXPECT_FALSE(learner_.publish(now_, conditions_));
}

TEST_F(Learning, PassesOnHowManyAreRunning) {
  learner_.publish(now_, conditions_);
  learner_.running(kCloud, 3);
  EXPECT_TRUE(learner_.publish(now_, conditions_));
  EXPECT_EQ(conditions_.endpoints[1].running, 3U);
  learner_.running(kCloud, 3);
  learner_.running(EndpointIndex{9}, 3);
  EXPECT_FALSE(learner_.publish(now_, conditions_));
}

TEST_F(Learning, IgnoresEndpointsOfAnotherFleet) {
  learner_.publish(now_, conditions_);
  open_breaker(EndpointIndex{2});
  open_breaker(EndpointIndex{});
  EXPECT_FALSE(learner_.publish(now_, conditions_));
}

TEST_F(Learning, CarriesOverWhatEndpointsAndModelsOfTheSameNameLearned) {
  open_breaker(kCloud);
  read_prompt(1000, 4s);
  learner_.running(kLocal, 2);
  learner_.told(kCloud, {context_of(5), context_of(6)});
  learner_.publish(now_, conditions_);
  const std::uint64_t number = conditions_.number;

  fleet::Fleet after;  // turned round; a model less and a model more; an endpoint more
  after.endpoints = {fleet_.endpoints[1], {}, fleet_.endpoints[0]};
  after.endpoints[1].name = "new";
  after.endpoints[0].models = {fleet_.endpoints[1].models[1], {}};
  after.endpoints[0].models[1].name = "vision";
  learner_.adopt(fleet_, after, {false, true, false});
  ASSERT_TRUE(learner_.publish(now_, conditions_));
  EXPECT_EQ(conditions_.number, number + 1);
  ASSERT_EQ(conditions_.endpoints.size(), 3U);
  EXPECT_EQ(conditions_.endpoints[0].health, Health::kDown);
  ASSERT_EQ(conditions_.endpoints[0].models.size(), 2U);
  EXPECT_EQ(conditions_.endpoints[0].models[0].context_tokens, 6U);
  EXPECT_EQ(conditions_.endpoints[0].models[1], fleet::ModelConditions{});
  EXPECT_EQ(conditions_.endpoints[1].health, Health::kUnknown);
  EXPECT_EQ(conditions_.endpoints[2].health, Health::kHealthy);
  EXPECT_EQ(conditions_.endpoints[2].prefill_tokens_per_second, 250U);
  EXPECT_EQ(conditions_.endpoints[2].running, 2U);
  now_ += kFirstRest;
  EXPECT_EQ(health(EndpointIndex{0}), Health::kTrial);  // the breaker itself came along
}

TEST_F(Learning, StartsAnewWhereTheKindOrTheUpstreamModelChanged) {
  open_breaker(kLocal);
  learner_.told(kCloud, {context_of(5), context_of(6)});
  fleet::Fleet after = fleet_;
  after.endpoints[0].kind = fleet::EndpointKind::kOpenAi;
  after.endpoints[1].models[0].upstream_name = "small-v2";
  learner_.adopt(fleet_, after, {false, false});
  learner_.publish(now_, conditions_);
  EXPECT_EQ(conditions_.endpoints[0].health, Health::kUnknown);
  EXPECT_EQ(conditions_.endpoints[1].models[0].context_tokens, 0U);
  EXPECT_EQ(conditions_.endpoints[1].models[1].context_tokens, 6U);
}

TEST_F(Learning, StartsAnewWhereAnEndpointMoved) {
  open_breaker(kCloud);
  learner_.told(kCloud, {context_of(5), context_of(6)});
  learner_.adopt(fleet_, fleet_, {false, true});
  learner_.publish(now_, conditions_);
  EXPECT_EQ(conditions_.endpoints[1].health, Health::kUnknown);
  EXPECT_EQ(conditions_.endpoints[1].models[0], fleet::ModelConditions{});
}

}  // namespace
}  // namespace thalweg::placement
