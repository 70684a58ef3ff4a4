// The transitions of a Flight, event by event. Two rules shape them. Nothing is emitted before the answer has begun to
// say something (streams) or has said all (whole answers), so that failover stays possible as long as it can. And an
// answer whose every finish reason was seen is complete, however its connection ends; one without is never reported as
// complete.
#include "decide/flight/flight.h"

#include <optional>

#include "base/hash.h"

namespace thalweg::flight {

using inference::Delivery;
using inference::FrameFacts;

std::string_view name_of(Failure failure) {
  switch (failure) {
    case Failure::kNotSent:
      return "not_sent";
    case Failure::kBusy:
      return "busy";
    case Failure::kServerError:
      return "server_error";
    case Failure::kUnfit:
      return "unfit";
    case Failure::kRefused:
      return "refused";
    case Failure::kSilent:
      return "silent";
    case Failure::kStalled:
      return "stalled";
    case Failure::kCut:
      return "cut";
    case Failure::kMalformed:
      return "malformed";
    case Failure::kErrorFrame:
      return "error_frame";
    case Failure::kTooLarge:
      return "too_large";
    case Failure::kNoRoom:
      return "no_room";
  }
  return "unknown";
}

std::string_view name_of(Ending ending) {
  switch (ending) {
    case Ending::kComplete:
      return "complete";
    case Ending::kFailed:
      return "failed";
    case Ending::kTruncated:
      return "truncated";
    case Ending::kClientGone:
      return "client_gone";
  }
  return "unknown";
}

ErrorCode error_for(Failure failure) {
  switch (failure) {
    case Failure::kBusy:
      return ErrorCode::kRateLimited;
    case Failure::kServerError:
    case Failure::kUnfit:
    case Failure::kRefused:
    case Failure::kErrorFrame:
      return ErrorCode::kUpstreamRefused;
    case Failure::kSilent:
    case Failure::kStalled:
      return ErrorCode::kUpstreamTimeout;
    case Failure::kNoRoom:
      return ErrorCode::kOverloaded;
    case Failure::kCut:
      return ErrorCode::kTruncated;
    // Not ErrorCode::kTooLarge: that one blames the caller's body.
    case Failure::kTooLarge:
    case Failure::kNotSent:
    case Failure::kMalformed:
      return ErrorCode::kUpstreamFailed;
  }
  return ErrorCode::kInternal;
}

namespace {

// Another endpoint would say the same, or would be made to work for nothing.
bool is_final(Failure failure) {
  return failure == Failure::kRefused || failure == Failure::kTooLarge || failure == Failure::kNoRoom;
}

// An endpoint that could not be reached, or that says that it takes nothing now, has done nothing.
bool did_nothing(Failure failure) {
  return failure == Failure::kNotSent || failure == Failure::kBusy;
}

constexpr std::uint8_t bit(Timer timer) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(timer));
}
static_assert(kTimerCount <= 8);

}  // namespace

// One event at work: the flight that it changes and the actions that it gives.
class Flight::Step {
 public:
  explicit Step(Flight& flight) : flight_(flight) {}

  Actions take(const Event& event) {
    switch (event.kind) {
      case Event::Kind::kStart:
        if (flight_.phase_ == Phase::kNew) start_flight();
        break;
      case Event::Kind::kGranted:
        if (flight_.phase_ == Phase::kAsking) run();
        break;
      case Event::Kind::kMustWait:
        if (flight_.phase_ == Phase::kAsking) wait(event.wait);
        break;
      case Event::Kind::kDenied:
        if (flight_.phase_ == Phase::kAsking) deny(event.error);
        break;
      case Event::Kind::kFrame:
        if (runs(event.attempt)) frame(event);
        break;
      case Event::Kind::kUpstreamEnd:
        if (runs(event.attempt)) upstream_gone(Failure::kCut);
        break;
      case Event::Kind::kUpstreamError:
        if (runs(event.attempt)) upstream_gone(event.failure);
        break;
      case Event::Kind::kTimer:
        if (flight_.armed(event.timer)) fired(event.timer);
        break;
      case Event::Kind::kSlotFree:
        if (flight_.phase_ == Phase::kWaiting) ask();
        break;
      case Event::Kind::kClientBlocked:
        if (!flight_.blocked()) block();
        break;
      case Event::Kind::kClientWritable:
        if (flight_.blocked()) unblock();
        break;
      case Event::Kind::kClientGone:
        client_gone();
        break;
      case Event::Kind::kDrain:
        if (!flight_.armed(Timer::kDrain)) start(Timer::kDrain, event.wait);
        break;
    }
    return actions_;
  }

 private:
  // What is left of the attempt that ends.
  enum class Upstream : std::uint8_t {
    kOver,  // it ended, broke, or said its end mark: the driver decides whether its connection is used again
    kOpen,  // it would go on
  };
  enum class Mark : std::uint8_t { kSent, kMissing };

