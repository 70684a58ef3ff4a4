// Gathered writes: many slices, one system call.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string_view>
#include <vector>

#include "carry/net/loop.h"

namespace thalweg::net {

inline constexpr std::size_t kSlicesPerWrite = 64;

/// Sends as much of the slices, from byte `offset` of their sum on, as the socket takes now. Returns the bytes taken; 0
/// with would_block in `error` when it takes none.
inline std::size_t send_gathered(Socket& socket, std::span<const std::string_view> slices, std::size_t offset,
                                 error_code& error) {
  std::size_t sent = 0;
  error = {};
  std::size_t first = 0;
  while (first < slices.size() && offset >= slices[first].size()) offset -= slices[first++].size();
  while (first < slices.size()) {
    std::array<iovec, kSlicesPerWrite> vectors;
    std::size_t count = 0;
    std::size_t wanted = 0;
    for (std::size_t i = first; i < slices.size() && count < vectors.size(); ++i) {
      std::string_view slice = slices[i];
      if (i == first) slice.remove_prefix(offset);
      vectors[count++] = {const_cast<char*>(slice.data()), slice.size()};
      wanted += slice.size();
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t n = ::sendmsg(socket.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      error = error_code(errno, boost::system::system_category());
      if (errno == EAGAIN) error = boost::asio::error::would_block;
      return sent;
    }
    sent += static_cast<std::size_t>(n);
    if (static_cast<std::size_t>(n) < wanted) {
      error = boost::asio::error::would_block;
      return sent;
    }
    first += count;
    offset = 0;
  }
  return sent;
}

}  // namespace thalweg::net
