// Chat completion requests, written as the Messages request that asks for the same of an endpoint of Anthropic's API
// (docs/formats/anthropic.md, "Chat completions out").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/dialect/translation.h"
#include "carry/json/sliced_body.h"
#include "decide/placement/place.h"

namespace thalweg::dialect {

/// Reused from request to request (buffers stay).
class AnthropicRequest : public Translation {
 public:
  AnthropicRequest() : Translation("Anthropic's Messages") {}

  /// Reads a chat completion request that was judged before (http::kPadding readable bytes behind it) and writes it
  /// anew; not_carried() tells what could not be. Wrong types of what is carried count as such.
  void translate(std::string_view chat);

  /// The body for one target. `default_output` is asked for where the caller set no limit of tokens.
  const json::SlicedBody& body_for(std::string_view upstream_model, std::uint32_t default_output,
                                   const placement::Obligations& obligations);
  /// Bytes held for it.
  std::size_t size() const { return written().size(); }

 private:
  struct Message;

  void write_messages(const Found& messages);
  void write_system_block(const Message& message, const std::string& path);
  void write_user(const Message& message, const std::string& path);
  void write_assistant(const Message& message, const std::string& path);
  void write_tool_result(const Message& message, const std::string& path);
  void write_texts(const Found& content, const std::string& path);
  void write_part(const Found& part, const std::string& path);
  void write_image(const Found& image, const std::string& path);
  void write_file(const Found& file, const std::string& path);
  void write_tool_calls(const Found& calls, const std::string& path);
  void write_stop(const Found& stop);
  void write_tools(const Found& tools);
  void write_schema(const Found& parameters);
  void write_id(std::string_view quoted);
  void write_tool_choice(const Found& choice, bool one_at_a_time, bool has_tools);
  void write_response_format(const Found& format);
  void begin_block();
  void write_text_block(std::string_view quoted);
  bool wants(const Found& value, json::Kind kind, const std::string& parameter);

  std::uint64_t max_tokens_ = 0;  // 0: the caller set none
  std::string head_;              // {"model":...,"max_tokens":...
  json::SlicedBody sliced_;
};

}  // namespace thalweg::dialect
