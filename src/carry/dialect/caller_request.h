// A caller's request in whatever API it came: judged, its features read, and written for each kind of endpoint that may
// answer it. What stands between two APIs is known here and nowhere else.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "carry/dialect/anthropic_request.h"
#include "carry/dialect/messages_request.h"
#include "carry/dialect/ollama_request.h"
#include "carry/dialect/openai.h"
#include "carry/dialect/responses_request.h"
#include "decide/fleet/fleet.h"
#include "decide/placement/place.h"
#include "decide/placement/question.h"

namespace thalweg::dialect {

/// Reused from request to request (buffers stay).
class CallerRequest {
 public:
  /// A request of that surface is written anew before it is read, and takes about its size in memory once more.
  static bool is_written_anew(inference::Surface surface) {
    return inference::speaks_messages(surface) || inference::speaks_ollama(surface) ||
           surface == inference::Surface::kOpenAiResponses;
  }

  /// Reads `body` (http::kPadding readable bytes behind it, which stays as long as this is asked). kInvalidRequest as
  /// OpenAiRequest::parse and MessagesRequest::translate.
  Result<void> parse(inference::Surface surface, std::string_view body);
  /// The parameter at fault of a failed parse(), "messages"; may be empty.
  std::string_view fault_parameter() const { return fault_parameter_; }
  const inference::Request& request() const { return chat_.request(); }
  /// What it asks for where there is nothing to answer; its body is not for sending then.
  /// How long the caller wants the model to stay loaded; none: it says nothing of it.
  std::optional<Duration> keep_alive() const { return speaks_ollama() ? ollama_->keep_alive() : std::nullopt; }
  OllamaRequest::Load load() const { return speaks_ollama() ? ollama_->load() : OllamaRequest::Load::kNo; }

  /// Sets what the request says of itself: its features, and which of `kinds` can be told all of it. It is written for
  /// those that need it, once.
  void describe(placement::Question& question, fleet::EndpointKinds kinds);
  /// The first thing that a kind of endpoint left out cannot be told, as a sentence, and its name; may be empty.
  std::string_view not_carried() const;
  std::string_view not_carried_parameter() const;
  /// Bytes held beside the caller's own.
  std::size_t bytes_written() const;

  /// The body for one target of a kind that describe() let in; views hold until the next call.
  const json::SlicedBody& body_for(fleet::EndpointKind kind, const fleet::EndpointModel& model,
                                   const placement::Obligations& obligations);
  /// The path behind the endpoint's base: "/chat/completions".
  std::string_view path_for(fleet::EndpointKind kind) const;
  /// What every answer to a Responses request says back of it; until the next parse().
  std::string_view echo() const { return speaks_responses() ? responses_->echo() : std::string_view(); }
  /// Its tools that are in a namespace, for the answer likewise; null where the API knows none.
  const NamespacedTools* namespaced() const { return speaks_responses() ? &responses_->namespaced() : nullptr; }
  /// The hints that an endpoint of that kind is not told, "seed, user"; may be empty.
  std::string dropped(fleet::EndpointKind kind) const;

  /// Gives back the memory that a large request took.
  void forget();

 private:
  /// From the caller's dialect into the hub's.
  Result<void> translate(std::string_view body);
  /// The body with members added that only that kind of endpoint knows.
  const json::SlicedBody& with_more(const json::SlicedBody& body, fleet::EndpointKind kind);
  /// The translation that left something out; null where all went over.
  const Translation* at_fault() const;
  bool speaks_responses() const { return surface_ == inference::Surface::kOpenAiResponses; }
  bool speaks_ollama() const { return inference::speaks_ollama(surface_); }
  bool speaks_messages() const { return inference::speaks_messages(surface_); }
  bool counts() const { return surface_ == inference::Surface::kAnthropicCountTokens; }

  inference::Surface surface_ = inference::Surface::kOpenAiChat;
  OpenAiRequest chat_;                           // the caller's own, or what was written for it
  std::unique_ptr<MessagesRequest> messages_;    // made with the first such request
  std::unique_ptr<ResponsesRequest> responses_;  // likewise
  std::unique_ptr<OllamaRequest> ollama_;        // likewise
  std::unique_ptr<AnthropicRequest> anthropic_;  // likewise
  const Translation* from_caller_ = nullptr;     // the one of them that wrote body_; null: it is the caller's own
  std::string_view body_;                        // the chat completion
  std::string_view fault_parameter_;
  bool wrote_anthropic_ = false;
  json::SlicedBody more_;
};

}  // namespace thalweg::dialect
