#include "decide/fleet/slots.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <type_traits>
#include <vector>

namespace thalweg::fleet {
namespace {

constexpr EndpointIndex kHere{3};

TEST(TakeSlot, GivesAsManyAsTheLimit) {
  SlotCounter counter;
  counter.limit = 2;
  auto first = take_slot(counter, kHere);
  auto second = take_slot(counter, kHere);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->endpoint(), kHere);
  EXPECT_FALSE(take_slot(counter, kHere));
  first.reset();
  EXPECT_TRUE(take_slot(counter, kHere));
  EXPECT_EQ(counter.taken, 1U);  // the last one gave itself back at once
}

TEST(TakeSlot, GivesAllThatAreWantedOrNone) {
  SlotCounter counter;
  counter.limit = 3;
  auto two = take_slot(counter, kHere, 2);
  ASSERT_TRUE(two);
  EXPECT_EQ(counter.taken, 2U);
  EXPECT_FALSE(take_slot(counter, kHere, 2));
  EXPECT_EQ(counter.taken, 2U);
  auto one = take_slot(counter, kHere);
  EXPECT_TRUE(one);
  Slot moved = std::move(*two);
  one = std::move(moved);
  EXPECT_EQ(counter.taken, 2U);
  one.reset();
  EXPECT_EQ(counter.taken, 0U);
}

TEST(TakeSlot, GivesNoneAtALimitOfZero) {
  SlotCounter counter;
  EXPECT_FALSE(take_slot(counter, kHere));
}

TEST(TakeSlot, LetsALoweredLimitRunDry) {
  SlotCounter counter;
  counter.limit = 2;
  auto first = take_slot(counter, kHere);
  auto second = take_slot(counter, kHere);
  counter.limit = 1;
  second.reset();
  EXPECT_FALSE(take_slot(counter, kHere));
  first.reset();
  EXPECT_TRUE(take_slot(counter, kHere));
}

TEST(Slot, GivesItselfBackOnceHoweverOftenItMoves) {
  SlotCounter counter;
  counter.limit = 3;
  {
    Slot a = *take_slot(counter, kHere);
    EXPECT_EQ(counter.taken, 1U);
    Slot b = std::move(a);
    EXPECT_FALSE(a.holds());  // NOLINT(bugprone-use-after-move)
    EXPECT_TRUE(b.holds());
    Slot c = *take_slot(counter, EndpointIndex{4});
    EXPECT_EQ(counter.taken, 2U);
    c = std::move(b);  // what c held is given back
    EXPECT_EQ(counter.taken, 1U);
    EXPECT_EQ(c.endpoint(), kHere);
    Slot& same = c;
    c = std::move(same);
    EXPECT_TRUE(c.holds());
  }
  EXPECT_EQ(counter.taken, 0U);
  static_assert(!std::is_copy_constructible_v<Slot> && !std::is_copy_assignable_v<Slot>);
  static_assert(!std::is_default_constructible_v<Slot>);
}

TEST(TakeSlot, NeverPassesTheLimitOverManyThreads) {
  SlotCounter counter;
  counter.limit = 3;
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        auto slot = take_slot(counter, kHere);
        if (!slot) continue;
        const int now = running.fetch_add(1) + 1;
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        taken.fetch_add(1);
        running.fetch_sub(1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(most, 3);
  EXPECT_GE(taken, 20'000);  // whoever runs alone always gets one
  EXPECT_EQ(counter.taken, 0U);
}

}  // namespace
}  // namespace thalweg::fleet
