// A permit comes from grant() and nowhere else.
// must fail: private
#include "decide/placement/permit.h"

namespace thalweg::placement {
Permit try_it(const Decision& decision, budget::Reservation reservation, fleet::Slot slot) {
#ifdef ALLOWED
  return grant(decision, std::move(reservation), std::move(slot));
#else
  return Permit(decision, std::move(reservation), std::move(slot));
#endif
}
}  // namespace thalweg::placement