  void start_flight() {
    flight_.attempt_ = 1;
    start(Timer::kTotal);
    ask();
  }

  Action& ask() {
    stop(Timer::kWait);
    flight_.phase_ = Phase::kAsking;
    return add(Action::Kind::kAsk);
  }

  void wait(Duration length) {
    flight_.phase_ = Phase::kWaiting;
    start(Timer::kWait, length);
  }

  // After a failed attempt the caller learns what failed, not that nothing else was left to try.
  void deny(ErrorCode error) {
    if (flight_.attempt_ > 1) {
      fail_after(static_cast<std::uint8_t>(flight_.attempt_ - 1), flight_.last_failure_);
    } else {
      fail(error);
    }
  }

  void run() {
    flight_.phase_ = Phase::kRunning;
    add(Action::Kind::kDispatch);
    // The client may still be busy with the answer before this one on its connection.
    if (flight_.blocked()) add(Action::Kind::kPauseReading);
    limit_silence();
  }

  bool runs(std::uint8_t attempt) const { return flight_.phase_ == Phase::kRunning && attempt == flight_.attempt_; }

  void frame(const Event& event) {
    const FrameFacts& facts = event.facts;
    if (facts.error) return fail_attempt(Failure::kErrorFrame, Upstream::kOpen);
    const bool finished = flight_.saw_finish_ || facts.finish;
    if (facts.terminator && !finished) return fail_attempt(Failure::kCut, Upstream::kOpen);

    const bool content = facts.text || facts.tool;
    if (flight_.delivery_ == Delivery::kStream) pass_on(event.slot, content || facts.finish);
    if (facts.terminator) return complete(Mark::kSent, Upstream::kOver);

    const bool finishes = facts.finish && !flight_.saw_finish_;
    flight_.content_seen_ |= content;
    flight_.saw_finish_ = finished;
    // A keep-alive is no token. After the finish reason one time limit holds for all that may follow; frames do not
    // extend it.
    if (finishes || (content && !finished)) limit_silence();
  }

  // Emits the frame, or holds it while nothing of the answer has been said.
  void pass_on(std::uint8_t slot, bool says_something) {
    if (!flight_.committed_ && !says_something && flight_.held_count_ < kMaxHeldFrames) {
      flight_.held_[flight_.held_count_++] = slot;
      return;
    }
    flight_.committed_ = true;
    for (std::uint8_t i = 0; i < flight_.held_count_; ++i) emit(flight_.held_[i]);
    forget_held();
    emit(slot);
  }

  // The upstream is silent in its own right only while we read: then the timer that fits its progress runs, from now
  // on.
  void limit_silence() {
    const bool reading = !flight_.blocked();
    const Timer timer = flight_.saw_finish_ ? Timer::kTail : flight_.content_seen_ ? Timer::kGap : Timer::kFirstToken;
    for (const Timer other : {Timer::kFirstToken, Timer::kGap, Timer::kTail}) {
      if (!reading || other != timer) stop(other);
    }
    if (reading) start(timer, timer == Timer::kTail ? kTailLimit : Duration::zero());
  }

  // A connection that ends or breaks after every finish reason has taken nothing of the answer. An error that the
  // endpoint states, bytes that are no answer and a broken limit are believed even then.
  void upstream_gone(Failure failure) {
    if (flight_.saw_finish_ && failure == Failure::kCut) {
      complete(Mark::kMissing, Upstream::kOver);
    } else {
      fail_attempt(failure, Upstream::kOver);
    }
  }

  void fired(Timer timer) {
    disarm(timer);
    switch (timer) {
      case Timer::kFirstToken:
        return fail_attempt(Failure::kSilent, Upstream::kOpen);
      case Timer::kGap:
        return fail_attempt(Failure::kStalled, Upstream::kOpen);
      case Timer::kTail:
        return complete(Mark::kMissing, Upstream::kOpen);
      case Timer::kWait:
        ask();
        return;
      case Timer::kClientWrite:
        return client_gone();
      case Timer::kTotal:
        return out_of_time(ErrorCode::kUpstreamTimeout);
      case Timer::kDrain:
        return out_of_time(ErrorCode::kDraining);
    }
  }

  // An answer that only lacks its end mark is not thrown away for it.
  void out_of_time(ErrorCode error) {
    if (flight_.saw_finish_) return complete(Mark::kMissing, Upstream::kOpen);
    cancel_running();
    fail(error);
  }

  void block() {
    start(Timer::kClientWrite);
    if (flight_.phase_ != Phase::kRunning) return;
    add(Action::Kind::kPauseReading);
    limit_silence();
  }

