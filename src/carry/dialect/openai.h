// The OpenAI dialect: chat completions, completions, embeddings and models, and the requests to rank documents that
// servers of it answer beside them. Towards OpenAI-compatible servers bytes pass unchanged
// but for a closed list of edits, each spliced in place; answers pass unchanged but for `model` and a usage frame that
// the caller did not ask for. docs/formats/openai.md lists the edits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "carry/dialect/read_frame.h"
#include "carry/http/sse.h"
#include "carry/json/sliced_body.h"
#include "decide/fleet/fleet.h"
#include "decide/inference/event.h"
#include "decide/inference/request.h"
#include "decide/placement/place.h"

namespace thalweg::dialect {

inline constexpr std::size_t kMaxReadRefusal = 64 * 1024;  // of an endpoint's error answer
inline constexpr std::size_t kMaxPassedText = 1024;        // of an endpoint's words in an error of ours

/// One caller's request body: validated whole, its features read, its editable places remembered. Reused from request
/// to request (buffers stay).
class OpenAiRequest {
 public:
  OpenAiRequest();
  ~OpenAiRequest();
  OpenAiRequest(const OpenAiRequest&) = delete;
  OpenAiRequest& operator=(const OpenAiRequest&) = delete;

  /// Reads `body` (http::kPadding readable bytes behind it). What is forwarded is what was judged: the whole body is
  /// validated, and duplicate keys at any depth (compared unescaped), invalid UTF-8, lone surrogates, depth above
  /// json::kMaxDepth and trailing bytes are kInvalidRequest with the byte offset in the sentence. So are a missing or
  /// wrong `model`, `messages`/`prompt`, and wrong types of the fields that are read.
  Result<void> parse(inference::Surface surface, std::string_view body);

  const inference::Request& request() const;
  /// The parameter at fault of the last failed parse ("messages", "model"...), for the error's `param`; may be empty.
  std::string_view fault_parameter() const;

  /// The body for one target, as slices of the caller's body and of strings owned here (valid until the next call).
  /// Edits towards kOpenAi (of requests to generate): `model`; for streams `stream_options.include_usage: true`;
  /// `max_tokens`/ `max_completion_tokens` only under obligations.output_cap; `store: false` only under no_storage.
  /// Towards kEngine also `stream: true`, and for a last message of role assistant `continue_final_message: true` and
  /// `add_generation_prompt: false`; documents to rank that are objects become their texts.
  const json::SlicedBody& body_for(fleet::EndpointKind kind, std::string_view upstream_model,
                                   const placement::Obligations& obligations);
  /// What the engine cannot be told, as a sentence; mostly empty.
  std::string_view beyond_engine() const;
  /// The hints that the engine is not told, "return_documents"; mostly empty.
  std::string_view dropped_by_engine() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One attempt's answer. Reused; begin() starts a new one.
class OpenAiAnswer {
 public:
  OpenAiAnswer();
  ~OpenAiAnswer();
  OpenAiAnswer(const OpenAiAnswer&) = delete;
  OpenAiAnswer& operator=(const OpenAiAnswer&) = delete;

  /// `shown_model` is the name that answers carry (kept by view: must outlive the answer). `folds`: the caller wants a
  /// whole answer and the endpoint streams.
  void begin(const inference::Request& request, std::string_view shown_model, bool folds);
  /// Gives back the memory that a large answer took.
  void forget();

  /// A frame of a stream. Its edited bytes are appended to `out` unless withheld or folding. A frame that is not the
  /// dialect's JSON is kUpstreamFailed.
  Result<ReadFrame> read_frame(const http::SseFrame& frame, std::string& out);

  /// A whole JSON answer (kPadding readable bytes behind it). finish is set when every choice has its finish reason.
  Result<inference::FrameFacts> read_whole(std::string_view body);
  /// After read_whole: the answer for the caller, slices of `body` and of strings owned here.
  const json::SlicedBody& whole() const;

  /// After the last frame of a folded stream: the whole answer as the caller's surface shapes it: all choices with
  /// content, refusal, reasoning_content, tool calls (arguments joined by index), logprobs, finish reasons; usage;
  /// other top-level fields as first seen.
  Result<std::string> fold();

  const inference::Usage& usage() const;
  /// The finish reason of the first choice ("stop", "length"...), empty if none yet.
  std::string_view finish_reason() const;
  /// The engine's `timings`, where it sent them: uncached prompt tokens and the time it took for them.
  std::uint64_t prefill_tokens() const;
  Duration prefill_time() const;
  /// An error frame's sentence as the endpoint wrote it, empty if none.
  std::string_view error_message() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// How an endpoint's error answer is to be taken.
enum class RefusalKind : std::uint8_t {
  kContext,      // the prompt does not fit this model
  kContent,      // the content was rejected
  kBusy,         // 429, 503, 529
  kServer,       // other 5xx
  kCaller,       // other 4xx
  kCredentials,  // 401, 403: our key there is wrong, not the caller's fault
};
RefusalKind classify_refusal(std::uint16_t status, std::string_view body);

/// The HTTP status for an error of ours.
std::uint16_t status_of(ErrorCode code);
/// {"error":{"message":...,"type":...,"param":...,"code":...}}; an empty parameter is null.
std::string error_body(const Error& error, std::string_view parameter = {});
/// An endpoint's refusal passed on: its own `error` object with status, code, type, param kept when it has that shape,
/// else ours around its text (cut at 1 KiB). Credentials errors become "the endpoint NAME refused its own key".
std::string refusal_body(std::uint16_t status, std::string_view body, RefusalKind kind, std::string_view endpoint_name);
/// The sentence of such a body, for dialects whose errors have another shape; cut likewise.
std::string refusal_message(std::string_view openai_body);
/// The same for an endpoint's refusal; context and content have the codes that clients know, others `code`.
std::string error_body(std::uint16_t status, RefusalKind kind, std::string_view message, std::string_view code);
/// The same as an event of a running stream: `data: {...}\n\n`.
std::string error_frame(const Error& error);
inline constexpr std::string_view kEndMark = "data: [DONE]\n\n";

/// GET /v1/models and GET /v1/models/{model}.
std::string models_body(std::span<const std::string_view> names);
std::string model_body(std::string_view name);

/// What an endpoint told of itself. Empty where it told nothing usable.
struct ToldModel {
  std::string name;
  std::uint32_t context_tokens = 0;  // vLLM's max_model_len, llama.cpp's meta.n_ctx_train..., where present
};
Result<std::vector<ToldModel>> read_models(std::string_view body);
struct ToldEngine {
  bool tools = false;   // chat_template_caps.supports_tools (or supports_tool_calls) of /props
  bool images = false;  // modalities.vision
  bool audio = false;
  std::uint32_t context_tokens = 0;  // default_generation_settings.n_ctx: per slot
};
Result<ToldEngine> read_engine_props(std::string_view body);

}  // namespace thalweg::dialect
