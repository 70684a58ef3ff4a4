#include "carry/net/timers.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace thalweg::net {
namespace {

struct Recorder : TimerOwner {
  std::vector<std::pair<std::uint32_t, Instant>> fired;
  std::function<void(std::uint32_t)> then;
  void on_timer(std::uint32_t tag) override {
    fired.emplace_back(tag, MonotonicClock::now());
    if (then) then(tag);
  }
};

TEST(TimerWheel, FiresInOrderAndNeverEarly) {
  Loop loop(1);
  TimerWheel wheel(loop);
  Recorder recorder;
  Timer a, b, c;
  const Instant begin = MonotonicClock::now();
  wheel.start(a, 60ms, recorder, 1);
  wheel.start(b, 20ms, recorder, 2);
  wheel.start(c, 0ms, recorder, 3);
  loop.run();
  ASSERT_EQ(recorder.fired.size(), 3u);
  EXPECT_EQ(recorder.fired[0].first, 3u);
  EXPECT_EQ(recorder.fired[1].first, 2u);
  EXPECT_EQ(recorder.fired[2].first, 1u);
  EXPECT_GE(recorder.fired[1].second - begin, 20ms);
  EXPECT_GE(recorder.fired[2].second - begin, 60ms);
}

TEST(TimerWheel, AStoppedTimerNeverFires) {
  Loop loop(1);
  TimerWheel wheel(loop);
  Recorder recorder;
  Timer a, b;
  wheel.start(a, 10ms, recorder, 1);
  wheel.start(b, 30ms, recorder, 2);
  a.stop();
  loop.run();
  ASSERT_EQ(recorder.fired.size(), 1u);
  EXPECT_EQ(recorder.fired[0].first, 2u);
}

TEST(TimerWheel, RestartingMovesTheDeadline) {
  Loop loop(1);
  TimerWheel wheel(loop);
  Recorder recorder;
  Timer a;
  const Instant begin = MonotonicClock::now();
  wheel.start(a, 10ms, recorder, 1);
  wheel.start(a, 80ms, recorder, 1);
  loop.run();
  ASSERT_EQ(recorder.fired.size(), 1u);
  EXPECT_GE(recorder.fired[0].second - begin, 80ms);
}

TEST(TimerWheel, AnOwnerMayStopAndStartTimersOfTheSameSlotWhileOneFires) {
  Loop loop(1);
  TimerWheel wheel(loop);
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
  loop.run();
  ASSERT_EQ(recorder.fired.size(), 2u);  // one of a and b, then c
  EXPECT_EQ(recorder.fired[1].first, 3u);
}

TEST(TimerWheel, ATimerThatDiesIsStopped) {
  Loop loop(1);
  TimerWheel wheel(loop);
  Recorder recorder;
  auto a = std::make_unique<Timer>();
  Timer b;
  wheel.start(*a, 10ms, recorder, 1);
  wheel.start(b, 20ms, recorder, 2);
  a.reset();
  loop.run();
  ASSERT_EQ(recorder.fired.size(), 1u);
}

}  // namespace
}  // namespace thalweg::net
