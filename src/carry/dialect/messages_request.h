// Anthropic's Messages requests, written as the chat completion that asks for the same (docs/formats/anthropic.md).
#pragma once

#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/json/walk.h"

namespace thalweg::dialect {

/// Reused from request to request (buffers stay).
class MessagesRequest {
 public:
  /// Reads `body` (http::kPadding readable bytes behind it), judged whole as OpenAiRequest::parse judges.
  /// kInvalidRequest with the parameter for what no chat completion can say and for wrong types; what is wrong in both
  /// dialects (no model, no messages) is left to the reader of the chat completion.
  Result<void> translate(std::string_view body);

  /// The chat completion request, http::kPadding readable bytes behind it; until the next call.
  std::string_view chat() const { return {chat_.data(), chat_size_}; }
  /// The parameter at fault of the last failed call.
  std::string_view fault_parameter() const { return fault_parameter_; }
  /// Gives back the memory that a large request took.
  void forget();
  /// The hints that are not carried, "thinking, metadata"; may be empty.
  std::string_view dropped() const { return dropped_; }

 private:
  struct Found {
    json::Kind kind = json::Kind::kNone;
    std::string_view raw;  // with the quotes of a string
    bool present() const { return kind != json::Kind::kNone && kind != json::Kind::kNull; }
  };
  struct Block;

  template <class OnMember>
  void members(std::string_view object, OnMember&& on_member);
  template <class OnElement>
  void elements(std::string_view array, OnElement&& on_element);
  bool is(const Found& value, std::string_view word);

  void write_messages(const Found& system, const Found& messages);
  void write_message(std::string_view message, std::size_t index);
  void write_user(const Found& content, const std::string& path);
  void write_assistant(const Found& content, const std::string& path);
  void write_system(const Found& content, const std::string& path);
  void write_tool_result(const Block& block, const std::string& path);
  void add_part(const Block& block, const std::string& path);
  void add_image(const Found& source, const std::string& path);
  void add_document(const Block& block, const std::string& path);
  void write_tools(const Found& tools);
  void write_tool_choice(const Found& choice);
  void write_output_config(const Found& config);
  Block read_block(std::string_view raw, const std::string& path);
  void write_member(std::string_view name, std::string_view raw);
  void begin_message(std::string_view role);

  void drop(std::string_view hint);
  void blame(std::string parameter, std::string message);
  void refuse(std::string parameter);
  bool expect(const Found& value, json::Kind kind, const std::string& parameter, std::string_view expected);

  json::Walk walk_;
  json::Walk walks_[6];  // of the levels inside
  std::size_t level_ = 0;
  std::string storage_;
  std::string chat_;
  std::size_t chat_size_ = 0;
  std::string parts_;  // of the user's message being written
  std::string only_text_;
  std::size_t part_count_ = 0;
  std::string dropped_;
  std::string fault_parameter_;
  std::string fault_;
};

// Valid JSON by now: these walks cannot fail, and their callbacks say nothing.
template <class OnMember>
void MessagesRequest::members(std::string_view object, OnMember&& on_member) {
  THALWEG_CHECK(level_ < std::size(walks_));
  json::Walk& walk = walks_[level_++];
  if (walk.start(object, json::Walk::Rules::kEndpoint) && walk.next() == json::Kind::kObject) {
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
void MessagesRequest::elements(std::string_view array, OnElement&& on_element) {
  THALWEG_CHECK(level_ < std::size(walks_));
  json::Walk& walk = walks_[level_++];
  if (walk.start(array, json::Walk::Rules::kEndpoint) && walk.next() == json::Kind::kArray) {
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

}  // namespace thalweg::dialect
