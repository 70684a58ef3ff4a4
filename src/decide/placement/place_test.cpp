#include "decide/placement/place.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace thalweg::placement {
namespace {

using fleet::Health;
using fleet::Target;
using inference::Capabilities;
using inference::Capability;
using inference::Surface;

constexpr Target kLocal{EndpointIndex{0}, ModelIndex{0}};
constexpr Target kEdge{EndpointIndex{1}, ModelIndex{0}};
constexpr Target kCloud{EndpointIndex{2}, ModelIndex{0}};
constexpr Target kCloudBig{EndpointIndex{2}, ModelIndex{1}};

// Three endpoints that all serve "small" in this order; the last serves "big" too. Everything is healthy and idle.
class Place : public testing::Test {
 protected:
  Place() {
    const Capabilities all = {Capability::kChat, Capability::kCompletions, Capability::kTools};
    const auto model = [&](const std::string& name) {
      return fleet::EndpointModel{
          .name = name, .upstream_name = name, .context_tokens = 1000, .capabilities = all, .asked = {}};
    };
    fleet_.number = 4;
    fleet_.endpoints = {
        {.name = "local",
         .place = {},
         .kind = fleet::EndpointKind::kEngine,
         .slots = 2,
         .timeouts = {},
         .models = {model("small")}},
        {.name = "edge", .place = {}, .slots = 2, .timeouts = {}, .models = {model("small")}},
        {.name = "cloud", .place = {}, .slots = 2, .timeouts = {}, .models = {model("small-twin"), model("big")}}};
    fleet_.models = {{.name = "small", .targets = {kLocal, kEdge, kCloud}}, {.name = "big", .targets = {kCloudBig}}};
    fleet::seal(fleet_);
    policy_.number = 5;
    conditions_.number = 6;
    conditions_.endpoints.resize(3);
    for (std::size_t i = 0; i < 3; ++i) {
      conditions_.endpoints[i].health = Health::kHealthy;
      conditions_.endpoints[i].models.resize(fleet_.endpoints[i].models.size());
    }
    question_.model = "small";
    question_.first_asked_at = question_.asked_at = Instant(100s);
  }

  Decision ask() { return place(question_, {&fleet_, &policy_, &facts_, &conditions_}, scratch_); }
  Decision ask_after(Duration passed) {
    question_.asked_at = question_.first_asked_at + passed;
    return ask();
  }
  std::optional<Target> runs_at() {
    const Decision decision = ask();
    return decision.outcome() == Outcome::kRun ? std::optional(decision.target()) : std::nullopt;
  }
  std::optional<ErrorCode> denial() {
    const Decision decision = ask();
    return decision.outcome() == Outcome::kDeny ? std::optional(decision.denial()) : std::nullopt;
  }
  std::vector<Rejection> rejections() {
    const Decision decision = ask();
    std::vector<Rejection> out;
    for (const Verdict& verdict : decision.verdicts()) out.push_back(verdict.rejection);
    return out;
  }
  void tried(Target target, AttemptEnd end, Duration retry_after = {}) {
    question_.earlier.add({target, end, question_.first_asked_at + retry_after});
    if (end != AttemptEnd::kLostRace) ++question_.attempt;
  }
  fleet::EndpointConditions& now(Target target) { return conditions_.endpoints[target.endpoint.value]; }
  fleet::ModelConditions& told(Target target) { return now(target).models[target.model.value]; }
  fleet::EndpointModel& configured(Target target) {
    return fleet_.endpoints[target.endpoint.value].models[target.model.value];
  }

