// Admission: what can be judged from the head of a request, before a byte of its body is read.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "carry/config/settings.h"
#include "carry/http/message.h"
#include "decide/inference/request.h"
#include "decide/policy/policy.h"

namespace thalweg::gateway {

inline constexpr std::size_t kMaxQuoted = 128;  // bytes of what a caller sent, where an error names it

enum class Route : std::uint8_t {
  kChat,              // POST /v1/chat/completions
  kCompletions,       // POST /v1/completions
  kResponses,         // POST /v1/responses
  kMessages,          // POST /v1/messages
  kCountTokens,       // POST /v1/messages/count_tokens
  kEmbeddings,        // POST /v1/embeddings
  kRerank,            // POST /v1/rerank, /v2/rerank, /rerank
  kPassthrough,       // what the configuration lets through
  kModels,            // GET /v1/models
  kModel,             // GET /v1/models/{model}
  kOllamaChat,        // POST /api/chat
  kOllamaGenerate,    // POST /api/generate
  kOllamaEmbed,       // POST /api/embed
  kOllamaEmbeddings,  // POST /api/embeddings
  kOllamaTags,        // GET /api/tags
  kOllamaShow,        // POST /api/show
  kOllamaPs,          // GET /api/ps
  kOllamaVersion,     // GET /api/version
  kOllamaRuns,        // GET /
  kHealth,            // GET /healthz
  kReady,             // GET /readyz
  kMetrics,           // GET /metrics
  kPreflight,         // OPTIONS of a listed origin
};

/// The route of a head. kNotFound and kMethodNotAllowed name what would work; kInvalidRequest for a path that goes
/// through and is not plain.
Result<Route> find_route(const http::RequestHead& head, const config::Passages& passages);

/// What is spoken at routes that run a model; none elsewhere.
std::optional<inference::Surface> surface_of(Route route);
/// Whoever may connect may ask this: it needs no key.
bool is_open(Route route);

/// What a path that exists takes, for the Allow field of a 405.
std::string allowed_methods(std::string_view path, const config::Passages& passages);

/// The Host must be a loopback name or listed; an Origin must be listed. kForbidden otherwise: a page in a browser can
/// make requests to loopback, and DNS can be made to point any name there.
Result<void> check_origin(const http::RequestHead& head, const config::Settings& settings);

/// Who asks. With keys configured: `Authorization: Bearer tw_<id>_<secret>`, or the key in `x-api-key`, found by id,
/// compared by SHA-256 in constant time; kUnauthenticated otherwise. Without keys any bearer or none is accepted.
Result<policy::Subject> authenticate(const http::RequestHead& head, const policy::Policy& policy);

/// A key's parts, or nothing: `tw_<id>_<secret>`.
struct KeyParts {
  std::string_view id;
  std::string_view secret;
};
std::optional<KeyParts> split_key(std::string_view text);

}  // namespace thalweg::gateway
