// Anthropic's answers, written from chat completions: chunk by chunk, or whole (docs/formats/anthropic.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/json/walk.h"
#include "decide/inference/event.h"

namespace thalweg::dialect {

/// One attempt's answer. Reused; begin() starts a new one.
class MessagesAnswer {
 public:
  /// `id` without its prefix: letters and digits. `shown_model` is the name that answers carry.
  void begin(std::string_view id, std::string_view shown_model);

  /// One chunk of a chat stream, read before without a fault (http::kPadding readable bytes behind it): appends the
  /// events that it becomes. kUpstreamFailed for what cannot be a message.
  Result<void> add_chunk(std::string_view chunk, std::string& out);
  /// Appends the events that end the message.
  void finish(const inference::Usage& usage, std::string& out);

  /// A whole chat answer, read before without a fault (padded likewise), as a whole message. kUpstreamFailed likewise.
  Result<void> write_whole(std::string_view answer, const inference::Usage& usage, std::string& out);

 private:
  enum class Open : std::uint8_t { kNone, kText, kThinking, kTool };
  struct ToolCall {
    std::string_view id, name;   // raw, with quotes; empty if absent
    std::string_view arguments;  // raw, without quotes
    std::int64_t index = 0;
  };

  Result<void> read_choices(bool whole);
  bool read_choice(bool whole);
  bool read_message(bool whole);
  bool read_tool_call(std::int64_t position, bool whole);
  bool read_raw(std::string_view& raw);
  bool read_inside(std::string_view& inside);

  void start(std::string& out);
  void add_text(Open kind, std::string_view raw);
  bool add_tool_call(const ToolCall& call);
  bool write_tool_use(const ToolCall& call);
  void open_block(Open kind, std::string_view head);
  void close_block();
  void write_stop(std::string& out) const;
  static void write_usage(const inference::Usage& usage, std::string& out);
  bool refuse(const char* why) {
    fault_ = why;
    return false;
  }

  json::Walk walk_;
  json::Walk arguments_;   // of a whole answer's tool call
  std::string_view text_;  // what walk_ reads
  std::string* out_ = nullptr;
  std::string id_;
  std::string quoted_model_;
  std::string finish_reason_;
  std::string storage_;
  bool started_ = false;
  bool refused_ = false;
  Open open_ = Open::kNone;
  std::int64_t tool_ = -1;     // the index of the tool call whose block is or was the last open one
  std::string tool_id_;        // its id, raw
  std::uint64_t block_ = 0;    // of the next block
  std::string_view text_raw_;  // of a whole answer, until they are written
  std::string_view thinking_raw_;
  const char* fault_ = nullptr;
};

}  // namespace thalweg::dialect
