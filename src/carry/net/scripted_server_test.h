// A server for tests: lives on the same loop as what is tested, so that a test decides when anything happens. It only
// does what the test tells it; it listens on loopback with a port of the system's choice, or on a UNIX socket.
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "carry/net/client.h"
#include "carry/net/loop.h"

namespace thalweg::net {

/// Runs the loop until `done()`; false when that takes so long that it will not come.
template <class Done>
bool run_until(Loop& loop, Done done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    loop.turn(100ms);
  }
  return true;
}

/// Runs what can run now. Loopback hands bytes over inside the system call, so what was sent before has arrived
/// afterwards.
inline void run_ready(Loop& loop) {
  while (loop.turn(0ms) != 0) {
  }
}

/// A TCP socket bound to a port of 127.0.0.1 that the system chose; it does not listen, and nobody else gets the port.
struct BoundSocket {
  Socket socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port = 0;
  BoundSocket() {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    if (::bind(socket.handle(), reinterpret_cast<const sockaddr*>(&name), size) != 0 ||
        ::getsockname(socket.handle(), reinterpret_cast<sockaddr*>(&name), &size) != 0) {
      socket.reset();
    }
    port = ntohs(name.sin_port);
  }
};

class ScriptedServer final : Loop::Watcher {
 public:
  class Peer final : Stream, Stream::Owner {
   public:
    Peer(Loop& loop, Socket socket, SSL_CTX* tls) : Stream(loop, *this) {
      (void)open(std::move(socket));
      if (tls != nullptr) {
        use(SSL_new(tls));
        SSL_set_accept_state(session());
      }
      want_read();
    }
    std::string received;
    bool gone = false;        // the client closed or reset the connection
    bool handshaken = false;  // the TLS handshake ended, well or not

    void send(const std::string& text) {
      unsent_ += text;
      on_writable();
    }
    /// Everything sent has been taken by the system.
    bool sent() const { return unsent_.empty(); }
    void stop_reading() {
      reads_ = false;
      unwant_read();
    }
    void read_on() {
      reads_ = true;
      want_read();
    }
    /// TLS only: says that nothing more comes. The connection stays.
    void end_session() { SSL_shutdown(session()); }
    /// The connection ends in good order, now; a TLS session is cut.
    void close() { Stream::close(); }
    void reset() {
      reset_on_close();
      Stream::close();
    }

   private:
    void on_readable() override {
      const Taken taken = read(buffer_.data(), buffer_.size());
      const bool over = taken.state == Taken::State::kEnd || taken.state == Taken::State::kBroken;
      if (session() != nullptr && !handshaken && (over || SSL_is_init_finished(session()))) {
        handshaken = true;
        on_writable();
      }
      if (taken.state == Taken::State::kBytes) received.append(buffer_.data(), taken.bytes);
      gone = gone || over;
      if (reads_ && !over) want_read();
    }
    void on_writable() override {
      if (unsent_.empty() || !is_open()) return;
      const std::string_view slices[] = {unsent_};
      unsent_.erase(0, write(slices).bytes);
      if (!unsent_.empty()) want_write();
    }

    std::string unsent_;
    std::array<char, 64 * 1024> buffer_;
    bool reads_ = true;
  };

  explicit ScriptedServer(Loop& loop, SSL_CTX* tls = nullptr) : loop_(loop), tls_(tls) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen(AF_INET, name);
    socklen_t size = sizeof name;
    ::getsockname(acceptor_.handle(), reinterpret_cast<sockaddr*>(&name), &size);
    port_ = ntohs(name.sin_port);
  }
  ScriptedServer(Loop& loop, const std::string& path) : loop_(loop), tls_(nullptr), path_(path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path.data(), path.size());
    listen(AF_UNIX, name);
  }
  ~ScriptedServer() override { loop_.forget(acceptor_.handle(), *this); }

  /// Of a client that knows it by its number.
  Address address() const {
    return {.host = path_.empty() ? "127.0.0.1" : "", .port = port_, .path = path_, .tls = tls_ != nullptr};
  }
  std::uint16_t port() const { return port_; }
  std::size_t accepted() const { return peers_.size(); }
  Peer& peer(std::size_t index) { return *peers_.at(index); }
  Peer& last() { return *peers_.back(); }

 private:
  template <class Name>
  void listen(int family, const Name& name) {
    acceptor_.reset(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    THALWEG_CHECK(::bind(acceptor_.handle(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
    THALWEG_CHECK(::listen(acceptor_.handle(), 128) == 0);
    THALWEG_CHECK(!loop_.watch(acceptor_.handle(), EPOLLIN, *this));
  }
  void on_events(std::uint32_t) override {
    Socket socket(::accept4(acceptor_.handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) peers_.push_back(std::make_unique<Peer>(loop_, std::move(socket), tls_));
  }

  Loop& loop_;
  SSL_CTX* tls_;
  std::string path_;
  std::uint16_t port_ = 0;
  Socket acceptor_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace thalweg::net
