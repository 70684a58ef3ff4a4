// Chat completions as the dialects read them that are written from them: chunks and whole answers say the same in the
// same members. What is found is handed out as it stands there, so that an escape that a stream cuts in two arrives
// whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/json/walk.h"

namespace thalweg::dialect {

class ChatReader {
 protected:
  /// What a delta or a message says.
  struct Said {
    std::string_view reasoning, content, refusal;  // without quotes
    std::string_view logprobs;                     // between the brackets
  };
  struct ToolCall {
    std::string_view id;    // raw, with quotes; empty where the endpoint gave none
    std::string_view name;  // likewise
    std::string_view text;  // arguments or input, so far: raw, without quotes
    std::int64_t index = 0;
    bool custom = false;
  };

  ChatReader() = default;
  ~ChatReader() = default;

  /// For a new answer.
  void begin_reading();
  /// Reads a chunk or a whole answer that was read before without a fault (http::kPadding readable bytes behind it) and
  /// hands out what it says: reasoning and text first, then tool calls. kUpstreamFailed where that cannot be `what`
  /// ("a response").
  Result<void> read_chunk(std::string_view chunk, std::string_view what);
  /// Of the answer: "stop", "length"; empty if none yet.
  std::string_view finish_reason() const { return finish_reason_; }
  bool refuse(const char* why) {
    fault_ = why;
    return false;
  }

  virtual bool say(const Said& said) = 0;
  /// A tool call begins; it is named. The one before has ended.
  virtual bool begin_call(const ToolCall& call) = 0;
  /// A piece of the arguments of the call that began last.
  virtual bool add_arguments(std::string_view raw) = 0;

 private:
  bool read_choice();
  bool read_said(Said& said, std::string_view& calls);
  bool read_logprobs(std::string_view& inside);
  bool read_tool_calls(std::string_view calls);
  bool read_tool_call(std::string_view calls, ToolCall& call);
  bool take_tool_call(ToolCall& call);

  json::Walk walk_;
  json::Walk calls_walk_;
  std::string_view read_;  // what walk_ reads
  std::string finish_reason_;
  std::string storage_;
  std::int64_t tool_ = -1;  // the index of the tool call that began last
  std::string tool_id_;     // its id, raw; empty where the endpoint gave none
  bool call_open_ = false;
  const char* fault_ = nullptr;
};

}  // namespace thalweg::dialect
