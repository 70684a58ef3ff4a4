#include <fmt/format.h>

#include <cstring>

#include "carry/http/chunks.h"
#include "carry/http/head.h"
#include "carry/http/message.h"

namespace thalweg::http {
namespace {

// RFC 9112, section 2.2: a server should pass over at least one empty line before a request; some old clients send one
// after a body.
constexpr int kMaxEmptyLines = 2;
// What chunk framing may cost beyond the content itself: the buffer holds it until the message is done.
constexpr std::size_t kChunkOverhead = 64 * 1024;

Method method_of(std::uint8_t method) {
  switch (method) {
    case HTTP_GET:
      return Method::kGet;
    case HTTP_HEAD:
      return Method::kHead;
    case HTTP_POST:
      return Method::kPost;
    case HTTP_PUT:
      return Method::kPut;
    case HTTP_DELETE:
      return Method::kDelete;
    case HTTP_OPTIONS:
      return Method::kOptions;
    case HTTP_PATCH:
      return Method::kPatch;
    default:
      return Method::kOther;
  }
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// A name, IPv4 address or bracketed IPv6 address, and perhaps a port. Commas and other delimiters that RFC 3986 would
/// allow in a registered name are not used by any, and could be read as two hosts.
bool is_host(std::string_view host) {
  std::size_t at = 0;
  if (host.starts_with('[')) {
    const std::size_t close = host.find(']');
    if (close == host.npos || close < 3) return false;
    for (at = 1; at < close; ++at) {
      if (!is_hex(host[at]) && host[at] != ':' && host[at] != '.') return false;
    }
    at = close + 1;
  } else {
    while (at < host.size() && host[at] != ':') {
      const char c = host[at];
      if (!is_alpha(c) && !is_digit(c) && c != '.' && c != '-' && c != '_') return false;
      ++at;
    }
    if (at == 0) return false;
  }
  if (at == host.size()) return true;
  if (host[at] != ':') return false;
  const std::string_view port = host.substr(at + 1);
  if (port.empty() || port.size() > 5) return false;
  std::uint32_t number = 0;
  for (const char c : port) {
    if (!is_digit(c)) return false;
    number = number * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return number <= 65535;
}

bool equal_hosts(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char x = is_alpha(a[i]) ? static_cast<char>(a[i] | 0x20) : a[i];
    const char y = is_alpha(b[i]) ? static_cast<char>(b[i] | 0x20) : b[i];
    if (x != y) return false;
  }
  return true;
}

struct Target {
  Slice path;
  Slice query;
  Slice authority;
};

}  // namespace

struct RequestReader::Parser {
  explicit Parser(Limits wanted)
      : limits(wanted),
        body_limit(wanted.body_bytes),
        scanner(HTTP_REQUEST, ErrorCode::kInvalidRequest),
        chunks(ErrorCode::kInvalidRequest) {}

  Result<State> read_head(std::span<char> buffer);
  Result<void> judge_head(std::string_view bytes);
  Result<void> judge_host(std::string_view bytes);
  Result<Target> split_target(std::string_view bytes) const;
  Result<State> read_chunks(std::span<char> buffer);
  std::string_view head_bytes(std::span<const char> buffer) const { return {buffer.data() + begin, head_end - begin}; }

