// Strong units. Durations are one type; instants of different clocks never convert into each other.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>

namespace thalweg {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;  // NOLINT: 10s, 5ms read best everywhere

/// The monotonic clock: for timers and latencies only.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
  static time_point now() noexcept;
};
using Instant = MonotonicClock::time_point;

/// UTC: for rules, budgets, records and logs only. Nanoseconds since 1970, no leap seconds.
struct UtcClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<UtcClock>;
  static constexpr bool is_steady = false;
  static time_point now() noexcept;
};
using UtcTime = UtcClock::time_point;

/// RFC 3339 with milliseconds: "2026-11-23T08:21:59.042Z".
inline constexpr std::size_t kTimeLength = 24;
/// Writes kTimeLength characters and returns where they end.
char* write_rfc3339(char* at, UtcTime time);

constexpr std::int64_t to_millis(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}
constexpr double to_seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

/// An index into one snapshot's table. Tags keep endpoints, places and models apart.
template <class Tag>
struct Index {
  static constexpr std::uint16_t kNone = 0xFFFF;
  std::uint16_t value = kNone;
  constexpr explicit operator bool() const { return value != kNone; }
  friend constexpr auto operator<=>(const Index&, const Index&) = default;
};

using EndpointIndex = Index<struct EndpointTag>;
using PlaceIndex = Index<struct PlaceTag>;
using ModelIndex = Index<struct ModelTag>;  // a model of one endpoint, counted within that endpoint

}  // namespace thalweg
