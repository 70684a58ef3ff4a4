// `passthrough:`: paths whose requests and answers go through as they are. A passage stands in the fleet as a model of
// its own at each of its endpoints, so that placement, keys, slots and numbers treat it as they treat any model.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "carry/http/message.h"

namespace thalweg::config {

inline constexpr std::size_t kMaxPassages = 64;
inline constexpr std::size_t kMaxPassagePaths = 64;  // of one passage
inline constexpr std::size_t kMaxPassagePath = 256;  // bytes of one, as written

/// What every path of a passage begins with; behind an endpoint's base the rest of the path follows.
inline constexpr std::string_view kPassageBase = "/v1";
/// Behind a path: everything below it.
inline constexpr std::string_view kBelow = "/*";

/// What the gateway answers itself. The table of its routes is checked against this list at compile time.
inline constexpr std::array<std::string_view, 22> kOwnPaths = {"/v1/chat/completions",
                                                               "/v1/completions",
                                                               "/v1/responses",
                                                               "/v1/messages",
                                                               "/v1/messages/count_tokens",
                                                               "/v1/embeddings",
                                                               "/v1/rerank",
                                                               "/v2/rerank",
                                                               "/rerank",
                                                               "/v1/models",
                                                               "/api/chat",
                                                               "/api/generate",
                                                               "/api/embed",
                                                               "/api/embeddings",
                                                               "/api/tags",
                                                               "/api/show",
                                                               "/api/ps",
                                                               "/api/version",
                                                               "/",
                                                               "/healthz",
                                                               "/readyz",
                                                               "/metrics"};
/// Everything below is answered here too.
inline constexpr std::string_view kOwnPrefix = "/v1/models/";

/// The methods that a passage may take, in the order in which they are listed.
inline constexpr std::array<http::Method, 5> kPassageMethods = {
    http::Method::kGet, http::Method::kPost, http::Method::kPut, http::Method::kPatch, http::Method::kDelete};

struct Passage {
  std::string model;  // the fleet's, whose targets are its endpoints
  std::vector<http::Method> methods;
};

class Passages {
 public:
  void add(Passage passage, const std::vector<std::string>& paths);
  /// What takes the path: the one that names it, else the one that names the nearest of what it is below; null: none.
  const Passage* find(std::string_view path) const;
  /// The passage that has this very path, as written; null: none.
  const Passage* named(std::string_view path) const;
  std::size_t size() const { return passages_.size(); }

 private:
  std::vector<Passage> passages_;
  std::map<std::string, std::uint16_t, std::less<>> by_path_;  // as written
};

/// Why a path could mean another one to some server, or is none, as the end of a sentence; empty: it is plain. A rule
/// for one path must not reach another, so nothing is decoded or resolved: what would have to be is refused.
std::string_view fault_of_path(std::string_view path);

}  // namespace thalweg::config
