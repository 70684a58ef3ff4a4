#include "carry/net/timers.h"

#include <algorithm>

namespace thalweg::net {

void Timer::stop() {
  if (wheel_ != nullptr) wheel_->unlink(*this);
}

TimerWheel::~TimerWheel() {
  for (Timer*& head : slots_) {
    while (head != nullptr) unlink(*head);
  }
}

std::uint64_t TimerWheel::tick_of(Instant instant) const {
  return static_cast<std::uint64_t>((instant - epoch_) / kTimerTick);
}

void TimerWheel::start(Timer& timer, Duration after, TimerOwner& owner, std::uint32_t tag) {
  const Instant now = turn_began_ != Instant{} ? turn_began_ : MonotonicClock::now();
  // One tick more than the division gives: never early.
  const std::uint64_t due = std::max(tick_of(now + std::max(after, Duration::zero())) + 1, current_);
  timer.owner_ = &owner;
  timer.tag_ = tag;
  timer.due_tick_ = due;
  // Put off, as the gap between tokens is with every frame: it stays where it is, and moves when its slot's time comes.
  if (timer.wheel_ == this && due >= timer.visit_tick_) return;
  timer.stop();
  if (count_ == 0) {
    current_ = std::max(current_, tick_of(now));
    next_ = UINT64_MAX;
  }
  link(timer);
}

void TimerWheel::link(Timer& timer) {
  const std::uint64_t due = timer.due_tick_;
  Timer*& head = slots_[due % kSlots];
  timer.wheel_ = this;
  timer.visit_tick_ = due;
  timer.next_ = head;
  timer.previous_ = &head;
  if (head != nullptr) head->previous_ = &timer.next_;
  head = &timer;
  ++count_;
  next_ = std::min(next_, current_ + (due - current_) % kSlots);
}

void TimerWheel::unlink(Timer& timer) {
  *timer.previous_ = timer.next_;
  if (timer.next_ != nullptr) timer.next_->previous_ = timer.previous_;
  timer.wheel_ = nullptr;
  timer.next_ = nullptr;
  timer.previous_ = nullptr;
  --count_;
}

Duration TimerWheel::until_next() {
  if (count_ == 0) return Duration::max();
  next_ = std::max(next_, current_);
  while (slots_[next_ % kSlots] == nullptr) ++next_;
  return std::max<Duration>(Duration::zero(), (epoch_ + next_ * kTimerTick) - MonotonicClock::now());
}

std::size_t TimerWheel::fire() {
  turn_began_ = {};
  if (count_ == 0) return 0;
  const std::uint64_t now = tick_of(MonotonicClock::now());
  std::size_t count = 0;
  if (now < next_) {
    current_ = std::max(current_, now + 1);
    return 0;
  }
  // After a long sleep one round covers every slot.
  const std::uint64_t last = std::min(now, current_ + kSlots - 1);
  for (std::uint64_t tick = current_; tick <= last; ++tick) {
    // An owner may start and stop any timer, so look at the list afresh after each call.
    Timer* timer = slots_[tick % kSlots];
    while (timer != nullptr) {
      Timer* const next = timer->next_;
      if (timer->due_tick_ > now) {
        if (timer->due_tick_ != timer->visit_tick_) {
          unlink(*timer);
          link(*timer);
        }
        timer = next;
        continue;
      }
      TimerOwner* const owner = timer->owner_;
      const std::uint32_t tag = timer->tag_;
      unlink(*timer);
      owner->on_timer(tag);
      ++count;
      timer = slots_[tick % kSlots];
    }
  }
  // What is left in those slots is due in a later round.
  current_ = next_ = now + 1;
  return count;
}

}  // namespace thalweg::net