  Limits limits;
  std::size_t body_limit;
  HeadScanner scanner;
  ChunkReader chunks;
  State state = State::kHead;
  int empty_lines = 0;
  std::size_t begin = 0;  // of the head, after empty lines
  std::size_t read = 0;   // bytes of the buffer that were looked at
  std::size_t head_end = 0;
  std::size_t body_end = 0;  // of the body as decoded
  std::size_t end = 0;       // of the message
  Target target;             // slices of the head
  HeadScanner::Framing framing;
  std::vector<Field> fields;
  const char* viewed = nullptr;  // the buffer that `head` points into
  RequestHead head;
};

RequestReader::RequestReader(Limits limits) : parser_(new Parser(limits)) {}
RequestReader::~RequestReader() {
  delete parser_;
}

Result<RequestReader::State> RequestReader::advance(std::span<char> buffer) {
  Parser& parser = *parser_;
  switch (parser.state) {
    case State::kHead:
      return parser.read_head(buffer);
    case State::kHeadDone:
      if (parser.framing.chunked) {
        parser.body_end = parser.read = parser.head_end;
      } else {
        if (parser.framing.length > parser.body_limit) {
          return fail(ErrorCode::kTooLarge, fmt::format("the body has {} bytes; at most {} are taken",
                                                        parser.framing.length, parser.body_limit));
        }
        parser.body_end = parser.end = parser.head_end + parser.framing.length;
      }
      parser.state = State::kBody;
      [[fallthrough]];
    case State::kBody:
      if (parser.framing.chunked) return parser.read_chunks(buffer);
      if (buffer.size() >= parser.end) parser.state = State::kDone;
      return parser.state;
    case State::kDone:
      break;
  }
  return State::kDone;
}

Result<RequestReader::State> RequestReader::Parser::read_head(std::span<char> buffer) {
  while (read == begin && read < buffer.size() && (buffer[read] == '\r' || buffer[read] == '\n')) {
    if (buffer[read] == '\n' || ++empty_lines > kMaxEmptyLines) {
      return fail(ErrorCode::kInvalidRequest, "the request must begin with a request line");
    }
    if (read + 1 == buffer.size()) {
      --empty_lines;
      return State::kHead;
    }
    if (buffer[read + 1] != '\n') return fail(ErrorCode::kInvalidRequest, "lines must end in CRLF");
    begin = read += 2;
  }
  const std::size_t take = std::min(buffer.size(), begin + limits.head_bytes) - read;
  if (take > 0) {
    const auto end_found = scanner.advance({buffer.data() + read, take}, static_cast<std::uint32_t>(read - begin));
    if (!end_found) return std::unexpected(end_found.error());
    read += take;
    if (*end_found) {
      head_end = read = begin + **end_found;
      if (auto judged = judge_head(head_bytes(buffer)); !judged) return std::unexpected(judged.error());
      return state = State::kHeadDone;
    }
  }
  if (read - begin >= limits.head_bytes) {
    return fail(ErrorCode::kHeadersTooLarge,
                fmt::format("the request line and fields have more than {} bytes", limits.head_bytes));
  }
  return State::kHead;
}

Result<void> RequestReader::Parser::judge_head(std::string_view bytes) {
  if (auto settled = scanner.settle(bytes); !settled) return settled;
  if (scanner.method() == HTTP_CONNECT) {
    return fail(ErrorCode::kInvalidRequest, "CONNECT is not served: this is no forward proxy");
  }
  // Java's HttpClient asks for h2c with every first request; RFC 9110, section 7.8 lets a server go on as if it had
  // not.
  if (scanner.has(Known::kUpgrade) && !equals_lower(scanner.first(Known::kUpgrade, bytes), "h2c")) {
    return fail(ErrorCode::kInvalidRequest, "no other protocol can be switched to here; leave the Upgrade field out");
  }
  for (const auto& [known, name] :
       {std::pair{Known::kAuthorization, "Authorization"}, std::pair{Known::kContentType, "Content-Type"},
        std::pair{Known::kOrigin, "Origin"}, std::pair{Known::kExpect, "Expect"}}) {
    if (scanner.count(known) > 1)
      return fail(ErrorCode::kInvalidRequest, fmt::format("{} is given more than once; send it once", name));
  }
  if (scanner.has(Known::kExpect) && !equals_lower(scanner.first(Known::kExpect, bytes), "100-continue")) {
    return fail(ErrorCode::kInvalidRequest, "the only expectation that can be met is `Expect: 100-continue`");
  }
  const auto framed = scanner.framing(bytes);
  if (!framed) return std::unexpected(framed.error());
  framing = *framed;
  const auto split = split_target(bytes);
  if (!split) return std::unexpected(split.error());
  target = *split;
  return judge_host(bytes);
}

Result<void> RequestReader::Parser::judge_host(std::string_view bytes) {
  if (scanner.count(Known::kHost) > 1)
    return fail(ErrorCode::kInvalidRequest, "Host is given more than once; send it once");
  if (!scanner.has(Known::kHost)) {
    if (scanner.minor_version() == 0) return {};
    return fail(ErrorCode::kInvalidRequest, "Host is missing; HTTP/1.1 needs it");
  }
  const std::string_view host = scanner.first(Known::kHost, bytes);
  if (!is_host(host)) return fail(ErrorCode::kInvalidRequest, "Host must be a name or address and perhaps a port");
  if (target.authority.end != 0 && !equal_hosts(host, target.authority.of(bytes))) {
    return fail(ErrorCode::kInvalidRequest, "Host and the target's host differ; send the same in both");
  }
  return {};
}

// llhttp has refused control bytes, spaces and bytes above 0x7F. What is refused here is what a browser would have
// encoded, a fragment, and a backslash in the path (which some servers read as a slash).
Result<Target> RequestReader::Parser::split_target(std::string_view bytes) const {
  const std::string_view text = scanner.target().of(bytes);
  const std::uint32_t first = scanner.target().begin;
  const auto slice = [first](std::size_t from, std::size_t to) {
    return Slice{first + static_cast<std::uint32_t>(from), first + static_cast<std::uint32_t>(to)};
  };
  if (text == "*") {
    if (scanner.method() != HTTP_OPTIONS)
      return fail(ErrorCode::kInvalidRequest, "the target `*` goes with OPTIONS only");
    return Target{slice(0, 1), {}, {}};
  }
  Target found;
  std::size_t path = 0;
  if (text.front() != '/') {
    const std::size_t scheme = text.find("://");
    if (scheme == text.npos ||
        (!equals_lower(text.substr(0, scheme), "http") && !equals_lower(text.substr(0, scheme), "https"))) {
      return fail(ErrorCode::kInvalidRequest, "the target must be a path that begins with `/`");
    }
    path = std::min(text.find_first_of("/?#", scheme + 3), text.size());
    found.authority = slice(scheme + 3, path);
    if (!is_host(found.authority.of(bytes)))
      return fail(ErrorCode::kInvalidRequest, "the target's host must be a name or address and perhaps a port");
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7F || c == '#' || c == '"' || c == '<' || c == '>') {
      return fail(ErrorCode::kInvalidRequest,
                  "the target holds a character that must be percent-encoded, or a fragment");
    }
  }
  const std::size_t question = text.find('?', path);
  found.path = slice(path, std::min(question, text.size()));
  if (question != text.npos) found.query = slice(question + 1, text.size());
  if (found.path.of(bytes).find('\\') != std::string_view::npos) {
    return fail(ErrorCode::kInvalidRequest, "the path holds a backslash; percent-encode it");
  }
  return found;
}

Result<RequestReader::State> RequestReader::Parser::read_chunks(std::span<char> buffer) {
  while (read < buffer.size()) {
    const auto step = chunks.next({buffer.data() + read, buffer.size() - read});
    if (!step) return std::unexpected(step.error());
    read += step->taken;
    if (!step->data.empty()) {
      if (step->data.size() > body_limit - (body_end - head_end)) {
        return fail(ErrorCode::kTooLarge, fmt::format("the body has more than {} bytes", body_limit));
      }
      std::memmove(buffer.data() + body_end, step->data.data(), step->data.size());
      body_end += step->data.size();
    }
    const std::size_t content = body_end - head_end;
    if (read - head_end - content > kChunkOverhead + content) {
      return fail(ErrorCode::kTooLarge, "the body comes in too many tiny chunks; send larger ones");
    }
    if (step->ended) {
      end = read;
      return state = State::kDone;
    }
  }
  return State::kBody;
}

const RequestHead& RequestReader::head(std::span<const char> buffer) {
  Parser& parser = *parser_;
  if (parser.viewed == buffer.data()) return parser.head;
  parser.viewed = buffer.data();
  const std::string_view bytes = parser.head_bytes(buffer);
  const HeadScanner& scanner = parser.scanner;
  parser.fields.clear();
  for (const auto& field : scanner.fields()) parser.fields.push_back({field.name.of(bytes), field.value.of(bytes)});

  RequestHead& head = parser.head;
  head.method = method_of(scanner.method());
  head.target = scanner.target().of(bytes);
  head.path = parser.target.path.of(bytes);
  if (head.path.empty()) head.path = "/";  // of an absolute form without one
  head.query = parser.target.query.of(bytes);
  head.host = parser.target.authority.end != 0 ? parser.target.authority.of(bytes) : scanner.first(Known::kHost, bytes);
  head.origin = scanner.first(Known::kOrigin, bytes);
  head.authorization = scanner.first(Known::kAuthorization, bytes);
  head.content_type = scanner.first(Known::kContentType, bytes);
  head.fields = parser.fields;
  head.content_length = parser.framing.length;
  head.chunked = parser.framing.chunked;
  head.has_body = parser.framing.chunked || parser.framing.length > 0;
  head.minor_version = scanner.minor_version();
  head.keep_alive = !scanner.connection_close() && (head.minor_version == 1 || scanner.connection_keep_alive());
  head.expects_continue = scanner.has(Known::kExpect) && head.minor_version == 1;
  return head;
}

std::string_view RequestReader::body(std::span<const char> buffer) const {
  return {buffer.data() + parser_->head_end, parser_->body_end - parser_->head_end};
}

std::size_t RequestReader::message_end() const {
  return parser_->end;
}

std::size_t RequestReader::bytes_needed() const {
  if (parser_->state == State::kHead || parser_->framing.chunked) return 0;
  return parser_->head_end + parser_->framing.length;
}

void RequestReader::set_head_limit(std::size_t bytes) {
  parser_->limits.head_bytes = bytes;
}

void RequestReader::set_body_limit(std::size_t bytes) {
  parser_->body_limit = bytes;
}

void RequestReader::reset() {
  Parser& parser = *parser_;
  parser.scanner.reset();
  parser.chunks.reset();
  parser.state = State::kHead;
  parser.body_limit = parser.limits.body_bytes;
  parser.empty_lines = 0;
  parser.begin = parser.read = parser.head_end = parser.body_end = parser.end = 0;
  parser.target = {};
  parser.framing = {};
  parser.fields.clear();
  parser.viewed = nullptr;
  parser.head = {};
}

}  // namespace thalweg::http
