// The chunked transfer coding (RFC 9112, section 7.1), read strictly: hexadecimal size, CRLF everywhere, short
// extensions passed over, trailers bounded and passed over. Used in this room only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace thalweg::http {

inline constexpr std::size_t kMaxChunkExtension = 256;         // bytes of one chunk's extensions
inline constexpr std::size_t kMaxChunkExtensions = 16 * 1024;  // of all of one message
inline constexpr std::size_t kMaxTrailerBytes = 8 * 1024;

class ChunkReader {
 public:
  explicit ChunkReader(ErrorCode malformed) : malformed_(malformed) {}

  struct Step {
    std::size_t taken = 0;  // bytes read
    std::string_view data;  // the last `data.size()` bytes of those, when they are content
    bool ended = false;     // the last chunk and its trailers are read
  };
  /// Reads on until some content, the end, or the end of `bytes`.
  Result<Step> next(std::string_view bytes);
  void reset() { *this = ChunkReader(malformed_); }

 private:
  enum class At : std::uint8_t {
    kSizeFirst,
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerFirst,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kEndLf,
    kEnd,
  };
  std::unexpected<Error> malformed(const char* message) const { return fail(malformed_, message); }

  ErrorCode malformed_;
  At at_ = At::kSizeFirst;
  std::uint8_t digits_ = 0;
  std::uint64_t left_ = 0;
  std::size_t extension_ = 0;
  std::size_t extensions_ = 0;
  std::size_t trailer_ = 0;
};

}  // namespace thalweg::http
