// A file descriptor with one owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace thalweg::net {

class Socket {
 public:
  Socket() = default;
  explicit Socket(int handle) : handle_(handle) {}
  Socket(Socket&& other) noexcept : handle_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Socket() { reset(); }

  int handle() const { return handle_; }
  explicit operator bool() const { return handle_ >= 0; }
  int release() { return std::exchange(handle_, -1); }
  void reset(int handle = -1) {
    if (handle_ >= 0) ::close(handle_);
    handle_ = handle;
  }

 private:
  int handle_ = -1;
};

}  // namespace thalweg::net
