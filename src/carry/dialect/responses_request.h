// Requests of OpenAI's Responses API: judged, and written as the chat completion that asks for the same, from which
// their features are read (docs/formats/responses.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/dialect/namespaced_tools.h"
#include "carry/dialect/translation.h"
#include "carry/json/walk.h"

namespace thalweg::dialect {

/// Reused from request to request (buffers stay).
class ResponsesRequest : public Translation {
 public:
  ResponsesRequest() : Translation("chat completions") {}

  /// Reads `body` (http::kPadding readable bytes behind it), judged whole as OpenAiRequest::parse judges.
  /// kInvalidRequest with the parameter for wrong types; what both dialects call by one name (`model`, `stream`) is
  /// left to the reader of the chat completion.
  Result<void> translate(std::string_view body);

  /// The chat completion request, http::kPadding readable bytes behind it; until the next call.
  std::string_view chat() const { return written(); }
  /// What every answer says back of the request: members of a Response, `"instructions":null,...`, without a line
  /// break; until the next call.
  std::string_view echo() const { return echo_; }
  /// Its tools that are in a namespace; until the next call.
  const NamespacedTools& namespaced() const { return namespaced_; }
  /// It holds what only its issuer can read: encrypted reasoning, files, references to what is stored there.
  bool bound() const { return bound_; }
  /// Gives back the memory that a large request took.
  void forget();

 private:
  struct Fields {
    Found model, input, instructions, stream, stream_options, temperature, top_p, max_output_tokens;
    Found parallel_tool_calls, user, safety_identifier, prompt_cache_key, prompt_cache_retention, prompt_cache_options;
    Found service_tier, tools, tool_choice, max_tool_calls, text, reasoning, include, top_logprobs, metadata;
    Found client_metadata, truncation, store, background, previous_response_id, conversation, prompt;
  };
  enum class Call : std::uint8_t { kFunction, kCustom };

  // The prompt.
  void write_messages(const Fields& fields);
  void write_item(const Found& item, const std::string& path);
  void write_message(std::string_view item, const std::string& path);
  void write_prompt_message(std::string_view role, const Found& content, const std::string& path);
  void add_assistant(const Found& content, const std::string& path);
  void add_assistant_part(std::string_view part, const std::string& path);
  void add_call(std::string_view item, const std::string& path, Call kind);
  void write_call_output(std::string_view item, const std::string& path);
  void join_texts(const Found& parts, const std::string& path);
  void flush_assistant();
  void add_part(std::string_view role, std::string_view part, const std::string& path);
  void add_text(std::string_view part, const std::string& path);
  void add_image(std::string_view part, const std::string& path);
  void add_file(std::string_view part, const std::string& path);
  void add_audio(std::string_view part, const std::string& path);
  Found read_text(std::string_view part, const std::string& path);
  void begin_part(std::string_view head);

  // The rest.
  void judge_unsaid(const Fields& fields);
  void write_settings(const Fields& fields);
  void write_logprobs(const Fields& fields);
  void write_tools(const Found& tools);
  /// `space`: the namespace that it is in, raw; empty outside of any.
  void write_tool(const Found& tool, const std::string& path, std::string_view space);
  void write_namespace(std::string_view tool, const std::string& path);
  void write_function_tool(std::string_view tool, const std::string& path, std::string_view space);
  void write_custom_tool(std::string_view tool, const std::string& path, std::string_view space);
  void write_tool_name(const Found& name, const std::string& path, std::string_view space);
  void judge_names(const Found& tools);
  void write_custom_format(const Found& format, const std::string& path);
  void write_tool_choice(const Found& choice);
  void write_text(const Found& text);
  void write_text_format(const Found& format);
  void write_reasoning(const Found& reasoning);
  void write_echo(const Fields& fields);

  /// The member `type` of an object.
  Found type_of(std::string_view object);
  void bind(std::string parameter);

  json::Walk walk_;
  bool bound_ = false;
  std::string echo_;
  NamespacedTools namespaced_;
  std::string parts_;  // of the message being written
  std::string only_text_;
  std::size_t part_count_ = 0;
  bool assistant_open_ = false;  // the assistant's message is gathered until something else comes
  bool assistant_said_ = false;  // it has its content
  bool assistant_texts_ = false;
  std::string assistant_text_;
  std::string assistant_refusal_;
  std::string calls_;
};

}  // namespace thalweg::dialect
