// The world around flights, as small as it can be and still wrong in every way that the real one can: a driver that
// does what it is told, endpoints that may do anything at any time, a client, slots and retry tokens. It is a plain
// value, so that a search can copy, compare and hash it, and it checks every action that a flight gives it.
//
// What is not bounded here needs no counter: waiting, blocking and draining lead back to states that were seen before,
// so every number of them is explored. Bounded are attempts (by the flight itself) and the frames of an attempt.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decide/flight/flight.h"

namespace thalweg::flight {

/// The frames that an endpoint may send.
enum class Frame : std::uint8_t {
  kRole,  // no content
  kText,
  kTool,
  kFinish,
  kLast,  // text, finish and usage: also a whole answer in one piece
  kUsage,
  kMark,
  kError,
  kLastAndMark,  // text, finish, usage and mark, as NDJSON dialects end
};
inference::FrameFacts facts_of(Frame frame);

inline constexpr std::size_t kMaxLanes = 3;
inline constexpr std::size_t kMaxEndpoints = 2;

/// What may happen in one exploration.
struct Bounds {
  std::string name;
  std::vector<inference::Delivery> flights;
  std::vector<Frame> frames;
  std::vector<Failure> failures;
  std::uint8_t frames_an_attempt = 3;
  std::uint8_t frames_after_pause = 1;  // of the read that was under way
  std::array<std::uint8_t, kMaxEndpoints> slots{1, 1};
  std::uint8_t retry_tokens = placement::kMaxAttempts;  // shared by all flights; a second attempt costs one
  bool drain = true;
  bool client_blocks = true;
  Repetition repetition = Repetition::kSafe;
};

/// One thing that happens in the world to the flight of `lane`.
struct Step {
  enum class Kind : std::uint8_t {
    kStart,
    kGrant,    // place() says run and the slot of endpoint `detail` is taken: a permit is made
    kGranted,  // ...and the flight is told
    kExpire,   // ...or the permit gets too old before that
    kMustWait,
    kDeny,   // nothing will do, or the last race for a slot was lost
    kFrame,  // `detail`: Frame
    kUpstreamEnd,
    kBreak,  // `detail`: Failure
    kFire,   // `detail`: Timer
    kSlotFree,
    kClientBlocked,
    kClientWritable,
    kClientGone,
    kDrain,
  };
  Kind kind = Kind::kStart;
  std::uint8_t lane = 0;
  std::uint8_t detail = 0;
};

/// What must hold. The numbers are those of the tests of seeded bugs.
enum class Check : std::uint8_t {
  kTruncatedIsNotComplete = 1,  // complete only when all finish reasons of that answer were read
  kOneAnswer = 2,               // the client's frames are one attempt's, in order, none twice, none left out
  kNothingChargedTwice = 3,     // every attempt is dispatched once, settled once; no more retries than tokens
  kNothingAfterTheEnd = 4,      // no action for a flight that has ended
  kSettlesOnce = 5,             // and never gets stuck: something bounded in time always comes next
  kPermitted = 6,               // dispatch with the permit at hand, one attempt at a time, none leaks, slots return
  kFailover = 7,                // none after something was sent or for a final failure; attempts are limited
  kBackPressure = 8,            // reading pauses exactly while the client is blocked, and no silence is counted then
  kOneEnding = 9,               // exactly one of complete, whole, fail, client gone; the settlement says the same
  kNothingThrownAway = 10,      // no answer read to its finish is failed unless disowned; no attempt left is left out
  kLateIsIgnored = 11,          // what cannot be meant changes nothing
};
struct Violation {
  Check check;
  const char* what;
};

/// How a flight takes an event: Flight::on, or a seeded bug around it. Has no memory of its own.
using Play = Actions (*)(Flight& flight, const Event& event);
inline Actions play_right(Flight& flight, const Event& event) {
  return flight.on(event);
}

/// A flight and what its driver knows of it. Numbers are bytes, so that the whole has no padding and hashes as bytes.
struct Lane {
  enum class Ask : std::uint8_t { kNone, kAsked, kGranted };
  enum class Permit : std::uint8_t { kNone, kValid, kExpired };
  enum class Said : std::uint8_t { kNothing, kComplete, kWhole, kFail };
  static constexpr std::uint8_t kSlots = kMaxHeldFrames + 1;
  struct Driver {
    bool present = false;
    bool started = false;
    Ask ask = Ask::kNone;
    std::uint8_t asked_attempt = 0;
    Permit permit = Permit::kNone;
    std::uint8_t endpoint = 0;     // of the permit or the attempt
    std::uint8_t attempt = 0;      // the one that runs; 0: none
    bool refused = false;          // its permit was stale: nothing was sent, and the error is on its way
    std::uint8_t frames_read = 0;  // of this attempt
    bool content_read = false;
    bool finish_read = false;
    bool mark_read = false;
    std::uint8_t sent_from = 0;                       // the attempt whose frames the client has; 0: none
    std::uint8_t sent = 0;                            // how many
    std::array<std::uint8_t, kSlots> slot_attempt{};  // 0: free
    std::array<std::uint8_t, kSlots> slot_frame{};    // counts from 1
    std::uint8_t timers = 0;
    bool paused = false;
    std::uint8_t frames_after_pause = 0;  // that may still come
    bool blocked = false;
    bool draining = false;
    std::uint8_t dispatched = 0;  // a bit an attempt
    std::uint8_t charged = 0;
    Said said = Said::kNothing;
    bool settled = false;
    Ending ending = Ending::kComplete;
    friend bool operator==(const Driver&, const Driver&) = default;
  };
  Flight flight{inference::Delivery::kStream};
  Driver driver;
  friend bool operator==(const Lane&, const Lane&) = default;
};

class World {
 public:
  explicit World(const Bounds& bounds);

  /// All that may happen next.
  void steps(const Bounds& bounds, std::vector<Step>& found) const;
  /// Makes it happen. A violation leaves the world in no useful state.
  std::optional<Violation> take(const Bounds& bounds, Step step, Play play);
  /// Tells every flight, as copies, what comes too late or cannot be meant.
  std::optional<Violation> probe(Play play) const;
  /// The event of a step, in words, and the flight's actions.
  std::string words_of(const Bounds& bounds, Step step, Play play) const;

  bool over() const;  // every flight has settled
  const Lane& lane(std::size_t i) const { return lanes_[i]; }
  std::uint64_t hash() const;
  friend bool operator==(const World&, const World&) = default;

 private:
  class Turn;  // one step at work: flight_explore_turn_test.cpp
  std::optional<Violation> check_between_steps(const Bounds& bounds) const;

  std::array<Lane, kMaxLanes> lanes_{};
  std::array<std::uint8_t, kMaxEndpoints> free_slots_{};
  std::uint8_t retry_tokens_ = 0;
};

}  // namespace thalweg::flight
