#include "decide/serving/prefill.h"

#include <gtest/gtest.h>

#include <limits>

namespace thalweg::serving {
namespace {

// 1000 tokens at 250 tokens/s take 4 s; four times that and the floor of 10 s are 26 s. Two prompts ahead: 3 x 16 s +
// 10 s.
TEST(FirstTokenLimit, IsFourTimesThePrefillPlusTheFloor) {
  EXPECT_EQ(first_token_limit(1000, 250, 0, 10s), 26s);
  EXPECT_EQ(first_token_limit(1000, 250, 2, 10s), 58s);
  EXPECT_EQ(first_token_limit(0, 250, 5, 10s), 10s);
}

// 60 tokens at the assumed 60 tokens/s take 1 s.
TEST(FirstTokenLimit, AssumesASlowEngineUntilItsAnswersTell) {
  EXPECT_EQ(first_token_limit(60, 0, 0, 10s), 14s);
}

TEST(FirstTokenLimit, NeverPassesAnHour) {
  constexpr auto kMostTokens = std::numeric_limits<std::uint64_t>::max();
  constexpr auto kMost = std::numeric_limits<std::uint32_t>::max();
  EXPECT_EQ(first_token_limit(kMostTokens, 1, kMost, 10s), 1h);
  EXPECT_EQ(first_token_limit(kMostTokens, 1, 0, 0s), 1h);
  EXPECT_EQ(first_token_limit(0, 1, 0, 2h), 1h);
  // 3600 s / 4 = 900 s of prefill: the last prompt that stays below the hour without a floor, and the first that does
  // not.
  EXPECT_EQ(first_token_limit(899, 1, 0, 0s), 3596s);
  EXPECT_EQ(first_token_limit(900, 1, 0, 0s), 1h);
}

TEST(FirstTokenLimit, GrowsWithThePromptAndTheLoadAndShrinksWithTheRate) {
  for (std::uint64_t tokens = 0; tokens < 100'000; tokens += 997) {
    for (std::uint32_t rate = 1; rate < 100'000; rate = rate * 3 + 1) {
      for (std::uint32_t ahead = 0; ahead < 40; ahead += 13) {
        const Duration limit = first_token_limit(tokens, rate, ahead, 10s);
        ASSERT_LE(limit, first_token_limit(tokens + 997, rate, ahead, 10s));
        ASSERT_LE(limit, first_token_limit(tokens, rate, ahead + 13, 10s));
        ASSERT_GE(limit, first_token_limit(tokens, rate * 3 + 1, ahead, 10s));
        ASSERT_GE(limit, 10s);
      }
    }
  }
}

}  // namespace
}  // namespace thalweg::serving
