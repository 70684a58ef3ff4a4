#include "carry/net/stream.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "carry/net/tls.h"

namespace thalweg::net {

namespace {
constexpr std::size_t kRecordBytes = 16 * 1024;  // RFC 8446, section 5.1: a TLS record holds no more
constexpr std::uint32_t kEdges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
}  // namespace

std::error_code Stream::open(Socket socket) {
  socket_ = std::move(socket);
  // The first edges come at once and tell how things stand; until then nothing is known, so a read or write may try.
  readable_ = writable_ = true;
  const std::error_code error = loop_.watch(socket_.handle(), kEdges, *this);
  if (error) socket_.reset();
  return error;
}

void Stream::close() {
  if (session_ != nullptr) {
    SSL_free(std::exchange(session_, nullptr));
    std::string().swap(record_);
  }
  wants_read_ = wants_write_ = hung_up_ = false;
  if (!socket_) return;
  loop_.forget(socket_.handle(), *this);
  socket_.reset();
}

void Stream::use(ssl_st* session) {
  session_ = session;
  SSL_set_fd(session_, socket_.handle());
}

void Stream::leave_tls() {
  SSL_free(std::exchange(session_, nullptr));
}

bool Stream::is_shaking_hands() const {
  // Not SSL_in_init(): after a fatal error it is true again.
  return session_ != nullptr && SSL_get_state(session_) != TLS_ST_OK;
}

void Stream::note_hang_up(std::uint32_t events) {
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hung_up_ = true;
}

void Stream::on_events(std::uint32_t events) {
  // TLS reads to write and writes to read: any edge may be the one that was waited for.
  const bool failed = (events & (EPOLLHUP | EPOLLERR)) != 0;
  note_hang_up(events);
  if ((events & EPOLLIN) != 0 || hung_up_ || (session_ != nullptr && events != 0)) readable_ = true;
  if ((events & EPOLLOUT) != 0 || failed || (session_ != nullptr && events != 0)) writable_ = true;
  const bool tell_writer = wants_write_ && writable_;
  const bool tell_reader = wants_read_ && readable_;
  if (tell_writer) {
    wants_write_ = false;
    // The writer may close or destroy the stream; the reader is told by the next turn.
    if (tell_reader) loop_.call_soon(*this);
    owner_.on_writable();
    return;
  }
  if (tell_reader) {
    wants_read_ = false;
    owner_.on_readable();
  }
}

void Stream::want_read() {
  if (!socket_) return;
  wants_read_ = true;
  if (readable_) loop_.call_soon(*this);
}

void Stream::want_write() {
  if (!socket_) return;
  wants_write_ = true;
  if (writable_) loop_.call_soon(*this);
}

Taken Stream::read(char* data, std::size_t size) {
  if (!readable_ || size == 0) return {Taken::State::kNothing};
  if (session_ != nullptr) return read_session(data, size);
  while (true) {
    const ssize_t n = ::recv(socket_.handle(), data, size, 0);
    if (n > 0) {
      readable_ = hung_up_ || static_cast<std::size_t>(n) == size;
      return {Taken::State::kBytes, static_cast<std::size_t>(n)};
    }
    if (n == 0) return {Taken::State::kEnd};
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return {Taken::State::kBroken, 0, {errno, std::system_category()}};
    readable_ = false;
    return {Taken::State::kNothing};
  }
}

Taken Stream::read_session(char* data, std::size_t size) {
  ERR_clear_error();
  std::size_t bytes = 0;
  if (SSL_read_ex(session_, data, size, &bytes) == 1) return {Taken::State::kBytes, bytes};
  switch (SSL_get_error(session_, 0)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      readable_ = false;
      return {Taken::State::kNothing};
    case SSL_ERROR_ZERO_RETURN:
      return {Taken::State::kEnd};
    default:
      return {Taken::State::kBroken, 0, tls_error()};
  }
}

Written Stream::write(std::span<const std::string_view> slices, std::size_t offset) {
  if (session_ != nullptr) return write_session(slices, offset);
  const Written written = send_gathered(socket_.handle(), slices, offset);
  std::size_t total = 0;
  for (const auto slice : slices) total += slice.size();
  if (!written.error && offset + written.bytes < total) writable_ = false;
  return written;
}

Written Stream::write_session(std::span<const std::string_view> slices, std::size_t offset) {
  Written written;
  std::size_t i = 0;
  while (true) {
    // A record's worth. After a record that was not taken, the same bytes come again: its sequence number is spent.
    while (i < slices.size() && offset >= slices[i].size()) offset -= slices[i++].size();
    if (i == slices.size()) return written;
    record_.clear();
    std::size_t from = offset;
    for (std::size_t j = i; j < slices.size() && record_.size() < kRecordBytes; ++j, from = 0) {
      record_ += slices[j].substr(from, kRecordBytes - record_.size());
    }
    ERR_clear_error();
    std::size_t bytes = 0;
    if (SSL_write_ex(session_, record_.data(), record_.size(), &bytes) == 1) {
      written.bytes += bytes;
      offset += bytes;
      continue;
    }
    const int why = SSL_get_error(session_, 0);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
      writable_ = false;
    } else {
      written.error = tls_error();
    }
    return written;
  }
}

void Stream::shut_writing() {
  if (session_ != nullptr) SSL_shutdown(session_);
  if (socket_) ::shutdown(socket_.handle(), SHUT_WR);
}

void Stream::reset_on_close() {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  if (socket_) ::setsockopt(socket_.handle(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

}  // namespace thalweg::net
