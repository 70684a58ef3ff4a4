// What a permit names cannot be changed.
// must fail: private|lvalue required
#include "decide/placement/permit.h"

namespace thalweg::placement {
fleet::Target try_it(Permit& permit) {
#ifdef ALLOWED
  return permit.target();
#else
  permit.target_ = fleet::Target{};
  return permit.target();
#endif
}
}  // namespace thalweg::placement
