// A slot is taken once and given back once.
// must fail: use of deleted function .*Slot\(const
#include "decide/fleet/slots.h"

namespace thalweg::fleet {
Slot try_it(Slot& slot) {
#ifdef ALLOWED
  return std::move(slot);
#else
  return slot;
#endif
}
}  // namespace thalweg::fleet
