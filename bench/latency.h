// Latencies in buckets whose width grows with the value, as in HdrHistogram (G. Tene): 128 buckets between a power of
// two and the next, so a percentile is at most 0.8% off, whatever its size.
#pragma once

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

namespace thalweg::bench {

class Latencies {
 public:
  void record(std::chrono::nanoseconds latency) {
    const std::uint64_t value = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
    ++counts_[bucket_of(value)];
    ++count_;
    greatest_ = std::max(greatest_, value);
  }

  std::uint64_t count() const { return count_; }
  double greatest_us() const { return static_cast<double>(greatest_) / 1e3; }

  /// The smallest bucket's upper edge with at least `percent` of all values at or below it; 0 when nothing was
  /// recorded.
  double percentile_us(double percent) const {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(static_cast<double>(count_) * percent / 100.0));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > 0 && seen >= wanted) return static_cast<double>(std::min(upper_edge(i), greatest_)) / 1e3;
    }
    return greatest_us();
  }

 private:
  static constexpr unsigned kBits = 7;
  static std::size_t bucket_of(std::uint64_t value) {
    if (value < (2ULL << kBits)) return value;
    const std::size_t shift = std::bit_width(value) - 1 - kBits;
    return (shift << kBits) + (value >> shift);
  }
  static std::uint64_t upper_edge(std::size_t bucket) {
    if (bucket < (2ULL << kBits)) return bucket;
    const std::size_t shift = (bucket >> kBits) - 1;
    return ((bucket - (shift << kBits) + 1) << shift) - 1;
  }

  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>((64 - kBits + 1) << kBits);
  std::uint64_t count_ = 0;
  std::uint64_t greatest_ = 0;
};

}  // namespace thalweg::bench
