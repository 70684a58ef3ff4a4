// Asking the same endpoint again must not multiply an outage: a bucket of ten, refilled by one retry for every ten
// requests, for the whole process. A failover to another endpoint costs nothing: each endpoint sees a request once.
#pragma once

#include <atomic>
#include <cstdint>

namespace thalweg::gateway {

class RetryBudget {
 public:
  static constexpr std::uint32_t kBucket = 10;
  static constexpr std::uint32_t kRequestsPerRetry = 10;

  void refill() {
    std::uint32_t left = left_.load(std::memory_order_relaxed);
    while (left < kBucket && !left_.compare_exchange_weak(left, left + 1, std::memory_order_relaxed)) {
    }
  }
  bool spend() {
    std::uint32_t left = left_.load(std::memory_order_relaxed);
    while (left != 0) {
      if (left_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }

 private:
  alignas(64) std::atomic<std::uint32_t> left_{kBucket};
};

/// A shard's count of requests, so that not each of them touches what all shards share.
class RetryRefill {
 public:
  void on_request(RetryBudget& budget) {
    if (++requests_ < RetryBudget::kRequestsPerRetry) return;
    requests_ = 0;
    budget.refill();
  }

 private:
  std::uint32_t requests_ = 0;
};

}  // namespace thalweg::gateway
