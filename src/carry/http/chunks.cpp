#include "carry/http/chunks.h"

#include <algorithm>
#include <cctype>

namespace thalweg::http {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// RFC 9110, section 5.6.2.
bool is_token(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_visible(char c) {
  return c == '\t' || (c >= ' ' && c <= '~');
}

constexpr std::uint8_t kMaxSizeDigits = 15;  // below 2^60

}  // namespace

Result<ChunkReader::Step> ChunkReader::next(std::string_view bytes) {
  std::size_t i = 0;
  while (i < bytes.size()) {
    const char c = bytes[i];
    switch (at_) {
      case At::kSizeFirst:
      case At::kSize: {
        const int value = hex_value(c);
        if (value >= 0) {
          if (++digits_ > kMaxSizeDigits) return malformed("a chunk size has too many digits");
          left_ = left_ * 16 + static_cast<std::uint64_t>(value);
          at_ = At::kSize;
        } else if (at_ == At::kSizeFirst) {
          return malformed("a chunk must begin with its size in hexadecimal digits");
        } else if (c == '\r') {
          at_ = At::kSizeLf;
        } else if (c == ';') {
          extension_ = 0;
          at_ = At::kExtension;
        } else {
          return malformed("a chunk size must be followed by CRLF or `;`");
        }
        ++i;
        break;
      }
      case At::kExtension:
        if (c == '\r') {
          at_ = At::kSizeLf;
        } else if (!is_visible(c)) {
          return malformed("a chunk extension holds a byte that it must not hold");
        } else if (++extension_ > kMaxChunkExtension || ++extensions_ > kMaxChunkExtensions) {
          return malformed("the chunk extensions are too long; leave them out");
        }
        ++i;
        break;
      case At::kSizeLf:
        if (c != '\n') return malformed("a chunk size's line must end in CRLF");
        digits_ = 0;
        at_ = left_ == 0 ? At::kTrailerFirst : At::kData;
        ++i;
        break;
      case At::kData: {
        const std::size_t run = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - i));
        left_ -= run;
        if (left_ == 0) at_ = At::kDataCr;
        return Step{i + run, bytes.substr(i, run), false};
      }
      case At::kDataCr:
        if (c != '\r') return malformed("a chunk is longer than its size says");
        at_ = At::kDataLf;
        ++i;
        break;
      case At::kDataLf:
        if (c != '\n') return malformed("a chunk must end in CRLF");
        at_ = At::kSizeFirst;
        ++i;
        break;
      case At::kTrailerFirst:
      case At::kTrailerName:
        if (at_ == At::kTrailerFirst && c == '\r') {
          at_ = At::kEndLf;
        } else if (at_ == At::kTrailerName && c == ':') {
          at_ = At::kTrailerValue;
        } else if (is_token(c)) {
          at_ = At::kTrailerName;
        } else {
          return malformed("malformed trailer field");
        }
        if (++trailer_ > kMaxTrailerBytes) return malformed("the trailer fields are too long; leave them out");
        ++i;
        break;
      case At::kTrailerValue:
        if (c == '\r') {
          at_ = At::kTrailerLf;
        } else if (!is_visible(c) && static_cast<unsigned char>(c) < 0x80) {
          return malformed("a trailer field holds a control byte");
        }
        if (++trailer_ > kMaxTrailerBytes) return malformed("the trailer fields are too long; leave them out");
        ++i;
        break;
      case At::kTrailerLf:
        if (c != '\n') return malformed("a trailer field's line must end in CRLF");
        at_ = At::kTrailerFirst;
        ++i;
        break;
      case At::kEndLf:
        if (c != '\n') return malformed("a chunked body must end in CRLF");
        at_ = At::kEnd;
        return Step{i + 1, {}, true};
      case At::kEnd:
        return Step{i, {}, true};
    }
  }
  return Step{i, {}, at_ == At::kEnd};
}

}  // namespace thalweg::http
