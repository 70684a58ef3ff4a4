// For tests: JSON texts written at random, with the freedoms that JSON gives: whitespace, escapes, spellings of
// numbers, order.
#pragma once

#include <cstdint>
#include <iostream>
#include <random>
#include <string>
#include <string_view>

namespace thalweg::json {

/// A fresh seed, printed so that a failure can be run again (THALWEG_SEED).
inline std::uint64_t fresh_seed() {
  const char* wished = std::getenv("THALWEG_SEED");
  const std::uint64_t seed = wished != nullptr ? std::strtoull(wished, nullptr, 0) : std::random_device{}();
  std::cout << "seed " << seed << " (THALWEG_SEED=" << seed << " runs it again)\n";
  return seed;
}

class RandomJson {
 public:
  explicit RandomJson(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(unsigned percent) { return below(100) < percent; }

  std::string space() {
    std::string out;
    if (chance(70)) return out;
    for (std::uint64_t n = below(4); n > 0; --n) out += " \n\t\r"[below(4)];
    return out;
  }

  /// `text` (ASCII) as a JSON string, some characters written as escapes.
  std::string spelled(std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdefABCDEF";
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\' || chance(5)) {
        out += "\\u00";
        out += kHex[static_cast<unsigned char>(c) >> 4];
        const unsigned low = c & 0xF;
        out += kHex[low >= 10 && chance(50) ? low + 6 : low];
      } else {
        out += c;
      }
    }
    return out + '"';
  }

  std::string string() {
    static constexpr std::string_view kPieces[] = {"a",
                                                   "Hello",
                                                   " ",
                                                   "\\n",
                                                   "\\\"",
                                                   "\\\\",
                                                   "\\/",
                                                   "\\u0041",
                                                   "\\u00e9",
                                                   "\\ud83d\\ude00",
                                                   "\xC3\xA9",
                                                   "\xE2\x82\xAC",
                                                   "\xF0\x9F\x98\x80",
                                                   "{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   ",",
                                                   ":",
                                                   "data: ",
                                                   "0123456789abcdef",
                                                   "\\t",
                                                   "\\u0000",
                                                   "\\b\\f\\r",
                                                   "model",
                                                   "the quick brown fox jumps"};
    std::string out = "\"";
    for (std::uint64_t n = below(7); n > 0; --n) out += kPieces[below(std::size(kPieces))];
    return out + '"';
  }

  std::string number() {
    static constexpr std::string_view kNumbers[] = {"0",       "-0",
                                                    "1",       "-1",
                                                    "42",      "3.25",
                                                    "1e5",     "1E-7",
                                                    "-2.5e+3", "123456789012345678901234567890",
                                                    "0.1",     "9223372036854775808",
                                                    "1.0"};
    return std::string(kNumbers[below(std::size(kNumbers))]);
  }

  std::string value(int depth) {
    switch (below(depth > 0 ? 9 : 6)) {
      case 0:
        return "null";
      case 1:
        return "true";
      case 2:
        return "false";
      case 3:
        return number();
      case 4:
      case 5:
        return string();
      case 6:
      case 7: {
        std::string out = "{" + space();
        const std::uint64_t members = below(5);
        for (std::uint64_t i = 0; i < members; ++i) {
          if (i != 0) out += "," + space();
          out += spelled("k" + std::to_string(i) + (chance(20) ? "\"x" : "")) + space() + ":" + space() +
                 value(depth - 1) + space();
        }
        return out + "}";
      }
      default: {
        std::string out = "[" + space();
        const std::uint64_t elements = below(5);
        for (std::uint64_t i = 0; i < elements; ++i) out += (i != 0 ? "," + space() : "") + value(depth - 1) + space();
        return out + "]";
      }
    }
  }

  /// Up to three bytes changed, put in, taken out or doubled.
  void mutate(std::string& text) {
    static constexpr std::string_view kBytes =
        "\"\\{}[]:,0123456789eE+-.truefalsn \n\x01\x1f\x7f\x80\xbf\xc3\xed\xa0\xf0\xff\0ud";
    for (std::uint64_t n = below(4); n > 0 && !text.empty(); --n) {
      const std::size_t at = below(text.size());
      const char byte = kBytes[below(kBytes.size())];
      switch (below(4)) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.insert(at, 1, byte);
          break;
        case 2:
          text.erase(at, 1 + below(3));
          break;
        default:
          text.insert(at, text.substr(at, 1 + below(8)));
          break;
      }
    }
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace thalweg::json
