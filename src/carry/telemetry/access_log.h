// The access log: one JSON line a request, without prompt text or secrets (docs/formats/access-log.md). Each shard
// writes into its own ring; one thread empties the rings into the file, many lines a write.
//
// Settlement never waits for the log and no line is lost: the ring's memory holds a few hundred lines, and where the
// file cannot keep up, the shard links further rings behind it (allocated in that case only). What may pile up is
// bounded before the work begins: has_room() refuses new requests as soon as kMaxUnwritten bytes wait, so at most the
// lines of requests already admitted come on top.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/units.h"

namespace thalweg::telemetry {

inline constexpr std::size_t kMaxLogLine = 1792;
inline constexpr std::size_t kRingBytes = 256 * 1024;
/// What may wait for the file before new requests are refused: a quarter of a second of a shard's lines at its full
/// speed, since a busy disk can keep a write waiting that long.
inline constexpr std::size_t kMaxUnwritten = 16 * kRingBytes;
/// Lines that one shard may promise at a time: with kMaxLogLine it bounds what a stalled file can make a shard hold.
inline constexpr std::uint32_t kMaxPromisedLines = 65'536;
/// How long a line may lie in a ring before it is written, as long as the file takes it.
inline constexpr Duration kLogDelay = 50ms;

/// Facts of one finished request. Views need hold only during the call.
struct AccessLine {
  UtcTime at{};  // when it arrived
  RequestId request;
  std::string_view method, path;  // path cut at 128 bytes, the query left out
  std::uint16_t status = 0;       // 0: the client was gone before one was sent
  std::string_view outcome;       // complete, failed, truncated, client_gone, refused
  std::string_view error;         // error code's name, empty if none
  std::string_view key_id, tenant, model_asked, endpoint, place, model;
  std::uint8_t attempts = 0;
  std::string_view failed;  // "edge: silent, cloud: busy (429)", oldest first; empty if no attempt failed
  bool streamed = false;
  bool passed = false;  // through, as it was: nothing of it was read
  bool usage_reported = false;
  std::uint64_t input_tokens = 0, output_tokens = 0, cached_input_tokens = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;
  Duration duration{}, time_to_first_token{};  // 0: there was none
  std::string_view finish_reason;
  std::uint64_t decision_hash = 0;
};

/// Writes the line with its line feed to `out`, which has kMaxLogLine bytes; returns its length. Texts that are too
/// long are cut and end in "…"; no allocation.
std::size_t format_line(const AccessLine& line, char* out);

/// Single producer (a shard), single consumer (the writer's thread).
class LogRing {
 public:
  LogRing();
  ~LogRing();
  LogRing(const LogRing&) = delete;
  LogRing& operator=(const LogRing&) = delete;
  /// Asked at admission, by the producer. False while kMaxUnwritten bytes are unwritten or `promised` (lines that
  /// running requests will still write) is at its bound: the request is refused with 503, so that no line is ever lost.
  bool has_room(std::uint32_t promised) const;
  /// Never waits, never fails. Without a writer (the log is off) the line is dropped.
  void write(const AccessLine& line);

 private:
  friend class AccessLogWriter;
  struct Segment;
  struct Wake;
  std::atomic<Wake*> wake_{nullptr};                 // the writer's bell, null without a writer
  Segment* filling_;                                 // the producer's
  std::uint64_t written_ = 0;                        // the producer's: bytes of all lines so far
  alignas(64) std::atomic<std::uint64_t> taken_{0};  // the consumer's: bytes that reached the file
  Segment* draining_;                                // the consumer's
};

/// The rings outlive the writer, and their producers are quiet when it ends.
class AccessLogWriter {
 public:
  enum class Sink : std::uint8_t { kStderr, kFile };
  /// kIo when the file cannot be opened for appending (0640 when created).
  static Result<std::unique_ptr<AccessLogWriter>> open(Sink sink, const std::filesystem::path& file,
                                                       std::vector<LogRing*> rings);
  ~AccessLogWriter();  // empties the rings and ends the thread
  /// After the file was moved away (log rotation): opens it anew, soon and on the writer's thread. Called on SIGHUP.
  /// Lines written after this call are in the new file; when it cannot be opened, the old one stays in use.
  void reopen();
  std::uint64_t lines_written() const;
  /// Failed writes and reopenings. Lines of a failed write stay in the ring and are tried again, but for a stderr whose
  /// reader is gone: those are dropped.
  std::uint64_t write_errors() const;

 private:
  struct Impl;
  explicit AccessLogWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace thalweg::telemetry
