#include "carry/net/listener.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "carry/net/resolver.h"

namespace thalweg::net {

namespace {
constexpr Duration kAcceptPause = 100ms;  // after running out of file descriptors
constexpr int kAcceptsPerTurn = 64;
constexpr int kBacklog = 1024;
// Bytes that the system takes beyond what is on its way: so that a slow client is seen to take them in small steps.
constexpr int kUnsentInSystem = 128 * 1024;
}  // namespace

struct Listener::Impl final : std::enable_shared_from_this<Impl>, TimerOwner, Loop::Watcher {
  Impl(std::span<Shard* const> all, OnConnection callback)
      : shards(all.begin(), all.end()), on_connection(std::move(callback)) {}

  Loop& loop() { return shards.front()->loop(); }

  void watch() {
    if (acceptor && loop().watch(acceptor.handle(), EPOLLIN, *this)) rest();
  }

  // Out of descriptors or of memory: the listener lives on.
  void rest() { loop().timers().start(pause, kAcceptPause, *this, 0); }

  void on_events(std::uint32_t) override {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      Socket socket(::accept4(acceptor.handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket) {
        place(std::move(socket));
        continue;
      }
      if (errno == EAGAIN) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      loop().forget(acceptor.handle(), *this);
      rest();
      return;
    }
  }

  void on_timer(std::uint32_t) override { watch(); }

  void place(Socket socket) {
    const int on = 1;
    ::setsockopt(socket.handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket.handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentInSystem, sizeof kUnsentInSystem);
    Shard& least = **std::ranges::min_element(
        shards, {}, [](const Shard* shard) { return shard->connections.load(std::memory_order_relaxed); });
    least.connections.fetch_add(1, std::memory_order_relaxed);
    least.post([self = shared_from_this(), &least, moved = std::move(socket)]() mutable {
      self->on_connection(least, std::move(moved));
    });
  }

  void close() {
    pause.stop();
    if (!acceptor) return;
    loop().forget(acceptor.handle(), *this);
    acceptor.reset();
  }

  std::vector<Shard*> shards;
  OnConnection on_connection;
  Socket acceptor;
  std::uint16_t port = 0;
  Timer pause;
};

Listener::Listener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() {
  close();
}

Result<std::unique_ptr<Listener>> Listener::open(const std::string& host, std::uint16_t port,
                                                 std::span<Shard* const> shards, OnConnection on_connection) {
  const auto give_up = [&](std::string_view why) {
    return fail(ErrorCode::kIo, fmt::format("cannot listen on {}:{}: {}", host, port, why));
  };
  auto addresses = numeric_address(host, port);
  if (addresses.empty()) return give_up("it is not an IP address");
  SocketAddress& address = addresses.front();
  auto impl = std::make_shared<Impl>(shards, std::move(on_connection));
  Socket acceptor(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!acceptor || ::setsockopt(acceptor.handle(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(acceptor.handle(), address.get(), address.size) != 0 || ::listen(acceptor.handle(), kBacklog) != 0 ||
      ::getsockname(acceptor.handle(), reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0) {
    const std::string why = std::system_category().message(errno);
    return give_up(
        errno == EADDRINUSE ? why + "; another program listens there: stop it or choose another with --listen" : why);
  }
  // The port stands at the same place in both families.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  impl->port = ntohs(reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port);
  impl->acceptor = std::move(acceptor);
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

void Listener::start() {
  impl_->shards.front()->post([impl = impl_] { impl->watch(); });
}

void Listener::close() {
  impl_->shards.front()->post([impl = impl_] { impl->close(); });
}

std::uint16_t Listener::port() const {
  return impl_->port;
}

}  // namespace thalweg::net
