#include "carry/http/retry_after.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace thalweg::http {
namespace {

std::optional<unsigned> digits(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<UtcTime> read_date(std::string_view text) {
  static constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  constexpr std::string_view kForm = "Sun, 06 Nov 1994 08:49:37 GMT";
  if (text.size() != kForm.size() || text.substr(25) != kForm.substr(25)) return std::nullopt;
  for (const std::size_t at : {3U, 4U, 7U, 11U, 16U, 19U, 22U}) {
    if (text[at] != kForm[at]) return std::nullopt;
  }
  const auto month = std::ranges::find(kMonths, text.substr(8, 3));
  const auto day = digits(text.substr(5, 2)), year = digits(text.substr(12, 4)), hour = digits(text.substr(17, 2)),
             minute = digits(text.substr(20, 2)), second = digits(text.substr(23, 2));
  if (month == kMonths.end() || !day || !year || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(month - kMonths.begin()) + 1),
                                         std::chrono::day(*day)};
  // Nanoseconds since 1970 end in 2262.
  constexpr unsigned kFirstYear = 1970, kLastYear = 2261;
  if (!date.ok() || *year < kFirstYear || *year > kLastYear || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  return UtcTime(std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(*hour) +
                 std::chrono::minutes(*minute) + std::chrono::seconds(*second));
}

}  // namespace

std::optional<Duration> read_retry_after(std::string_view text, UtcTime now) {
  if (const auto date = read_date(text)) return std::clamp<Duration>(*date - now, Duration::zero(), kLongestRetryAfter);
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::uint64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const auto longest = static_cast<std::uint64_t>(kLongestRetryAfter / 1s);
  if (error != std::errc() || seconds > longest) return kLongestRetryAfter;
  return std::chrono::seconds(seconds);
}

}  // namespace thalweg::http
