#include "carry/json/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>

namespace thalweg::json {
namespace {

unsigned hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  return static_cast<unsigned>((c | 0x20) - 'a') + 10;
}

unsigned code_unit(const char* p) {
  return hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 | hex_digit(p[3]);
}

void append_utf8(std::string& out, unsigned point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (point & 0x3F));
  }
}

}  // namespace

void unescape(std::string_view raw, std::string& out) {
  out.clear();
  std::size_t i = 0;
  while (i < raw.size()) {
    const std::size_t escape = raw.find('\\', i);
    out.append(raw.substr(i, escape == std::string_view::npos ? std::string_view::npos : escape - i));
    if (escape == std::string_view::npos) return;
    i = escape + 2;
    switch (raw[escape + 1]) {
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'u': {
        unsigned point = code_unit(raw.data() + i);
        i += 4;
        if (point >= 0xD800 && point <= 0xDBFF && i + 6 <= raw.size() && raw[i] == '\\' && raw[i + 1] == 'u') {
          const unsigned low = code_unit(raw.data() + i + 2);
          if (low >= 0xDC00 && low <= 0xDFFF) {
            point = 0x10000 + ((point - 0xD800) << 10 | (low - 0xDC00));
            i += 6;
          }
        }
        if (point >= 0xD800 && point <= 0xDFFF) point = 0xFFFD;
        append_utf8(out, point);
        break;
      }
      default:  // the quote, the backslash and the slash mean themselves
        out += raw[escape + 1];
        break;
    }
  }
}

std::string_view meaning(const Text& text, std::string& storage) {
  if (!text.escaped) return text.raw;
  unescape(text.raw, storage);
  return storage;
}

void append_on_one_line(std::string& out, std::string_view json) {
  std::ranges::copy_if(json, std::back_inserter(out), [](char c) { return c != '\n' && c != '\r'; });
}

void append_quoted(std::string& out, std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  std::size_t kept = 0;  // everything before it is written
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<std::uint8_t>(c) >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, kept, i - kept);
    kept = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += "\\u00";
        out += kDigits[static_cast<std::uint8_t>(c) >> 4];
        out += kDigits[c & 0xF];
    }
  }
  out.append(text, kept);
  out += '"';
}

std::optional<std::int64_t> integer_of(std::string_view number) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  std::int64_t value = 0;
  const auto [stopped, error] = std::from_chars(number.begin(), number.end(), value);
  if (stopped == number.end()) {
    if (error == std::errc::result_out_of_range) return number.starts_with('-') ? kLeast : kMost;
    return value;
  }
  double real = 0;
  const auto read = std::from_chars(number.begin(), number.end(), real);
  if (read.ec == std::errc::result_out_of_range) return std::nullopt;  // written with a point or exponent: no count
  if (real != std::floor(real)) return std::nullopt;
  if (real >= 9.2233720368547758e18) return kMost;
  if (real <= -9.2233720368547758e18) return kLeast;
  return static_cast<std::int64_t>(real);
}

double double_of(std::string_view number) {
  double real = 0;
  const auto read = std::from_chars(number.begin(), number.end(), real);
  return read.ec == std::errc() ? real : 0;
}

std::string_view cut_at(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<std::uint8_t>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

std::string_view without_space(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace thalweg::json
