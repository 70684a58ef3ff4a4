// A permit is no aggregate whose fields one may name.
// must fail: no matching function for call to .*Permit.*brace-enclosed
#include "decide/placement/permit.h"

namespace thalweg::placement {
Permit try_it(Permit permit, RequestId request, fleet::Target target) {
#ifdef ALLOWED
  static_cast<void>(request);
  static_cast<void>(target);
  return permit;
#else
  static_cast<void>(permit);
  return Permit{request, 1, target};
#endif
}
}  // namespace thalweg::placement
