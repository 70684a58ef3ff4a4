// Answers of Ollama's API, written from chat completions, completions and embeddings: line by line, or whole
// (docs/formats/ollama.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "carry/dialect/chat_reader.h"
#include "carry/dialect/ollama_request.h"
#include "carry/json/walk.h"
#include "decide/inference/event.h"
#include "decide/inference/request.h"

namespace thalweg::dialect {

/// What was measured of an answer up to now. What is unknown has no value.
struct AnswerTimes {
  UtcTime now{};
  Duration total{};
  std::optional<Duration> load;        // of the model, for this request
  std::optional<Duration> prompt;      // to the first token
  std::optional<Duration> generation;  // from the first token on
};

/// One attempt's answer. Reused; begin() starts a new one.
class OllamaAnswer final : private ChatReader {
 public:
  /// `surface`: one of Ollama's. `shown_model` is the name that answers carry.
  void begin(inference::Surface surface, std::string_view shown_model);
  /// Told before each of the calls below that write.
  void tell(const AnswerTimes& times) { times_ = times; }

  /// One chunk of a stream, read before without a fault (http::kPadding readable bytes behind it): appends the lines
  /// that it becomes, maybe none. kUpstreamFailed for what Ollama's API cannot say.
  Result<void> add_chunk(std::string_view chunk, std::string& out);
  /// Appends the last line.
  void finish(const inference::Usage& usage, std::string& out);

  /// A whole answer, read before without a fault (padded likewise), as the one object. kUpstreamFailed likewise.
  Result<void> write_whole(std::string_view answer, const inference::Usage& usage, std::string& out);
  /// The bytes kept of an unfinished tool call.
  std::size_t held() const { return arguments_.size(); }
  /// Gives back the memory that a large answer took.
  void forget();

 private:
  friend std::string ollama_loaded_body(inference::Surface surface, std::string_view model, OllamaRequest::Load load,
                                        const AnswerTimes& times);

  bool say(const Said& said) override;
  bool begin_call(const ToolCall& call) override;
  bool add_arguments(std::string_view raw) override;

  bool close_call();
  bool cut_by_limit() const;
  Result<void> read_vectors(std::string_view answer);
  void write_vectors(const inference::Usage& usage);
  void begin_object();
  void write_said(std::string_view text, std::string_view thinking, std::string_view calls);
  void write_logprobs(std::string_view logprobs);
  void write_line();
  void write_end(std::string_view reason, const inference::Usage* usage);
  void write_duration(std::string_view name, const std::optional<Duration>& duration);
  bool is_chat() const { return surface_ == inference::Surface::kOllamaChat; }

  inference::Surface surface_ = inference::Surface::kOllamaChat;
  AnswerTimes times_;
  std::string quoted_model_;
  std::string* out_ = nullptr;
  bool streams_ = false;
  std::string text_, thinking_, logprobs_, calls_;  // of a whole answer, raw; of a stream since the last line
  bool call_open_ = false;
  std::uint64_t call_index_ = 0;  // of the open call, or of the next one
  std::string call_id_;           // raw, with quotes; empty where the endpoint gave none
  std::string call_name_;         // likewise
  std::string arguments_;         // of the open call, raw, without quotes
  std::string object_;            // unescaped, padded
  json::Walk walk_;
  std::string vectors_;
};

/// The answer to a request that only loads or unloads.
std::string ollama_loaded_body(inference::Surface surface, std::string_view model, OllamaRequest::Load load,
                               const AnswerTimes& times);
/// {"error":"..."}
std::string ollama_error_body(std::string_view message);

}  // namespace thalweg::dialect
