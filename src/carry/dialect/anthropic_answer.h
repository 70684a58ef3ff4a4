// Answers of endpoints that speak Anthropic's Messages: read for their facts, and passed on as they are but for
// `model`, or written as chat completions (docs/formats/anthropic.md).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/dialect/read_frame.h"
#include "carry/http/sse.h"
#include "carry/json/sliced_body.h"
#include "carry/json/splices.h"
#include "carry/json/walk.h"
#include "decide/inference/event.h"
#include "decide/inference/request.h"

namespace thalweg::dialect {

/// One attempt's answer. Reused; begin() starts a new one.
class AnthropicAnswer {
 public:
  enum class Form : std::uint8_t { kMessages, kChat };

  /// `id` without its prefix: letters and digits. `shown_model` is the name that answers carry; `created` in seconds
  /// of UTC.
  void begin(const inference::Request& request, std::string_view shown_model, std::string_view id, std::int64_t created,
             Form form);
  /// Gives back the memory that a large answer took.
  void forget();

  /// An event of a stream: what the caller gets for it is appended to `out` unless withheld. kUpstreamFailed for what
  /// is not the dialect's JSON.
  Result<ReadFrame> read_frame(const http::SseFrame& frame, std::string& out);
  /// Appends what ends the caller's stream, where the endpoint left it out.
  void finish(std::string& out) const;
  /// A whole answer (http::kPadding readable bytes behind it).
  Result<inference::FrameFacts> read_whole(std::string_view body);
  /// After read_whole: the answer for the caller, slices of `body` and of strings owned here.
  const json::SlicedBody& whole() const { return whole_; }

  const inference::Usage& usage() const { return usage_; }
  /// The stop reason, as a chat completion's finish reason.
  std::string_view finish_reason() const;
  std::string_view error_message() const { return error_message_; }
  /// An error event of a stream, for a caller of the same dialect; empty if none.
  std::string_view error_frame() const { return error_frame_; }

 private:
  enum class Kind : std::uint8_t {
    kOther,
    kMessageStart,
    kBlockStart,
    kBlockDelta,
    kBlockStop,
    kMessageDelta,
    kMessageStop,
    kPing,
    kError,
    kMessage
  };
  enum class BlockKind : std::uint8_t { kOther, kText, kThinking, kTool };
  /// A content block or a piece of one. Strings raw, between their quotes.
  struct Piece {
    BlockKind kind = BlockKind::kOther;
    std::string_view id, name, text, partial_json;
    std::string_view input;  // JSON
  };

  Result<void> read_object(std::string_view text);
  bool read_member(std::string_view name);
  bool read_message_member(std::string_view name);
  bool read_piece(Piece& piece);
  bool read_stop_reason();
  bool read_usage();
  bool read_count(std::uint64_t& count);
  bool read_error();
  bool read_inside(std::string_view& inside);
  bool refuse(const char* why) {
    fault_ = why;
    return false;
  }

  void note_facts();
  void write_chunks(std::string& out);
  void begin_chunk(std::string& out) const;
  void write_chunk(std::string& out, std::initializer_list<std::string_view> delta,
                   std::string_view finish_reason = {}) const;
  void write_arguments(std::string& out, std::string_view inside);
  void add_content(const Piece& piece);
  void write_completion();
  void write_usage(std::string& out) const;

  Form form_ = Form::kMessages;
  bool wants_usage_ = false;
  std::string id_;
  std::string quoted_model_;
  inference::Usage usage_;
  std::uint64_t cache_creation_tokens_ = 0;
  std::uint64_t plain_input_tokens_ = 0;
  std::string stop_reason_;
  std::string error_message_;
  std::string error_frame_;
  std::int64_t created_ = 0;

  // Of the stream so far.
  BlockKind open_ = BlockKind::kOther;
  std::int64_t tool_ = -1;      // index of the last tool call
  bool any_arguments_ = false;  // of it

  // Of the object being read.
  json::Walk walk_;
  json::Splices splices_;
  std::string_view text_;
  std::string storage_;
  Kind kind_ = Kind::kOther;
  Piece piece_;
  inference::FrameFacts facts_;
  bool has_content_ = false;
  bool has_usage_ = false;
  const char* fault_ = nullptr;

  // Of a whole answer for a chat's caller.
  std::string content_, thinking_, tool_calls_;
  std::string completion_;
  json::SlicedBody whole_;
};

}  // namespace thalweg::dialect
