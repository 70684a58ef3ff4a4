#include "carry/http/sse.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>

#include "carry/http/message.h"

namespace thalweg::http {
namespace {

constexpr std::string_view kMark = "\xEF\xBB\xBF";

/// The first LF, CR or NUL. Eight bytes a step: they all are below 0x10, and of the other such bytes only TAB is ever
/// seen. (The test for a byte below n is Bit Twiddling Hacks' hasless(x, n).)
const char* find_special(const char* at, const char* end) {
  constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
  for (;;) {
    while (end - at >= 8) {
      std::uint64_t word;
      std::memcpy(&word, at, 8);
      if (((word - kOnes * 0x10) & ~word & (kOnes * 0x80)) != 0) break;
      at += 8;
    }
    const char* const stop = end - at >= 8 ? at + 8 : end;
    for (; at < stop; ++at) {
      if (*at == '\n' || *at == '\r' || *at == '\0') return at;
    }
    if (at == end) return end;
  }
}

}  // namespace

void SseReader::feed(std::string_view bytes) {
  rest_ = bytes;
}

namespace {
constexpr std::size_t kKeptCapacity = 16 * 1024;  // of memory for frames, between two streams
}

void SseReader::reset() {
  for (std::string* text : {&carry_, &joined_}) {
    text->clear();
    if (text->capacity() > kKeptCapacity) std::string().swap(*text);
  }
  rest_ = {};
  held_ = 0;
  at_ = At::kFrameStart;
  line_end_ = LineEnd::kLf;
  skip_lf_ = failed_ = false;
  at_start_ = true;
  mark_ = 0;
}

SseReader::Scan SseReader::scan(std::string_view bytes) {
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  const char* at = begin;
  const auto taken = [&] { return static_cast<std::size_t>(at - begin); };
  while (at < end) {
    switch (at_) {
      case At::kFrameStart:
      case At::kLineStart:
        if (*at == '\n') return {taken() + 1, true, false};
        if (*at == '\r') {
          ++at;
          if (at_ == At::kLineStart && line_end_ == LineEnd::kCr) {
            skip_lf_ = true;
            return {taken(), true, false};
          }
          at_ = At::kAfterBlankCr;
          break;
        }
        at_ = At::kInLine;
        [[fallthrough]];
      case At::kInLine:
        at = find_special(at, end);
        if (at == end) break;
        if (*at == '\0') return {taken(), false, true};
        if (*at == '\n') {
          line_end_ = LineEnd::kLf;
          at_ = At::kLineStart;
        } else {
          at_ = At::kAfterCr;
        }
        ++at;
        break;
      case At::kAfterCr:
        line_end_ = *at == '\n' ? LineEnd::kCrLf : LineEnd::kCr;
        if (*at == '\n') ++at;
        at_ = At::kLineStart;
        break;
      case At::kAfterBlankCr:
        if (*at == '\n') ++at;
        return {taken(), true, false};
    }
  }
  return {taken(), false, false};
}

// A mark may come in pieces. False when more bytes are needed; a beginning that is no mark after all goes to the first
// line.
bool SseReader::skip_mark() {
  while (!rest_.empty() && mark_ < kMark.size()) {
    if (rest_.front() != kMark[mark_]) {
      if (mark_ > 0) {
        carry_.assign(kMark.substr(0, mark_));
        held_ = mark_;
        at_ = At::kInLine;
      }
      at_start_ = false;
      return true;
    }
    rest_.remove_prefix(1);
    ++mark_;
  }
  at_start_ = mark_ < kMark.size();
  return !at_start_;
}

Result<bool> SseReader::next(SseFrame& frame) {
  if (failed_) return fail(ErrorCode::kUpstreamFailed, "the event stream has failed before");
  if (at_start_ && !skip_mark()) return false;
  if (skip_lf_ && !rest_.empty()) {
    if (rest_.front() == '\n') rest_.remove_prefix(1);
    skip_lf_ = false;
  }
  const Scan found = scan(rest_);
  if (held_ + found.taken > frame_limit_) {
    failed_ = true;
    return fail(ErrorCode::kTooLarge, fmt::format("a frame of the event stream has more than {} bytes", frame_limit_));
  }
  if (found.nul) {
    failed_ = true;
    return fail(ErrorCode::kUpstreamFailed, "the event stream holds a NUL byte");
  }
  const std::string_view part = rest_.substr(0, found.taken);
  rest_.remove_prefix(found.taken);
  if (!found.ended) {
    if (held_ == 0) carry_.clear();
    carry_.append(part);
    held_ = carry_.size();
    return false;
  }
  frame = {};
  if (held_ == 0) {
    frame.raw = part;
  } else {
    carry_.reserve(held_ + part.size() + kPadding);
    carry_.append(part);
    frame.raw = carry_;
  }
  held_ = 0;
  at_ = At::kFrameStart;
  read_fields(frame);
  return true;
}

void SseReader::read_fields(SseFrame& frame) {
  const char* at = frame.raw.data();
  const char* const end = at + frame.raw.size();
  int data_lines = 0;
  while (at < end) {
    const char* const stop = find_special(at, end);
    const std::string_view line(at, static_cast<std::size_t>(stop - at));
    at = stop + 1;
    if (at < end && *stop == '\r' && *at == '\n') ++at;

    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    const bool is_data = name == "data";
    if (!is_data && name != "event") continue;
    std::string_view value = colon == line.npos ? line.substr(line.size()) : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (!is_data) {
      frame.event = value;
    } else if (++data_lines == 1) {
      frame.data = value;
    } else {
      if (data_lines == 2) joined_.assign(frame.data);
      joined_ += '\n';
      joined_.append(value);
    }
  }
  frame.has_data = data_lines > 0;
  frame.single_line = data_lines == 1;
  if (data_lines > 1) {
    joined_.reserve(joined_.size() + kPadding);
    frame.data = joined_;
  }
}

}  // namespace thalweg::http
