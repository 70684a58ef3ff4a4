#include "carry/json/scan.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "carry/http/message.h"
#include "carry/json/random_test.h"
#include "carry/json/walk.h"

namespace thalweg::json {
namespace {

// Bytes at any alignment, behind them the padding, full of what would mislead, and nothing else that may be read.
class Placed {
 public:
  Placed(std::string_view text, std::size_t shift) : size_(text.size()), at_(shift), bytes_(new char[end()]) {
    static constexpr std::string_view kMisleading = "\"n\\u00\x01\\";
    for (std::size_t i = 0; i < end(); ++i) bytes_[i] = kMisleading[(i + size_) % kMisleading.size()];
    text.copy(bytes_.get() + at_, size_);
  }
  std::string_view view() const { return {bytes_.get() + at_, size_}; }

 private:
  std::size_t end() const { return at_ + size_ + http::kPadding; }
  std::size_t size_;
  std::size_t at_;
  std::unique_ptr<char[]> bytes_;
};

// Valid UTF-8 of exactly `bytes`; how much of it is special differs from text to text.
std::string random_text(RandomJson& random, std::size_t bytes) {
  static constexpr std::string_view kSpecial[] = {
      "\"",      "\\",    "\\\\", "\\\"", "\\n",  "\\t",    "\\/",   "\\u0041", "\\ud83d", "\\ude00", "\\ud83d\\ude00",
      "\\u00e9", "\\u12", "\\x",  "\n",   "\x1F", "\\\\\\", "\\\x01"};
  static constexpr std::string_view kPlain[] = {
      "a", "n", "u", " ", "\x7F", "0", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
  const unsigned special = std::array{0U, 1U, 5U, 30U, 80U}[random.below(5)];
  const bool valid = random.chance(50);  // no control bytes and no broken escapes
  std::string out;
  while (out.size() < bytes) {
    const std::string_view piece = random.chance(special)       ? kSpecial[2 + random.below(valid ? 6 : 16)]
                                   : random.chance(special / 4) ? kSpecial[random.below(2)]
                                                                : kPlain[random.below(std::size(kPlain))];
    out += out.size() + piece.size() <= bytes ? piece : "x";
  }
  return out;
}

StringRun byte_by_byte(const char* p, const char* end) {
  StringRun run;
  while (p < end && *p != '"' && static_cast<unsigned char>(*p) >= 0x20) {
    if (*p == '\\') {
      if (p + 1 < end && std::string_view("\"\\/bfnrt").find(p[1]) == std::string_view::npos) break;
      ++run.escapes;
      ++p;
    }
    ++p;
  }
  run.stop = p;
  return run;
}

TEST(JsonScan, StopsWhereAScanByteByByteStops) {
  std::vector<PassText> scans = {pass_text_portable, best_pass_text()};
  RandomJson random(fresh_seed());
  for (std::size_t bytes = 1; bytes <= 300; bytes += bytes < 140 ? 1 : 7) {
    for (std::size_t shift = 0; shift < 64; ++shift) {
      const Placed text(random_text(random, bytes), shift);
      const char* const end = text.view().data() + bytes;
      const StringRun expected = byte_by_byte(text.view().data(), end);
      for (const PassText scan : scans) {
        const StringRun run = scan(text.view().data(), end);
        if (expected.stop >= end) {
          ASSERT_GE(run.stop, end - (text.view().ends_with('\\') ? 1 : 0)) << text.view();
        } else {
          ASSERT_EQ(run.stop - text.view().data(), expected.stop - text.view().data()) << text.view();
          ASSERT_EQ(run.escapes, expected.escapes) << text.view();
        }
      }
    }
  }
}

struct Judged {
  std::string fault;
  std::size_t raw_bytes = 0;
  std::size_t meant_bytes = 0;
  bool escaped = false;
  bool operator==(const Judged&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Judged& judged) {
  return out << '"' << judged.fault << "\" " << judged.raw_bytes << ' ' << judged.meant_bytes << ' ' << judged.escaped;
}

// RFC 8259, section 7, one byte after the other.
Judged judged_byte_by_byte(std::string_view text, Walk::Rules rules) {
  const auto at = [](std::string_view what, std::size_t i) {
    return std::string(what) + " at byte " + std::to_string(i);
  };
  const auto unit = [&](std::size_t i) {
    if (i + 6 > text.size() || text[i] != '\\' || text[i + 1] != 'u') return -1;
    const std::string digits(text.substr(i + 2, 4));
    if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) return -1;
    return std::stoi(digits, nullptr, 16);
  };
  Judged judged;
  std::size_t i = 1;
  while (i < text.size() && text[i] != '"') {
    if (static_cast<unsigned char>(text[i]) < 0x20) {
      return {at("a control character inside a string, to be written as an escape,", i)};
    }
    if (text[i] != '\\') {
      ++i;
      ++judged.meant_bytes;
      continue;
    }
    judged.escaped = true;
    if (i + 1 == text.size()) break;
    if (std::string_view("\"\\/bfnrt").find(text[i + 1]) != std::string_view::npos) {
      i += 2;
      ++judged.meant_bytes;
      continue;
    }
    if (text[i + 1] != 'u') return {at("an unknown escape", i)};
    const int first = unit(i);
    if (first < 0) return {at("an escape \\u without four hexadecimal digits", i)};
    const int second = unit(i + 6);
    if (first >= 0xD800 && first < 0xDC00 && second >= 0xDC00 && second < 0xE000) {
      judged.meant_bytes += 4;
      i += 12;
      continue;
    }
    if (first >= 0xD800 && first < 0xE000 && rules == Walk::Rules::kCaller) return {at("a lone surrogate", i)};
    judged.meant_bytes += first < 0x80 ? 1 : first < 0x800 ? 2 : 3;
    i += 6;
  }
  if (i >= text.size() || text[i] != '"') return {at("a string without its closing quote", 0)};
  judged.raw_bytes = i - 1;
  return judged;
}

TEST(JsonScan, StringsAreJudgedAsByteByByte) {
  RandomJson random(fresh_seed());
  std::size_t good = 0;
  std::size_t bad = 0;
  for (std::size_t bytes = 0; bytes <= 200; bytes += bytes < 100 ? 1 : 9) {
    for (std::size_t shift = 0; shift < 64; ++shift) {
      const auto rules = random.chance(50) ? Walk::Rules::kCaller : Walk::Rules::kEndpoint;
      const std::string inside = random_text(random, bytes);
      const Placed text('"' + inside + (random.chance(80) ? "\"" : ""), shift);
      Walk walk;
      ASSERT_TRUE(walk.start(text.view(), rules));
      Text read;
      const Judged judged =
          walk.string(read) ? Judged{"", read.raw.size(), read.meant_bytes, read.escaped} : Judged{walk.fault()};
      ASSERT_EQ(judged, judged_byte_by_byte(text.view(), rules)) << text.view();
      if (judged.fault.empty()) {
        ASSERT_EQ(read.raw.data(), text.view().data() + 1);
        ASSERT_EQ(walk.offset(), read.raw.size() + 2);
      }
      ++(judged.fault.empty() ? good : bad);
    }
  }
  EXPECT_GT(good, 500U);
  EXPECT_GT(bad, 500U);
}

}  // namespace
}  // namespace thalweg::json
