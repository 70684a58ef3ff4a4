// Anthropic's Messages requests: judged, and written as the chat completion that asks for the same, from which their
// features are read (docs/formats/anthropic.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/dialect/translation.h"
#include "carry/json/splices.h"
#include "decide/placement/place.h"

namespace thalweg::dialect {

/// Reused from request to request (buffers stay).
class MessagesRequest : public Translation {
 public:
  MessagesRequest() : Translation("chat completions") {}

  /// Reads `body` (http::kPadding readable bytes behind it, which stays as long as this is asked), judged whole as
  /// OpenAiRequest::parse judges. kInvalidRequest with the parameter for wrong types; what is wrong in both dialects
  /// (no model, no messages) is left to the reader of the chat completion.
  enum class For : std::uint8_t { kAnswer, kCounting };  // counting needs no max_tokens
  Result<void> translate(std::string_view body, For purpose = For::kAnswer);

  /// The chat completion request, http::kPadding readable bytes behind it; until the next call.
  std::string_view chat() const { return written(); }
  /// It holds what only its issuer can read: signed thinking, files, a container.
  bool bound() const { return bound_; }
  /// The caller's own bytes for an endpoint of this dialect: `model` edited, and `max_tokens` under an output cap.
  const json::SlicedBody& body_for(std::string_view upstream_model, const placement::Obligations& obligations);
  /// Gives back the memory that a large request took.
  void forget();

 private:
  struct Block;

  void write_messages(const Found& system, const Found& messages);
  void write_message(const Found& role, const Found& content, std::size_t index);
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
  void begin_part();
  json::Span span_of(std::string_view raw) const;

  json::Walk walk_;
  std::string_view body_;
  std::string_view model_;  // as they stand in the body
  std::string_view max_tokens_;
  bool bound_ = false;
  std::string parts_;  // of the user's message being written
  std::string only_text_;
  std::size_t part_count_ = 0;
  json::Splices splices_;
  json::SlicedBody sliced_;
  std::string quoted_model_;
};

}  // namespace thalweg::dialect
