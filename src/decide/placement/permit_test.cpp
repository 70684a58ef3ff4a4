#include "decide/placement/permit.h"

#include <gtest/gtest.h>

#include <type_traits>

#include "decide/placement/random_world_test.h"

namespace thalweg::placement {
namespace {

struct Granted {
  RandomWorld random;
  Scratch scratch;
  fleet::SlotCounter counter;
  explicit Granted(std::uint64_t seed) : random(seed) { counter.limit = 2; }
  Decision decide() { return place(random.question, random.world(), scratch); }
};

/// A seed whose decision comes out that way.
std::uint64_t seed_with(Outcome outcome) {
  Scratch scratch;
  for (std::uint64_t seed = 0;; ++seed) {
    const RandomWorld random(seed);
    if (place(random.question, random.world(), scratch).outcome() == outcome) return seed;
  }
}

TEST(Permit, NamesWhatWasDecided) {
  Granted here(seed_with(Outcome::kRun));
  const Decision decision = here.decide();
  const Permit permit = grant(decision, {}, *fleet::take_slot(here.counter, decision.target().endpoint));
  EXPECT_EQ(permit.request(), here.random.question.request);
  EXPECT_EQ(permit.attempt(), here.random.question.attempt);
  EXPECT_EQ(permit.target(), decision.target());
  EXPECT_EQ(permit.obligations(), decision.obligations());
  EXPECT_EQ(permit.timeouts().first_token, decision.timeouts().first_token);
  EXPECT_EQ(permit.fleet_number(), here.random.fleet.number);
  EXPECT_EQ(permit.expires_at(), here.random.question.asked_at + 5s);
}

TEST(Permit, HoldsItsSlotUntilItEnds) {
  Granted here(seed_with(Outcome::kRun));
  const Decision decision = here.decide();
  {
    Permit permit = grant(decision, {}, *fleet::take_slot(here.counter, decision.target().endpoint));
    EXPECT_EQ(here.counter.taken, 1U);
    const Permit moved = std::move(permit);
    EXPECT_EQ(here.counter.taken, 1U);
  }
  EXPECT_EQ(here.counter.taken, 0U);
}

TEST(Permit, HasExpiredOnceItIsUsed) {
  Granted here(seed_with(Outcome::kRun));
  const Decision decision = here.decide();
  Permit permit = grant(decision, {}, *fleet::take_slot(here.counter, decision.target().endpoint));
  Permit used = std::move(permit);
  EXPECT_EQ(permit.expires_at(), Instant::min());  // NOLINT(bugprone-use-after-move): that is what it is about
  EXPECT_GT(used.expires_at(), here.random.question.asked_at);
  permit = std::move(used);
  EXPECT_EQ(used.expires_at(), Instant::min());  // NOLINT(bugprone-use-after-move)
  EXPECT_GT(permit.expires_at(), here.random.question.asked_at);
}

TEST(Permit, IsNeverMadeOrCopiedByOthers) {
  static_assert(!std::is_default_constructible_v<Permit>);
  static_assert(!std::is_copy_constructible_v<Permit> && !std::is_copy_assignable_v<Permit>);
  static_assert(!std::is_constructible_v<Permit, const Decision&, budget::Reservation&&, fleet::Slot&&>);
  static_assert(!std::is_default_constructible_v<Decision>);
  static_assert(std::is_nothrow_move_constructible_v<Permit>);
}

TEST(GrantDeathTest, EndsTheProcessForADecisionThatIsNotToRun) {
  for (const Outcome outcome : {Outcome::kWait, Outcome::kDeny}) {
    Granted here(seed_with(outcome));
    const Decision decision = here.decide();
    EXPECT_DEATH((void)grant(decision, {}, *fleet::take_slot(here.counter, decision.target().endpoint)), "kRun");
  }
}

TEST(GrantDeathTest, EndsTheProcessForASlotOfAnotherEndpointOrNone) {
  Granted here(seed_with(Outcome::kRun));
  const Decision decision = here.decide();
  const EndpointIndex other{static_cast<std::uint16_t>(decision.target().endpoint.value + 1)};
  EXPECT_DEATH((void)grant(decision, {}, *fleet::take_slot(here.counter, other)), "endpoint");
  fleet::Slot slot = *fleet::take_slot(here.counter, decision.target().endpoint);
  const fleet::Slot elsewhere = std::move(slot);
  EXPECT_DEATH((void)grant(decision, {}, std::move(slot)), "holds");  // NOLINT(bugprone-use-after-move)
}

}  // namespace
}  // namespace thalweg::placement
