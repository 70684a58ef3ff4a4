// Outgoing connections: TCP, TLS over TCP, or a UNIX socket. Included only by the rooms that may open one: `upstream`
// and gateway/call.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "carry/net/proxy.h"
#include "carry/net/resolver.h"
#include "carry/net/stream.h"
#include "carry/net/tls.h"

namespace thalweg::net {

inline constexpr std::size_t kMaxTunnelHead = 8 * 1024;  // of a proxy's answer

/// Where to connect. A path means a UNIX socket.
struct Address {
  std::string host;
  std::uint16_t port = 0;
  std::string path;
  bool tls = false;
  Proxy proxy = {};
  friend bool operator==(const Address&, const Address&) = default;
};

/// How long one address of a name may take to connect while there are others to try.
inline constexpr Duration kCandidateLimit = 1s;

class ClientStream final : public Stream, private TimerOwner {
 public:
  class Owner : public Stream::Owner {
   public:
    /// Once for connect(), unless the stream is closed before; over TLS after the handshake.
    virtual void on_connected(std::error_code error) = 0;

   protected:
    ~Owner() = default;
  };

  ClientStream(Loop& loop, Owner& owner) : Stream(loop, owner), owner_(owner) {}
  ~ClientStream() override { close(); }
  /// Tries a name's addresses one after the other. `tls` is needed where the address says so, and outlives the stream.
  void connect(const Address& address, const TlsContext* tls);
  void close();

 private:
  enum class Phase : std::uint8_t { kIdle, kConnecting, kTunnelling, kFailed, kHandshaking, kReady };
  void on_events(std::uint32_t events) override;
  void try_next(std::error_code last);
  void connected();
  void tunnel();
  void tunnelled();
  void begin_tls();
  void shake_hands();
  void finish(std::error_code error);
  void on_timer(std::uint32_t tag) override;

  Owner& owner_;
  const TlsContext* tls_ = nullptr;
  std::string host_;
  std::optional<Lookup> lookup_;
  std::vector<SocketAddress> candidates_;
  std::size_t next_candidate_ = 0;
  std::error_code error_;
  Timer candidate_timer_;
  Phase phase_ = Phase::kIdle;
  std::string ask_;  // of a proxy: what is left to be sent
  std::string answer_;
  bool tunnels_ = false;
};

}  // namespace thalweg::net
