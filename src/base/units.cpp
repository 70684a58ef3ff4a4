#include "base/units.h"

#include <ctime>

namespace thalweg {
namespace {
Duration read_clock(clockid_t id) noexcept {
  timespec t{};
  ::clock_gettime(id, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}
}  // namespace

Instant MonotonicClock::now() noexcept {
  return Instant(read_clock(CLOCK_MONOTONIC));
}
UtcTime UtcClock::now() noexcept {
  return UtcTime(read_clock(CLOCK_REALTIME));
}

char* write_rfc3339(char* at, UtcTime time) {
  const auto digits = [&](std::uint64_t value, int width, char behind) {
    for (int i = width - 1; i >= 0; --i) {
      at[i] = static_cast<char>('0' + value % 10);
      value /= 10;
    }
    at += width;
    *at++ = behind;
  };
  const auto day = std::chrono::floor<std::chrono::days>(time.time_since_epoch());
  const std::chrono::year_month_day date{std::chrono::sys_days{day}};
  const auto millis_of_day = static_cast<std::uint64_t>(to_millis(time.time_since_epoch() - day));
  digits(static_cast<std::uint64_t>(static_cast<int>(date.year())), 4, '-');  // int64 nanoseconds end in 2262
  digits(static_cast<unsigned>(date.month()), 2, '-');
  digits(static_cast<unsigned>(date.day()), 2, 'T');
  digits(millis_of_day / 3'600'000, 2, ':');
  digits(millis_of_day / 60'000 % 60, 2, ':');
  digits(millis_of_day / 1000 % 60, 2, '.');
  digits(millis_of_day % 1000, 3, 'Z');
  return at;
}

}  // namespace thalweg
