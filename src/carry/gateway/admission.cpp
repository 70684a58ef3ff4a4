#include "carry/gateway/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "base/hash.h"
#include "base/text.h"

namespace thalweg::gateway {

namespace {

struct KnownPath {
  std::string_view path;
  http::Method method;
  Route route;
};
constexpr std::array<KnownPath, 22> kPaths = {{
    {"/v1/chat/completions", http::Method::kPost, Route::kChat},
    {"/v1/completions", http::Method::kPost, Route::kCompletions},
    {"/v1/responses", http::Method::kPost, Route::kResponses},
    {"/v1/messages", http::Method::kPost, Route::kMessages},
    {"/v1/messages/count_tokens", http::Method::kPost, Route::kCountTokens},
    {"/v1/embeddings", http::Method::kPost, Route::kEmbeddings},
    {"/v1/rerank", http::Method::kPost, Route::kRerank},
    {"/v2/rerank", http::Method::kPost, Route::kRerank},
    {"/rerank", http::Method::kPost, Route::kRerank},
    {"/v1/models", http::Method::kGet, Route::kModels},
    {"/api/chat", http::Method::kPost, Route::kOllamaChat},
    {"/api/generate", http::Method::kPost, Route::kOllamaGenerate},
    {"/api/embed", http::Method::kPost, Route::kOllamaEmbed},
    {"/api/embeddings", http::Method::kPost, Route::kOllamaEmbeddings},
    {"/api/tags", http::Method::kGet, Route::kOllamaTags},
    {"/api/show", http::Method::kPost, Route::kOllamaShow},
    {"/api/ps", http::Method::kGet, Route::kOllamaPs},
    {"/api/version", http::Method::kGet, Route::kOllamaVersion},
    {"/", http::Method::kGet, Route::kOllamaRuns},
    {"/healthz", http::Method::kGet, Route::kHealth},
    {"/readyz", http::Method::kGet, Route::kReady},
    {"/metrics", http::Method::kGet, Route::kMetrics},
}};
static_assert(std::ranges::equal(kPaths, config::kOwnPaths, {}, &KnownPath::path));
// What Ollama does with its store of models.
constexpr std::array<std::string_view, 5> kStorePaths = {"/api/pull", "/api/push", "/api/create", "/api/copy",
                                                         "/api/delete"};

Result<Route> if_allowed(const http::RequestHead& head, http::Method wanted, Route route) {
  if (head.method == wanted || (wanted == http::Method::kGet && head.method == http::Method::kHead)) return route;
  if (head.method == http::Method::kOptions) return Route::kPreflight;
  return fail(ErrorCode::kMethodNotAllowed,
              fmt::format("{} takes {}, not {}", head.path, http::name_of(wanted), http::name_of(head.method)));
}

// In words: "GET, POST".
std::string names_of(const std::vector<http::Method>& methods) {
  std::string names;
  for (const http::Method method : methods) fmt::format_to(std::back_inserter(names), "{}, ", http::name_of(method));
  names.resize(names.size() - 2);
  return names;
}

Result<Route> if_passes(const http::RequestHead& head, const config::Passage& passage) {
  if (const std::string_view fault = config::fault_of_path(head.path); !fault.empty()) {
    return fail(ErrorCode::kInvalidRequest,
                fmt::format("the path {} {}, and goes through only where it can mean nothing else",
                            head.path.substr(0, kMaxQuoted), fault));
  }
  if (std::ranges::find(passage.methods, head.method) != passage.methods.end()) return Route::kPassthrough;
  if (head.method == http::Method::kOptions) return Route::kPreflight;
  return fail(ErrorCode::kMethodNotAllowed,
              fmt::format("{} takes {}, not {}; passthrough.{}.methods lists them", head.path.substr(0, kMaxQuoted),
                          names_of(passage.methods), http::name_of(head.method), passage.model));
}

// The host of "name", "name:port", "[v6]" or "[v6]:port".
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

bool is_loopback_name(std::string_view host) {
  if (equals_ignoring_case(host, "localhost") || host == "[::1]") return true;
  if (!host.starts_with("127.")) return false;
  return std::ranges::all_of(host, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

}  // namespace

Result<Route> find_route(const http::RequestHead& head, const config::Passages& passages) {
  for (const KnownPath& known : kPaths) {
    if (head.path == known.path) return if_allowed(head, known.method, known.route);
  }
  if (head.path.starts_with(config::kOwnPrefix) && head.path.size() > config::kOwnPrefix.size()) {
    return if_allowed(head, http::Method::kGet, Route::kModel);
  }
  if (const config::Passage* passage = passages.find(head.path)) return if_passes(head, *passage);
  std::array<std::string_view, kPaths.size()> names;
  std::ranges::transform(kPaths, names.begin(), &KnownPath::path);
  std::string hint = suggestion(head.path, names);
  const bool known_base = head.path.starts_with("/v1/") || head.path.starts_with("/api/");
  if (hint.empty() && !known_base) hint = "; the base URL of OpenAI's clients ends in /v1";
  if (std::ranges::find(kStorePaths, head.path) != kStorePaths.end())
    hint = "; the models are those that the configuration lists, see GET /api/tags";
  return fail(ErrorCode::kNotFound, fmt::format("nothing answers at {}{}", head.path.substr(0, kMaxQuoted), hint));
}

std::optional<inference::Surface> surface_of(Route route) {
  switch (route) {
    case Route::kChat:
      return inference::Surface::kOpenAiChat;
    case Route::kCompletions:
      return inference::Surface::kOpenAiCompletions;
    case Route::kResponses:
      return inference::Surface::kOpenAiResponses;
    case Route::kMessages:
      return inference::Surface::kAnthropicMessages;
    case Route::kCountTokens:
      return inference::Surface::kAnthropicCountTokens;
    case Route::kEmbeddings:
      return inference::Surface::kOpenAiEmbeddings;
    case Route::kPassthrough:
      return inference::Surface::kPassthrough;
    case Route::kRerank:
      return inference::Surface::kRerank;
    case Route::kOllamaChat:
      return inference::Surface::kOllamaChat;
    case Route::kOllamaGenerate:
      return inference::Surface::kOllamaGenerate;
    case Route::kOllamaEmbed:
      return inference::Surface::kOllamaEmbed;
    case Route::kOllamaEmbeddings:
      return inference::Surface::kOllamaEmbeddings;
    default:
      return std::nullopt;
  }
}

bool is_open(Route route) {
  return route == Route::kHealth || route == Route::kReady || route == Route::kPreflight || route == Route::kOllamaRuns;
}

std::string allowed_methods(std::string_view path, const config::Passages& passages) {
  if (const config::Passage* passage = passages.find(path)) return names_of(passage->methods) + ", OPTIONS";
  for (const KnownPath& known : kPaths) {
    if (path == known.path && known.method == http::Method::kPost) return "POST, OPTIONS";
  }
  return "GET, HEAD, OPTIONS";
}

Result<void> check_origin(const http::RequestHead& head, const config::Settings& settings) {
  const std::string_view host = host_of(head.host);
  if (!head.host.empty() && !is_loopback_name(host) &&
      std::ranges::none_of(settings.allowed_hosts, [&](const std::string& allowed) {
        return equals_ignoring_case(allowed, host) || equals_ignoring_case(allowed, head.host);
      })) {
    return fail(ErrorCode::kForbidden, fmt::format("the host \"{}\" is not served here; list it under allow_hosts",
                                                   head.host.substr(0, kMaxQuoted)));
  }
  if (head.origin.data() != nullptr &&
      std::ranges::find(settings.allowed_origins, head.origin) == settings.allowed_origins.end()) {
    return fail(ErrorCode::kForbidden,
                fmt::format("pages of the origin \"{}\" may not call this gateway; list it under "
                            "allow_origins",
                            head.origin.substr(0, kMaxQuoted)));
  }
  return {};
}

std::optional<KeyParts> split_key(std::string_view text) {
  if (!text.starts_with("tw_")) return std::nullopt;
  const std::size_t end = text.find('_', 3);
  if (end == std::string_view::npos || end == 3 || end + 1 == text.size()) return std::nullopt;
  return KeyParts{text.substr(3, end - 3), text.substr(end + 1)};
}

Result<policy::Subject> authenticate(const http::RequestHead& head, const policy::Policy& policy) {
  if (policy.keys.empty()) return policy::Subject{};
  constexpr std::string_view kScheme = "Bearer ";
  const auto refuse = [](std::string_view why) {
    return fail(ErrorCode::kUnauthenticated, fmt::format("{}; send `Authorization: Bearer tw_...` with a key that the "
                                                         "configuration lists",
                                                         why));
  };
  std::string_view text;
  if (head.authorization.data() == nullptr) {
    text = head.field("x-api-key");  // as Anthropic's older clients send it
    if (text.data() == nullptr) return refuse("this gateway needs a key");
  } else {
    if (head.authorization.size() < kScheme.size() ||
        !equals_ignoring_case(head.authorization.substr(0, kScheme.size()), kScheme)) {
      return refuse("the Authorization field is not a bearer key");
    }
    text = head.authorization.substr(kScheme.size());
  }
  text = trim(text);
  const auto parts = split_key(text);
  if (!parts) return refuse("the key is not of the form tw_<id>_<secret>");
  const policy::Key* key = policy.find_key(parts->id);
  const Sha256 given = sha256(text);
  // An unknown id is compared too, so that the time tells nothing.
  static constexpr Sha256 kNobody{};
  const bool same = equal_in_constant_time(given, key != nullptr ? key->secret_sha256 : kNobody);
  if (key == nullptr || !same) return refuse("the key is not known or was revoked");
  return policy::Subject{key, key->tenant};
}

}  // namespace thalweg::gateway
