// Outgoing connections: TCP, TLS over TCP, or a UNIX socket. Included only by the rooms that may open one: `upstream`,
// gateway/outside.cpp and cli/local.cpp (to our own gateway).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "carry/net/loop.h"

namespace thalweg::net {

/// Where to connect. A path means a UNIX socket.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  std::string path;
  bool tls = false;
  friend bool operator==(const Address&, const Address&) = default;
};

/// Verifies servers: TLS 1.2 or newer, chain and host name checked, no way to switch that off. One a shard and CA file
/// (OpenSSL 3.0 contends on a shared one).
class TlsContext {
 public:
  /// `ca_file` empty: the system's store. kIo when the file cannot be read.
  static Result<std::unique_ptr<TlsContext>> make(const std::string& ca_file);
  ~TlsContext();
  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// One connection. All calls and callbacks on the loop's thread; callbacks never come from inside a call.
class ClientStream {
 public:
  class Owner {
   public:
    virtual void on_connected(const error_code& error) = 0;
    virtual void on_written(const error_code& error) = 0;
    virtual void on_read(const error_code& error, std::size_t bytes) = 0;

   protected:
    ~Owner() = default;
  };

  explicit ClientStream(Loop& loop);
  ~ClientStream();
  ClientStream(const ClientStream&) = delete;
  ClientStream& operator=(const ClientStream&) = delete;

  /// `keep` is held alive until each callback has come. `tls` is needed where the address says so.
  void connect(const Address& address, TlsContext* tls, Owner& owner, std::shared_ptr<void> keep);
  /// Writes all slices; true when they are out at once (no callback comes), else on_written follows. The slices' bytes
  /// must hold until then.
  bool write(std::span<const std::string_view> slices, Owner& owner, std::shared_ptr<void> keep);
  /// on_read follows: some bytes, or `eof` where the server ended in good order, or another error; a TLS session that
  /// ends without its close_notify is such an error, for anyone on the way could have cut it.
  void read(char* data, std::size_t size, Owner& owner, std::shared_ptr<void> keep);
  /// Closes at once; pending callbacks come with operation_aborted. A TLS session is cut, not shut down: answers are
  /// framed.
  void close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace thalweg::net
