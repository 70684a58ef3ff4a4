#include "carry/http/retry_after.h"

#include <gtest/gtest.h>

namespace thalweg::http {
namespace {

// 784111777 is RFC 9110's own example, section 5.6.7: `date -u -d "Sun, 06 Nov 1994 08:49:37 GMT" +%s`.
constexpr UtcTime kExample{std::chrono::seconds(784'111'777)};

TEST(RetryAfter, ReadsSeconds) {
  EXPECT_EQ(read_retry_after("0", kExample), 0s);
  EXPECT_EQ(read_retry_after("120", kExample), 120s);
  EXPECT_EQ(read_retry_after("31536000", kExample), kLongestRetryAfter);
  EXPECT_EQ(read_retry_after("31536001", kExample), kLongestRetryAfter);
  EXPECT_EQ(read_retry_after("99999999999999999999999", kExample), kLongestRetryAfter);
}

TEST(RetryAfter, ReadsADate) {
  constexpr std::string_view kDate = "Sun, 06 Nov 1994 08:49:37 GMT";
  EXPECT_EQ(read_retry_after(kDate, kExample - 20s), 20s);
  EXPECT_EQ(read_retry_after(kDate, kExample), 0s);
  EXPECT_EQ(read_retry_after(kDate, kExample + 20s), 0s);
  EXPECT_EQ(read_retry_after("Fri, 31 Dec 2261 23:59:60 GMT", kExample), kLongestRetryAfter);
}

TEST(RetryAfter, KnowsWhatIsNeither) {
  for (const std::string_view text :
       {"", "-5", "+5", "1.5", "5 s", "soon", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Non 1994 08:49:37 GMT", "Sun, 06 Nov 2262 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 CET", "Sun, -6 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"}) {
    EXPECT_EQ(read_retry_after(text, kExample), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace thalweg::http
