#include "carry/net/timers.h"

#include <algorithm>

namespace thalweg::net {

void Timer::stop() {
  if (wheel_ != nullptr) wheel_->unlink(*this);
}

TimerWheel::TimerWheel(Loop& loop) : loop_(loop), sleeper_(loop.get_executor()), epoch_(MonotonicClock::now()) {}

TimerWheel::~TimerWheel() {
  for (Timer*& head : slots_) {
    while (head != nullptr) unlink(*head);
  }
}

std::uint64_t TimerWheel::tick_of(Instant instant) const {
  return static_cast<std::uint64_t>((instant - epoch_) / kTimerTick);
}

void TimerWheel::start(Timer& timer, Duration after, TimerOwner& owner, std::uint32_t tag) {
  timer.stop();
  const Instant now = MonotonicClock::now();
  // One tick more than the division gives: never early.
  const std::uint64_t due = std::max(tick_of(now + std::max(after, Duration::zero())) + 1, current_);
  Timer*& head = slots_[due % kSlots];
  timer.wheel_ = this;
  timer.owner_ = &owner;
  timer.tag_ = tag;
  timer.due_tick_ = due;
  timer.next_ = head;
  timer.previous_ = &head;
  if (head != nullptr) head->previous_ = &timer.next_;
  head = &timer;
  ++count_;
  if (due < sleeping_to_) sleep();
}

void TimerWheel::unlink(Timer& timer) {
  *timer.previous_ = timer.next_;
  if (timer.next_ != nullptr) timer.next_->previous_ = timer.previous_;
  timer.wheel_ = nullptr;
  timer.next_ = nullptr;
  timer.previous_ = nullptr;
  --count_;
}

// Sleeps to the next occupied slot. A timer due in a later round of the wheel wakes us once a round: about every five
// seconds.
void TimerWheel::sleep() {
  if (count_ == 0) {
    sleeping_to_ = UINT64_MAX;
    return;
  }
  const std::uint64_t now = std::max(current_, tick_of(MonotonicClock::now()));
  std::uint64_t next = current_;
  while (next < current_ + kSlots && slots_[next % kSlots] == nullptr) ++next;
  next = std::max(next, now);
  if (next >= sleeping_to_ && sleeping_to_ >= now) return;
  sleeping_to_ = next;
  sleeper_.expires_after((epoch_ + next * kTimerTick) - MonotonicClock::now() + 1us);
  sleeper_.async_wait([this](const error_code& error) {
    if (!error) wake();
  });
}

void TimerWheel::wake() {
  sleeping_to_ = UINT64_MAX;
  const std::uint64_t now = tick_of(MonotonicClock::now());
  // After a long sleep one round covers every slot.
  const std::uint64_t last = std::min(now, current_ + kSlots - 1);
  for (std::uint64_t tick = current_; tick <= last; ++tick) {
    // An owner may start and stop any timer, so look at the list afresh after each call.
    for (bool fired = true; fired;) {
      fired = false;
      for (Timer* timer = slots_[tick % kSlots]; timer != nullptr; timer = timer->next_) {
        if (timer->due_tick_ > now) continue;
        TimerOwner* owner = timer->owner_;
        const std::uint32_t tag = timer->tag_;
        unlink(*timer);
        owner->on_timer(tag);
        fired = true;
        break;
      }
    }
  }
  current_ = now + 1;
  sleep();
}

}  // namespace thalweg::net
