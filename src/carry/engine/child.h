// Starts one child of a process with many threads: everything is prepared before the fork, and only async-signal-safe
// calls follow it. Used in this room only.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "carry/engine/command.h"
#include "carry/engine/sandbox.h"

namespace thalweg::engine {

struct Child {
  pid_t pid = 0;
  int pidfd = -1;   // readable when it has ended
  int output = -1;  // what it writes to stdout and stderr; non-blocking
};

/// The child leads a session of its own, has no open files but 0, 1 and 2, and is killed when the calling *thread*
/// ends: call this on a thread that outlives the child. `sandbox` may be null. kIo says which step failed.
Result<Child> start_child(const Command& command, const Sandbox* sandbox);

}  // namespace thalweg::engine
