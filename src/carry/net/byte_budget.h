// One budget for all bytes the process holds for others: bodies, frames unsent, answers being folded. Above it new work
// is refused with 503 instead of growing.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace thalweg::net {

class ByteBudget {
 public:
  explicit ByteBudget(std::uint64_t limit) : limit_(limit) {}
  bool take(std::uint64_t bytes) {
    const std::uint64_t before = held_.fetch_add(bytes, std::memory_order_relaxed);
    if (before + bytes <= limit_.load(std::memory_order_relaxed)) return true;
    held_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  void give(std::uint64_t bytes) { held_.fetch_sub(bytes, std::memory_order_relaxed); }
  std::uint64_t held() const { return held_.load(std::memory_order_relaxed); }
  std::uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  void set_limit(std::uint64_t bytes) { limit_.store(bytes, std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<std::uint64_t> held_{0};
  std::atomic<std::uint64_t> limit_;
};

/// A share of the budget that grows and gives itself back.
class HeldBytes {
 public:
  explicit HeldBytes(ByteBudget& budget) : budget_(&budget) {}
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;
  ~HeldBytes() { release(); }
  /// Holds `bytes` in all from now on; false (and unchanged) when the budget has no room for the growth.
  bool hold(std::uint64_t bytes) {
    if (bytes > held_) {
      if (!budget_->take(bytes - held_)) return false;
    } else if (bytes < held_) {
      budget_->give(held_ - bytes);
    }
    held_ = bytes;
    return true;
  }
  void release() { hold(0); }
  std::uint64_t held() const { return held_; }

 private:
  ByteBudget* budget_;
  std::uint64_t held_ = 0;
};

}  // namespace thalweg::net
