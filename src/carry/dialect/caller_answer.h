// One attempt's answer on its way from an endpoint's API to the caller's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "carry/dialect/anthropic_answer.h"
#include "carry/dialect/messages_answer.h"
#include "carry/dialect/ollama_answer.h"
#include "carry/dialect/openai.h"
#include "carry/dialect/read_frame.h"
#include "carry/dialect/responses_answer.h"
#include "decide/fleet/fleet.h"

namespace thalweg::dialect {

/// Reused; begin() starts a new one.
class CallerAnswer {
 public:
  /// `request` as its features were read, `surface` as it came. `shown_model` is the name that answers carry (kept by
  /// view: must outlive the answer); `id` letters and digits; `created` in seconds of UTC; `echo`
  /// and `namespaced` are CallerRequest::echo() and namespaced(), kept by view likewise.
  void begin(inference::Surface surface, fleet::EndpointKind kind, const inference::Request& request,
             std::string_view shown_model, std::string_view id, std::int64_t created, std::string_view echo,
             const NamespacedTools* namespaced);
  /// Gives back the memory that a large answer took.
  void forget();
  /// Whether tell() is worth asking the clock.
  bool tells_times() const { return to_ == To::kOllama; }
  /// Told before each call below that writes, where tells_times().
  void tell(const AnswerTimes& times) { ollama_->tell(times); }

  /// A frame of a stream. What the caller gets for it is appended to `out` unless it is withheld or the caller wants a
  /// whole answer. kUpstreamFailed for what is not the endpoint's dialect, or cannot be said in the caller's.
  Result<ReadFrame> read_frame(const http::SseFrame& frame, std::string& out);
  /// Appends what ends the caller's stream, where the endpoint left it out.
  void finish(std::string& out);

  /// A whole JSON answer (http::kPadding readable bytes behind it). kUpstreamFailed likewise.
  Result<inference::FrameFacts> read_whole(std::string_view body);
  /// The caller's whole answer: after read_whole() slices of its body and of strings owned here; after the last frame
  /// of a stream put together. kUpstreamFailed when what was right piece by piece does not make an answer.
  Result<const json::SlicedBody*> whole();

  const inference::Usage& usage() const;
  /// As a chat completion's: "stop", "length"; empty if none yet.
  std::string_view finish_reason() const;
  /// The engine's `timings`, where it sent them: uncached prompt tokens and the time it took for them.
  std::uint64_t prefill_tokens() const { return from_anthropic_ ? 0 : openai_.prefill_tokens(); }
  Duration prefill_time() const { return from_anthropic_ ? Duration{} : openai_.prefill_time(); }
  /// An error's sentence as the endpoint wrote it, empty if none.
  std::string_view error_message() const;
  /// Appends what ends the caller's stream for an error: of ours, or as an endpoint of the caller's own dialect wrote
  /// it.
  void write_error(const Error& error, bool of_endpoint, std::string_view request_id, std::string& out);
  /// Bytes kept of a stream for what will close it.
  std::size_t held() const {
    return to_ == To::kResponses ? responses_->held() : to_ == To::kOllama ? ollama_->held() : 0;
  }

 private:
  enum class To : std::uint8_t { kAsItIs, kMessages, kResponses, kOllama };  // what a chat completion becomes

  Result<void> add_chunk(std::string_view chunk, std::string& out);
  Result<ReadFrame> read_anthropic(const http::SseFrame& frame, std::string& out);
  Result<void> write_whole(std::string_view answer);
  Result<inference::FrameFacts> read_count(std::string_view body);

  bool counts_ = false;
  bool from_anthropic_ = false;
  To to_ = To::kAsItIs;
  inference::Surface surface_ = inference::Surface::kOpenAiChat;
  bool streams_ = false;  // to the caller
  bool read_whole_ = false;
  OpenAiAnswer openai_;
  std::unique_ptr<MessagesAnswer> messages_;    // made when first needed
  std::unique_ptr<ResponsesAnswer> responses_;  // likewise
  std::unique_ptr<OllamaAnswer> ollama_;        // likewise
  std::unique_ptr<AnthropicAnswer> anthropic_;  // likewise
  std::string written_;
  std::string chunks_;  // of a chat, on their way from an endpoint's dialect to the caller's
  json::SlicedBody whole_;
};

}  // namespace thalweg::dialect
