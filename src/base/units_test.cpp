#include "base/units.h"

#include <gtest/gtest.h>

#include <string>
#include <type_traits>

namespace thalweg {
namespace {

TEST(Units, KeepTheClocksApart) {
  static_assert(!std::is_convertible_v<Instant, UtcTime> && !std::is_convertible_v<UtcTime, Instant>);
  static_assert(!std::is_constructible_v<Instant, UtcTime> && !std::is_constructible_v<UtcTime, Instant>);
}

TEST(Units, KeepTheIndicesApart) {
  static_assert(!std::is_convertible_v<EndpointIndex, ModelIndex> && !std::is_convertible_v<PlaceIndex, EndpointIndex>);
  EXPECT_FALSE(EndpointIndex{});
  EXPECT_TRUE(EndpointIndex{0});
}

TEST(Units, ConvertDurations) {
  EXPECT_EQ(to_millis(1999us), 1);
  EXPECT_EQ(to_millis(-1999us), -1);
  EXPECT_DOUBLE_EQ(to_seconds(1500ms), 1.5);
}

TEST(Units, WriteATimeAsRfc3339Does) {
  const auto written = [](UtcTime time) {
    char text[kTimeLength];
    return std::string(text, write_rfc3339(text, time));
  };
  // `date -u --date=@1700000000` and the ends of what 64 bits of nanoseconds can say.
  EXPECT_EQ(written(UtcTime(1'700'000'000s + 7999us)), "2023-11-14T22:13:20.007Z");
  EXPECT_EQ(written(UtcTime{}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(written(UtcTime(951'782'400s)), "2000-02-29T00:00:00.000Z");
  EXPECT_EQ(written(UtcTime::max()), "2262-04-11T23:47:16.854Z");
}

TEST(Clocks, MonotonicNeverGoesBack) {
  Instant before = MonotonicClock::now();
  for (int i = 0; i < 1000; ++i) {
    const Instant now = MonotonicClock::now();
    EXPECT_GE(now, before);
    before = now;
  }
}

TEST(Clocks, UtcCountsFrom1970) {
  // Between 2025-01-01 and 2100-01-01, in seconds since 1970.
  EXPECT_GT(to_seconds(UtcClock::now().time_since_epoch()), 1735689600.0);
  EXPECT_LT(to_seconds(UtcClock::now().time_since_epoch()), 4102444800.0);
}

}  // namespace
}  // namespace thalweg
