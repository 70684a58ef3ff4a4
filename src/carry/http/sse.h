// Server-sent events (WHATWG HTML, section 9.2), read frame by frame without copying where a frame lies whole in one
// read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace thalweg::http {

struct SseFrame {
  std::string_view raw;      // the frame as received, its blank line included
  std::string_view data;     // the data lines joined with \n; kPadding readable bytes behind it
  std::string_view event;    // the event field, mostly empty
  bool has_data = false;     // false: comments only (keep-alives), or a stray blank line
  bool single_line = false;  // `data` is a view into `raw`: it can be edited in place by splicing
};

/// All raw frames together are the stream, but for a byte order mark at its beginning and the LF of a CR LF that ends a
/// blank line after a line that ended in CR alone (such a frame ends at the CR: a stream of CR alone must not wait for
/// the next byte).
class SseReader {
 public:
  /// `frame_limit` bytes of one frame are taken, its blank line included.
  explicit SseReader(std::size_t frame_limit) : frame_limit_(frame_limit) {}

  /// Gives the reader more bytes; they must stay valid, with kPadding bytes behind them, until next() returned false.
  void feed(std::string_view bytes);
  /// The next whole frame; false when more bytes are needed (the rest is kept). kTooLarge above the frame limit,
  /// kUpstreamFailed for a NUL byte; after an error only reset() helps. LF, CRLF and CR line ends; a leading byte order
  /// mark is passed over. The frame's views hold until the next call.
  Result<bool> next(SseFrame& frame);
  /// Bytes of an unfinished frame are held.
  bool mid_frame() const { return held_ != 0 || !rest_.empty(); }
  /// How many those are.
  std::size_t held() const { return held_; }
  void reset();

 private:
  enum class At : std::uint8_t { kFrameStart, kLineStart, kInLine, kAfterCr, kAfterBlankCr };
  enum class LineEnd : std::uint8_t { kLf, kCr, kCrLf };

  /// Reads on to the end of the frame: how many of the bytes belong to it, and whether it ends there.
  struct Scan {
    std::size_t taken = 0;
    bool ended = false;
    bool nul = false;
  };
  Scan scan(std::string_view bytes);
  bool skip_mark();
  void read_fields(SseFrame& frame);

  std::size_t frame_limit_;
  std::string carry_;      // a frame's beginning from earlier reads; after that frame was given out, still its bytes
  std::string_view rest_;  // of the bytes fed last
  std::string joined_;     // for data of several lines
  std::size_t held_ = 0;   // bytes in carry_ that belong to the unfinished frame
  At at_ = At::kFrameStart;
  LineEnd line_end_ = LineEnd::kLf;
  bool skip_lf_ = false;
  bool at_start_ = true;
  bool failed_ = false;
  std::uint8_t mark_ = 0;  // bytes of a byte order mark seen
};

}  // namespace thalweg::http
