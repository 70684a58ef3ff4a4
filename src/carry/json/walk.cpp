#include "carry/json/walk.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "base/hash.h"
#include "carry/json/scan.h"
#include "carry/json/text.h"

namespace thalweg::json {
namespace {

// Up to this many keys each new one is compared with all before it; a bigger object is sorted at its end, so that an
// object of a hundred thousand keys costs n log n whatever its keys are.
constexpr std::size_t kFewKeys = 16;

// Chosen once, when the program starts.
const PassText pass_text = best_pass_text();

constexpr std::uint8_t kNoDigit = 0xFF;

constexpr std::array<std::uint8_t, 256> make_hex() {
  std::array<std::uint8_t, 256> table{};
  table.fill(kNoDigit);
  for (std::uint8_t i = 0; i < 10; ++i) table['0' + std::size_t{i}] = i;
  for (std::uint8_t i = 0; i < 6; ++i) table['a' + std::size_t{i}] = table['A' + std::size_t{i}] = 10 + i;
  return table;
}
constexpr std::array<std::uint8_t, 256> kHex = make_hex();

// The code unit of four hexadecimal digits, or -1. `p` has four readable bytes (padding).
inline int code_unit(const char* p, const char* end) {
  if (end - p < 4) return -1;
  const unsigned a = kHex[static_cast<std::uint8_t>(p[0])];
  const unsigned b = kHex[static_cast<std::uint8_t>(p[1])];
  const unsigned c = kHex[static_cast<std::uint8_t>(p[2])];
  const unsigned d = kHex[static_cast<std::uint8_t>(p[3])];
  if ((a | b | c | d) == kNoDigit) return -1;
  return static_cast<int>(a << 12 | b << 8 | c << 4 | d);
}

constexpr bool is_high_surrogate(int unit) {
  return unit >= 0xD800 && unit <= 0xDBFF;
}
constexpr bool is_low_surrogate(int unit) {
  return unit >= 0xDC00 && unit <= 0xDFFF;
}

// Where the first sequence that is not UTF-8 begins: block by block, then character by character.
std::size_t first_bad_utf8(std::string_view text) {
  constexpr std::size_t kBlock = 4096;
  const auto continues = [&](std::size_t i) {
    return i < text.size() && (static_cast<std::uint8_t>(text[i]) & 0xC0) == 0x80;
  };
  std::size_t good = 0;
  for (;;) {
    std::size_t next = std::min(text.size(), good + kBlock);
    for (int back = 0; back < 3 && continues(next); ++back) --next;
    if (next <= good || !simdjson::validate_utf8(text.data() + good, next - good)) break;
    good = next;
  }
  while (good < text.size()) {
    const auto lead = static_cast<std::uint8_t>(text[good]);
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (good + length > text.size() || !simdjson::validate_utf8(text.data() + good, length)) break;
    good += length;
  }
  return good;
}

// Tells most names apart cheaply; equal names have equal tags.
inline std::uint32_t quick_tag(std::string_view name) {
  std::uint64_t head = 0;
  std::uint64_t tail = 0;
  if (name.size() >= 8) {
    std::memcpy(&head, name.data(), 8);
    std::memcpy(&tail, name.data() + name.size() - 8, 8);
  } else if (name.size() >= 4) {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    std::memcpy(&first, name.data(), 4);
    std::memcpy(&last, name.data() + name.size() - 4, 4);
    head = first;
    tail = last;
  } else {
    for (const char c : name) head = head << 8 | static_cast<std::uint8_t>(c);
  }
  const std::uint64_t mixed = (head ^ std::rotl(tail, 29) ^ name.size() << 56) * 0x9E3779B97F4A7C15ULL;
  return static_cast<std::uint32_t>(mixed >> 32);
}

std::uint64_t hash_seed() {
  static const std::uint64_t seed = [] {
    std::array<std::uint8_t, sizeof(std::uint64_t)> bytes{};
    fill_random(bytes);
    return std::bit_cast<std::uint64_t>(bytes);
  }();
  return seed;
}

constexpr std::uint32_t offset_of(std::uint64_t key) {
  return static_cast<std::uint32_t>(key);
}
constexpr std::uint32_t tag_of(std::uint64_t key) {
  return static_cast<std::uint32_t>(key >> 32);
}
constexpr std::uint64_t make_key(std::uint32_t tag, std::size_t offset) {
  return static_cast<std::uint64_t>(tag) << 32 | static_cast<std::uint32_t>(offset);
}

constexpr std::array<Kind, 256> make_kinds() {
  std::array<Kind, 256> table{};
  for (auto& kind : table) kind = Kind::kNone;
  table['{'] = Kind::kObject;
  table['['] = Kind::kArray;
  table['"'] = Kind::kString;
  table['-'] = Kind::kNumber;
  for (std::size_t c = '0'; c <= '9'; ++c) table[c] = Kind::kNumber;
  table['t'] = Kind::kTrue;
  table['f'] = Kind::kFalse;
  table['n'] = Kind::kNull;
  return table;
}
constexpr std::array<Kind, 256> kKinds = make_kinds();

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

std::string_view name_of(Kind kind) {
  static constexpr std::array<std::string_view, 8> kNames = {"an object", "an array", "a string", "a number",
                                                             "true",      "false",    "null",     "nothing"};
  return kNames[static_cast<std::size_t>(kind)];
}

Kind Walk::kind_of(char first) {
  return kKinds[static_cast<std::uint8_t>(first)];
}

bool Walk::start(std::string_view text, Rules rules) {
  begin_ = cursor_ = text.data();
  end_ = begin_ + text.size();
  rules_ = rules;
  depth_ = 0;
  forget_keys();
  fault_ = nullptr;
  fault_offset_ = 0;
  fault_name_.clear();
  if (text.size() >= std::numeric_limits<std::uint32_t>::max()) return stop("more than 4 GiB of JSON", end_);
  if (text.starts_with("\xEF\xBB\xBF")) return stop("a byte order mark, which JSON must not have,", begin_);
  if (rules != Rules::kJudged && !simdjson::validate_utf8(text.data(), text.size()))
    return stop("invalid UTF-8", begin_ + first_bad_utf8(text));
  return true;
}

// Memory that a body of a million names took is not kept for the next one.
void Walk::forget_keys() {
  constexpr std::size_t kKept = 4096;
  keys_.clear();
  if (keys_.capacity() > kKept) keys_.shrink_to_fit();
}

bool Walk::enter() {
  if (depth_ == kMaxDepth) return stop("more than 128 levels of nesting", cursor_);
  static_assert(kMaxDepth == 128);
  ++depth_;
  ++cursor_;
  return true;
}

bool Walk::read_name(std::size_t first_key, Member& member) {
  if (!at('"')) return stop("expected a name in double quotes", cursor_);
  member.begin = offset();
  Text text;
  if (!string(text)) return false;
  member.name = meaning(text, name_);
  if (rules_ == Rules::kCaller && !note_key(first_key, member.name, member.begin)) return false;
  if (!at(':')) return stop("expected ':'", cursor_);
  ++cursor_;
  pass_space();
  return true;
}

// Most strings are names and other short words, without escapes.
bool Walk::string(Text& text) {
  const char* const first = cursor_ + 1;
  const char* const p = probe_text(first);
  if (p >= end_ || *p != '"') return long_string(text);
  text.raw = {first, static_cast<std::size_t>(p - first)};
  text.meant_bytes = text.raw.size();
  text.escaped = false;
  cursor_ = p + 1;
  return true;
}

bool Walk::long_string(Text& text) {
  const char* const first = cursor_ + 1;
  const char* p = first;
  std::size_t meant_bytes = 0;
  bool escaped = false;
  for (;;) {
    const StringRun run = p < end_ ? pass_text(p, end_) : StringRun{.stop = p};
    if (run.stop >= end_) return stop("a string without its closing quote", cursor_);
    meant_bytes += static_cast<std::size_t>(run.stop - p) - run.escapes;
    if (run.escapes != 0) escaped = true;
    p = run.stop;
    if (*p == '"') break;
    if (*p != '\\') return stop("a control character inside a string, to be written as an escape,", p);
    escaped = true;
    do {
      p = pass_escape(p, meant_bytes);
      if (p == nullptr) return false;
    } while (p < end_ && p[0] == '\\' && p[1] == 'u');
  }
  text.raw = {first, static_cast<std::size_t>(p - first)};
  text.meant_bytes = meant_bytes;
  text.escaped = escaped;
  cursor_ = p + 1;
  return true;
}

// Behind the escape \\u at `p`, or null after a fault.
const char* Walk::pass_escape(const char* p, std::size_t& meant_bytes) {
  const char* const wrong = p;
  if (end_ - p < 2) {
    stop("a string without its closing quote", cursor_);
    return nullptr;
  }
  if (p[1] != 'u') {
    stop("an unknown escape", wrong);
    return nullptr;
  }
  const int unit = code_unit(p + 2, end_);
  if (unit < 0) {
    stop("an escape \\u without four hexadecimal digits", wrong);
    return nullptr;
  }
  p += 6;
  if (is_high_surrogate(unit) && end_ - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
      is_low_surrogate(code_unit(p + 2, end_))) {
    meant_bytes += 4;
    return p + 6;
  }
  if ((is_high_surrogate(unit) || is_low_surrogate(unit)) && rules_ == Rules::kCaller) {
    stop("a lone surrogate", wrong);
    return nullptr;
  }
  meant_bytes += unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
  return p;
}

bool Walk::number(std::string_view& raw) {
  const char* const first = cursor_;
  const char* p = first;
  if (p < end_ && *p == '-') ++p;
  if (p >= end_ || !is_digit(*p)) return stop("a number without digits", first);
  if (*p == '0') {
    ++p;
    if (p < end_ && is_digit(*p)) return stop("a number with a leading zero", first);
  } else {
    while (p < end_ && is_digit(*p)) ++p;
  }
  if (p < end_ && *p == '.') {
    ++p;
    if (p >= end_ || !is_digit(*p)) return stop("a number without digits behind its point", first);
    while (p < end_ && is_digit(*p)) ++p;
  }
  if (p < end_ && (*p == 'e' || *p == 'E')) {
    ++p;
    if (p < end_ && (*p == '+' || *p == '-')) ++p;
    if (p >= end_ || !is_digit(*p)) return stop("a number without digits in its exponent", first);
    while (p < end_ && is_digit(*p)) ++p;
  }
  raw = {first, static_cast<std::size_t>(p - first)};
  cursor_ = p;
  return true;
}

bool Walk::literal(std::string_view word) {
  if (static_cast<std::size_t>(end_ - cursor_) < word.size() || std::memcmp(cursor_, word.data(), word.size()) != 0) {
    return stop("expected a value", cursor_);
  }
  cursor_ += word.size();
  return true;
}

bool Walk::skip() {
  switch (next()) {
    case Kind::kString: {
      Text text;
      return string(text);
    }
    case Kind::kNumber: {
      std::string_view raw;
      return number(raw);
    }
    case Kind::kTrue:
      return literal("true");
    case Kind::kFalse:
      return literal("false");
    case Kind::kNull:
      return literal("null");
    case Kind::kObject:
      return object([this](const Member&) { return skip(); });
    case Kind::kArray:
      return array([this] { return skip(); });
    case Kind::kNone:
      break;
  }
  return stop("expected a value", cursor_);
}

bool Walk::end() {
  pass_space();
  if (cursor_ < end_) return stop("bytes behind the JSON value", cursor_);
  forget_keys();
  return true;
}

std::string Walk::fault() const {
  if (!fault_name_.empty())
    return fmt::format("the name {} stands twice in one object at byte {}", fault_name_, fault_offset_);
  return fmt::format("{} at byte {}", fault_ == nullptr ? "nothing wrong" : fault_, fault_offset_);
}

// The name was read before, so a quote ends it and two bytes of any escape can be passed.
std::string_view Walk::name_at(std::size_t offset, std::string& storage) const {
  const char* const first = begin_ + offset + 1;
  const char* p = probe_text(first);
  bool escaped = false;
  while (*p != '"') {
    const StringRun run = pass_text(p, end_);
    if (run.escapes != 0 || *run.stop == '\\') escaped = true;
    p = *run.stop == '\\' ? run.stop + 2 : run.stop;
  }
  const std::string_view raw{first, static_cast<std::size_t>(p - first)};
  if (!escaped) return raw;
  unescape(raw, storage);
  return storage;
}

bool Walk::stop_at_duplicate(std::string_view name, std::size_t offset) {
  constexpr std::size_t kShownBytes = 64;
  append_quoted(fault_name_, cut_at(name, kShownBytes));
  return stop("", begin_ + offset);
}

bool Walk::note_key(std::size_t first_key, std::string_view name, std::size_t offset) {
  const std::uint32_t tag = quick_tag(name);
  if (keys_.size() - first_key <= kFewKeys) {
    for (std::size_t i = first_key; i < keys_.size(); ++i) {
      if (tag_of(keys_[i]) == tag && name_at(offset_of(keys_[i]), other_name_) == name) {
        return stop_at_duplicate(name, offset);
      }
    }
  }
  keys_.push_back(make_key(tag, offset));
  return true;
}

bool Walk::check_many_keys(std::size_t first_key) {
  if (keys_.size() - first_key <= kFewKeys + 1) return true;
  const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(first_key);
  for (auto key = begin; key != keys_.end(); ++key) {
    const std::size_t offset = offset_of(*key);
    *key = make_key(static_cast<std::uint32_t>(hash64(name_at(offset, name_), hash_seed())), offset);
  }
  std::sort(begin, keys_.end(), [this](std::uint64_t a, std::uint64_t b) {
    if (tag_of(a) != tag_of(b)) return tag_of(a) < tag_of(b);
    const int order = name_at(offset_of(a), name_).compare(name_at(offset_of(b), other_name_));
    return order != 0 ? order < 0 : offset_of(a) < offset_of(b);
  });
  std::uint32_t second = std::numeric_limits<std::uint32_t>::max();
  for (auto key = begin; key + 1 != keys_.end(); ++key) {
    if (tag_of(key[0]) == tag_of(key[1]) &&
        name_at(offset_of(key[0]), name_) == name_at(offset_of(key[1]), other_name_)) {
      second = std::min(second, offset_of(key[1]));
    }
  }
  if (second == std::numeric_limits<std::uint32_t>::max()) return true;
  return stop_at_duplicate(name_at(second, name_), second);
}

}  // namespace thalweg::json
