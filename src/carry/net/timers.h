// Timers of one shard: a hashed wheel. Starting, stopping and restarting cost a few pointer writes and no system call
// at all; the loop asks when the next is due before it sleeps. A deadline fires up to one tick late, never early.
#pragma once

#include <array>
#include <cstdint>

#include "base/units.h"

namespace thalweg::net {

inline constexpr Duration kTimerTick = 10ms;

/// Whoever waits. `tag` tells its timers apart.
class TimerOwner {
 public:
  virtual void on_timer(std::uint32_t tag) = 0;

 protected:
  ~TimerOwner() = default;
};

class TimerWheel;

/// One timer, part of its owner. Stops itself when it dies.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { stop(); }
  void stop();
  bool running() const { return wheel_ != nullptr; }

 private:
  friend class TimerWheel;
  Timer* next_ = nullptr;
  Timer** previous_ = nullptr;
  TimerWheel* wheel_ = nullptr;
  TimerOwner* owner_ = nullptr;
  std::uint64_t due_tick_ = 0;
  std::uint64_t visit_tick_ = 0;  // when its slot is looked at; earlier than it is due once it was put off
  std::uint32_t tag_ = 0;
};

class TimerWheel {
 public:
  TimerWheel() : epoch_(MonotonicClock::now()) {}
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  /// Starts or restarts. The owner is called on the shard's thread unless the timer is stopped before. Inside a turn of
  /// the loop `after` counts from the turn's beginning.
  void start(Timer& timer, Duration after, TimerOwner& owner, std::uint32_t tag);
  /// How long until fire() may have something to do: Duration::max() when no timer runs. A timer due in a later round
  /// of the wheel gives its slot's time in this one, so whoever waits wakes once a round: about every five seconds.
  Duration until_next();
  /// The loop has woken: from here to fire() the time is looked at no more.
  void begin_turn() { turn_began_ = MonotonicClock::now(); }
  Instant turn_began() const { return turn_began_; }
  /// Ends the turn: calls the owners of what is due. How many those were.
  std::size_t fire();

 private:
  friend class Timer;
  static constexpr std::size_t kSlots = 512;
  std::uint64_t tick_of(Instant instant) const;
  void link(Timer& timer);
  void unlink(Timer& timer);

  Instant epoch_;
  Instant turn_began_{};       // none between two turns
  std::uint64_t current_ = 0;  // ticks before this one have fired
  std::uint64_t next_ = 0;     // the slots from current_ up to this tick are empty
  std::size_t count_ = 0;
  std::array<Timer*, kSlots> slots_{};
};

}  // namespace thalweg::net
