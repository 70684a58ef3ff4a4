// One request is one state machine. A Flight takes events and returns actions; it does no I/O, reads no clock and holds
// no bytes: a frame arrives as a fact with the driver's buffer slot, and `emit` names the slot. So a Flight is a small
// value that can be copied, compared and hashed: the live server drives it from sockets, and a test runs every order of
// events.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "decide/inference/event.h"
#include "decide/inference/request.h"
#include "decide/placement/question.h"

namespace thalweg::flight {

/// Frames without content (a role, a keep-alive) that are held back so that failover stays possible; one more commits.
inline constexpr std::uint8_t kMaxHeldFrames = 4;
/// How long a finished stream may take to say its usage and end mark before it is finished without them.
inline constexpr Duration kTailLimit = 1s;

/// Why an attempt failed.
enum class Failure : std::uint8_t {
  kNotSent,      // no connection, or the permit was stale: nothing was sent
  kBusy,         // 429, or 503
  kServerError,  // other 5xx
  kUnfit,        // context or content rejected: another model may do
  kRefused,      // another 4xx: the caller's fault or the key's; final
  kSilent,       // no first token in time
  kStalled,      // a gap in the stream
  kCut,          // closed, reset, or ended without a finish reason
  kMalformed,    // not HTTP, not the dialect
  kErrorFrame,   // an error inside the stream
  kTooLarge,     // the answer broke a limit: final
  kNoRoom,       // this process holds as many bytes, or has as many files open, as it may: final
};
/// "not_sent", "busy"... as logs and metrics name them.
std::string_view name_of(Failure failure);
/// What the caller is told when an attempt fails this way and no other is made.
ErrorCode error_for(Failure failure);

enum class Timer : std::uint8_t {
  kFirstToken,   // from dispatch to the first frame with content
  kGap,          // between frames after that
  kTotal,        // of the whole flight
  kTail,         // after the finish reason
  kWait,         // for a slot, a back-off or Retry-After
  kClientWrite,  // the client takes no bytes
  kDrain,        // the time left to a flight once the process is told to stop
};
inline constexpr std::size_t kTimerCount = 7;

struct Event {
  enum class Kind : std::uint8_t {
    kStart,           // the request is whole
    kGranted,         // answer to kAsk: a permit is there
    kMustWait,        // answer to kAsk: nothing free now; `wait`
    kDenied,          // answer to kAsk: `error`
    kFrame,           // of `attempt`: `facts`, `length`, `slot`
    kUpstreamEnd,     // of `attempt`: the answer's body ended where its framing says
    kUpstreamError,   // of `attempt`: `failure`
    kTimer,           // `timer` fired
    kSlotFree,        // while waiting: something came free
    kClientBlocked,   // more bytes wait for the client than its high-water mark
    kClientWritable,  // they are below the low-water mark again
    kClientGone,
    kDrain,  // the process stops; `wait` is the time left
  };
  Kind kind = Kind::kStart;
  std::uint8_t attempt = 0;
  std::uint8_t slot = 0;
  inference::FrameFacts facts{};
  std::uint32_t length = 0;
  Failure failure = Failure::kNotSent;
  Timer timer = Timer::kTotal;
  ErrorCode error = ErrorCode::kInternal;
  Duration wait{};
};

/// How a flight ended.
enum class Ending : std::uint8_t { kComplete, kFailed, kTruncated, kClientGone };
std::string_view name_of(Ending ending);

struct Action {
  enum class Kind : std::uint8_t {
    kAsk,           // ask place() for `attempt`; `from_attempt`: the one before it failed just now, by `failure`
    kDispatch,      // use the permit of `attempt`
    kCancel,        // close `attempt` at once; its later events are ignored
    kEmit,          // send the frame in `slot` to the client
    kDropHeld,      // forget all frames in slots, the one that came last too: their attempt failed
    kDeliverWhole,  // send the folded answer
    kComplete,      // the stream ends well: write the end mark if `slot` == kMarkMissing, close the framing
    kFail,          // answer `error`: as the response when nothing was sent, else as an error inside the stream
    kStartTimer,    // `timer` in `wait`; starting a running one restarts it. kFirstToken, kGap, kTotal and kClientWrite
                    // take their length from the permit's or the configuration's time-outs: `wait` is zero for them
    kStopTimer,
    kPauseReading,  // of the upstream
    kResumeReading,
    kSettle,  // once, last: all timers stop, all slots are free, a permit not yet used goes back
  };
  static constexpr std::uint8_t kMarkMissing = 1;
  Kind kind = Kind::kAsk;
  std::uint8_t attempt = 0;
  std::uint8_t slot = 0;
  Timer timer = Timer::kTotal;
  ErrorCode error = ErrorCode::kInternal;
  Failure failure = Failure::kNotSent;  // for kFail and kAsk after an attempt: how the attempt failed (`from_attempt`)
  bool from_attempt = false;            // for kFail: the endpoint's own error may be shown
  Ending ending = Ending::kComplete;    // for kSettle
  Duration wait{};
};

/// A few actions, in order. Never allocates.
class Actions {
 public:
  static constexpr std::size_t kCapacity = 16;
  Action& add(const Action& action) {
    THALWEG_CHECK(size_ < kCapacity);
    return items_[size_++] = action;
  }
  const Action* begin() const { return items_.data(); }
  const Action* end() const { return items_.data() + size_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  std::array<Action, kCapacity> items_;
  std::uint8_t size_ = 0;
};

/// Whether two endpoints may work on the same request.
enum class Repetition : std::uint8_t {
  kSafe,    // they may: the worst is work for nothing
  kUnsafe,  // they may not: it is sent again only where the endpoint before certainly did nothing
};

class Flight {
 public:
  explicit Flight(inference::Delivery delivery, Repetition repetition = Repetition::kSafe)
      : delivery_(delivery), repetition_(repetition) {}

  Actions on(const Event& event);

  bool done() const { return phase_ == Phase::kDone; }
  /// Something of the answer (its head at least) has been sent to the client: no failover any more.
  bool committed() const { return committed_; }
  std::uint8_t attempt() const { return attempt_; }
  bool saw_finish() const { return saw_finish_; }
  friend bool operator==(const Flight&, const Flight&) = default;
  std::uint64_t hash() const;

 private:
  enum class Phase : std::uint8_t { kNew, kAsking, kWaiting, kRunning, kDone };
  class Step;  // the transitions: flight.cpp

  bool armed(Timer timer) const;
  // The write timer runs exactly while the client takes no bytes.
  bool blocked() const { return armed(Timer::kClientWrite); }

  Phase phase_ = Phase::kNew;
  inference::Delivery delivery_;
  Repetition repetition_;
  std::uint8_t attempt_ = 0;
  bool committed_ = false;
  bool saw_finish_ = false;
  bool content_seen_ = false;  // of this attempt
  std::uint8_t armed_ = 0;     // a bit a Timer
  std::uint8_t held_count_ = 0;
  std::array<std::uint8_t, kMaxHeldFrames> held_{};  // slots, oldest first; zero beyond held_count_
  Failure last_failure_ = Failure::kNotSent;         // means something from the second attempt on
};

}  // namespace thalweg::flight
