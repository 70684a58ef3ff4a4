#include "decide/serving/prefill.h"

#include <algorithm>

namespace thalweg::serving {

Duration first_token_limit(std::uint64_t tokens, std::uint32_t tokens_per_second, std::uint32_t ahead, Duration floor) {
  constexpr Duration kLongest = std::chrono::hours(1);
  constexpr std::uint64_t kMargin = 4;
  // Far beyond what an engine takes, and small enough that nothing below overflows.
  constexpr std::uint64_t kMostTokens = 100'000'000, kMostAhead = 1000;
  const std::uint64_t rate = tokens_per_second == 0 ? kAssumedPrefillTokensPerSecond : tokens_per_second;
  const std::uint64_t bounded_tokens = std::min(tokens, kMostTokens);
  const std::uint64_t share = std::min<std::uint64_t>(ahead, kMostAhead) + 1;
  const std::uint64_t millis = bounded_tokens * share * kMargin * 1000 / rate;
  if (millis >= static_cast<std::uint64_t>(to_millis(kLongest))) return kLongest;
  return std::min(kLongest, floor + std::chrono::milliseconds(millis));
}

}  // namespace thalweg::serving
