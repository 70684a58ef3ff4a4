// Gathered writes: many slices, one system call.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string_view>
#include <system_error>

namespace thalweg::net {

inline constexpr std::size_t kSlicesPerWrite = 64;

/// What a write came to: fewer bytes than there were and no error means that the socket takes no more now.
struct Written {
  std::size_t bytes = 0;
  std::error_code error;
};

/// Sends as much of the slices, from byte `offset` of their sum on, as the socket takes now.
inline Written send_gathered(int socket, std::span<const std::string_view> slices, std::size_t offset = 0) {
  Written written;
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
    constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
    ssize_t n = 0;
    if (count == 1) {  // the cheaper call
      n = ::send(socket, vectors[0].iov_base, wanted, kFlags);
    } else {
      msghdr message{};
      message.msg_iov = vectors.data();
      message.msg_iovlen = count;
      n = ::sendmsg(socket, &message, kFlags);
    }
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) written.error = {errno, std::system_category()};
      return written;
    }
    written.bytes += static_cast<std::size_t>(n);
    if (static_cast<std::size_t>(n) < wanted) return written;
    first += count;
    offset = 0;
  }
  return written;
}

}  // namespace thalweg::net
