#include "carry/net/client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/un.h>

#include <cstring>
#include <utility>

namespace thalweg::net {

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
    candidates_ = numeric_address(address.host, address.port);
  }
  if (!candidates_.empty()) return try_next({});
  lookup_.emplace(loop(), address.host, address.port, [this](std::vector<SocketAddress> found, std::error_code error) {
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
