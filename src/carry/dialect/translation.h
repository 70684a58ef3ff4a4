// What the translations of requests share: fields found by name, the text that is written, and three lists of what did
// not go over: hints dropped, things that cannot be said in the other dialect, faults.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/http/message.h"
#include "carry/json/walk.h"

namespace thalweg::dialect {

/// Reused from request to request (buffers stay).
class Translation {
 public:
  /// The hints that are not carried, "thinking, metadata"; may be empty.
  std::string_view dropped() const { return dropped_; }
  /// The first thing that the other dialect cannot say, as a sentence; empty where all goes over. What is written is
  /// then without it: good for its features, not for sending.
  std::string_view not_carried() const { return not_carried_; }
  std::string_view not_carried_parameter() const { return not_carried_parameter_; }
  /// Something was left out that nothing is known of, so that what is written tells less than the request.
  bool holds_unknown() const { return holds_unknown_; }
  /// The parameter at fault of the last failed translation.
  std::string_view fault_parameter() const { return fault_parameter_; }
  /// Gives back the memory that a large request took.
  void forget();

 protected:
  struct Found {
    json::Kind kind = json::Kind::kNone;
    std::string_view raw;  // with the quotes of a string
    bool present() const { return kind != json::Kind::kNone && kind != json::Kind::kNull; }
  };

  /// `other` names the API that is written, as sentences do: "chat completions".
  explicit Translation(std::string_view other) : other_(other) {}
  /// `body` is about as long as what will be written.
  void begin(std::string_view body);
  /// kInvalidRequest when something was blamed; pads what was written.
  Result<void> end();
  std::string_view written() const { return {out_.data(), size_}; }

  template <class OnMember>
  void members(std::string_view object, OnMember&& on_member);
  template <class OnElement>
  void elements(std::string_view array, OnElement&& on_element);
  /// The elements with their members, in one walk: `on_member(name, value)` for each of an object, then
  /// `on_end(element)`.
  template <class OnMember, class OnEnd>
  void objects(std::string_view array, OnMember&& on_member, OnEnd&& on_end);
  bool is(const Found& value, std::string_view word);

  enum class Use : std::uint8_t { kRead, kNothing, kHint };
  /// A member that an object may have. Read ones are kept in `value`.
  struct Slot {
    std::string_view name;
    Found* value = nullptr;
    Use use = Use::kRead;
  };
  /// Sorts the members of an object into `slots`; refuses the others.
  void read(std::string_view object, const std::string& path, std::initializer_list<Slot> slots);

  /// Begins an element of the array `messages`: `{"role":"user"`.
  void begin_message(std::string_view role);

  void write_member(std::string_view name, std::string_view raw);
  void drop(std::string_view hint);
  void blame(std::string parameter, std::string message);
  void leave_out(std::string parameter, std::string message);
  void refuse(std::string parameter);
  bool expect(const Found& value, json::Kind kind, const std::string& parameter, std::string_view expected);

  std::string out_;
  std::string storage_;

 private:
  static constexpr std::size_t kLevels = 8;
  json::Walk walks_[kLevels];  // one for each level of values inside values
  std::size_t level_ = 0;
  std::string_view other_;
  std::size_t size_ = 0;
  std::string dropped_;
  std::string not_carried_;
  std::string not_carried_parameter_;
  bool holds_unknown_ = false;
  std::string fault_;
  std::string fault_parameter_;
};

// Valid JSON by now: these walks cannot fail, and their callbacks say nothing.
template <class OnMember>
void Translation::members(std::string_view object, OnMember&& on_member) {
  THALWEG_CHECK(level_ < kLevels);
  json::Walk& walk = walks_[level_++];
  if (walk.start(object, json::Walk::Rules::kJudged) && walk.next() == json::Kind::kObject) {
    walk.object([&](const json::Member& member) {
      const json::Kind kind = walk.next();
      const std::size_t begin = walk.offset();
      const std::string_view name = member.name;
      if (!walk.skip()) return false;
      on_member(name, Found{kind, object.substr(begin, walk.offset() - begin)});
      return true;
    });
  }
  --level_;
}

template <class OnElement>
void Translation::elements(std::string_view array, OnElement&& on_element) {
  THALWEG_CHECK(level_ < kLevels);
  json::Walk& walk = walks_[level_++];
  if (walk.start(array, json::Walk::Rules::kJudged) && walk.next() == json::Kind::kArray) {
    walk.array([&] {
      const json::Kind kind = walk.next();
      const std::size_t begin = walk.offset();
      if (!walk.skip()) return false;
      on_element(Found{kind, array.substr(begin, walk.offset() - begin)});
      return true;
    });
  }
  --level_;
}

template <class OnMember, class OnEnd>
void Translation::objects(std::string_view array, OnMember&& on_member, OnEnd&& on_end) {
  THALWEG_CHECK(level_ < kLevels);
  json::Walk& walk = walks_[level_++];
  if (walk.start(array, json::Walk::Rules::kJudged) && walk.next() == json::Kind::kArray) {
    walk.array([&] {
      const json::Kind kind = walk.next();
      const std::size_t begin = walk.offset();
      const auto member = [&](const json::Member& found) {
        const json::Kind its_kind = walk.next();
        const std::size_t at = walk.offset();
        const std::string_view name = found.name;
        if (!walk.skip()) return false;
        on_member(name, Found{its_kind, array.substr(at, walk.offset() - at)});
        return true;
      };
      if (kind == json::Kind::kObject ? !walk.object(member) : !walk.skip()) return false;
      on_end(Found{kind, array.substr(begin, walk.offset() - begin)});
      return true;
    });
  }
  --level_;
}

}  // namespace thalweg::dialect