  void unblock() {
    stop(Timer::kClientWrite);
    if (flight_.phase_ != Phase::kRunning) return;
    add(Action::Kind::kResumeReading);
    limit_silence();
  }

  void client_gone() {
    cancel_running();
    settle(Ending::kClientGone);
  }

  // A flight may complete while its client is blocked: the driver then sends what is left after the settlement, under
  // its own write time-out.
  void complete(Mark mark, Upstream upstream) {
    flight_.saw_finish_ = true;
    if (flight_.delivery_ == Delivery::kWhole) {
      add(Action::Kind::kDeliverWhole);
    } else {
      Action& action = add(Action::Kind::kComplete);
      if (mark == Mark::kMissing) action.slot = Action::kMarkMissing;
    }
    if (upstream == Upstream::kOpen) add(Action::Kind::kCancel);
    settle(Ending::kComplete);
  }

  void fail_attempt(Failure failure, Upstream upstream) {
    if (upstream == Upstream::kOpen) add(Action::Kind::kCancel);
    flight_.last_failure_ = failure;
    // Also when none is held: the frame that failed the attempt lies in a slot too.
    if (!flight_.committed_) drop_held();
    const bool last = flight_.attempt_ >= placement::kMaxAttempts;
    const bool barred = flight_.repetition_ == Repetition::kUnsafe && !did_nothing(failure);
    if (flight_.committed_ || is_final(failure) || barred || last) return fail_after(flight_.attempt_, failure);

    for (const Timer timer : {Timer::kFirstToken, Timer::kGap, Timer::kTail}) stop(timer);
    ++flight_.attempt_;
    flight_.saw_finish_ = false;
    flight_.content_seen_ = false;
    Action& action = ask();
    action.failure = failure;
    action.from_attempt = true;
  }

  void fail_after(std::uint8_t attempt, Failure failure) {
    Action& action = add(Action::Kind::kFail);
    action.attempt = attempt;
    action.error = error_for(failure);
    action.failure = failure;
    action.from_attempt = true;
    settle(flight_.committed_ ? Ending::kTruncated : Ending::kFailed);
  }

  void fail(ErrorCode error) {
    add(Action::Kind::kFail).error = error;
    settle(flight_.committed_ ? Ending::kTruncated : Ending::kFailed);
  }

  // Keeps what the driver may still ask for (attempt, committed, saw_finish) and clears the rest, so that equal ends
  // are equal.
  void settle(Ending ending) {
    add(Action::Kind::kSettle).ending = ending;
    flight_.phase_ = Phase::kDone;
    flight_.armed_ = 0;
    flight_.content_seen_ = false;
    flight_.last_failure_ = Failure::kNotSent;
    forget_held();
  }

  void cancel_running() {
    if (flight_.phase_ == Phase::kRunning) add(Action::Kind::kCancel);
  }

  void emit(std::uint8_t slot) { add(Action::Kind::kEmit).slot = slot; }

  void drop_held() {
    add(Action::Kind::kDropHeld);
    forget_held();
  }

  void forget_held() {
    flight_.held_ = {};
    flight_.held_count_ = 0;
  }

  void start(Timer timer, Duration length = Duration::zero()) {
    flight_.armed_ |= bit(timer);
    Action& action = add(Action::Kind::kStartTimer);
    action.timer = timer;
    action.wait = length;
  }

  void stop(Timer timer) {
    if (!flight_.armed(timer)) return;
    disarm(timer);
    add(Action::Kind::kStopTimer).timer = timer;
  }

  void disarm(Timer timer) { flight_.armed_ &= static_cast<std::uint8_t>(~bit(timer)); }

  Action& add(Action::Kind kind) { return actions_.add({.kind = kind, .attempt = flight_.attempt_}); }

  Flight& flight_;
  Actions actions_;
};

Actions Flight::on(const Event& event) {
  return done() ? Actions{} : Step(*this).take(event);
}

bool Flight::armed(Timer timer) const {
  return (armed_ & bit(timer)) != 0;
}

// All fields in 62 bits, so that two different flights never share a hash.
std::uint64_t Flight::hash() const {
  std::uint64_t word = 0;
  const auto put = [&word](std::uint64_t value, unsigned bits) { word = word << bits | value; };
  put(static_cast<std::uint64_t>(phase_), 3);
  put(static_cast<std::uint64_t>(delivery_), 1);
  put(static_cast<std::uint64_t>(repetition_), 1);
  put(attempt_, 8);
  put(committed_, 1);
  put(saw_finish_, 1);
  put(content_seen_, 1);
  put(armed_, kTimerCount);
  put(static_cast<std::uint64_t>(last_failure_), 4);
  put(held_count_, 3);
  for (const std::uint8_t slot : held_) put(slot, 8);
  return mix64(0, word);
}

}  // namespace thalweg::flight
