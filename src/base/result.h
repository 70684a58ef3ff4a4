// Expected failures are values: a Result<T> holds a T or an Error with advice. Exceptions never cross a room's public
// function and never run on the request path.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace thalweg {

/// The closed list of ways a thing can fail. A dialect maps each to its caller's status and error type.
enum class ErrorCode : std::uint8_t {
  kInvalidRequest,    // the caller's bytes are wrong: 400
  kUnsupported,       // valid, but no endpoint here can do it (no capable endpoint): 400
  kContextExceeded,   // the prompt does not fit the model's context: 400
  kContentRejected,   // the endpoint refused the content: its status is kept
  kUnauthenticated,   // no key or a wrong one: 401
  kForbidden,         // policy, origin or host: 403
  kNotFound,          // no such path: 404
  kModelNotFound,     // no such model for this key: 404
  kMethodNotAllowed,  // 405
  kTimeout,           // the caller was too slow: 408
  kTooLarge,          // body over its limit: 413
  kHeadersTooLarge,   // 431
  kRateLimited,       // an endpoint's 429, or ours
  kOverloaded,        // no room for bytes, lines or attempts: 503
  kUnavailable,       // no healthy endpoint: 503
  kUpstreamFailed,    // connection refused, reset, or malformed answer: 502
  kUpstreamTimeout,   // 504
  kUpstreamRefused,   // the endpoint answered an error: its status is kept
  kTruncated,         // the answer ended before its finish reason: 502 or an error inside the stream
  kClientGone,        // nobody is left to answer
  kDraining,          // shutting down: 503
  kConfig,            // a configuration error, with place
  kIo,                // a file or socket
  kCorrupt,           // a checksum or format does not hold
  kInternal,          // a broken invariant: 500
};

/// The code's name as it stands in logs and metrics, e.g. "upstream_timeout".
std::string_view name_of(ErrorCode code);

/// Where in a text an error lies: lines and columns count from 1, 0 means unknown.
struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  friend bool operator==(const Position&, const Position&) = default;
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // one sentence: what is wrong and what would work
  Position position;    // in a configuration or request, where known
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string message, Position position = {}) {
  return std::unexpected<Error>(Error{code, std::move(message), position});
}

/// Always on: a broken invariant ends the process with the place and the reason on stderr.
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
#define THALWEG_CHECK(expression) \
  ((expression) ? static_cast<void>(0) : ::thalweg::check_failed(#expression, __FILE__, __LINE__))

}  // namespace thalweg
