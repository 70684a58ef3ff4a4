// Every order of a flight's events, to the end, within bounds: what the checks of flight_explore_world_test.h say holds
// in all of them. `THALWEG_EXPLORE=full` runs the wide bounds too (`make prove`); THALWEG_SEED repeats a random walk.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "decide/flight/flight_explore_search_test.h"

namespace thalweg::flight {
namespace {

using inference::Delivery;

const std::vector<Frame> kEveryFrame = {Frame::kRole,  Frame::kText, Frame::kTool,  Frame::kFinish,     Frame::kLast,
                                        Frame::kUsage, Frame::kMark, Frame::kError, Frame::kLastAndMark};
const std::vector<Failure> kEveryFailure = {Failure::kNotSent,    Failure::kBusy,     Failure::kServerError,
                                            Failure::kUnfit,      Failure::kRefused,  Failure::kSilent,
                                            Failure::kStalled,    Failure::kCut,      Failure::kMalformed,
                                            Failure::kErrorFrame, Failure::kTooLarge, Failure::kNoRoom};

// One flight, two endpoints, any frame and any failure at any point.
Bounds alone(Delivery delivery) {
  return {.name = delivery == Delivery::kStream ? "one stream" : "one whole answer",
          .flights = {delivery},
          .frames = kEveryFrame,
          .failures = kEveryFailure};
}

// Two flights that share one slot and one retry. One frame and one failure of each kind that a flight treats alike.
Bounds sharing(Delivery first, Delivery second) {
  Bounds bounds{.name = "two flights, one slot, one retry",
                .flights = {first, second},
                .frames = {Frame::kRole, Frame::kText, Frame::kFinish, Frame::kMark},
                .failures = {Failure::kNotSent, Failure::kCut, Failure::kRefused}};
  bounds.frames_an_attempt = 2;
  bounds.slots = {1, 0};
  bounds.retry_tokens = 1;
  return bounds;
}

Found explore_all(const Bounds& bounds) {
  const Found found = explore(bounds);
  std::printf("%s: explored states=%zu transitions=%zu %s\n", bounds.name.c_str(), found.states, found.transitions,
              endings_of(found).c_str());
  EXPECT_FALSE(found.violation) << found.trace;
  // An exploration that misses an ending has explored too little. A whole answer is never truncated: nothing of it is
  // sent before.
  const bool streams =
      std::find(bounds.flights.begin(), bounds.flights.end(), Delivery::kStream) != bounds.flights.end();
  for (const Ending ending : {Ending::kComplete, Ending::kFailed, Ending::kTruncated, Ending::kClientGone}) {
    const bool expected = ending != Ending::kTruncated || streams;
    EXPECT_EQ(found.endings[static_cast<std::size_t>(ending)] > 0, expected) << name_of(ending);
  }
  return found;
}

TEST(FlightExploration, EveryOrderOfOneStreamKeepsEveryRule) {
  explore_all(alone(Delivery::kStream));
}

TEST(FlightExploration, EveryOrderOfOneWholeAnswerKeepsEveryRule) {
  explore_all(alone(Delivery::kWhole));
}

TEST(FlightExploration, EveryOrderOfOneThatMayNotBeRepeatedKeepsEveryRule) {
  for (const Delivery delivery : {Delivery::kStream, Delivery::kWhole}) {
    Bounds bounds = alone(delivery);
    bounds.name += " that may not be repeated";
    bounds.repetition = Repetition::kUnsafe;
    explore_all(bounds);
  }
}

TEST(FlightExploration, MoreFramesThanCanBeHeldKeepEveryRule) {
  Bounds bounds = alone(Delivery::kStream);
  bounds.name = "one stream with more frames than can be held";
  bounds.frames_an_attempt = kMaxHeldFrames + 3;
  bounds.frames_after_pause = 2;
  explore_all(bounds);
}

TEST(FlightExploration, EveryOrderOfTwoFlightsOnOneSlotAndOneRetryKeepsEveryRule) {
  explore_all(sharing(Delivery::kStream, Delivery::kStream));
  explore_all(sharing(Delivery::kStream, Delivery::kWhole));
  Bounds beside = sharing(Delivery::kStream, Delivery::kWhole);
  beside.name = "two flights beside each other, one retry";
  beside.slots = {1, 1};
  explore_all(beside);
}

TEST(FlightExploration, TheWideBoundsKeepEveryRule) {
  const char* wanted = std::getenv("THALWEG_EXPLORE");
  if (wanted == nullptr || std::string_view(wanted) != "full") GTEST_SKIP() << "THALWEG_EXPLORE=full runs it";
  Found total;
  const auto add = [&total](const Bounds& bounds) {
    const Found found = explore_all(bounds);
    total.states += found.states;
    total.transitions += found.transitions;
  };
  for (const Delivery delivery : {Delivery::kStream, Delivery::kWhole}) {
    Bounds one = alone(delivery);
    one.frames_an_attempt = 12;
    one.frames_after_pause = 3;
    one.name += ", 12 frames";
    add(one);
  }
  for (const auto& [first, second] :
       {std::pair(Delivery::kStream, Delivery::kStream), std::pair(Delivery::kStream, Delivery::kWhole),
        std::pair(Delivery::kWhole, Delivery::kWhole)}) {
    Bounds two = sharing(first, second);
    two.frames = kEveryFrame;
    two.failures = kEveryFailure;
    two.frames_an_attempt = 3;
    add(two);
    two.name = "two flights beside each other, one retry";
    two.slots = {1, 1};
    add(two);
    two.name = "two flights beside each other, two retries";
    two.retry_tokens = 2;
    add(two);
  }
  std::printf("PROOF count=%zu seed=0 note=states; %zu transitions, every frame kind and failure, 1 and 2 flights\n",
              total.states, total.transitions);
}

TEST(FlightExploration, LongRandomWalksOfThreeFlightsKeepEveryRule) {
  const char* given = std::getenv("THALWEG_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("THALWEG_SEED=%llu\n", static_cast<unsigned long long>(seed));
  Bounds bounds{.name = "walks",
                .flights = {Delivery::kStream, Delivery::kWhole, Delivery::kStream},
                .frames = kEveryFrame,
                .failures = kEveryFailure};
  bounds.frames_an_attempt = 40;
  bounds.frames_after_pause = 4;
  bounds.retry_tokens = 4;
  std::mt19937_64 seeds(seed);
  Found total;
  for (int i = 0; i < 5000; ++i) {
    const std::uint64_t own = seeds();
    const Found found = walk(bounds, own);
    ASSERT_FALSE(found.violation) << "walk " << i << " of THALWEG_SEED=" << seed << "\n" << found.trace;
    total.transitions += found.transitions;
    for (std::size_t ending = 0; ending < found.endings.size(); ++ending)
      total.endings[ending] += found.endings[ending];
  }
  std::printf("walked steps=%zu %s\n", total.transitions, endings_of(total).c_str());
  for (const std::size_t count : total.endings) EXPECT_GT(count, 0U);
}

}  // namespace
}  // namespace thalweg::flight
