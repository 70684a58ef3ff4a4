#include "carry/net/timers.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace thalweg::net {
namespace {

struct Recorder final : TimerOwner {
  std::vector<std::pair<std::uint32_t, Instant>> fired;
  std::function<void(std::uint32_t)> then;
  void on_timer(std::uint32_t tag) override {
    fired.emplace_back(tag, MonotonicClock::now());
    if (then) then(tag);
  }
};

// As the loop does: sleeps until something may be due, until no timer runs.
void run(TimerWheel& wheel) {
  for (Duration next = wheel.until_next(); next != Duration::max(); next = wheel.until_next()) {
    std::this_thread::sleep_for(next);
    wheel.fire();
  }
}

TEST(TimerWheel, FiresInOrderAndNeverEarly) {
  TimerWheel wheel;
  Recorder recorder;
  Timer a, b, c;
  const Instant begin = MonotonicClock::now();
  wheel.start(a, 60ms, recorder, 1);
  wheel.start(b, 20ms, recorder, 2);
  wheel.start(c, 0ms, recorder, 3);
  run(wheel);
  ASSERT_EQ(recorder.fired.size(), 3u);
  EXPECT_EQ(recorder.fired[0].first, 3u);
  EXPECT_EQ(recorder.fired[1].first, 2u);
  EXPECT_EQ(recorder.fired[2].first, 1u);
  EXPECT_GE(recorder.fired[1].second - begin, 20ms);
  EXPECT_GE(recorder.fired[2].second - begin, 60ms);
}

TEST(TimerWheel, AStoppedTimerNeverFires) {
  TimerWheel wheel;
  Recorder recorder;
  Timer a, b;
  wheel.start(a, 10ms, recorder, 1);
  wheel.start(b, 30ms, recorder, 2);
  a.stop();
  run(wheel);
  ASSERT_EQ(recorder.fired.size(), 1u);
  EXPECT_EQ(recorder.fired[0].first, 2u);
}

TEST(TimerWheel, RestartingMovesTheDeadline) {
  TimerWheel wheel;
  Recorder recorder;
  Timer a;
  const Instant begin = MonotonicClock::now();
  wheel.start(a, 10ms, recorder, 1);
  wheel.start(a, 80ms, recorder, 1);
  run(wheel);
  ASSERT_EQ(recorder.fired.size(), 1u);
  EXPECT_GE(recorder.fired[0].second - begin, 80ms);
}

TEST(TimerWheel, PuttingOffAgainAndAgainFiresOnceAfterTheLast) {
  TimerWheel wheel;
  Recorder recorder;
  Timer gap, beside;
  wheel.start(gap, 20ms, recorder, 1);
  wheel.start(beside, 20ms, recorder, 2);  // in the same slot
  Instant last{};
  for (int i = 0; i < 8; ++i) {
    last = MonotonicClock::now();
    wheel.start(gap, 50ms, recorder, 1);
    std::this_thread::sleep_for(10ms);
    wheel.fire();
  }
  run(wheel);
  ASSERT_EQ(recorder.fired.size(), 2u);
  EXPECT_EQ(recorder.fired[0].first, 2u);
  EXPECT_EQ(recorder.fired[1].first, 1u);
  EXPECT_GE(recorder.fired[1].second - last, 50ms);
}

TEST(TimerWheel, PutOffAndThenDrawnForwardFiresInTime) {
  TimerWheel wheel;
  Recorder recorder;
  Timer a;
  wheel.start(a, 100ms, recorder, 1);
  wheel.start(a, 60s, recorder, 1);
  const Instant begin = MonotonicClock::now();
  wheel.start(a, 30ms, recorder, 1);
  run(wheel);
  ASSERT_EQ(recorder.fired.size(), 1u);
  EXPECT_GE(recorder.fired[0].second - begin, 30ms);
}

TEST(TimerWheel, AnOwnerMayStopAndStartTimersOfTheSameSlotWhileOneFires) {
  TimerWheel wheel;
  Recorder recorder;
  Timer a, b, c;
  recorder.then = [&](std::uint32_t tag) {
    if (tag == 2 || tag == 1) {
      a.stop();
      b.stop();
      if (!c.running()) wheel.start(c, 0ms, recorder, 3);
    }
  };
  wheel.start(a, 10ms, recorder, 1);
  wheel.start(b, 10ms, recorder, 2);
  run(wheel);
  ASSERT_EQ(recorder.fired.size(), 2u);  // one of a and b, then c
  EXPECT_EQ(recorder.fired[1].first, 3u);
}

TEST(TimerWheel, WakesOnceARoundForATimerOfALaterRound) {
  TimerWheel wheel;
  Recorder recorder;
  Timer far;
  wheel.start(far, 60s, recorder, 1);
  const Duration next = wheel.until_next();
  EXPECT_GT(next, 0ms);
  EXPECT_LE(next, 512 * kTimerTick);
  EXPECT_EQ(wheel.fire(), 0u);
  EXPECT_TRUE(far.running());
}

// What comes sooner than what is awaited shortens the sleep, whichever slot it falls into.
TEST(TimerWheel, ASoonerTimerShortensTheSleep) {
  TimerWheel wheel;
  Recorder recorder;
  Timer far, near;
  wheel.start(far, 4s, recorder, 1);
  EXPECT_GT(wheel.until_next(), 3s);
  wheel.start(near, 100ms, recorder, 2);
  EXPECT_LE(wheel.until_next(), 110ms);
  near.stop();
  EXPECT_LE(wheel.until_next(), 4010ms);
}

TEST(TimerWheel, SleepsForEverWithoutTimers) {
  TimerWheel wheel;
  EXPECT_EQ(wheel.until_next(), Duration::max());
  EXPECT_EQ(wheel.fire(), 0u);
}

TEST(TimerWheel, ATimerThatDiesIsStopped) {
  TimerWheel wheel;
  Recorder recorder;
  auto a = std::make_unique<Timer>();
  Timer b;
  wheel.start(*a, 10ms, recorder, 1);
  wheel.start(b, 20ms, recorder, 2);
  a.reset();
  run(wheel);
  ASSERT_EQ(recorder.fired.size(), 1u);
}

}  // namespace
}  // namespace thalweg::net
