// Small pieces of JSON text: strings unescaped and escaped, numbers read, known names found.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "carry/json/walk.h"

namespace thalweg::json {

/// What a string of a finished walk means. A lone surrogate (endpoints only) becomes U+FFFD.
void unescape(std::string_view raw, std::string& out);
/// The same as a view: of the text itself where nothing is escaped, else of `storage`.
std::string_view meaning(const Text& text, std::string& storage);

/// A JSON string as it is written, without its quotes.
inline std::string_view inside_quotes(std::string_view string) {
  return string.substr(1, string.size() - 2);
}

/// Appends `text` (valid UTF-8) as a JSON string, quotes included.
void append_quoted(std::string& out, std::string_view text);

/// Appends JSON without its line breaks, which stand between values only: where a line is a message's end.
void append_on_one_line(std::string& out, std::string_view json);

/// A number that is an integer, however written (`16`, `16.0`, `1.6e1`); values beyond 64 bits stop at the nearest end.
std::optional<std::int64_t> integer_of(std::string_view number);
/// Any number; 0 where it is out of a double's range.
double double_of(std::string_view number);

/// At most `bytes` of `text`, cut between characters.
std::string_view cut_at(std::string_view text, std::size_t bytes);

/// Without JSON's whitespace at both ends.
std::string_view without_space(std::string_view text);

/// Whether `size` bytes at both places are equal. Names are short, and a call of memcmp costs more than they do.
inline bool equal_bytes(const char* a, const char* b, std::size_t size) {
  const auto same = [&]<class Word>(Word, std::size_t at) {
    Word one;
    Word other;
    std::memcpy(&one, a + at, sizeof one);
    std::memcpy(&other, b + at, sizeof other);
    return one == other;
  };
  if (size >= 8) {
    for (std::size_t at = 0; at + 8 < size; at += 8) {
      if (!same(std::uint64_t{}, at)) return false;
    }
    return same(std::uint64_t{}, size - 8);
  }
  if (size >= 4) return same(std::uint32_t{}, 0) && same(std::uint32_t{}, size - 4);
  for (std::size_t at = 0; at < size; ++at) {
    if (a[at] != b[at]) return false;
  }
  return true;
}

/// Finds a name among a few dozen: by its length first.
template <class Value, std::size_t kCount>
class NameTable {
 public:
  struct Entry {
    std::string_view name;
    Value value;
  };

  constexpr explicit NameTable(const std::array<Entry, kCount>& entries) {
    std::size_t used = 0;
    for (std::size_t length = 0; length < kLongest; ++length) {
      begin_[length] = used;
      for (const Entry& entry : entries) {
        if (entry.name.size() == length) entries_[used++] = entry;
      }
    }
    begin_[kLongest] = used;
  }

  constexpr Value find(std::string_view name, Value none) const {
    if (name.size() >= kLongest) return none;
    for (std::size_t i = begin_[name.size()]; i < begin_[name.size() + 1]; ++i) {
      if (equal_bytes(entries_[i].name.data(), name.data(), name.size())) return entries_[i].value;
    }
    return none;
  }

 private:
  static constexpr std::size_t kLongest = 32;
  std::array<Entry, kCount> entries_{};
  std::array<std::size_t, kLongest + 1> begin_{};
};

}  // namespace thalweg::json
