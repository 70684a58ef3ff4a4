#include "carry/gateway/part_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/hash.h"

namespace thalweg::gateway {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".part";
constexpr std::size_t kRandomBytes = 8;

// A writer holds its part locked for as long as it lives: a part that can be locked is nobody's.
void remove_abandoned(const fs::path& target) {
  const std::string beginning = target.filename().string() + ".";
  const std::size_t length = beginning.size() + 2 * kRandomBytes + kEnding.size();
  const fs::path folder = target.has_parent_path() ? target.parent_path() : fs::path(".");
  std::error_code stop;
  for (fs::directory_iterator at(folder, stop), end; !stop && at != end; at.increment(stop)) {
    const std::string name = at->path().filename().string();
    if (name.size() != length || !name.starts_with(beginning) || !name.ends_with(kEnding)) continue;
    const int handle = ::open(at->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (handle < 0) continue;
    if (::flock(handle, LOCK_EX | LOCK_NB) == 0) ::unlink(at->path().c_str());
    ::close(handle);
  }
}

}  // namespace

Result<PartFile> PartFile::create(const fs::path& target) {
  remove_abandoned(target);
  while (true) {
    std::array<std::uint8_t, kRandomBytes> random{};
    fill_random(random);
    const fs::path path = fmt::format("{}.{}{}", target.string(), to_hex(random), kEnding);
    const int handle = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);  // the umask decides
    if (handle < 0 && errno == EEXIST) continue;
    if (handle < 0) {
      return fail(ErrorCode::kIo,
                  fmt::format("cannot write {}: {}", path.string(), std::generic_category().message(errno)));
    }
    PartFile part(target, path, handle);
    // Another writer may have taken it for abandoned before it was locked. A file system without locks keeps all parts.
    const bool taken = ::flock(handle, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    struct stat status{};
    const bool gone = ::fstat(handle, &status) == 0 && status.st_nlink == 0;
    if (!taken && !gone) return part;
  }
}

PartFile::PartFile(PartFile&& other) noexcept
    : target_(std::move(other.target_)),
      path_(std::exchange(other.path_, {})),
      handle_(std::exchange(other.handle_, -1)) {}

PartFile::~PartFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
  if (handle_ >= 0) ::close(handle_);
}

Result<void> PartFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(handle_, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      return fail(ErrorCode::kIo,
                  fmt::format("cannot write {}: {}", path_.string(), std::generic_category().message(errno)));
    }
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

Result<void> PartFile::install() {
  if (::rename(path_.c_str(), target_.c_str()) != 0) {
    return fail(ErrorCode::kIo,
                fmt::format("cannot write {}: {}", target_.string(), std::generic_category().message(errno)));
  }
  path_.clear();
  return {};
}

}  // namespace thalweg::gateway
