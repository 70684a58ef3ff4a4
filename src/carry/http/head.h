// A message's head: llhttp finds the pieces, and then every byte of the head must be accounted for by RFC 9112's strict
// grammar
// (`METHOD SP target SP HTTP/1.x CRLF`, `name ":" OWS value OWS CRLF`, `CRLF`). So what llhttp 8.1 lets through between
// the pieces (lone CR, folded lines, spaces before a colon) can't be read differently by another server. Used in this
// room only.
#pragma once

#include <llhttp.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "carry/http/message.h"

namespace thalweg::http {

/// Half-open, in bytes from the head's first byte.
struct Slice {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::string_view of(std::string_view head) const { return head.substr(begin, end - begin); }
};

/// The fields that decide how a message is framed, routed or admitted.
enum class Known : std::uint8_t {
  kHost,
  kOrigin,
  kAuthorization,
  kContentType,
  kContentLength,
  kConnection,
  kExpect,
  kTransferEncoding,
  kUpgrade,
  kNone,
};
Known identify(std::string_view name);

bool equals_lower(std::string_view any_case, std::string_view lower_case);

class HeadScanner {
 public:
  HeadScanner(llhttp_type type, ErrorCode malformed);

  /// `bytes` go on where the last call ended, `offset` bytes from the head's first. The head's length once it is whole;
  /// nothing while more is needed. Each byte is looked at once.
  Result<std::optional<std::uint32_t>> advance(std::string_view bytes, std::uint32_t offset);
  /// For a whole head: accounts for every byte, trims the values, notes the known fields.
  Result<void> settle(std::string_view head);
  void reset();

  struct FieldSlices {
    Slice name;
    Slice value;
  };
  const std::vector<FieldSlices>& fields() const { return fields_; }
  Slice target() const { return target_; }
  std::uint8_t method() const { return llhttp_.method; }
  std::uint16_t status() const { return llhttp_.status_code; }
  std::uint8_t minor_version() const { return llhttp_.http_minor; }

  bool has(Known field) const { return counts_[static_cast<std::size_t>(field)] != 0; }
  /// How often the field came, counted up to 255.
  std::uint8_t count(Known field) const { return counts_[static_cast<std::size_t>(field)]; }
  /// The first value of that field, or an empty view with null data.
  std::string_view first(Known field, std::string_view head) const;

  /// Over all Connection fields.
  bool connection_close() const { return close_; }
  bool connection_keep_alive() const { return keep_alive_; }

  /// What the length fields say: both kinds, two of a kind, a list, a sign, a leading zero, a coding other than exactly
  /// `chunked`, or a coding in HTTP/1.0 is an error.
  struct Framing {
    bool chunked = false;
    bool has_length = false;
    std::uint64_t length = 0;
  };
  Result<Framing> framing(std::string_view head) const;

 private:
  static int on_target(llhttp_t* parser, const char* at, std::size_t length);
  static int on_name(llhttp_t* parser, const char* at, std::size_t length);
  static int on_value(llhttp_t* parser, const char* at, std::size_t length);
  static int on_end(llhttp_t* parser);
  static const llhttp_settings_t& settings();
  int note(Slice& slice, const char* at, std::size_t length);
  Result<void> settle_first_line(std::string_view head, std::size_t& at) const;
  std::unexpected<Error> malformed(std::string message) const { return fail(malformed_, std::move(message)); }
  void note_connection(std::string_view value);

  llhttp_t llhttp_{};
  llhttp_type type_;
  ErrorCode malformed_;
  const char* base_ = nullptr;  // where the head's first byte would lie, as the bytes of this call lie
  bool in_name_ = false;
  bool folded_ = false;
  bool too_many_ = false;
  bool close_ = false;
  bool keep_alive_ = false;
  Slice target_;
  std::vector<FieldSlices> fields_;
  std::array<std::uint8_t, static_cast<std::size_t>(Known::kNone) + 1> counts_{};
  std::array<std::uint8_t, static_cast<std::size_t>(Known::kNone) + 1> firsts_{};
};

}  // namespace thalweg::http
