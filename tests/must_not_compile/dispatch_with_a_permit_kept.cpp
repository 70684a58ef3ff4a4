// dispatch() takes the permit over: nobody keeps it for a second attempt.
// must fail: cannot bind rvalue reference
#include "carry/upstream/dispatch.h"

namespace thalweg::upstream {
Result<std::unique_ptr<Attempt>> try_it(placement::Permit& permit, Body body, Door& door, AttemptSink& sink) {
#ifdef ALLOWED
  return dispatch(std::move(permit), std::move(body), door, sink);
#else
  return dispatch(permit, std::move(body), door, sink);
#endif
}
}  // namespace thalweg::upstream
