// The neutral request: what a caller wants, without its words. Dialects make it from bytes; placement reads it.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/enum_set.h"

namespace thalweg::inference {

/// The API shape a caller speaks.
enum class Surface : std::uint8_t {
  kOpenAiChat,
  kOpenAiCompletions,
  kAnthropicMessages,
  kOpenAiEmbeddings,
  kOpenAiResponses,
  kAnthropicCountTokens,  // how many tokens a Messages request has; nothing is generated
  kOllamaChat,
  kOllamaGenerate,  // a prompt that becomes a chat
  kOllamaRaw,       // a prompt that goes as it is
  kOllamaEmbed,
  kOllamaEmbeddings,  // the older one, of one text
  kRerank,            // documents in the order of how well they fit a query, as Jina and Cohere have it
  kPassthrough,       // any other API: what it says is not read
};
inline constexpr std::size_t kSurfaceCount = 13;
/// "openai-chat", "openai-completions", "anthropic-messages", "openai-embeddings", "openai-responses",
/// "anthropic-count-tokens", "ollama-chat", "ollama-generate", "ollama-raw", "ollama-embed", "ollama-embeddings",
/// "rerank", "passthrough".
std::string_view name_of(Surface surface);

/// What a request needs and an endpoint's model can do. A need that a model lacks makes the model incapable.
enum class Capability : std::uint8_t {
  kChat,         // chat completions
  kCompletions,  // text completions
  kTools,        // tool definitions are honoured
  kJsonSchema,   // response_format json_schema or json_object is honoured
  kImages,       // image parts
  kAudio,        // audio parts in or out
  kFiles,        // file parts
  kLogprobs,     // token log probabilities
  kManyChoices,  // n > 1
  kHostedTools,  // tools that the endpoint runs itself (web search and the like)
  kStorage,      // asks the endpoint to keep the answer (`store: true`)
  kEmbeddings,   // texts as vectors
  kRerank,       // scores of documents against a query
  kPassthrough,  // requests that are not read; no model has it, but what stands for such paths in the fleet
};
inline constexpr std::size_t kCapabilityCount = 14;
inline constexpr std::size_t kModelCapabilityCount = kCapabilityCount - 1;  // that a model may be said to have
/// "chat", "tools", "images"... as configuration and errors name them.
std::string_view name_of(Capability capability);

/// What every request of a surface needs.
constexpr Capability need_of(Surface surface) {
  switch (surface) {
    case Surface::kOpenAiCompletions:
    case Surface::kOllamaRaw:
      return Capability::kCompletions;
    case Surface::kOpenAiEmbeddings:
    case Surface::kOllamaEmbed:
    case Surface::kOllamaEmbeddings:
      return Capability::kEmbeddings;
    case Surface::kRerank:
      return Capability::kRerank;
    case Surface::kPassthrough:
      return Capability::kPassthrough;
    default:
      return Capability::kChat;
  }
}

/// Vectors and scores of different models cannot be compared: where one model makes them, no other may stand in for it.
constexpr bool is_incomparable(Capability capability) {
  return capability == Capability::kEmbeddings || capability == Capability::kRerank;
}

/// The answer is text that a model writes; else texts are measured: vectors, scores.
constexpr bool generates(Surface surface) {
  return need_of(surface) == Capability::kChat || need_of(surface) == Capability::kCompletions;
}

using Capabilities = EnumSet<Capability, std::uint32_t>;

/// What a request lets happen beside the answer, and what it holds beside text: what the rules of a policy name.
enum class Use : std::uint8_t {
  kHostedTools,  // the endpoint runs tools of its own: web search, remote MCP servers, code
  kStore,        // the endpoint keeps the answer
  kImages,
  kAudio,
  kFiles,
  kRemoteUrls,  // the endpoint fetches what is at an address
  kFileIds,     // names what the endpoint keeps for the caller: files, containers
  kOther,       // says something that Thalweg does not know, which may ask for anything
};
inline constexpr std::size_t kUseCount = 8;
/// "hosted_tools", "store", "images", "audio", "files", "remote_urls", "file_ids", "other".
std::string_view name_of(Use use);
using Uses = EnumSet<Use, std::uint16_t>;
inline constexpr Uses kAllUses = Uses::from_bits((1U << kUseCount) - 1);

/// What can be read off the capabilities that a request needs.
constexpr Uses uses_of(Capabilities needs) {
  Uses uses;
  if (needs.has(Capability::kHostedTools)) uses.add(Use::kHostedTools);
  if (needs.has(Capability::kStorage)) uses.add(Use::kStore);
  if (needs.has(Capability::kImages)) uses.add(Use::kImages);
  if (needs.has(Capability::kAudio)) uses.add(Use::kAudio);
  if (needs.has(Capability::kFiles)) uses.add(Use::kFiles);
  return uses;
}

/// Requests of both have the shape of Anthropic's Messages, and so have their errors.
constexpr bool speaks_messages(Surface surface) {
  return surface == Surface::kAnthropicMessages || surface == Surface::kAnthropicCountTokens;
}

/// Requests, answers and errors have the shapes of Ollama's API.
constexpr bool speaks_ollama(Surface surface) {
  return surface >= Surface::kOllamaChat && surface <= Surface::kOllamaEmbeddings;
}

/// How the caller wants the answer.
enum class Delivery : std::uint8_t { kWhole, kStream };

/// Features of one request. Views point into the caller's body and live as long as it does.
struct Request {
  Surface surface = Surface::kOpenAiChat;
  Delivery delivery = Delivery::kWhole;
  bool wants_usage_frame = false;  // stream_options.include_usage
  std::string_view model;          // as asked for, unescaped
  Capabilities needs;
  Uses uses;                            // beyond those that needs tell
  std::uint32_t choices = 1;            // n
  std::uint32_t max_output_tokens = 0;  // 0: the caller set none
  std::uint64_t prompt_bytes = 0;  // UTF-8 bytes of all prompt text: an upper bound of its tokens (BPE merges bytes)
  std::uint64_t estimated_input_tokens = 0;  // prompt_bytes / 4, rounded up: an estimate, see estimate_tokens
  std::uint64_t largest_piece_tokens = 0;    // of texts that are computed apart, each in a context of its own: the
                                             // largest one's estimate; 0: the prompt is one piece
};

/// Four bytes of UTF-8 text a token: the rule of thumb for English of OpenAI's tokenizer help page (2023); an estimate.
constexpr std::uint64_t estimate_tokens(std::uint64_t utf8_bytes) {
  return (utf8_bytes + 3) / 4;
}

}  // namespace thalweg::inference
