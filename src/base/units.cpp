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

}  // namespace thalweg
