// A denial stays one.
// must fail: private
#include "decide/placement/place.h"

namespace thalweg::placement {
Outcome try_it(Decision decision) {
#ifndef ALLOWED
  decision.outcome_ = Outcome::kRun;
#endif
  return decision.outcome();
}
}  // namespace thalweg::placement
