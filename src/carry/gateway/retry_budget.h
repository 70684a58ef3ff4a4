// Asking the same endpoint again must not multiply an outage: a bucket of ten, refilled by one retry for every ten
// requests. A failover to another endpoint costs nothing: each endpoint sees a request once.
#pragma once

#include <algorithm>
#include <cstdint>

namespace thalweg::gateway {

class RetryBudget {
 public:
  static constexpr std::uint32_t kBucket = 10;
  static constexpr std::uint32_t kRequestsPerRetry = 10;
  void on_request() { parts_ = std::min(parts_ + 1, kBucket * kRequestsPerRetry); }
  bool spend() {
    if (parts_ < kRequestsPerRetry) return false;
    parts_ -= kRequestsPerRetry;
    return true;
  }

 private:
  std::uint32_t parts_ = kBucket * kRequestsPerRetry;
};

}  // namespace thalweg::gateway
