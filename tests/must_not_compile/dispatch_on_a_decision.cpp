// A decision alone is no permit: it holds no slot and no reservation.
// must fail: (invalid initialization|cannot convert|no matching function|user-defined conversion)
#include "carry/upstream/dispatch.h"

namespace thalweg::upstream {
Result<std::unique_ptr<Attempt>> try_it(const placement::Decision& decision, [[maybe_unused]] fleet::Slot slot,
                                        Body body, Door& door, AttemptSink& sink) {
#ifdef ALLOWED
  return dispatch(placement::grant(decision, budget::Reservation(), std::move(slot)), std::move(body), door, sink);
#else
  return dispatch(decision, std::move(body), door, sink);
#endif
}
}  // namespace thalweg::upstream
