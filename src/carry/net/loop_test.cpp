#include "carry/net/loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace thalweg::net {
namespace {

struct Noting final : Loop::Watcher {
  std::vector<std::uint32_t> seen;
  std::function<void()> then;
  void on_events(std::uint32_t events) override {
    seen.push_back(events);
    if (then) then();
  }
};

struct Pair {
  std::array<Socket, 2> ends;
  Pair() {
    std::array<int, 2> handles{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, handles.data()), 0);
    for (std::size_t i = 0; i < 2; ++i) ends[i].reset(handles[i]);
  }
  void say() const { EXPECT_EQ(::send(ends[1].handle(), "x", 1, 0), 1); }
};

TEST(Loop, TellsOfWhatIsReady) {
  Loop loop;
  Pair pair;
  Noting noting;
  ASSERT_FALSE(loop.watch(pair.ends[0].handle(), EPOLLIN | EPOLLET, noting));
  EXPECT_EQ(loop.turn(0ms), 0U);
  pair.say();
  EXPECT_EQ(loop.turn(0ms), 1U);
  EXPECT_EQ(loop.turn(0ms), 0U);  // one edge, told once
  ASSERT_EQ(noting.seen.size(), 1U);
  EXPECT_NE(noting.seen[0] & EPOLLIN, 0U);
  loop.forget(pair.ends[0].handle(), noting);
}

TEST(Loop, SaysThatADescriptorCannotBeWatched) {
  Loop loop;
  Noting noting;
  EXPECT_EQ(loop.watch(-1, EPOLLIN, noting), std::errc::bad_file_descriptor);
}

// Both are ready in the same turn; whichever comes first takes back the other's watch and destroys it.
TEST(Loop, TellsNothingToAWatcherThatWasForgottenInTheSameTurn) {
  Loop loop;
  Pair first, second;
  auto one = std::make_unique<Noting>();
  auto two = std::make_unique<Noting>();
  int told = 0;
  one->then = [&] {
    ++told;
    loop.forget(second.ends[0].handle(), *two);
    two.reset();
  };
  two->then = [&] {
    ++told;
    loop.forget(first.ends[0].handle(), *one);
    one.reset();
  };
  ASSERT_FALSE(loop.watch(first.ends[0].handle(), EPOLLIN | EPOLLET, *one));
  ASSERT_FALSE(loop.watch(second.ends[0].handle(), EPOLLIN | EPOLLET, *two));
  first.say();
  second.say();
  loop.turn(0ms);
  loop.turn(0ms);
  EXPECT_EQ(told, 1);
}

TEST(Loop, CallsSoonOnceAndNeverFromInside) {
  Loop loop;
  Noting noting;
  loop.call_soon(noting);
  loop.call_soon(noting);
  EXPECT_TRUE(noting.seen.empty());
  EXPECT_EQ(loop.turn(1s), 1U);
  EXPECT_EQ(noting.seen, std::vector<std::uint32_t>{0});
  EXPECT_EQ(loop.turn(0ms), 0U);
}

// Who asks again in its call has it in the next turn, so that descriptors and timers get theirs.
TEST(Loop, ACallThatAsksAgainComesInTheNextTurn) {
  Loop loop;
  Noting noting;
  noting.then = [&] {
    if (noting.seen.size() < 3) loop.call_soon(noting);
  };
  loop.call_soon(noting);
  EXPECT_EQ(loop.turn(1s), 1U);
  EXPECT_EQ(loop.turn(1s), 1U);
  EXPECT_EQ(loop.turn(1s), 1U);
  EXPECT_EQ(loop.turn(0ms), 0U);
}

TEST(Loop, ACallThatWasDroppedDoesNotCome) {
  Loop loop;
  Noting first, second;
  first.then = [&] { loop.drop_call(second); };
  loop.call_soon(first);
  loop.call_soon(second);
  loop.turn(0ms);
  loop.turn(0ms);
  EXPECT_EQ(first.seen.size(), 1U);
  EXPECT_TRUE(second.seen.empty());
  first.then = {};
  loop.call_soon(second);
  loop.drop_call(second);
  loop.turn(0ms);
  EXPECT_TRUE(second.seen.empty());
}

TEST(Loop, RunsTasksOfManyThreadsInTheirOrder) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 5000;
  Loop loop;
  std::array<int, kThreads> next{};
  int ran = 0;
  bool in_order = true;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kTasks; ++i) {
        loop.post([&, thread, i] {
          in_order = in_order && next[static_cast<std::size_t>(thread)]++ == i;
          if (++ran == kThreads * kTasks) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ran, kThreads * kTasks);
  EXPECT_TRUE(in_order);
}

TEST(Loop, ATaskMayPostAnother) {
  Loop loop;
  int ran = 0;
  loop.post([&] {
    ++ran;
    loop.post([&] {
      ++ran;
      loop.stop();
    });
  });
  loop.run();
  EXPECT_EQ(ran, 2);
}

TEST(Loop, StopsFromAnotherThread) {
  Loop loop;
  std::thread other([&] { loop.stop(); });
  loop.run();
  other.join();
}

TEST(Loop, DropsTasksThatCameTooLate) {
  const auto held = std::make_shared<int>(0);
  std::shared_ptr<Inbox> inbox;
  {
    Loop loop;
    inbox = loop.inbox();
    loop.post([held] { FAIL() << "the loop never ran"; });
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
  inbox->put([held] { FAIL() << "the loop is gone"; });
  inbox.reset();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Loop, WakesForATimer) {
  struct Owner final : TimerOwner {
    int fired = 0;
    void on_timer(std::uint32_t) override { ++fired; }
  } owner;
  Loop loop;
  Timer timer;
  const Instant begin = MonotonicClock::now();
  loop.timers().start(timer, 30ms, owner, 0);
  while (owner.fired == 0) loop.turn(10s);
  EXPECT_GE(MonotonicClock::now() - begin, 30ms);
}

}  // namespace
}  // namespace thalweg::net
