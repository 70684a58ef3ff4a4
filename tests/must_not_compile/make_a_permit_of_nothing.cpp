// There is no empty permit to fill in later.
// must fail: no matching function for call to .*Permit
#include <optional>

#include "decide/placement/permit.h"

namespace thalweg::placement {
void try_it() {
#ifdef ALLOWED
  [[maybe_unused]] std::optional<Permit> permit;
#else
  [[maybe_unused]] Permit permit;
#endif
}
}  // namespace thalweg::placement
