// A decision comes from place() and nowhere else.
// must fail: private
#include "decide/placement/place.h"

namespace thalweg::placement {
Decision try_it(const Question& question, const World& world, Scratch& scratch) {
#ifdef ALLOWED
  return place(question, world, scratch);
#else
  static_cast<void>(question);
  static_cast<void>(world);
  static_cast<void>(scratch);
  return Decision();
#endif
}
}  // namespace thalweg::placement
