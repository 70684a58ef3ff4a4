// A file on its way: written beside its final name and moved there once it is whole, so that nobody sees half of one.
// Each has a name of its own, so that two writers of one target never share bytes; the last to install stays.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace thalweg::gateway {

class PartFile {
 public:
  /// An empty file TARGET.<16 hexadecimal digits>.part. What writers that were killed left of the same target is
  /// removed first. kIo when the folder takes none.
  static Result<PartFile> create(const std::filesystem::path& target);
  PartFile(PartFile&& other) noexcept;
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  PartFile& operator=(PartFile&&) = delete;
  /// Removes the file unless it was installed.
  ~PartFile();

  const std::filesystem::path& path() const { return path_; }
  /// kIo, for instance when the disk is full.
  Result<void> append(std::string_view bytes);
  /// Takes the target's place in one step. kIo when it cannot.
  Result<void> install();

 private:
  PartFile(std::filesystem::path target, std::filesystem::path path, int handle)
      : target_(std::move(target)), path_(std::move(path)), handle_(handle) {}
  std::filesystem::path target_;
  std::filesystem::path path_;  // empty once installed
  int handle_ = -1;
};

}  // namespace thalweg::gateway
