// The listener: accepts on one shard and hands each connection to the shard that has the fewest.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "carry/net/shard.h"

namespace thalweg::net {

class Listener {
 public:
  /// Called on the chosen shard's thread with a connected, non-blocking socket.
  using OnConnection = std::function<void(Shard&, Socket)>;

  /// Binds and listens; accepting begins with start(). kIo says which address and why (in use, not local...).
  static Result<std::unique_ptr<Listener>> open(const std::string& host, std::uint16_t port,
                                                std::span<Shard* const> shards, OnConnection on_connection);
  ~Listener();
  void start();
  /// Stops accepting. May be called from any thread.
  void close();
  /// The port it listens on, or did. From any thread.
  std::uint16_t port() const;

 private:
  struct Impl;
  explicit Listener(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace thalweg::net
