// Nor can its expiry be put off.
// must fail: private
#include "decide/placement/permit.h"

namespace thalweg::placement {
Instant try_it(Permit& permit) {
#ifndef ALLOWED
  permit.deadline_.at += 1h;
#endif
  return permit.expires_at();
}
}  // namespace thalweg::placement
