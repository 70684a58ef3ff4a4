// The inside of a JSON string, sixty-four bytes a step and without a branch for each escape: text has one every line or
// so, where no processor can foresee it. Blocks are read whole, up to 63 bytes behind the end (http::kPadding). Which
// block is best is known when the program runs, since the build is for any x86-64. Used in this room only.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace thalweg::json {

constexpr std::array<bool, 256> make_short_escapes() {
  std::array<bool, 256> table{};
  for (const char c : {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'}) table[static_cast<std::uint8_t>(c)] = true;
  return table;
}
inline constexpr std::array<bool, 256> kShortEscapes = make_short_escapes();

/// What stands in sixty-four bytes: a bit a byte, the lowest for the first.
struct StringMarks {
  std::uint64_t backslash = 0;
  std::uint64_t stop = 0;           // a quote or a control byte
  std::uint64_t common_escape = 0;  // a quote, a backslash or an n: behind a backslash, what texts are full of
};

/// Where a scan stopped: at a quote, at a control byte, at the backslash of an escape that is not one of two bytes, or
/// at or behind the end. (A backslash that is the last byte stops it or does not: what it escapes lies behind the end.)
struct StringRun {
  const char* stop = nullptr;
  std::size_t escapes = 0;  // of two bytes each, passed on the way
};

class StringScan {
 public:
  /// Takes the block at `p`. True when the run stops in it.
  [[gnu::always_inline]] bool stops_in(const char* p, const StringMarks& marks) {
    // simdjson's way (json_escape_scanner.h) to tell the backslashes that escape from those that are escaped: every
    // other one of a row, wherever the row begins; the subtraction carries along the row.
    constexpr std::uint64_t kOdd = 0xAAAAAAAAAAAAAAAAULL;
    const std::uint64_t first = marks.backslash & ~first_escaped_;
    const std::uint64_t codes = (((first << 1) | kOdd) - first) ^ kOdd;
    const std::uint64_t escaped = codes ^ (marks.backslash | first_escaped_);
    std::uint64_t look = (marks.stop & ~escaped) | (escaped & ~marks.common_escape);
    while (look != 0) {
      const int at = std::countr_zero(look);
      const std::uint64_t bit = look & -look;
      const bool is_escaped = (escaped & bit) != 0;
      if (!is_escaped || !kShortEscapes[static_cast<std::uint8_t>(p[at])]) {
        run_.escapes += static_cast<std::size_t>(std::popcount(escaped & (bit - 1)));
        run_.stop = p + at - (is_escaped ? 1 : 0);
        return true;
      }
      look ^= bit;
    }
    run_.escapes += static_cast<std::size_t>(std::popcount(escaped));
    run_.stop = p + 64;
    first_escaped_ = (codes & marks.backslash) >> 63;
    return false;
  }
  StringRun run() const { return run_; }

 private:
  StringRun run_;
  std::uint64_t first_escaped_ = 0;  // the block before ended in a backslash that escapes
};

/// Scans from `p`, which stands behind no backslash that escapes, to `end` at most; `p` lies before `end`.
using PassText = StringRun (*)(const char* p, const char* end);

// The vector types of g++ and clang, for any processor.
using Bytes16 = std::uint8_t __attribute__((vector_size(16)));

inline Bytes16 load16(const char* p) {
  Bytes16 bytes;
  std::memcpy(&bytes, p, sizeof bytes);
  return bytes;
}

/// A bit for each byte, of which each is all ones or all zeros.
template <class Mask>
[[gnu::always_inline]] inline std::uint64_t bits_of(Mask mask) {
#if defined(__SSE2__)
  return static_cast<unsigned>(_mm_movemask_epi8(std::bit_cast<__m128i>(mask)));
#else  // of each byte a power of two is kept, and a multiplication adds up eight of them
  constexpr Bytes16 kPowers = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
  const auto halves = std::bit_cast<std::array<std::uint64_t, 2> >(std::bit_cast<Bytes16>(mask) & kPowers);
  return (halves[0] * kOnes) >> 56 | ((halves[1] * kOnes) >> 56) << 8;
#endif
}

/// The first quote, backslash or control byte of sixteen, else the byte behind them.
inline const char* probe_text(const char* p) {
  const Bytes16 bytes = load16(p);
  const auto special = (bytes == std::uint8_t{'"'}) | (bytes == std::uint8_t{'\\'}) | (bytes < std::uint8_t{0x20});
  return p + std::countr_zero(bits_of(special) | 1U << 16);
}

inline StringRun pass_text_portable(const char* p, const char* end) {
  StringScan scan;
  for (; p < end; p += 64) {
    StringMarks marks;
#pragma GCC unroll 4
    for (unsigned at = 0; at < 64; at += 16) {
      const Bytes16 bytes = load16(p + at);
      const auto quote = bytes == std::uint8_t{'"'};
      const auto backslash = bytes == std::uint8_t{'\\'};
      const auto control = bytes < std::uint8_t{0x20};
      const auto newline = bytes == std::uint8_t{'n'};
      marks.backslash |= bits_of(backslash) << at;
      marks.stop |= bits_of(quote | control) << at;
      marks.common_escape |= bits_of(quote | backslash | newline) << at;
    }
    if (scan.stops_in(p, marks)) break;
  }
  return scan.run();
}

#if defined(__x86_64__)
[[gnu::target("avx2,bmi,popcnt")]] inline StringRun pass_text_avx2(const char* p, const char* end) {
  StringScan scan;
  for (; p < end; p += 64) {
    StringMarks marks;
#pragma GCC unroll 2
    for (unsigned at = 0; at < 64; at += 32) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + at));
      const __m256i quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"'));
      const __m256i backslash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\'));
      const __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1F)), bytes);
      const __m256i newline = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('n'));
      const __m256i stop = _mm256_or_si256(quote, control);
      const __m256i common = _mm256_or_si256(_mm256_or_si256(quote, backslash), newline);
      marks.backslash |= std::uint64_t{static_cast<unsigned>(_mm256_movemask_epi8(backslash))} << at;
      marks.stop |= std::uint64_t{static_cast<unsigned>(_mm256_movemask_epi8(stop))} << at;
      marks.common_escape |= std::uint64_t{static_cast<unsigned>(_mm256_movemask_epi8(common))} << at;
    }
    if (scan.stops_in(p, marks)) break;
  }
  return scan.run();
}
#endif

/// The fastest of these that this processor runs.
inline PassText best_pass_text() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt")) {
    return pass_text_avx2;
  }
#endif
  return pass_text_portable;
}

}  // namespace thalweg::json
