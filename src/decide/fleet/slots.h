// Slots: how many attempts an endpoint runs at a time, over all shards. One padded atomic an endpoint.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "base/units.h"

namespace thalweg::fleet {

/// The counters of one endpoint; lives as long as any slot taken from it (endpoints of a new configuration with the
/// same name keep theirs).
struct alignas(64) SlotCounter {
  std::atomic<std::uint32_t> taken{0};
  std::atomic<std::uint32_t> limit{0};
};

/// The right to run one attempt at one endpoint, in one or more of its slots. Move-only; gives itself back.
class Slot {
 public:
  Slot(Slot&& other) noexcept
      : counter_(std::exchange(other.counter_, nullptr)), endpoint_(other.endpoint_), count_(other.count_) {}
  Slot& operator=(Slot&& other) noexcept {
    if (this != &other) {
      release();
      counter_ = std::exchange(other.counter_, nullptr);
      endpoint_ = other.endpoint_;
      count_ = other.count_;
    }
    return *this;
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot() { release(); }
  EndpointIndex endpoint() const { return endpoint_; }
  /// False once it has been moved from.
  bool holds() const { return counter_ != nullptr; }

 private:
  friend std::optional<Slot> take_slot(SlotCounter& counter, EndpointIndex endpoint, std::uint32_t count);
  Slot(SlotCounter* counter, EndpointIndex endpoint, std::uint32_t count)
      : counter_(counter), endpoint_(endpoint), count_(count) {}
  void release() {
    if (counter_ != nullptr) counter_->taken.fetch_sub(count_, std::memory_order_release);
    counter_ = nullptr;
  }
  SlotCounter* counter_;
  EndpointIndex endpoint_;
  std::uint32_t count_;
};

/// Takes `count` slots, or none when fewer are free (a lost race: ask `place()` again without this endpoint).
inline std::optional<Slot> take_slot(SlotCounter& counter, EndpointIndex endpoint, std::uint32_t count = 1) {
  std::uint32_t taken = counter.taken.load(std::memory_order_relaxed);
  while (taken + count <= counter.limit.load(std::memory_order_relaxed)) {
    if (counter.taken.compare_exchange_weak(taken, taken + count, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
      return Slot(&counter, endpoint, count);
    }
  }
  return std::nullopt;
}

}  // namespace thalweg::fleet