  fleet::Fleet fleet_;
  policy::Policy policy_;
  facts::Facts facts_;
  fleet::Conditions conditions_;
  Question question_;
  Scratch scratch_;
};

TEST_F(Place, TakesTheFirstTargetOfTheModel) {
  const Decision decision = ask();
  EXPECT_EQ(decision.outcome(), Outcome::kRun);
  EXPECT_EQ(decision.target(), kLocal);
  ASSERT_EQ(decision.verdicts().size(), 3U);
  EXPECT_EQ(decision.verdicts()[2].target, kCloud);
  EXPECT_EQ(decision.fleet_number(), 4U);
  EXPECT_EQ(decision.policy_number(), 5U);
  EXPECT_EQ(decision.conditions_number(), 6U);
  EXPECT_EQ(decision.asked_at(), Instant(100s));
}

TEST_F(Place, TakesAnUnknownEndpointAsAHealthyOne) {
  now(kLocal).health = Health::kUnknown;
  EXPECT_EQ(runs_at(), kLocal);
  conditions_.endpoints.clear();  // nothing published yet
  EXPECT_EQ(runs_at(), kLocal);
}

TEST_F(Place, PassesOverOneThatIsDown) {
  now(kLocal).health = Health::kDown;
  EXPECT_EQ(runs_at(), kEdge);
}

TEST_F(Place, TriesOneOnTrialAfterAllOthers) {
  now(kLocal).health = Health::kTrial;
  EXPECT_EQ(runs_at(), kEdge);
  EXPECT_EQ(ask().verdicts()[2].target, kLocal);
  now(kEdge).health = Health::kDown;
  now(kCloud).health = Health::kDown;
  EXPECT_EQ(runs_at(), kLocal);
}

TEST_F(Place, WaitsForTheFirstModelToBeLoaded) {
  now(kLocal).health = Health::kUnloaded;
  const Decision asked = ask();
  EXPECT_EQ(asked.outcome(), Outcome::kWait);
  EXPECT_EQ(asked.to_load(), kLocal.endpoint);
  EXPECT_EQ(asked.wait(), kLoadPoll);
  EXPECT_EQ(asked.verdicts()[0].rejection, Rejection::kNotLoaded);
  // One that is preferred and runs is not left for one that does not.
  now(kLocal).health = Health::kHealthy;
  now(kEdge).health = Health::kUnloaded;
  EXPECT_EQ(runs_at(), kLocal);
  EXPECT_FALSE(ask().to_load());
  now(kLocal).running = 2;  // full: passed over
  EXPECT_EQ(ask().to_load(), kEdge.endpoint);
}

TEST_F(Place, WaitsForRoomToLoadNoLongerThanForASlot) {
  now(kLocal).health = Health::kUnloaded;
  EXPECT_EQ(ask_after(question_.wait_limit - 10ms).to_load(), kLocal.endpoint);
  EXPECT_EQ(ask_after(question_.wait_limit - 10ms).wait(), 10ms);
  EXPECT_EQ(ask_after(question_.wait_limit).target(), kEdge);
  now(kEdge).health = now(kCloud).health = Health::kDown;
  EXPECT_EQ(denial(), ErrorCode::kOverloaded);
  now(kLocal).health = Health::kLoading;  // it has its room, and takes its time
  EXPECT_EQ(ask_after(10 * question_.wait_limit).to_load(), kLocal.endpoint);
  EXPECT_EQ(ask_after(10 * question_.wait_limit).wait(), kLoadPoll);
}

TEST_F(Place, TakesALoadedModelForAutoFirst) {
  question_.model = fleet::kAutoModel;
  now(kLocal).health = Health::kUnloaded;
  now(kEdge).health = Health::kLoading;
  EXPECT_EQ(runs_at(), kCloud);
  now(kCloud).health = Health::kTrial;
  EXPECT_EQ(runs_at(), kCloud);
  now(kCloud).health = Health::kDown;
  EXPECT_EQ(ask().to_load(), kEdge.endpoint);
  now(kEdge).health = Health::kDown;
  EXPECT_EQ(ask().to_load(), kLocal.endpoint);
}

TEST_F(Place, LoadsAModelToLearnWhatItCanDo) {
  question_.needs = {Capability::kTools};
  configured(kLocal).asked = {Capability::kTools};
  now(kLocal).health = Health::kUnloaded;
  EXPECT_EQ(ask().to_load(), kLocal.endpoint);
  told(kLocal).told = {Capability::kTools};  // it did tell, when it was loaded last
  EXPECT_EQ(runs_at(), kEdge);
  told(kLocal) = {};
  now(kLocal).health = Health::kDown;  // an engine that starts: it may be able to
  now(kEdge).health = now(kCloud).health = Health::kDown;
  EXPECT_EQ(denial(), ErrorCode::kUnavailable);
}

TEST_F(Place, PassesOverAFullOne) {
  now(kLocal).running = 1;
  EXPECT_EQ(runs_at(), kLocal);
  now(kLocal).running = 2;
  EXPECT_EQ(runs_at(), kEdge);
  now(kLocal).running = 1'000'000;
  fleet_.endpoints[0].slots = 0;  // unlimited
  EXPECT_EQ(runs_at(), kLocal);
}

TEST_F(Place, CountsASlotForEachChoiceOnAnEngine) {
  ASSERT_EQ(fleet_.endpoints[0].kind, fleet::EndpointKind::kEngine);
  ASSERT_EQ(fleet_.endpoints[0].slots, 2U);
  question_.choices = 2;
  EXPECT_EQ(runs_at(), kLocal);
  now(kLocal).running = 1;
  EXPECT_EQ(runs_at(), kEdge);
  question_.choices = 9;  // more than it has: all of them
  EXPECT_EQ(runs_at(), kEdge);
  now(kLocal).running = 0;
  EXPECT_EQ(runs_at(), kLocal);
  now(kLocal).running = 1;
  fleet_.endpoints[0].kind = fleet::EndpointKind::kOpenAi;  // counts attempts
  EXPECT_EQ(runs_at(), kLocal);
}

TEST_F(Place, TakesOneThatWasFullButHasBeenSeenFreeSince) {
  now(kLocal).running = 2;
  question_.seen_free.add(kLocal.endpoint);
  EXPECT_EQ(runs_at(), kLocal);
}

TEST_F(Place, DeniesAnUnknownModel) {
  for (const std::string_view name : {"", "smal", "SMALL", "small-twin", "_probe"}) {
    question_.model = name;
    EXPECT_EQ(denial(), ErrorCode::kModelNotFound) << name;
    EXPECT_TRUE(ask().verdicts().empty());
  }
}

TEST_F(Place, NeverChoosesAModelForEmbeddingsOrScores) {
  for (const auto surface : {inference::Surface::kOpenAiEmbeddings, inference::Surface::kRerank}) {
    question_.surface = surface;
    question_.model = "auto";
    for (auto& endpoint : fleet_.endpoints) {
      for (auto& model : endpoint.models) model.capabilities.add(inference::need_of(surface));
    }
    EXPECT_EQ(denial(), ErrorCode::kModelNotFound);
    question_.model = fleet_.models.front().name;
    EXPECT_EQ(ask().outcome(), Outcome::kRun);
  }
}

TEST_F(Place, ComparesTheLargestOfSeveralTextsWithTheContext) {
  question_.model = fleet_.models.front().name;
  const std::uint64_t context = fleet_.at(kLocal).context_tokens;
  ASSERT_NE(context, 0U);
  fleet_.models.front().targets = {kLocal};
  question_.estimated_input_tokens = 100 * context;
  EXPECT_EQ(denial(), ErrorCode::kContextExceeded);
  question_.largest_piece_tokens = kEstimateMargin * context;
  EXPECT_EQ(runs_at(), kLocal);
  question_.largest_piece_tokens += 1;
  EXPECT_EQ(denial(), ErrorCode::kContextExceeded);
}

TEST_F(Place, DeniesAModelThatTheKeyMayNotUseAsIfItWereUnknown) {
  const policy::Key key{.id = "k", .secret_sha256 = {}, .tenant = "t", .models = {"big"}};
  question_.subject.key = &key;
  EXPECT_EQ(denial(), ErrorCode::kModelNotFound);
  EXPECT_TRUE(ask().verdicts().empty());
  question_.model = "big";
  EXPECT_EQ(runs_at(), kCloudBig);
}

TEST_F(Place, AutoIsEveryModelThatTheKeyMayUse) {
  fleet_.models.push_back({.name = "again", .targets = {kCloud, kLocal, kCloudBig}});
  fleet::seal(fleet_);
  question_.model = "auto";
  EXPECT_EQ(runs_at(), kLocal);
  {
    const Decision decision = ask();
    ASSERT_EQ(decision.verdicts().size(), 4U);  // each target once
    EXPECT_EQ(decision.verdicts()[3].target, kCloudBig);
  }
  const policy::Key key{.id = "k", .secret_sha256 = {}, .tenant = "t", .models = {"big"}};
  question_.subject.key = &key;
  EXPECT_EQ(runs_at(), kCloudBig);
  EXPECT_EQ(ask().verdicts().size(), 1U);
  const policy::Key none{.id = "k", .secret_sha256 = {}, .tenant = "t", .models = {"retired"}};
  question_.subject.key = &none;
  EXPECT_EQ(denial(), ErrorCode::kModelNotFound);
}

TEST_F(Place, AutoLeavesOutModelsOfAnotherSurface) {
  configured(kLocal).capabilities = {Capability::kCompletions};
  question_.model = "auto";
  EXPECT_EQ(runs_at(), kEdge);
  EXPECT_EQ(ask().verdicts().size(), 3U);
  question_.surface = Surface::kOpenAiCompletions;
  EXPECT_EQ(runs_at(), kLocal);
}

TEST_F(Place, AddsTheNeedOfTheSurfaceItself) {
  configured(kLocal).capabilities.remove(Capability::kCompletions);
  EXPECT_EQ(runs_at(), kLocal);
  question_.surface = Surface::kOpenAiCompletions;
  EXPECT_EQ(runs_at(), kEdge);
}

TEST_F(Place, NeverSendsAToolRequestWhereToolsAreNotHonoured) {
  question_.needs = {Capability::kChat, Capability::kTools};
  configured(kLocal).capabilities.remove(Capability::kTools);
  EXPECT_EQ(runs_at(), kEdge);
  EXPECT_EQ(ask().verdicts()[0].lacking, Capabilities{Capability::kTools});
  told(kEdge) = {.context_tokens = 0, .told = {Capability::kTools}, .has = {}};
  EXPECT_EQ(runs_at(), kCloud);
}

TEST_F(Place, CountsWhatTheEndpointHasNotToldYetAsAbsent) {
  question_.needs = {Capability::kTools};
  configured(kLocal).asked = {Capability::kTools};
  EXPECT_EQ(runs_at(), kEdge);
  told(kLocal) = {.context_tokens = 0, .told = {Capability::kTools}, .has = {Capability::kTools}};
  EXPECT_EQ(runs_at(), kLocal);
}

TEST_F(Place, LetsAnEndpointTellMoreThanIsConfigured) {
  question_.needs = {Capability::kImages};
  told(kCloud) = {.context_tokens = 0, .told = {Capability::kImages}, .has = {Capability::kImages, Capability::kAudio}};
  EXPECT_EQ(runs_at(), kCloud);
  question_.needs = {Capability::kAudio};  // it has it, it says, but was not asked: not told
  EXPECT_EQ(denial(), ErrorCode::kUnsupported);
}

TEST_F(Place, DeniesWhatNobodyCanDo) {
  question_.needs = {Capability::kImages, Capability::kTools};
  now(kLocal).health = Health::kDown;
  EXPECT_EQ(denial(), ErrorCode::kUnsupported);
  EXPECT_EQ(ask().verdicts()[1].lacking, Capabilities{Capability::kImages});
}

TEST_F(Place, RefusesAPromptOfMoreThanTwiceTheContext) {
  question_.estimated_input_tokens = 2000;
  EXPECT_EQ(runs_at(), kLocal);
  question_.estimated_input_tokens = 2001;
  EXPECT_EQ(denial(), ErrorCode::kContextExceeded);
  told(kEdge).context_tokens = 1001;  // what it told overrules the configuration
  EXPECT_EQ(runs_at(), kEdge);
  configured(kLocal).context_tokens = 0;  // unknown: it may fit
  EXPECT_EQ(runs_at(), kLocal);
  told(kLocal).context_tokens = 1000;
  EXPECT_EQ(runs_at(), kEdge);
}

TEST_F(Place, NamesTheCauseNearestToServing) {
  question_.needs = {Capability::kTools};
  question_.estimated_input_tokens = 5000;
  configured(kLocal).capabilities.remove(Capability::kTools);
  EXPECT_EQ(denial(), ErrorCode::kContextExceeded);
  told(kCloud).context_tokens = 100'000;
  now(kCloud).health = Health::kDown;
  EXPECT_EQ(denial(), ErrorCode::kUnavailable);
}

TEST_F(Place, WaitsForASlotWhenOnlyFullOnesAreLeft) {
  now(kLocal).running = now(kEdge).running = 2;
  now(kCloud).health = Health::kDown;
  const Decision decision = ask();
  EXPECT_EQ(decision.outcome(), Outcome::kWait);
  EXPECT_EQ(decision.wait(), 50ms);
  EXPECT_EQ(ask_after(29'980ms).wait(), 20ms);  // never past the limit
  EXPECT_EQ(ask_after(30s).outcome(), Outcome::kDeny);
  EXPECT_EQ(denial(), ErrorCode::kOverloaded);
}

TEST_F(Place, DoesNotWaitWithoutAWaitLimit) {
  for (auto& endpoint : conditions_.endpoints) endpoint.running = 2;
  question_.wait_limit = 0s;
  EXPECT_EQ(denial(), ErrorCode::kOverloaded);
  question_.wait_limit = Duration::max();
  EXPECT_EQ(ask().outcome(), Outcome::kWait);
}

TEST_F(Place, CountsALostRaceAsFullUntilItIsForgotten) {
  tried(kLocal, AttemptEnd::kLostRace);
  EXPECT_EQ(runs_at(), kEdge);
  tried(kEdge, AttemptEnd::kLostRace);
  tried(kCloud, AttemptEnd::kLostRace);
  EXPECT_EQ(ask().outcome(), Outcome::kWait);
  question_.earlier.forget_lost_races();
  EXPECT_EQ(runs_at(), kLocal);
}

TEST_F(Place, WaitsInsteadOfSpinningWhenTooManyRacesAreLost) {
  while (!question_.earlier.full()) tried(kEdge, AttemptEnd::kLostRace);
  EXPECT_EQ(ask().outcome(), Outcome::kWait);
}

TEST_F(Place, GoesElsewhereAfterAFailure) {
  for (const AttemptEnd end : {AttemptEnd::kNotSent, AttemptEnd::kBusy, AttemptEnd::kFailed, AttemptEnd::kSilent}) {
    question_.earlier = {};
    question_.attempt = 1;
    tried(kLocal, end);
    EXPECT_EQ(runs_at(), kEdge);
    tried(kEdge, end);
    EXPECT_EQ(runs_at(), kCloud);
  }
}

TEST_F(Place, RetriesTheFirstWhoseTimeComesWhenAllOthersFailed) {
  tried(kLocal, AttemptEnd::kFailed, 300ms);
  tried(kEdge, AttemptEnd::kBusy, 200ms);
  tried(kCloud, AttemptEnd::kNotSent, 400ms);
  const Decision decision = ask();
  EXPECT_EQ(decision.outcome(), Outcome::kWait);
  EXPECT_EQ(decision.wait(), 200ms);
  EXPECT_EQ(ask_after(150ms).wait(), 50ms);
  EXPECT_EQ(ask_after(200ms).target(), kEdge);
  EXPECT_EQ(ask_after(1s).target(), kEdge);
  EXPECT_EQ(ask_after(1s).verdicts()[1].rejection, Rejection::kNone);
}

TEST_F(Place, TakesTheNewestRetryInstantOfAnEndpoint) {
  question_.model = "big";
  tried(kCloudBig, AttemptEnd::kFailed, 100ms);
  tried(kCloudBig, AttemptEnd::kFailed, 900ms);
  EXPECT_EQ(ask_after(100ms).wait(), 800ms);
  EXPECT_EQ(ask_after(900ms).target(), kCloudBig);
}

TEST_F(Place, RetriesNowRatherThanWaitForAFullOne) {
  tried(kLocal, AttemptEnd::kFailed, 10ms);
  now(kEdge).running = now(kCloud).running = 2;
  EXPECT_EQ(ask_after(0ms).wait(), 10ms);
  EXPECT_EQ(ask_after(10ms).target(), kLocal);
  now(kLocal).running = 2;
  EXPECT_EQ(ask_after(10ms).wait(), 50ms);
}

TEST_F(Place, NeverRetriesPastTheWaitLimit) {
  question_.model = "big";
  tried(kCloudBig, AttemptEnd::kBusy, 30s);
  EXPECT_EQ(ask().wait(), 30s);
  question_.earlier.entries[0].retry_at += 1ns;
  EXPECT_EQ(denial(), ErrorCode::kRateLimited);
  question_.earlier.entries[0].end = AttemptEnd::kFailed;
  EXPECT_EQ(denial(), ErrorCode::kUnavailable);
}

TEST_F(Place, NeverAsksASilentEndpointAgain) {
  question_.model = "big";
  tried(kCloudBig, AttemptEnd::kSilent);
  EXPECT_EQ(denial(), ErrorCode::kUnavailable);
  tried(kCloudBig, AttemptEnd::kFailed);  // whatever came after
  EXPECT_EQ(ask_after(20s).denial(), ErrorCode::kUnavailable);
  EXPECT_EQ(rejections(), std::vector{Rejection::kSilentBefore});
}

TEST_F(Place, NeverResendsAnUnfitRequestToTheSameModel) {
  tried(kLocal, AttemptEnd::kUnfit);
  EXPECT_EQ(runs_at(), kCloud);  // the edge has the same model, the cloud another
  EXPECT_EQ(rejections(), (std::vector{Rejection::kUnfitBefore, Rejection::kUnfitBefore, Rejection::kNone}));
  tried(kCloud, AttemptEnd::kUnfit);
  EXPECT_EQ(denial(), ErrorCode::kUnavailable);
}

TEST_F(Place, EndsAfterFourAttempts) {
  question_.attempt = kMaxAttempts;
  EXPECT_EQ(runs_at(), kLocal);
  question_.attempt = kMaxAttempts + 1;
  EXPECT_EQ(denial(), ErrorCode::kUnavailable);
  question_.attempt = 1;
  for (int i = 0; i < 4; ++i) tried(kLocal, AttemptEnd::kBusy);
  EXPECT_EQ(denial(), ErrorCode::kRateLimited);
}

TEST_F(Place, SendsAProbeToItsEndpointWhateverItsHealth) {
  question_.only = kCloud.endpoint;
  question_.model = "";
  now(kCloud).health = Health::kDown;
  now(kCloud).running = 100;
  EXPECT_EQ(runs_at(), (Target{kCloud.endpoint, ModelIndex{}}));
  question_.model = "big";
  EXPECT_EQ(runs_at(), kCloudBig);
  question_.model = "small";
  EXPECT_EQ(runs_at(), kCloud);
  EXPECT_EQ(rejections(), (std::vector{Rejection::kNotTheProbed, Rejection::kNotTheProbed, Rejection::kNone}));
  question_.model = "auto";
  EXPECT_EQ(runs_at(), kCloud);
  question_.model = "big";
  question_.only = kLocal.endpoint;
  EXPECT_EQ(denial(), ErrorCode::kUnsupported);
  question_.model = "";
  question_.only = EndpointIndex{3};  // of an older fleet
  EXPECT_EQ(denial(), ErrorCode::kModelNotFound);
}

TEST_F(Place, GivesTheConfiguredTimeouts) {
  fleet_.endpoints[0].timeouts = {.connect = 1s, .first_token = 2s, .gap = 3s, .total = 4s};
  const fleet::Timeouts timeouts = ask().timeouts();
  EXPECT_EQ(timeouts.connect, 1s);
  EXPECT_EQ(timeouts.first_token, 2s);
  EXPECT_EQ(timeouts.gap, 3s);
  EXPECT_EQ(timeouts.total, 4s);
}

// 500 tokens at 100 tokens/s with one prompt ahead: 4 x 2 x 5 s of prefill and 10 s.
TEST_F(Place, FitsAnEnginesTimeoutsToItsPrefill) {
  fleet_.endpoints[0].timeouts = {.connect = 0s, .first_token = 0s, .gap = 0s, .total = 0s};
  now(kLocal).prefill_tokens_per_second = 100;
  now(kLocal).running = 1;
  question_.estimated_input_tokens = 500;
  const fleet::Timeouts timeouts = ask().timeouts();
  EXPECT_EQ(timeouts.connect, 5s);
  EXPECT_EQ(timeouts.first_token, 50s);
  EXPECT_EQ(timeouts.gap, 30s);
  EXPECT_EQ(timeouts.total, 0s);
}

TEST_F(Place, LeavesNoTimeoutZeroButTheTotal) {
  for (auto& endpoint : fleet_.endpoints)
    endpoint.timeouts = {.connect = 0s, .first_token = 0s, .gap = -1s, .total = -1s};
  now(kLocal).health = Health::kDown;
  const fleet::Timeouts timeouts = ask().timeouts();
  EXPECT_EQ(timeouts.connect, 5s);
  EXPECT_EQ(timeouts.first_token, 10s);
  EXPECT_EQ(timeouts.gap, 10s);
  EXPECT_EQ(timeouts.total, 0s);
}

TEST_F(Place, HashesEverythingThatTheDecisionSays) {
  const std::uint64_t before = ask().hash();
  const auto changes = [&](auto change) {
    const auto question = question_;
    const auto fleet = fleet_;
    const auto conditions = conditions_;
    change();
    const bool different = ask().hash() != before;
    question_ = question;
    fleet_ = fleet;
    conditions_ = conditions;
    return different;
  };
  EXPECT_FALSE(changes([&] { question_.seed = 1; }));  // which the decision does not say
  EXPECT_TRUE(changes([&] { question_.request.low = 1; }));
  EXPECT_TRUE(changes([&] { question_.request.high = 1; }));
  EXPECT_TRUE(changes([&] { question_.attempt = 2; }));
  EXPECT_TRUE(changes([&] { question_.asked_at += 1ns; }));
  EXPECT_TRUE(changes([&] { fleet_.number = 7; }));
  EXPECT_TRUE(changes([&] { conditions_.number = 7; }));
  EXPECT_TRUE(changes([&] { now(kCloud).health = Health::kDown; }));  // the verdict on one that is not chosen
  EXPECT_TRUE(changes([&] { configured(kCloud).capabilities = {Capability::kTools}; }));
  EXPECT_TRUE(changes([&] { fleet_.endpoints[0].timeouts.gap += 1ns; }));
  EXPECT_TRUE(changes([&] { fleet_.models[0].targets.pop_back(); }));
}

}  // namespace
}  // namespace thalweg::placement
