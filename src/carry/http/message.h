// HTTP/1.1 messages read without I/O: the caller owns the bytes, these readers say what they mean. llhttp does the
// grammar; what it lets through and another server might read differently is refused here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace thalweg::http {

/// Readers may look at, but give no meaning to, this many bytes behind what they are given (simdjson's padding, rounded
/// up): every buffer handed to a reader or dialect is allocated that much longer.
inline constexpr std::size_t kPadding = 64;

inline constexpr std::size_t kMaxHeaderFields = 100;

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kDelete, kOptions, kPatch, kOther };
std::string_view name_of(Method method);

struct Field {
  std::string_view name;
  std::string_view value;
};

struct RequestHead {
  Method method = Method::kOther;
  std::string_view target;  // as sent: origin form, or absolute form (then `host` is its authority)
  std::string_view path;    // without the query
  std::string_view query;   // without '?'
  std::string_view host;    // of the Host field or the absolute form
  std::string_view origin;
  std::string_view authorization;
  std::string_view content_type;
  std::span<const Field> fields;
  std::uint64_t content_length = 0;
  bool chunked = false;
  bool has_body = false;
  bool keep_alive = true;
  bool expects_continue = false;
  std::uint8_t minor_version = 1;

  /// The first field of that name (case ignored), or an empty view with null data.
  std::string_view field(std::string_view name) const;
};

/// Reads one request out of a growing, contiguous buffer. The buffer may move between calls: views are made anew by
/// head().
class RequestReader {
 public:
  struct Limits {
    std::size_t head_bytes = 32 * 1024;         // request line and fields: 431 above
    std::size_t body_bytes = 32 * 1024 * 1024;  // 413 above
  };
  enum class State : std::uint8_t { kHead, kHeadDone, kBody, kDone };

  explicit RequestReader(Limits limits);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  /// `buffer` holds all bytes of this message so far (from its first byte) and perhaps bytes of the next. Stops once at
  /// kHeadDone so that the caller can judge the head; call again to go on to the body. A chunked body is decoded in
  /// place. Errors: kInvalidRequest (ambiguous or malformed: both lengths, two lengths, obs-fold, bad chunking, a
  /// missing or double Host, control bytes), kHeadersTooLarge, kTooLarge. After an error the connection must be closed.
  Result<State> advance(std::span<char> buffer);

  /// Valid from kHeadDone on. Views point into `buffer`, which must be the one given last.
  const RequestHead& head(std::span<const char> buffer);
  /// Valid at kDone: the whole body, contiguous.
  std::string_view body(std::span<const char> buffer) const;
  /// At kDone: where the next message begins in `buffer`.
  std::size_t message_end() const;
  /// At kHeadDone with a known length: how large the buffer must grow to hold the message; 0 when unknown (chunked).
  std::size_t bytes_needed() const;
  /// Of this message and the next ones.
  void set_head_limit(std::size_t bytes);
  /// Of this message.
  void set_body_limit(std::size_t bytes);
  /// Ready for the next message.
  void reset();

 private:
  struct Parser;
  Parser* parser_;  // llhttp's state and the offsets found; behind a pointer so that llhttp.h stays out of headers
};

struct ResponseHead {
  std::uint16_t status = 0;
  std::span<const Field> fields;
  bool keep_alive = true;                       // the connection may be used again after this answer
  bool event_stream = false;                    // Content-Type: text/event-stream
  bool json = false;                            // Content-Type: application/json (or +json)
  bool until_close = false;                     // nothing but the end of the connection ends the answer
  std::optional<std::uint64_t> content_length;  // where it has that framing
  std::string_view field(std::string_view name) const;
};

/// Reads one response as its bytes arrive. Views given to the visitor hold only during the call.
class ResponseReader {
 public:
  struct Limits {
    std::size_t head_bytes = 64 * 1024;
  };
  class Visitor {
   public:
    virtual void on_head(const ResponseHead& head) = 0;
    virtual void on_body(std::string_view bytes) = 0;  // decoded, in pieces as they come
    virtual void on_end() = 0;                         // the framing says the answer is whole

   protected:
    ~Visitor() = default;
  };

  explicit ResponseReader(Limits limits);
  ~ResponseReader();
  ResponseReader(const ResponseReader&) = delete;
  ResponseReader& operator=(const ResponseReader&) = delete;

  /// Interim 1xx answers are passed over. Bytes after the end are an error (kUpstreamFailed): nothing was asked for
  /// yet.
  Result<void> advance(std::string_view bytes, Visitor& visitor);
  /// The connection ended. on_end() if the framing allows that (neither length nor chunks), else kTruncated.
  Result<void> finish(Visitor& visitor);
  bool done() const;
  bool reusable() const;  // done, keep-alive, and nothing left over
  bool started() const;   // at least one byte of an answer came: the request was not lost on an idle connection
  /// Before the answer comes: the request was HEAD, so that its answer has no body whatever its lengths say. reset()
  /// clears it.
  void set_head_request(bool head_request);
  void reset();

 private:
  struct Parser;
  Parser* parser_;
};

}  // namespace thalweg::http
