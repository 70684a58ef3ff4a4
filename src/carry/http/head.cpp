#include "carry/http/head.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

namespace thalweg::http {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t';
}

std::uint64_t word_at(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// Eight bytes with their ASCII letters in lower case.
std::uint64_t lower_of(const char* at) {
  constexpr std::uint64_t kOnes = 0x0101010101010101, kTops = kOnes * 0x80;
  const std::uint64_t word = word_at(at);
  const std::uint64_t low = word & ~kTops;
  const std::uint64_t from_a = low + kOnes * (0x80 - 'A'), behind_z = low + kOnes * (0x7F - 'Z');
  return word | ((from_a & ~behind_z & ~word & kTops) >> 2);
}

std::string_view reason_of(const llhttp_t& parser) {
  return parser.reason != nullptr ? parser.reason : "malformed head";
}

}  // namespace

bool equals_lower(std::string_view any_case, std::string_view lower_case) {
  if (any_case.size() != lower_case.size()) return false;
  std::size_t i = 0;
  for (; any_case.size() - i >= 8; i += 8) {
    if (lower_of(any_case.data() + i) != word_at(lower_case.data() + i)) return false;
  }
  for (; i < any_case.size(); ++i) {
    const char c = any_case[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    if (lower != lower_case[i]) return false;
  }
  return true;
}

Known identify(std::string_view name) {
  const auto is = [name](std::string_view known) { return equals_lower(name, known); };
  switch (name.size()) {
    case 4:
      return is("host") ? Known::kHost : Known::kNone;
    case 6:
      if (is("origin")) return Known::kOrigin;
      return is("expect") ? Known::kExpect : Known::kNone;
    case 7:
      return is("upgrade") ? Known::kUpgrade : Known::kNone;
    case 10:
      return is("connection") ? Known::kConnection : Known::kNone;
    case 12:
      return is("content-type") ? Known::kContentType : Known::kNone;
    case 13:
      return is("authorization") ? Known::kAuthorization : Known::kNone;
    case 14:
      return is("content-length") ? Known::kContentLength : Known::kNone;
    case 17:
      return is("transfer-encoding") ? Known::kTransferEncoding : Known::kNone;
    default:
      return Known::kNone;
  }
}

HeadScanner::HeadScanner(llhttp_type type, ErrorCode malformed) : type_(type), malformed_(malformed) {
  fields_.reserve(32);
  reset();
}

void HeadScanner::reset() {
  llhttp_init(&llhttp_, type_, &settings());
  llhttp_.data = this;
  in_name_ = folded_ = too_many_ = close_ = keep_alive_ = false;
  target_ = {};
  fields_.clear();
  counts_.fill(0);
}

const llhttp_settings_t& HeadScanner::settings() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t made;
    llhttp_settings_init(&made);
    made.on_url = on_target;
    made.on_header_field = on_name;
    made.on_header_value = on_value;
    made.on_headers_complete = on_end;
    return made;
  }();
  return kSettings;
}

// A piece may come in several calls; they must touch, else llhttp left something out (a folded line).
int HeadScanner::note(Slice& slice, const char* at, std::size_t length) {
  const auto begin = static_cast<std::uint32_t>(at - base_);
  if (slice.end == 0) {
    slice.begin = begin;
  } else if (slice.end != begin) {
    folded_ = true;
    return -1;
  }
  slice.end = begin + static_cast<std::uint32_t>(length);
  return 0;
}

int HeadScanner::on_target(llhttp_t* parser, const char* at, std::size_t length) {
  auto& self = *static_cast<HeadScanner*>(parser->data);
  return self.note(self.target_, at, length);
}

int HeadScanner::on_name(llhttp_t* parser, const char* at, std::size_t length) {
  auto& self = *static_cast<HeadScanner*>(parser->data);
  if (!self.in_name_) {
    if (self.fields_.size() == kMaxHeaderFields) {
      self.too_many_ = true;
      return -1;
    }
    self.fields_.emplace_back();
    self.in_name_ = true;
  }
  return self.note(self.fields_.back().name, at, length);
}

int HeadScanner::on_value(llhttp_t* parser, const char* at, std::size_t length) {
  auto& self = *static_cast<HeadScanner*>(parser->data);
  self.in_name_ = false;
  if (self.fields_.empty()) return -1;
  return self.note(self.fields_.back().value, at, length);
}

int HeadScanner::on_end(llhttp_t*) {
  return HPE_PAUSED;
}

Result<std::optional<std::uint32_t>> HeadScanner::advance(std::string_view bytes, std::uint32_t offset) {
  base_ = bytes.data() - offset;
  const llhttp_errno_t error = llhttp_execute(&llhttp_, bytes.data(), bytes.size());
  if (error == HPE_OK) return std::optional<std::uint32_t>();
  if (error == HPE_PAUSED) return std::optional<std::uint32_t>(static_cast<std::uint32_t>(llhttp_.error_pos - base_));
  if (too_many_) {
    return fail(type_ == HTTP_REQUEST ? ErrorCode::kHeadersTooLarge : malformed_,
                fmt::format("the head has more than {} fields; send fewer", kMaxHeaderFields));
  }
  if (folded_) return malformed("a header field is folded over several lines; send it on one line");
  if (error == HPE_PAUSED_H2_UPGRADE ||
      (type_ == HTTP_REQUEST && llhttp_.method == HTTP_PRI && error != HPE_INVALID_METHOD)) {
    return malformed("this is HTTP/2; this port speaks HTTP/1.1 only");
  }
  return malformed(fmt::format("malformed HTTP head: {}", reason_of(llhttp_)));
}

