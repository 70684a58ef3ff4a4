// The private folder of one engine: 0700, with the socket and a lock file that shows that its gateway lives. Used in
// this room only.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace thalweg::engine {

class PrivateFolder {
 public:
  /// Makes one under $XDG_RUNTIME_DIR, else (or when a socket's path would not fit) under /tmp. First takes away those
  /// that gateways which were killed left behind. kIo when none can be made.
  static Result<PrivateFolder> make();
  PrivateFolder(PrivateFolder&& other) noexcept;
  PrivateFolder& operator=(PrivateFolder&&) = delete;
  ~PrivateFolder();  // takes it away

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path socket() const { return path_ / "engine.sock"; }

 private:
  PrivateFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::filesystem::path path_;
  int lock_ = -1;
};

}  // namespace thalweg::engine
