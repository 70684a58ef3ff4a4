// grant() takes the slot over: nobody keeps it for a second attempt.
// must fail: cannot bind rvalue reference
#include "decide/placement/permit.h"

namespace thalweg::placement {
Permit try_it(const Decision& decision, fleet::Slot& slot) {
#ifdef ALLOWED
  return grant(decision, budget::Reservation(), std::move(slot));
#else
  return grant(decision, budget::Reservation(), slot);
#endif
}
}  // namespace thalweg::placement
