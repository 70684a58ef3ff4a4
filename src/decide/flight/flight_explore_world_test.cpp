#include "decide/flight/flight_explore_world_test.h"

#include <bit>
#include <type_traits>

#include "base/hash.h"
#include "decide/flight/flight_explore_turn_test.h"
#include "decide/flight/flight_words_test.h"

namespace thalweg::flight {

namespace {

constexpr std::uint8_t kSilenceTimers = bit_of(Timer::kFirstToken) | bit_of(Timer::kGap) | bit_of(Timer::kTail);

std::optional<Violation> check_running(const Lane::Driver& driver) {
  if (driver.blocked != driver.paused) {
    return broken(Check::kBackPressure,
                  driver.blocked ? "reading goes on while the client is blocked" : "reading is never resumed");
  }
  const bool limited = (driver.timers & kSilenceTimers) != 0;
  if (driver.paused && limited) return broken(Check::kBackPressure, "silence is counted while nothing is read");
  if (!driver.paused && !limited) return broken(Check::kSettlesOnce, "a silent endpoint would hold it for ever");
  const Timer fitting = driver.finish_read ? Timer::kTail : driver.content_read ? Timer::kGap : Timer::kFirstToken;
  if (!driver.paused && (driver.timers & kSilenceTimers) != bit_of(fitting)) {
    return broken(Check::kSettlesOnce, "another limit on silence runs than the one that fits");
  }
  if (driver.sent > 0 && driver.sent != driver.frames_read)
    return broken(Check::kOneAnswer, "it holds back frames of an answer that has begun");
  return std::nullopt;
}

std::optional<Violation> check_lane(const Lane& lane) {
  const Lane::Driver& driver = lane.driver;
  if (lane.flight.done() != driver.settled) {
    return broken(Check::kSettlesOnce,
                  driver.settled ? "it goes on after the settlement" : "it ends without a settlement");
  }
  if (driver.settled || !driver.started) return std::nullopt;
  const bool asks = driver.ask != Lane::Ask::kNone;
  const bool waits = (driver.timers & bit_of(Timer::kWait)) != 0;
  const bool runs = driver.attempt != 0;
  if (!asks && !waits && !runs) return broken(Check::kSettlesOnce, "nothing comes next: it is stuck");
  if (asks + waits + runs > 1) return broken(Check::kPermitted, "it asks, waits or runs at the same time");
  if (driver.permit != Lane::Permit::kNone && driver.ask != Lane::Ask::kGranted) {
    return broken(Check::kPermitted, "a permit is neither used nor given back");
  }
  if (!runs && (driver.timers & kSilenceTimers) != 0)
    return broken(Check::kPermitted, "silence is counted though no attempt runs");
  if ((driver.timers & bit_of(Timer::kTotal)) == 0) return broken(Check::kSettlesOnce, "its whole time is not limited");
  if (((driver.timers & bit_of(Timer::kClientWrite)) != 0) != driver.blocked) {
    return broken(Check::kBackPressure, "the client's time runs exactly while it is blocked");
  }
  if (((driver.timers & bit_of(Timer::kDrain)) != 0) != driver.draining) {
    return broken(Check::kSettlesOnce, "the time left runs exactly while the process drains");
  }
  if (lane.flight.committed() != (driver.sent > 0)) return broken(Check::kOneAnswer, "committed is not what was sent");
  return runs ? check_running(driver) : std::nullopt;
}

static_assert(std::has_unique_object_representations_v<Lane::Driver>, "it is hashed as bytes");

}  // namespace

inference::FrameFacts facts_of(Frame frame) {
  switch (frame) {
    case Frame::kRole:
      return {};
    case Frame::kText:
      return {.text = true};
    case Frame::kTool:
      return {.tool = true};
    case Frame::kFinish:
      return {.finish = true};
    case Frame::kLast:
      return {.text = true, .finish = true, .usage = true};
    case Frame::kUsage:
      return {.usage = true};
    case Frame::kMark:
      return {.terminator = true};
    case Frame::kError:
      return {.error = true};
    case Frame::kLastAndMark:
      return {.text = true, .finish = true, .usage = true, .terminator = true};
  }
  return {};
}

World::World(const Bounds& bounds) : free_slots_(bounds.slots), retry_tokens_(bounds.retry_tokens) {
  THALWEG_CHECK(bounds.flights.size() <= kMaxLanes);
  for (std::size_t i = 0; i < bounds.flights.size(); ++i) {
    lanes_[i].flight = Flight(bounds.flights[i], bounds.repetition);
    lanes_[i].driver.present = true;
  }
}

void World::steps(const Bounds& bounds, std::vector<Step>& found) const {
  found.clear();
  for (std::size_t i = 0; i < bounds.flights.size(); ++i) {
    const Lane::Driver& driver = lanes_[i].driver;
    const auto can = [&](Step::Kind kind, std::size_t detail = 0) {
      found.push_back({kind, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(detail)});
    };
    if (driver.settled) continue;
    if (!driver.started) {
      can(Step::Kind::kStart);
      continue;
    }
    if (driver.ask == Lane::Ask::kAsked) {
      const bool allowed = driver.asked_attempt <= 1 || retry_tokens_ > 0;
      for (std::size_t endpoint = 0; endpoint < kMaxEndpoints; ++endpoint) {
        if (allowed && free_slots_[endpoint] > 0) can(Step::Kind::kGrant, endpoint);
      }
      can(Step::Kind::kMustWait);
      can(Step::Kind::kDeny);
    }
    if (driver.ask == Lane::Ask::kGranted) {
      can(Step::Kind::kGranted);
      if (driver.permit == Lane::Permit::kValid) can(Step::Kind::kExpire);
    }
    if (driver.attempt != 0 && driver.refused) can(Step::Kind::kBreak, static_cast<std::size_t>(Failure::kNotSent));
    if (driver.attempt != 0 && !driver.refused) {
      if (driver.frames_read < bounds.frames_an_attempt && (!driver.paused || driver.frames_after_pause > 0)) {
        for (const Frame frame : bounds.frames) can(Step::Kind::kFrame, static_cast<std::size_t>(frame));
      }
      can(Step::Kind::kUpstreamEnd);
      for (const Failure failure : bounds.failures) can(Step::Kind::kBreak, static_cast<std::size_t>(failure));
    }
    for (std::size_t timer = 0; timer < kTimerCount; ++timer) {
      if ((driver.timers & bit_of(static_cast<Timer>(timer))) != 0) can(Step::Kind::kFire, timer);
    }
    if ((driver.timers & bit_of(Timer::kWait)) != 0) can(Step::Kind::kSlotFree);
    if (bounds.client_blocks) can(driver.blocked ? Step::Kind::kClientWritable : Step::Kind::kClientBlocked);
    can(Step::Kind::kClientGone);
    if (bounds.drain && !driver.draining) can(Step::Kind::kDrain);
  }
}

std::optional<Violation> World::take(const Bounds& bounds, Step step, Play play) {
  if (const auto violation = Turn(*this, bounds, step.lane).take(step, play)) return violation;
  return check_between_steps(bounds);
}

std::optional<Violation> World::check_between_steps(const Bounds& bounds) const {
  std::array<int, kMaxEndpoints> taken{};
  int retries = 0;
  for (const Lane& lane : lanes_) {
    if (!lane.driver.present) continue;
    if (const auto violation = check_lane(lane)) return violation;
    const bool holds = lane.driver.permit != Lane::Permit::kNone || (lane.driver.attempt != 0 && !lane.driver.refused);
    if (holds) ++taken[lane.driver.endpoint];
    const int dispatched = std::popcount(static_cast<unsigned>(lane.driver.dispatched));
    if (dispatched > 1) retries += dispatched - 1;
  }
  for (std::size_t i = 0; i < kMaxEndpoints; ++i) {
    if (taken[i] + free_slots_[i] != bounds.slots[i])
      return broken(Check::kPermitted, "a slot is lost or counted twice");
  }
  if (retries > bounds.retry_tokens) return broken(Check::kNothingChargedTwice, "more attempts than the budget allows");
  return std::nullopt;
}

std::optional<Violation> World::probe(Play play) const {
  for (const Lane& lane : lanes_) {
    const Lane::Driver& driver = lane.driver;
    if (!driver.present || !driver.started) continue;
    const bool over = driver.settled;
    std::optional<Violation> violation;
    const auto tell = [&](const Event& event) {
      if (violation) return;
      Flight copy = lane.flight;
      const Actions actions = play(copy, event);
      if (!actions.empty() && over)
        violation = broken(Check::kNothingAfterTheEnd, "an ended flight acts on what comes late");
      if (!actions.empty() && !over) violation = broken(Check::kLateIsIgnored, "it acts on what cannot be meant");
      if (actions.empty() && copy != lane.flight)
        violation = broken(Check::kLateIsIgnored, "what cannot be meant changes it");
    };
    tell({.kind = Event::Kind::kStart});
    for (std::uint8_t attempt = 0; attempt <= placement::kMaxAttempts; ++attempt) {
      if (!over && attempt == driver.attempt && attempt != 0) continue;
      tell({.kind = Event::Kind::kFrame, .attempt = attempt, .facts = facts_of(Frame::kLast)});
      tell({.kind = Event::Kind::kFrame, .attempt = attempt, .facts = facts_of(Frame::kRole)});
      tell({.kind = Event::Kind::kUpstreamEnd, .attempt = attempt});
      tell({.kind = Event::Kind::kUpstreamError, .attempt = attempt, .failure = Failure::kRefused});
    }
    if (over || driver.ask == Lane::Ask::kNone) {
      tell({.kind = Event::Kind::kGranted});
      tell({.kind = Event::Kind::kMustWait, .wait = 1s});
      tell({.kind = Event::Kind::kDenied, .error = ErrorCode::kForbidden});
    }
    for (std::size_t i = 0; i < kTimerCount; ++i) {
      const auto timer = static_cast<Timer>(i);
      if ((driver.timers & bit_of(timer)) == 0) tell({.kind = Event::Kind::kTimer, .timer = timer});
    }
    if ((driver.timers & bit_of(Timer::kWait)) == 0) tell({.kind = Event::Kind::kSlotFree});
    if (over || driver.blocked) tell({.kind = Event::Kind::kClientBlocked});
    if (over || !driver.blocked) tell({.kind = Event::Kind::kClientWritable});
    if (over || driver.draining) tell({.kind = Event::Kind::kDrain, .wait = 1s});
    if (over) tell({.kind = Event::Kind::kClientGone});
    if (violation) return violation;
  }
  return std::nullopt;
}

std::string World::words_of(const Bounds& bounds, Step step, Play play) const {
  World after = *this;
  const std::optional<Event> event = Turn(after, bounds, step.lane).begin(step);
  std::string words = bounds.flights.size() > 1 ? "flight " + std::to_string(step.lane + 1) + ": " : "";
  if (event)
    return words + flight::words_of(*event) + " -> " + flight::words_of(play(after.lanes_[step.lane].flight, *event));
  if (step.kind == Step::Kind::kGrant)
    return words + "(a permit for endpoint " + std::to_string(step.detail + 1) + " is made)";
  return words + "(the permit expires)";
}

bool World::over() const {
  for (const Lane& lane : lanes_) {
    if (lane.driver.present && !lane.driver.settled) return false;
  }
  return true;
}

std::uint64_t World::hash() const {
  std::uint64_t h = mix64(free_slots_[0], static_cast<std::uint64_t>(free_slots_[1]) << 8 | retry_tokens_);
  for (const Lane& lane : lanes_) {
    if (!lane.driver.present) break;
    const auto* bytes = reinterpret_cast<const char*>(&lane.driver);
    h = mix64(mix64(h, lane.flight.hash()), hash64({bytes, sizeof lane.driver}));
  }
  return h;
}

}  // namespace thalweg::flight
