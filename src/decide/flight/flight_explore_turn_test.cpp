#include "decide/flight/flight_explore_turn_test.h"

namespace thalweg::flight {

namespace {

bool is_final(std::optional<Failure> failure, Repetition repetition) {
  if (repetition == Repetition::kUnsafe && failure && failure != Failure::kNotSent && failure != Failure::kBusy)
    return true;
  return failure == Failure::kRefused || failure == Failure::kTooLarge || failure == Failure::kNoRoom;
}

}  // namespace

std::uint8_t World::Turn::free_slot() const {
  std::uint8_t slot = 0;
  while (slot < Lane::kSlots && driver_.slot_attempt[slot] != 0) ++slot;
  return slot;
}

std::optional<Event> World::Turn::begin(Step step) {
  switch (step.kind) {
    case Step::Kind::kStart:
      driver_.started = true;
      return Event{.kind = Event::Kind::kStart};
    case Step::Kind::kGrant:
      --world_.free_slots_[step.detail];
      if (driver_.asked_attempt > 1) --world_.retry_tokens_;
      driver_.ask = Lane::Ask::kGranted;
      driver_.permit = Lane::Permit::kValid;
      driver_.endpoint = step.detail;
      return std::nullopt;
    case Step::Kind::kExpire:
      driver_.permit = Lane::Permit::kExpired;
      return std::nullopt;
    case Step::Kind::kGranted:
      driver_.ask = Lane::Ask::kNone;
      return Event{.kind = Event::Kind::kGranted, .attempt = driver_.asked_attempt};
    case Step::Kind::kMustWait:
      driver_.ask = Lane::Ask::kNone;
      return Event{.kind = Event::Kind::kMustWait, .attempt = driver_.asked_attempt, .wait = 100ms};
    case Step::Kind::kDeny:
      driver_.ask = Lane::Ask::kNone;
      return Event{.kind = Event::Kind::kDenied, .attempt = driver_.asked_attempt, .error = ErrorCode::kUnavailable};
    case Step::Kind::kFrame:
      return begin_frame(static_cast<Frame>(step.detail));
    case Step::Kind::kUpstreamEnd: {
      const Event event{.kind = Event::Kind::kUpstreamEnd, .attempt = driver_.attempt};
      charged_twice_ = !end_attempt();
      return event;
    }
    case Step::Kind::kBreak: {
      const Event event{.kind = Event::Kind::kUpstreamError,
                        .attempt = driver_.attempt,
                        .failure = static_cast<Failure>(step.detail)};
      charged_twice_ = !end_attempt();
      return event;
    }
    case Step::Kind::kFire:
      driver_.timers &= static_cast<std::uint8_t>(~bit_of(static_cast<Timer>(step.detail)));
      return Event{.kind = Event::Kind::kTimer, .timer = static_cast<Timer>(step.detail)};
    case Step::Kind::kSlotFree:
      return Event{.kind = Event::Kind::kSlotFree};
    case Step::Kind::kClientBlocked:
      driver_.blocked = true;
      return Event{.kind = Event::Kind::kClientBlocked};
    case Step::Kind::kClientWritable:
      driver_.blocked = false;
      return Event{.kind = Event::Kind::kClientWritable};
    case Step::Kind::kClientGone:
      return Event{.kind = Event::Kind::kClientGone};
    case Step::Kind::kDrain:
      driver_.draining = true;
      return Event{.kind = Event::Kind::kDrain, .wait = 5s};
  }
  return std::nullopt;
}

Event World::Turn::begin_frame(Frame frame) {
  const inference::FrameFacts facts = facts_of(frame);
  const std::uint8_t slot = free_slot();
  ++driver_.frames_read;
  if (driver_.paused) --driver_.frames_after_pause;
  driver_.content_read |= facts.text || facts.tool;
  driver_.finish_read |= facts.finish;
  driver_.mark_read |= facts.terminator;
  driver_.slot_attempt[slot] = driver_.attempt;
  driver_.slot_frame[slot] = driver_.frames_read;
  return {.kind = Event::Kind::kFrame, .attempt = driver_.attempt, .slot = slot, .facts = facts, .length = 1};
}

// Its reservation is settled and its slot goes back. False: it was settled before.
bool World::Turn::end_attempt() {
  const std::uint8_t attempt = static_cast<std::uint8_t>(1U << driver_.attempt);
  const bool first = (driver_.charged & attempt) == 0;
  driver_.charged |= attempt;
  if (!driver_.refused) ++world_.free_slots_[driver_.endpoint];
  driver_.attempt = 0;
  driver_.refused = false;
  driver_.endpoint = 0;
  driver_.paused = false;
  driver_.frames_after_pause = 0;
  return first;
}

void World::Turn::drop_permit() {
  if (driver_.permit == Lane::Permit::kNone) return;
  driver_.permit = Lane::Permit::kNone;
  ++world_.free_slots_[driver_.endpoint];
  driver_.endpoint = 0;
}

std::optional<Violation> World::Turn::take(Step step, Play play) {
  if (step.kind == Step::Kind::kFrame && free_slot() == Lane::kSlots) {
    return broken(Check::kOneAnswer, "no slot is free for the next frame");
  }
  const std::optional<Event> event = begin(step);
  if (charged_twice_) return broken(Check::kNothingChargedTwice, "an attempt is settled a second time");
  if (!event) return std::nullopt;
  event_ = *event;
  for (const Action& action : play(lane_.flight, event_)) {
    if (const auto violation = perform(action)) return violation;
  }
  // A whole answer is folded at once: its frames do not stay in their slots.
  if (event_.kind == Event::Kind::kFrame && delivery_ == inference::Delivery::kWhole) {
    driver_.slot_attempt = {};
    driver_.slot_frame = {};
  }
  return std::nullopt;
}

std::optional<Violation> World::Turn::perform(const Action& action) {
  if (driver_.settled) {
    return action.kind == Action::Kind::kSettle
               ? broken(Check::kSettlesOnce, "it settles a second time")
               : broken(Check::kNothingAfterTheEnd, "an action follows the settlement");
  }
  switch (action.kind) {
    case Action::Kind::kAsk:
      return ask(action);
    case Action::Kind::kDispatch:
      return dispatch(action);
    case Action::Kind::kCancel:
      if (driver_.attempt == 0) return broken(Check::kPermitted, "it cancels an attempt that does not run");
      if (driver_.attempt != action.attempt)
        return broken(Check::kPermitted, "it cancels another attempt than the one that runs");
      if (!end_attempt()) return broken(Check::kNothingChargedTwice, "an attempt is settled a second time");
      return std::nullopt;
    case Action::Kind::kEmit:
      return emit(action.slot);
    case Action::Kind::kDropHeld:
      driver_.slot_attempt = {};
      driver_.slot_frame = {};
      return std::nullopt;
    case Action::Kind::kDeliverWhole:
    case Action::Kind::kComplete:
      return complete(action);
    case Action::Kind::kFail:
      return fail(action);
    case Action::Kind::kStartTimer:
      driver_.timers |= bit_of(action.timer);
      return std::nullopt;
    case Action::Kind::kStopTimer:
      driver_.timers &= static_cast<std::uint8_t>(~bit_of(action.timer));
      return std::nullopt;
    case Action::Kind::kPauseReading:
      if (driver_.attempt == 0) return broken(Check::kBackPressure, "it pauses an attempt that does not run");
      driver_.paused = true;
      driver_.frames_after_pause = bounds_.frames_after_pause;
      return std::nullopt;
    case Action::Kind::kResumeReading:
      if (!driver_.paused) return broken(Check::kBackPressure, "it resumes reading that is not paused");
      driver_.paused = false;
      driver_.frames_after_pause = 0;
      return std::nullopt;
    case Action::Kind::kSettle:
      return settle(action.ending);
  }
  return std::nullopt;
}

std::optional<Failure> World::Turn::failure_told() const {
  if (event_.kind == Event::Kind::kUpstreamError) return event_.failure;
  if (event_.kind == Event::Kind::kUpstreamEnd) return Failure::kCut;
  if (event_.kind == Event::Kind::kTimer && event_.timer == Timer::kFirstToken) return Failure::kSilent;
  if (event_.kind == Event::Kind::kTimer && event_.timer == Timer::kGap) return Failure::kStalled;
  if (event_.kind != Event::Kind::kFrame) return std::nullopt;
  return event_.facts.error ? Failure::kErrorFrame : Failure::kCut;
}

std::optional<Violation> World::Turn::ask(const Action& action) {
  if (driver_.said != Lane::Said::kNothing) return broken(Check::kNothingAfterTheEnd, "it asks after its answer");
  if (driver_.sent > 0) return broken(Check::kFailover, "it asks for another attempt after something was sent");
  if (is_final(failure_told(), bounds_.repetition))
    return broken(Check::kFailover, "it fails over for a fault that no endpoint can mend");
  if (action.attempt > placement::kMaxAttempts)
    return broken(Check::kFailover, "it asks for more attempts than are allowed");
  if (driver_.ask != Lane::Ask::kNone) return broken(Check::kPermitted, "it asks while an answer is awaited");
  if (driver_.attempt != 0) return broken(Check::kPermitted, "it asks while an attempt runs");
  driver_.ask = Lane::Ask::kAsked;
  driver_.asked_attempt = action.attempt;
  driver_.frames_read = 0;
  driver_.content_read = false;
  driver_.finish_read = false;
  driver_.mark_read = false;
  return std::nullopt;
}

std::optional<Violation> World::Turn::dispatch(const Action& action) {
  if (driver_.sent > 0) return broken(Check::kFailover, "it dispatches another attempt after something was sent");
  if (driver_.attempt != 0) return broken(Check::kPermitted, "it dispatches while an attempt runs");
  if (driver_.permit == Lane::Permit::kNone) return broken(Check::kPermitted, "it dispatches without a permit");
  const std::uint8_t attempt = static_cast<std::uint8_t>(1U << action.attempt);
  if ((driver_.dispatched & attempt) != 0) return broken(Check::kNothingChargedTwice, "it dispatches an attempt again");
  if (driver_.asked_attempt != action.attempt)
    return broken(Check::kPermitted, "it dispatches under another attempt's permit");
  for (const std::uint8_t owner : driver_.slot_attempt) {
    if (owner != 0) return broken(Check::kOneAnswer, "frames of a failed attempt are still held");
  }
  driver_.dispatched |= attempt;
  driver_.attempt = action.attempt;
  // The door looks at the clock: a stale permit sends nothing and gives its slot back.
  driver_.refused = driver_.permit == Lane::Permit::kExpired;
  if (driver_.refused) {
    drop_permit();
  } else {
    driver_.permit = Lane::Permit::kNone;
  }
  return std::nullopt;
}

std::optional<Violation> World::Turn::emit(std::uint8_t slot) {
  if (driver_.said != Lane::Said::kNothing)
    return broken(Check::kNothingAfterTheEnd, "it emits a frame after its answer");
  if (delivery_ == inference::Delivery::kWhole) return broken(Check::kOneEnding, "it streams a whole answer");
  if (slot >= Lane::kSlots || driver_.slot_attempt[slot] == 0)
    return broken(Check::kOneAnswer, "it emits an empty slot");
  if (driver_.slot_attempt[slot] != driver_.attempt) {
    return broken(Check::kOneAnswer, "it emits a frame of an attempt that has failed");
  }
  if (driver_.slot_frame[slot] != driver_.sent + 1) {
    return broken(Check::kOneAnswer, "it emits frames out of order or leaves one out");
  }
  driver_.sent_from = driver_.attempt;
  driver_.sent = driver_.slot_frame[slot];
  driver_.slot_attempt[slot] = 0;
  driver_.slot_frame[slot] = 0;
  return std::nullopt;
}

std::optional<Violation> World::Turn::complete(const Action& action) {
  const bool whole = action.kind == Action::Kind::kDeliverWhole;
  if (driver_.said != Lane::Said::kNothing) return broken(Check::kNothingAfterTheEnd, "it completes after its answer");
  if (whole != (delivery_ == inference::Delivery::kWhole)) {
    return broken(Check::kOneEnding, "it delivers in the other way than was asked for");
  }
  if (!driver_.finish_read) return broken(Check::kTruncatedIsNotComplete, "it reports a truncated answer as complete");
  if (!whole && driver_.sent != driver_.frames_read)
    return broken(Check::kOneAnswer, "the answer that it completes lacks frames");
  if (!whole && (action.slot == Action::kMarkMissing) == driver_.mark_read) {
    return broken(Check::kOneAnswer, "the end mark is sent twice or not at all");
  }
  driver_.said = whole ? Lane::Said::kWhole : Lane::Said::kComplete;
  return std::nullopt;
}

std::optional<Violation> World::Turn::fail(const Action& action) {
  if (driver_.said != Lane::Said::kNothing) return broken(Check::kNothingAfterTheEnd, "it fails after its answer");
  const bool disowned = (event_.kind == Event::Kind::kUpstreamError && event_.failure != Failure::kCut) ||
                        (event_.kind == Event::Kind::kFrame && event_.facts.error);
  if (driver_.finish_read && !disowned) return broken(Check::kNothingThrownAway, "it fails an answer that is complete");
  const std::optional<Failure> failure = failure_told();
  if (failure && !is_final(failure, bounds_.repetition) && driver_.sent == 0 &&
      driver_.asked_attempt < placement::kMaxAttempts) {
    return broken(Check::kNothingThrownAway, "it gives up though another attempt is allowed");
  }
  if (action.from_attempt && (driver_.dispatched == 0 || action.error != error_for(action.failure))) {
    return broken(Check::kOneEnding, "it blames an attempt for another error than the attempt's");
  }
  driver_.said = Lane::Said::kFail;
  return std::nullopt;
}

std::optional<Violation> World::Turn::settle(Ending ending) {
  const Ending right = driver_.said == Lane::Said::kNothing ? Ending::kClientGone
                       : driver_.said != Lane::Said::kFail  ? Ending::kComplete
                       : driver_.sent > 0                   ? Ending::kTruncated
                                                            : Ending::kFailed;
  if (ending != right) return broken(Check::kOneEnding, "the settlement says another ending than the client saw");
  const bool nobody_left = event_.kind == Event::Kind::kClientGone ||
                           (event_.kind == Event::Kind::kTimer && event_.timer == Timer::kClientWrite);
  if (ending == Ending::kClientGone && !nobody_left)
    return broken(Check::kOneEnding, "the client is there and gets no answer");
  // After the end mark the driver lets the exchange with the endpoint finish by itself.
  if (driver_.attempt != 0 && !driver_.mark_read)
    return broken(Check::kPermitted, "an attempt runs on after the settlement");
  if (driver_.attempt != 0 && !end_attempt())
    return broken(Check::kNothingChargedTwice, "an attempt is settled a second time");
  drop_permit();
  if (driver_.dispatched != driver_.charged) return broken(Check::kNothingChargedTwice, "an attempt is never settled");
  // What an ended flight no longer needs is cleared, so that equal ends are equal.
  const Lane::Driver last = driver_;
  driver_ = {};
  driver_.present = driver_.started = driver_.settled = true;
  driver_.dispatched = last.dispatched;
  driver_.charged = last.charged;
  driver_.said = last.said;
  driver_.ending = ending;
  return std::nullopt;
}

}  // namespace thalweg::flight
