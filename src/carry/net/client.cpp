#include "carry/net/client.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <utility>

namespace thalweg::net {

namespace {

constexpr int kNoHttp = -1;

// A proxy's refusal, its status as the code.
class ProxyErrors final : public std::error_category {
 public:
  const char* name() const noexcept override { return "proxy"; }
  std::string message(int status) const override {
    return status == kNoHttp ? std::string("the proxy's answer is no HTTP")
                             : fmt::format("the proxy refused the tunnel with status {}", status);
  }
};

std::error_code proxy_error(int status) {
  static const ProxyErrors errors;
  return {status, errors};
}

// The status of an answer's first line, 0 if it is none.
int status_of(std::string_view answer) {
  constexpr std::size_t kStatus = 9;  // behind "HTTP/1.1 "
  if (!answer.starts_with("HTTP/1.") || answer.size() < kStatus + 3) return 0;
  int status = 0;
  for (const char digit : answer.substr(kStatus, 3)) {
    if (digit < '0' || digit > '9') return 0;
    status = status * 10 + (digit - '0');
  }
  return status;
}

}  // namespace

void ClientStream::close() {
  phase_ = Phase::kIdle;
  candidate_timer_.stop();
  lookup_.reset();
  loop().drop_call(*this);
  Stream::close();
}

void ClientStream::connect(const Address& address, const TlsContext* tls) {
  THALWEG_CHECK(!address.tls || tls != nullptr);
  close();
  tls_ = address.tls ? tls : nullptr;
  host_ = address.host;
  tunnels_ = !address.proxy.host.empty();
  if (tunnels_) {
    const bool ipv6 = address.host.find(':') != std::string::npos;
    const std::string server = fmt::format("{}{}{}:{}", ipv6 ? "[" : "", address.host, ipv6 ? "]" : "", address.port);
    ask_ = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", server);
    if (!address.proxy.authorization.empty())
      ask_ += fmt::format("Proxy-Authorization: {}\r\n", address.proxy.authorization);
    ask_ += "\r\n";
    answer_.clear();
  }
  const std::string& dialled = tunnels_ ? address.proxy.host : address.host;
  const std::uint16_t port = tunnels_ ? address.proxy.port : address.port;
  next_candidate_ = 0;
  candidates_.clear();
  phase_ = Phase::kConnecting;
  if (!address.path.empty()) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (address.path.size() >= sizeof name.sun_path) return finish(std::make_error_code(std::errc::filename_too_long));
    std::memcpy(name.sun_path, address.path.data(), address.path.size());
    SocketAddress candidate;
    candidate.size = sizeof name;
    std::memcpy(&candidate.storage, &name, sizeof name);
    candidates_.push_back(candidate);
  } else {
    candidates_ = numeric_address(dialled, port);
  }
  if (!candidates_.empty()) return try_next({});
  lookup_.emplace(loop(), dialled, port, [this](std::vector<SocketAddress> found, std::error_code error) {
    candidates_ = std::move(found);
    try_next(error);
  });
}

void ClientStream::try_next(std::error_code last) {
  while (next_candidate_ < candidates_.size()) {
    const SocketAddress& candidate = candidates_[next_candidate_++];
    Stream::close();
    Socket fresh(::socket(candidate.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fresh) {
      last = {errno, std::system_category()};
      continue;
    }
    const int on = 1;
    if (candidate.family() != AF_UNIX) ::setsockopt(fresh.handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const bool done = ::connect(fresh.handle(), candidate.get(), candidate.size) == 0;
    if (!done && errno != EINPROGRESS) {
      last = {errno, std::system_category()};
      continue;
    }
    last = open(std::move(fresh));
    if (last) continue;
    // Its first edge tells the rest. An address whose packets vanish must not hide the others.
    candidate_timer_.stop();
    if (next_candidate_ < candidates_.size()) loop().timers().start(candidate_timer_, kCandidateLimit, *this, 0);
    return;
  }
  finish(last ? last : std::make_error_code(std::errc::host_unreachable));
}

void ClientStream::on_timer(std::uint32_t) {
  if (phase_ == Phase::kConnecting) try_next(std::make_error_code(std::errc::timed_out));
}

// Tells of a failure from the loop, never from inside the caller's call.
void ClientStream::finish(std::error_code error) {
  candidate_timer_.stop();
  Stream::close();
  error_ = error;
  phase_ = Phase::kFailed;
  loop().call_soon(*this);
}

void ClientStream::on_events(std::uint32_t events) {
  switch (phase_) {
    case Phase::kReady:
      Stream::on_events(events);
      return;
    case Phase::kConnecting: {
      if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(socket().handle(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) {
        try_next({error, std::system_category()});
      } else if ((events & EPOLLOUT) != 0) {
        note_hang_up(events);
        connected();
      }
      return;
    }
    case Phase::kTunnelling:
      note_hang_up(events);
      tunnel();
      return;
    case Phase::kHandshaking:
      note_hang_up(events);
      shake_hands();
      return;
    case Phase::kFailed:
      phase_ = Phase::kIdle;
      owner_.on_connected(error_);
      return;
    case Phase::kIdle:
      return;
  }
}

void ClientStream::connected() {
  candidate_timer_.stop();
  if (!tunnels_) return begin_tls();
  phase_ = Phase::kTunnelling;
  tunnel();
}

// Asks for the tunnel and reads the proxy's answer: to the end of its head, behind which nothing may come, since the
// server speaks only when it was spoken to.
void ClientStream::tunnel() {
  while (!ask_.empty()) {
    const ssize_t sent = ::send(socket().handle(), ask_.data(), ask_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return finish({errno, std::system_category()});
    ask_.erase(0, static_cast<std::size_t>(sent));
  }
  char part[1024];
  for (;;) {
    const ssize_t got = ::recv(socket().handle(), part, sizeof part, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) return finish({errno, std::system_category()});
    if (got == 0) return finish(std::make_error_code(std::errc::connection_reset));
    answer_.append(part, static_cast<std::size_t>(got));
    if (answer_.size() > kMaxTunnelHead) return finish(proxy_error(kNoHttp));
    if (answer_.find("\r\n\r\n") != std::string::npos) return tunnelled();
  }
}

void ClientStream::tunnelled() {
  const int status = status_of(answer_);
  const bool whole = answer_.ends_with("\r\n\r\n") && answer_.find("\r\n\r\n") == answer_.size() - 4;
  if (status < 200 || status > 299) return finish(proxy_error(status == 0 ? kNoHttp : status));
  if (!whole) return finish(proxy_error(kNoHttp));
  begin_tls();
}

void ClientStream::begin_tls() {
  if (tls_ == nullptr) {
    phase_ = Phase::kReady;
    owner_.on_connected({});
    return;
  }
  use(tls_->session(host_));
  phase_ = Phase::kHandshaking;
  shake_hands();
}

void ClientStream::shake_hands() {
  ERR_clear_error();
  errno = 0;
  const int done = SSL_do_handshake(session());
  if (done == 1) {
    phase_ = Phase::kReady;
    owner_.on_connected({});
    return;
  }
  const int why = SSL_get_error(session(), done);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return;
  const std::error_code error = tls_error();
  Stream::close();
  phase_ = Phase::kIdle;
  owner_.on_connected(error);
}

}  // namespace thalweg::net
