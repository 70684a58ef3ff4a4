// One client connection: reads requests one after the other, judges their heads, hands whole ones to an Exchange and
// writes what it is given, with back-pressure and time-outs on both sides.
#pragma once

#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "carry/gateway/admission.h"
#include "carry/gateway/worker.h"
#include "carry/http/message.h"

namespace thalweg::gateway {

/// Twice a common request: the next one is read behind the one that is running. Pages are touched only as they are
/// used.
inline constexpr std::size_t kClientBuffer = 64 * 1024;
/// Unsent bytes above which a client counts as slow, and below which it counts as keeping up again.
inline constexpr std::size_t kHighWater = 256 * 1024;
inline constexpr std::size_t kLowWater = 64 * 1024;

/// Of the body of a request that names a model and asks nothing of it.
inline constexpr std::size_t kMaxShowBody = 64 * 1024;

/// Answers up to this size are written at the end of the loop's turn.
inline constexpr std::size_t kSentAtTurnsEnd = 32 * 1024;

/// What tells the client where an answer ends; kClose: the end of the connection alone.
enum class Framing : std::uint8_t { kLength, kChunked, kClose };

/// "OK" for 200.
std::string_view reason_phrase(std::uint16_t status);

class Connection final : public std::enable_shared_from_this<Connection>,
                         private net::Stream::Owner,
                         private net::TimerOwner {
 public:
  using Where = std::list<std::shared_ptr<Connection>>::iterator;
  explicit Connection(Worker& worker);
  ~Connection();

  void start(net::Socket socket, Where where);
  Where where() const { return where_; }
  void drain(Duration limit);
  void close();

  // For the exchange.
  /// Writes now what the socket takes; the rest is copied and written later. False when the client is gone.
  bool send(std::span<const std::string_view> slices);
  std::size_t unsent() const { return unsent_.size() - unsent_offset_; }
  /// The running request is answered; go on with the next, or close once all is sent.
  void answered(bool keep_alive);
  /// Close without a well-formed end, so that the client sees that the answer of that framing is cut.
  void cut(Framing framing);
  bool client_keeps_alive() const { return keep_alive_; }
  /// The Connection field of an answer, mostly none.
  std::string_view connection_field(bool keep_alive) const;
  std::uint8_t minor_version() const { return minor_version_; }
  Worker& worker() { return worker_; }
  /// The cross-origin fields of the running request's answer, mostly none.
  std::string cors_fields();

 private:
  enum class Phase : std::uint8_t { kReading, kRunning, kFlushing, kLingering, kClosed };
  enum TimerTag : std::uint32_t { kReadTimer, kWriteTimer };

  void read();
  void on_readable() override;
  void on_writable() override;
  void take(std::size_t bytes);
  void process();
  bool make_room(std::size_t wanted);
  void head_done();
  void run();
  void answer_models();
  void answer_simple(std::uint16_t status, std::string_view content_type, std::string_view body, bool keep_alive,
                     std::string_view extra = {});
  void refuse(const Error& error, bool log);
  void refuse_handshake(std::error_code why);
  std::string cors_fields(std::string_view origin) const;
  void linger();
  void uncount();
  void await_progress();
  void on_timer(std::uint32_t tag) override;

  Worker& worker_;
  net::Stream stream_;
  Where where_;
  std::shared_ptr<const Snapshot> snapshot_;  // the one under which the current request was admitted
  http::RequestReader reader_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t filled_ = 0;
  net::HeldBytes held_;
  std::string unsent_;
  std::size_t unsent_offset_ = 0;
  net::HeldBytes held_unsent_;
  net::Timer read_timer_;
  net::Timer write_timer_;
  std::unique_ptr<Exchange> exchange_;
  policy::Subject subject_;
  Route route_ = Route::kHealth;
  UtcTime arrived_{};
  Instant arrived_at_{};
  Instant body_began_{};
  Phase phase_ = Phase::kReading;
  bool head_known_ = false;
  bool in_process_ = false;
  bool cut_ = false;       // the answer broke off
  bool unframed_ = false;  // and only a reset can tell
  bool admitted_ = false;
  bool keep_alive_ = true;
  bool close_after_flush_ = false;
  bool counted_stream_ = false;
  std::uint8_t minor_version_ = 1;
};

}  // namespace thalweg::gateway
