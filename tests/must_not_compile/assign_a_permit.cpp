// Nor is one permit written over another by copying.
// must fail: use of deleted function .*Permit.*operator=
#include "decide/placement/permit.h"

namespace thalweg::placement {
void try_it(Permit& to, Permit& from) {
#ifdef ALLOWED
  to = std::move(from);
#else
  to = from;
#endif
}
}  // namespace thalweg::placement
