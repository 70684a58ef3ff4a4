// A body alone opens no door.
// must fail: (too few arguments|could not convert|invalid initialization|cannot convert|no matching function)
#include "carry/upstream/dispatch.h"

namespace thalweg::upstream {
Result<std::unique_ptr<Attempt>> try_it([[maybe_unused]] placement::Permit permit, Body body, Door& door,
                                        AttemptSink& sink) {
#ifdef ALLOWED
  return dispatch(std::move(permit), std::move(body), door, sink);
#else
  return dispatch(std::move(body), door, sink);
#endif
}
}  // namespace thalweg::upstream
