// Names into addresses. The system's call blocks, so it runs on threads of its own.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "carry/net/loop.h"

namespace thalweg::net {

/// One address to connect to.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

/// From numbers alone: "127.0.0.1", "::1". Empty when `host` is a name.
std::vector<SocketAddress> numeric_address(const std::string& host, std::uint16_t port);

/// A running question. Dropping it drops its answer.
class Lookup {
 public:
  /// On the loop's thread: the addresses in the order to try them, or none and why.
  using Answer = std::function<void(std::vector<SocketAddress>, std::error_code)>;
  Lookup(Loop& loop, std::string host, std::uint16_t port, Answer answer);
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

 private:
  std::shared_ptr<Answer> answer_;
};

}  // namespace thalweg::net
