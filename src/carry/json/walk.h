// One pass over JSON text (RFC 8259) that validates every byte of it and hands out what its reader asks for. A reader
// that skips a value still has it validated, so what is forwarded is what was judged; simdjson's on-demand front end
// leaves unread values unchecked and its DOM keeps the first of two equal keys without a word, hence a walk of our own.
// No tree is built: memory is eight bytes for each key of the objects that are open. UTF-8 is simdjson's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace thalweg::json {

enum class Kind : std::uint8_t { kObject, kArray, kString, kNumber, kTrue, kFalse, kNull, kNone };
/// "an object", "a string"... as error sentences say it.
std::string_view name_of(Kind kind);

/// A string as it stands in the text.
struct Text {
  std::string_view raw;         // between the quotes
  std::size_t meant_bytes = 0;  // of UTF-8 once unescaped
  bool escaped = false;         // raw is not what it means
};

/// A member of an object, given before its value is read.
struct Member {
  std::string_view name;  // unescaped; valid until the walk reads on
  std::size_t begin = 0;  // offset of the name's opening quote
};

/// The text's bytes between two offsets.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool empty() const { return begin == end; }
};

inline constexpr std::size_t kMaxDepth = 128;

class Walk {
 public:
  enum class Rules : std::uint8_t {
    kCaller,    // equal keys in one object and lone surrogates are refused
    kEndpoint,  // both pass: what a provider sent is not ours to judge
    kJudged,    // a part of a text that was walked whole before: its UTF-8 is not looked at again
  };

  /// `text` must stay, with http::kPadding readable bytes behind it. False: see fault().
  bool start(std::string_view text, Rules rules);

  /// Passes whitespace and tells what comes next; kNone at the end or before a byte that begins no value.
  Kind next() {
    pass_space();
    return cursor_ < end_ ? kind_of(*cursor_) : Kind::kNone;
  }
  /// Reads the object that next() told of. `on_member(const Member&)` must read or skip exactly the member's value,
  /// before which the walk stands, and return true; it returns false to stop, as does every function here after a
  /// fault.
  template <class OnMember>
  bool object(OnMember&& on_member);
  /// Reads an array likewise; `on_element()` must read or skip one value.
  template <class OnElement>
  bool array(OnElement&& on_element);
  bool string(Text& text);
  bool number(std::string_view& raw);
  /// Reads any value, validating all of it.
  bool skip();
  /// True when nothing but whitespace is left.
  bool end();

  /// Where the walk stands: at a value's first byte in a callback's beginning, behind its last byte once it was read.
  std::size_t offset() const { return static_cast<std::size_t>(cursor_ - begin_); }

  /// "expected ':' at byte 12". Offsets count from 0.
  std::string fault() const;
  std::size_t fault_offset() const { return fault_offset_; }

 private:
  static Kind kind_of(char first);
  void pass_space() {
    while (cursor_ < end_ && (*cursor_ == ' ' || *cursor_ == '\n' || *cursor_ == '\t' || *cursor_ == '\r')) ++cursor_;
  }
  bool at(char wanted) {
    pass_space();
    return cursor_ < end_ && *cursor_ == wanted;
  }
  bool stop(const char* what, const char* where) {
    fault_ = what;
    fault_offset_ = static_cast<std::size_t>(where - begin_);
    return false;
  }
  bool enter();
  bool read_name(std::size_t first_key, Member& member);
  bool note_key(std::size_t first_key, std::string_view name, std::size_t offset);
  bool check_many_keys(std::size_t first_key);
  bool stop_at_duplicate(std::string_view name, std::size_t offset);
  std::string_view name_at(std::size_t offset, std::string& storage) const;
  bool long_string(Text& text);
  const char* pass_escape(const char* p, std::size_t& meant_bytes);
  bool literal(std::string_view word);
  void forget_keys();

  const char* begin_ = nullptr;
  const char* cursor_ = nullptr;
  const char* end_ = nullptr;
  Rules rules_ = Rules::kCaller;
  std::size_t depth_ = 0;
  std::vector<std::uint64_t> keys_;  // of the open objects: a tag of the name, and its offset below
  std::string name_;                 // a name with escapes, unescaped
  std::string other_name_;
  const char* fault_ = nullptr;
  std::size_t fault_offset_ = 0;
  std::string fault_name_;
};

template <class OnMember>
bool Walk::object(OnMember&& on_member) {
  if (!enter()) return false;
  const std::size_t first_key = keys_.size();
  if (at('}')) {
    ++cursor_;
  } else {
    for (;;) {
      Member member;
      if (!read_name(first_key, member) || !on_member(member)) return false;
      if (at(',')) {
        ++cursor_;
      } else if (cursor_ < end_ && *cursor_ == '}') {
        ++cursor_;
        break;
      } else {
        return stop("expected ',' or '}'", cursor_);
      }
    }
    if (keys_.size() != first_key) {
      if (!check_many_keys(first_key)) return false;
      keys_.resize(first_key);
    }
  }
  --depth_;
  return true;
}

template <class OnElement>
bool Walk::array(OnElement&& on_element) {
  if (!enter()) return false;
  if (at(']')) {
    ++cursor_;
  } else {
    for (;;) {
      pass_space();
      if (!on_element()) return false;
      if (at(',')) {
        ++cursor_;
      } else if (cursor_ < end_ && *cursor_ == ']') {
        ++cursor_;
        break;
      } else {
        return stop("expected ',' or ']'", cursor_);
      }
    }
  }
  --depth_;
  return true;
}

}  // namespace thalweg::json
