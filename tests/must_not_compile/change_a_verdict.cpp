// Nor are the reasons of a decision rewritten.
// must fail: read-only
#include "decide/placement/place.h"

namespace thalweg::placement {
Rejection try_it(const Decision& decision) {
#ifndef ALLOWED
  decision.verdicts()[0].rejection = Rejection::kNone;
#endif
  return decision.verdicts()[0].rejection;
}
}  // namespace thalweg::placement
