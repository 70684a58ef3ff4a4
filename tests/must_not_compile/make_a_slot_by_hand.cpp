// A slot comes from take_slot(), which counts it.
// must fail: private
#include "decide/fleet/slots.h"

namespace thalweg::fleet {
std::optional<Slot> try_it(SlotCounter& counter) {
#ifdef ALLOWED
  return take_slot(counter, EndpointIndex{0});
#else
  return Slot(&counter, EndpointIndex{0}, 1);
#endif
}
}  // namespace thalweg::fleet
