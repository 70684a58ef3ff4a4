// Retry-After: how long a server asks to be left alone.
#pragma once

#include <optional>
#include <string_view>

#include "base/units.h"

namespace thalweg::http {

/// No server means more; the bound keeps sums of times in their range.
inline constexpr Duration kLongestRetryAfter = std::chrono::hours(24 * 365);

/// Seconds, or a date in the preferred form "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, sections 10.2.3 and 5.6.7),
/// seen from `now`; zero for a date that is past. None where the text is neither.
std::optional<Duration> read_retry_after(std::string_view text, UtcTime now);

}  // namespace thalweg::http
