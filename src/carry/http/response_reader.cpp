#include <fmt/format.h>

#include <string>

#include "carry/http/chunks.h"
#include "carry/http/head.h"
#include "carry/http/message.h"

namespace thalweg::http {
namespace {

// A server may send any number of interim answers (RFC 9110, section 15.2); one that sends more is not going to answer.
constexpr int kMaxInterim = 16;

std::unexpected<Error> malformed(std::string message) {
  return fail(ErrorCode::kUpstreamFailed, std::move(message));
}

std::string_view media_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ') || content_type.ends_with('\t')) content_type.remove_suffix(1);
  return content_type;
}

}  // namespace

struct ResponseReader::Parser {
  enum class At : std::uint8_t { kHead, kLength, kChunks, kUntilClose, kDone, kFailed };

  explicit Parser(Limits wanted)
      : limits(wanted), scanner(HTTP_RESPONSE, ErrorCode::kUpstreamFailed), chunks(ErrorCode::kUpstreamFailed) {}

  Result<void> read(std::string_view bytes, Visitor& visitor);
  /// Takes the head's bytes from `bytes`, all of them if it does not end there.
  Result<void> read_head(std::string_view& bytes, Visitor& visitor);
  Result<void> head_done(std::string_view bytes, Visitor& visitor);
  void end(Visitor& visitor) {
    at = At::kDone;
    visitor.on_end();
  }
  void next_head() {
    scanner.reset();
    kept.clear();
    head_read = 0;
  }

  Limits limits;
  HeadScanner scanner;
  ChunkReader chunks;
  At at = At::kHead;
  bool head_request = false;
  bool keep_alive = false;
  bool started = false;
  bool leftover = false;
  int interim = 0;
  std::uint64_t left = 0;     // of a body with a known length
  std::size_t head_read = 0;  // bytes of this head so far
  std::string kept;           // those of them that came in earlier calls
  std::vector<Field> fields;
};

ResponseReader::ResponseReader(Limits limits) : parser_(new Parser(limits)) {}
ResponseReader::~ResponseReader() {
  delete parser_;
}

Result<void> ResponseReader::advance(std::string_view bytes, Visitor& visitor) {
  if (bytes.empty()) return {};
  if (parser_->at == Parser::At::kFailed) return malformed("the endpoint's answer was malformed");
  parser_->started = true;
  auto read = parser_->read(bytes, visitor);
  if (!read && parser_->at != Parser::At::kDone) parser_->at = Parser::At::kFailed;
  return read;
}

Result<void> ResponseReader::Parser::read(std::string_view bytes, Visitor& visitor) {
  while (!bytes.empty()) {
    switch (at) {
      case At::kHead:
        if (auto head = read_head(bytes, visitor); !head) return head;
        break;
      case At::kLength: {
        const auto run = static_cast<std::size_t>(std::min<std::uint64_t>(left, bytes.size()));
        left -= run;
        visitor.on_body(bytes.substr(0, run));
        bytes.remove_prefix(run);
        if (left == 0) end(visitor);
        break;
      }
      case At::kChunks: {
        const auto step = chunks.next(bytes);
        if (!step) return std::unexpected(step.error());
        bytes.remove_prefix(step->taken);
        if (!step->data.empty()) visitor.on_body(step->data);
        if (step->ended) end(visitor);
        break;
      }
      case At::kUntilClose:
        visitor.on_body(bytes);
        return {};
      case At::kDone:
        leftover = true;
        return malformed("the endpoint sent bytes after the end of its answer");
      case At::kFailed:
        return malformed("the endpoint's answer was malformed");
    }
  }
  return {};
}

Result<void> ResponseReader::Parser::read_head(std::string_view& bytes, Visitor& visitor) {
  const std::string_view part = bytes.substr(0, limits.head_bytes - head_read);
  const auto end_found = scanner.advance(part, static_cast<std::uint32_t>(head_read));
  if (!end_found) return std::unexpected(end_found.error());
  if (!*end_found) {
    head_read += part.size();
    if (head_read >= limits.head_bytes)
      return malformed(fmt::format("the head of the endpoint's answer has more than {} bytes", limits.head_bytes));
    kept.append(part);
    bytes = {};
    return {};
  }
  const std::string_view last = part.substr(0, **end_found - head_read);
  bytes.remove_prefix(last.size());
  if (kept.empty()) return head_done(last, visitor);
  kept.append(last);
  return head_done(kept, visitor);
}

Result<void> ResponseReader::Parser::head_done(std::string_view bytes, Visitor& visitor) {
  if (auto settled = scanner.settle(bytes); !settled) return settled;
  const auto framing = scanner.framing(bytes);
  if (!framing) return std::unexpected(framing.error());
  const std::uint16_t status = scanner.status();
  if (status < 200) {
    if (status == 101) return malformed("the endpoint switched protocols, which nobody asked for");
    if (framing->chunked || framing->has_length) return malformed("an interim answer of the endpoint has a length");
    if (++interim > kMaxInterim) return malformed("the endpoint sends interim answers without end");
    next_head();
    return {};
  }

  fields.clear();
  for (const auto& field : scanner.fields()) fields.push_back({field.name.of(bytes), field.value.of(bytes)});
  const bool no_body = head_request || status == 204 || status == 304;
  const bool until_close = !no_body && !framing->chunked && !framing->has_length;
  keep_alive =
      !until_close && !scanner.connection_close() && (scanner.minor_version() == 1 || scanner.connection_keep_alive());

  ResponseHead head;
  head.status = status;
  head.fields = fields;
  head.keep_alive = keep_alive;
  head.until_close = until_close;
  if (!no_body && framing->has_length) head.content_length = framing->length;
  const std::string_view type = media_type(scanner.first(Known::kContentType, bytes));
  head.event_stream = equals_lower(type, "text/event-stream");
  head.json = equals_lower(type, "application/json") ||
              (type.size() > 5 && equals_lower(type.substr(type.size() - 5), "+json"));

  left = framing->length;
  at = until_close ? At::kUntilClose : framing->chunked ? At::kChunks : At::kLength;
  visitor.on_head(head);
  if (no_body || (at == At::kLength && left == 0)) end(visitor);
  return {};
}

Result<void> ResponseReader::finish(Visitor& visitor) {
  switch (parser_->at) {
    case Parser::At::kDone:
      return {};
    case Parser::At::kUntilClose:
      parser_->end(visitor);
      return {};
    case Parser::At::kHead:
      return fail(ErrorCode::kTruncated, parser_->started
                                             ? "the endpoint closed the connection inside the head of its answer"
                                             : "the endpoint closed the connection without an answer");
    default:
      return fail(ErrorCode::kTruncated, "the endpoint closed the connection before the end of its answer");
  }
}

bool ResponseReader::done() const {
  return parser_->at == Parser::At::kDone;
}
bool ResponseReader::reusable() const {
  return done() && parser_->keep_alive && !parser_->leftover;
}
bool ResponseReader::started() const {
  return parser_->started;
}
void ResponseReader::set_head_request(bool head_request) {
  parser_->head_request = head_request;
}

void ResponseReader::reset() {
  Parser& parser = *parser_;
  parser.next_head();
  parser.chunks.reset();
  parser.at = Parser::At::kHead;
  parser.head_request = parser.keep_alive = parser.started = parser.leftover = false;
  parser.interim = 0;
  parser.left = 0;
  parser.fields.clear();
}

}  // namespace thalweg::http
