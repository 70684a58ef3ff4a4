#include "bench/answer_reader.h"

#include <strings.h>

#include <charconv>

namespace thalweg::bench {
namespace {

constexpr std::size_t kMaxHead = 16 * 1024;
constexpr std::size_t kMaxFramingLine = 20;  // 16 hexadecimal digits, CR, LF

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

void AnswerReader::restart() {
  state_ = State::kHead;
  head_.clear();
  line_.clear();
  left_ = 0;
  status_ = 0;
  closes_ = false;
  event_stream_ = false;
  fault_ = {};
}

void AnswerReader::break_off(std::string_view why) {
  state_ = State::kBroken;
  fault_ = why;
}

std::string_view AnswerReader::take_head(std::string_view in) {
  if (head_.empty()) {
    if (const std::size_t end = in.find("\r\n\r\n"); end != std::string_view::npos) {
      parse_head(in.substr(0, end + 2));
      return in.substr(end + 4);
    }
  }
  const std::size_t before = head_.size();
  head_.append(in);
  const std::size_t end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  if (end == std::string::npos) {
    if (head_.size() > kMaxHead) break_off("a head without end");
    return {};
  }
  parse_head(std::string_view(head_).substr(0, end + 2));
  return in.substr(end + 4 - before);
}

void AnswerReader::parse_head(std::string_view head) {
  constexpr std::string_view kStart = "HTTP/1.1 ";
  if (!head.starts_with(kStart) ||
      std::from_chars(head.data() + kStart.size(), head.data() + head.size(), status_).ec != std::errc{}) {
    return break_off("no HTTP/1.1 status line");
  }
  bool has_length = false, chunked = false;
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t end = head.find("\r\n", at);
    const std::string_view line = head.substr(at, end - at);
    at = end + 2;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return break_off("a header line without colon");
    const std::string_view name = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    if (same(name, "content-length")) {
      const auto [end_of_number, error] = std::from_chars(value.data(), value.data() + value.size(), left_);
      if (has_length || error != std::errc{} || end_of_number != value.data() + value.size())
        return break_off("a bad Content-Length");
      has_length = true;
    } else if (same(name, "transfer-encoding")) {
      if (chunked || !same(value, "chunked")) return break_off("an unknown Transfer-Encoding");
      chunked = true;
    } else if (same(name, "connection")) {
      closes_ = same(value, "close");
    } else if (same(name, "content-type")) {
      event_stream_ = value.starts_with("text/event-stream");
    }
  }
  if (has_length == chunked) return break_off("neither length nor chunks, or both");
  state_ = chunked ? State::kChunkSize : left_ > 0 ? State::kLength : State::kDone;
}

std::string_view AnswerReader::take_framing(std::string_view in) {
  const std::size_t end = in.find('\n');
  const std::size_t used = end == std::string_view::npos ? in.size() : end + 1;
  line_.append(in.substr(0, used));
  in.remove_prefix(used);
  if (line_.size() > kMaxFramingLine) return break_off("a chunk's size line without end"), in;
  if (end == std::string_view::npos) return in;
  if (!line_.ends_with("\r\n")) return break_off("a chunk line that ends without CR"), in;
  const std::string_view line = std::string_view(line_).substr(0, line_.size() - 2);
  switch (state_) {
    case State::kChunkEnd:
      if (!line.empty()) return break_off("bytes after a chunk's data"), in;
      state_ = State::kChunkSize;
      break;
    case State::kLastLine:
      if (!line.empty()) return break_off("trailers, which nobody sent"), in;
      state_ = State::kDone;
      break;
    default: {
      const auto [end_of_number, error] = std::from_chars(line.data(), line.data() + line.size(), left_, 16);
      if (error != std::errc{} || end_of_number != line.data() + line.size()) return break_off("a bad chunk size"), in;
      state_ = left_ > 0 ? State::kChunk : State::kLastLine;
    }
  }
  line_.clear();
  return in;
}

}  // namespace thalweg::bench
