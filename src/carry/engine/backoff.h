// How long to wait before a child that died is started again. Used in this room only.
#pragma once

#include <algorithm>

#include "base/units.h"

namespace thalweg::engine {

class Backoff {
 public:
  static constexpr Duration kFirst = 100ms;
  static constexpr Duration kLongest = 10s;
  static constexpr Duration kLongLife = 30s;  // a child that lived so long failed for another reason than its start

  /// The wait after a child that was ready for `life` (zero: never): kFirst, doubling up to kLongest while lives are
  /// short.
  Duration after(Duration life) {
    if (life >= kLongLife) next_ = kFirst;
    const Duration wait = next_;
    next_ = std::min(kLongest, next_ * 2);
    return wait;
  }

 private:
  Duration next_ = kFirst;
};

}  // namespace thalweg::engine
