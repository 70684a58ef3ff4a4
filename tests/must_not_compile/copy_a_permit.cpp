// A permit is used once: moved, never copied.
// must fail: use of deleted function .*Permit\(const
#include "decide/placement/permit.h"

namespace thalweg::placement {
Permit try_it(Permit& permit) {
#ifdef ALLOWED
  return std::move(permit);
#else
  return permit;
#endif
}
}  // namespace thalweg::placement