Result<void> HeadScanner::settle_first_line(std::string_view head, std::size_t& at) const {
  if (type_ == HTTP_REQUEST) {
    const std::string_view method = llhttp_method_name(static_cast<llhttp_method_t>(llhttp_.method));
    const bool whole = target_.begin == method.size() + 1 && head.starts_with(method) && head[method.size()] == ' ' &&
                       target_.end > target_.begin;
    const std::string_view rest = head.substr(target_.end, 11);
    if (!whole || (rest != " HTTP/1.1\r\n" && rest != " HTTP/1.0\r\n")) {
      return malformed(
          "malformed request line; it must be exactly `METHOD target HTTP/1.1` and CRLF (HTTP/1.0 is taken too)");
    }
    at = target_.end + rest.size();
    return {};
  }
  const std::size_t line_feed = head.find('\n');
  const bool version = head.starts_with("HTTP/1.1 ") || head.starts_with("HTTP/1.0 ");
  if (!version || line_feed == head.npos || line_feed < 13 || head[line_feed - 1] != '\r' ||
      head.substr(0, line_feed - 1).find('\r') != head.npos) {
    return malformed("malformed status line");
  }
  for (const std::size_t digit : {9u, 10u, 11u}) {
    if (head[digit] < '0' || head[digit] > '9')
      return malformed("malformed status line: the status must have three digits");
  }
  if (head[12] != ' ' && head[12] != '\r') return malformed("malformed status line: the status must have three digits");
  if (llhttp_.status_code < 100 || llhttp_.status_code > 599) {
    return malformed(fmt::format("the status {} does not exist", llhttp_.status_code));
  }
  at = line_feed + 1;
  return {};
}

Result<void> HeadScanner::settle(std::string_view head) {
  // From here on, runs of spaces can't lead out of the head.
  if (!head.ends_with("\r\n\r\n")) return malformed("the head must end in one empty line (CRLF CRLF)");
  std::size_t at = 0;
  if (auto line = settle_first_line(head, at); !line) return line;
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    FieldSlices& field = fields_[i];
    if (field.name.begin != at || field.name.end <= at || head[field.name.end] != ':') {
      return malformed("malformed header field; a name must be followed by a colon, without spaces");
    }
    at = field.name.end + 1;
    while (is_space(head[at])) ++at;
    if (field.value.end <= field.value.begin) {
      field.value = {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at)};
    }
    if (field.value.begin != at) return malformed("malformed header field; its value must be on one line");
    at = field.value.end;
    while (field.value.end > field.value.begin && is_space(head[field.value.end - 1])) --field.value.end;
    while (is_space(head[at])) ++at;
    if (head[at] != '\r' || head[at + 1] != '\n') return malformed("header lines must end in CRLF");
    at += 2;
    const Known known = identify(field.name.of(head));
    if (known == Known::kNone) continue;
    std::uint8_t& count = counts_[static_cast<std::size_t>(known)];
    if (count == 0) firsts_[static_cast<std::size_t>(known)] = static_cast<std::uint8_t>(i);
    if (count < 255) ++count;
    if (known == Known::kConnection) note_connection(field.value.of(head));
  }
  if (head.substr(at) != "\r\n") return malformed("the head must end in one empty line (CRLF CRLF)");
  return {};
}

void HeadScanner::note_connection(std::string_view value) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    std::string_view token = value.substr(0, comma);
    value = comma == value.npos ? std::string_view() : value.substr(comma + 1);
    while (!token.empty() && is_space(token.front())) token.remove_prefix(1);
    while (!token.empty() && is_space(token.back())) token.remove_suffix(1);
    if (equals_lower(token, "close")) close_ = true;
    if (equals_lower(token, "keep-alive")) keep_alive_ = true;
  }
}

std::string_view HeadScanner::first(Known field, std::string_view head) const {
  if (!has(field)) return {};
  return fields_[firsts_[static_cast<std::size_t>(field)]].value.of(head);
}

Result<HeadScanner::Framing> HeadScanner::framing(std::string_view head) const {
  Framing framing;
  const std::uint8_t lengths = count(Known::kContentLength);
  const std::uint8_t codings = count(Known::kTransferEncoding);
  if (lengths != 0 && codings != 0)
    return malformed("both Content-Length and Transfer-Encoding are given; send one of them");
  if (lengths > 1) return malformed("Content-Length is given more than once; send it once");
  if (codings > 1) return malformed("Transfer-Encoding is given more than once; send `chunked` once");
  if (codings == 1) {
    if (minor_version() == 0) return malformed("Transfer-Encoding does not exist in HTTP/1.0; send Content-Length");
    if (!equals_lower(first(Known::kTransferEncoding, head), "chunked")) {
      return malformed("the only transfer coding taken is `chunked`, alone");
    }
    framing.chunked = true;
  }
  if (lengths == 1) {
    const std::string_view digits = first(Known::kContentLength, head);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), framing.length);
    const bool plain = !digits.empty() && digits.front() >= '0' && digits.front() <= '9' &&
                       (digits.front() != '0' || digits.size() == 1);
    // 2^62 bytes: far above any limit, and sums of two such lengths don't overflow.
    if (!plain || error != std::errc() || end != digits.data() + digits.size() || framing.length > (1ULL << 62)) {
      return malformed("Content-Length must be one plain decimal number");
    }
    framing.has_length = true;
  }
  return framing;
}

}  // namespace thalweg::http
