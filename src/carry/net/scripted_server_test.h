// A server for tests: lives on the same loop as what is tested, so that a test decides when anything happens. It only
// does what the test tells it; it listens on loopback with a port of the system's choice, or on a UNIX socket.
#pragma once

#include <sys/socket.h>

#include <array>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "carry/net/client.h"
#include "carry/net/loop.h"

namespace thalweg::net {

/// Runs the loop until `done()`; false when that takes so long that it will not come. The loop has work of its own.
template <class Done>
bool run_until(Loop& loop, Done done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    if (loop.run_one_until(deadline) == 0) return false;
  }
  return true;
}

/// Runs what can run now. Loopback hands bytes over inside the system call, so what was sent before has arrived
/// afterwards.
inline void run_ready(Loop& loop) {
  while (loop.poll() != 0) {
  }
}

class ScriptedServer {
 public:
  class Peer : public std::enable_shared_from_this<Peer> {
   public:
    Peer(Socket socket, asio::ssl::context* tls) : socket_(std::move(socket)) {
      if (tls != nullptr) tls_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, *tls);
    }
    std::string received;
    bool gone = false;        // the client closed or reset the connection
    bool handshaken = false;  // the TLS handshake ended, well or not

    void send(std::string text) {
      unsent_.push_back(std::move(text));
      if (unsent_.size() == 1) write();
    }
    /// Everything sent has been taken by the system.
    bool sent() const { return unsent_.empty(); }
    /// After at most one more read.
    void stop_reading() { reads_ = false; }
    void read_on() {
      reads_ = true;
      read();
    }
    /// TLS only: says that nothing more comes. The connection stays.
    void end_session() {
      tls_->async_shutdown([self = shared_from_this()](const error_code&) {});
    }
    /// The connection ends in good order, now; a TLS session is cut.
    void close() {
      error_code ignored;
      socket_.close(ignored);
    }
    void reset() {
      error_code ignored;
      socket_.set_option(Socket::linger(true, 0), ignored);
      socket_.close(ignored);
    }
    void begin() {
      if (!tls_) {
        read();
        return;
      }
      tls_->async_handshake(asio::ssl::stream_base::server, [self = shared_from_this()](const error_code& error) {
        self->handshaken = true;
        if (error) {
          self->gone = true;
          self->close();
        } else {
          self->read();
        }
      });
    }

   private:
    void read() {
      if (reading_ || !reads_ || !socket_.is_open()) return;
      reading_ = true;
      const auto done = [self = shared_from_this()](const error_code& error, std::size_t bytes) {
        self->reading_ = false;
        self->received.append(self->buffer_.data(), bytes);
        self->gone = self->gone || error;
        if (!error) self->read();
      };
      if (tls_) {
        tls_->async_read_some(asio::buffer(buffer_), done);
      } else {
        socket_.async_read_some(asio::buffer(buffer_), done);
      }
    }
    void write() {
      const auto done = [self = shared_from_this()](const error_code& error, std::size_t) {
        if (error) return;
        self->unsent_.pop_front();
        if (!self->unsent_.empty()) self->write();
      };
      if (tls_) {
        asio::async_write(*tls_, asio::buffer(unsent_.front()), done);
      } else {
        asio::async_write(socket_, asio::buffer(unsent_.front()), done);
      }
    }

    Socket socket_;
    std::unique_ptr<asio::ssl::stream<Socket&>> tls_;
    std::deque<std::string> unsent_;
    std::array<char, 64 * 1024> buffer_;
    bool reads_ = true;
    bool reading_ = false;
  };

  explicit ScriptedServer(Loop& loop, asio::ssl::context* tls = nullptr)
      : ScriptedServer(loop, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0), tls) {}
  ScriptedServer(Loop& loop, const std::string& path)
      : ScriptedServer(loop, asio::local::stream_protocol::endpoint(path), nullptr) {
    path_ = path;
  }

  /// Of a client that knows it by its number.
  Address address() const {
    return {.host = path_.empty() ? "127.0.0.1" : "", .port = port(), .path = path_, .tls = tls_ != nullptr};
  }
  std::uint16_t port() const {
    if (!path_.empty()) return 0;
    sockaddr_in name{};
    socklen_t size = sizeof name;
    ::getsockname(const_cast<Acceptor&>(acceptor_).native_handle(), reinterpret_cast<sockaddr*>(&name), &size);
    return ntohs(name.sin_port);
  }
  std::size_t accepted() const { return peers_.size(); }
  Peer& peer(std::size_t index) { return *peers_.at(index); }
  Peer& last() { return *peers_.back(); }

 private:
  using Protocol = asio::generic::stream_protocol;
  using Acceptor = asio::basic_socket_acceptor<Protocol, Executor>;

  ScriptedServer(Loop& loop, const Protocol::endpoint& endpoint, asio::ssl::context* tls)
      : acceptor_(loop.get_executor()), tls_(tls) {
    acceptor_.open(endpoint.protocol());
    acceptor_.bind(endpoint);
    acceptor_.listen();
    accept();
  }
  void accept() {
    acceptor_.async_accept([this](const error_code& error, Socket socket) {
      if (error) return;
      peers_.push_back(std::make_shared<Peer>(std::move(socket), tls_));
      peers_.back()->begin();
      accept();
    });
  }

  Acceptor acceptor_;
  asio::ssl::context* tls_;
  std::string path_;
  std::vector<std::shared_ptr<Peer>> peers_;
};

}  // namespace thalweg::net
