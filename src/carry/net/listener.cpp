#include "carry/net/listener.h"

#include <fmt/format.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace thalweg::net {

namespace {
using Tcp = asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<Tcp, Executor>;
using TcpSocket = asio::basic_stream_socket<Tcp, Executor>;
constexpr Duration kAcceptPause = 100ms;  // after running out of file descriptors
}  // namespace

struct Listener::Impl final : std::enable_shared_from_this<Impl>, TimerOwner {
  Impl(std::span<Shard* const> all, OnConnection callback)
      : shards(all.begin(), all.end()),
        on_connection(std::move(callback)),
        acceptor(shards.front()->loop().get_executor()) {}

  void accept() {
    acceptor.async_accept([self = shared_from_this()](const error_code& error, TcpSocket socket) {
      if (error == asio::error::operation_aborted || !self->acceptor.is_open()) return;
      if (error) {  // out of descriptors or a connection that is gone already: the listener lives on
        self->shards.front()->timers().start(self->pause, kAcceptPause, *self, 0);
        return;
      }
      self->place(std::move(socket));
      self->accept();
    });
  }

  void on_timer(std::uint32_t) override {
    if (acceptor.is_open()) accept();
  }

  void place(TcpSocket socket) {
    error_code ignored;
    socket.set_option(Tcp::no_delay(true), ignored);
    Shard& least = **std::ranges::min_element(
        shards, {}, [](const Shard* shard) { return shard->connections.load(std::memory_order_relaxed); });
    least.connections.fetch_add(1, std::memory_order_relaxed);
    const auto protocol = asio::generic::stream_protocol(socket.local_endpoint(ignored).protocol());
    const int handle = socket.release(ignored);
    if (ignored) {
      least.connections.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    least.post([self = shared_from_this(), &least, handle, protocol] {
      Socket moved(least.loop().get_executor(), protocol, handle);
      error_code error;
      moved.native_non_blocking(true, error);
      self->on_connection(least, std::move(moved));
    });
  }

  std::vector<Shard*> shards;
  OnConnection on_connection;
  Acceptor acceptor;
  std::uint16_t port = 0;
  Timer pause;
};

Listener::Listener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() {
  close();
}

Result<std::unique_ptr<Listener>> Listener::open(const std::string& host, std::uint16_t port,
                                                 std::span<Shard* const> shards, OnConnection on_connection) {
  error_code error;
  auto impl = std::make_shared<Impl>(shards, std::move(on_connection));
  const auto address = asio::ip::make_address(host, error);
  const auto give_up = [&](std::string_view what) {
    return fail(ErrorCode::kIo,
                fmt::format("cannot {} {}:{}: {}{}", what, host, port, error.message(),
                            error == asio::error::address_in_use
                                ? "; another program listens there: stop it or choose another with --listen"
                                : ""));
  };
  if (error) return give_up("listen on");
  const Tcp::endpoint endpoint(address, port);
  impl->acceptor.open(endpoint.protocol(), error);
  if (!error) impl->acceptor.set_option(Acceptor::reuse_address(true), error);
  if (!error) impl->acceptor.bind(endpoint, error);
  if (!error) impl->acceptor.listen(1024, error);
  if (!error) impl->port = impl->acceptor.local_endpoint(error).port();
  if (error) return give_up("listen on");
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

void Listener::start() {
  impl_->shards.front()->post([impl = impl_] { impl->accept(); });
}

void Listener::close() {
  impl_->shards.front()->post([impl = impl_] {
    error_code ignored;
    impl->acceptor.close(ignored);
    impl->pause.stop();
  });
}

std::uint16_t Listener::port() const {
  return impl_->port;
}

}  // namespace thalweg::net
