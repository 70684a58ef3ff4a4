// A gateway of the chat's own, when none runs: the same program as a child, on a free port, ended with the chat
// whichever way the chat ends.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace thalweg::cli {

class OwnGateway {
 public:
  OwnGateway() = default;
  OwnGateway(const OwnGateway&) = delete;
  OwnGateway& operator=(const OwnGateway&) = delete;
  /// Ends the child and waits for it.
  ~OwnGateway();
  /// Starts it and gives the port of 127.0.0.1 that it listens on. To be called on the main thread, and once: the
  /// kernel ends the child with the thread that started it.
  Result<std::uint16_t> start(const std::string& config);

 private:
  pid_t child_ = -1;
  int out_ = -1;  // kept open: the gateway may say more
};

}  // namespace thalweg::cli
