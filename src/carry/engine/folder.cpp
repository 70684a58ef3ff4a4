#include "carry/engine/folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace thalweg::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "thalweg-engine-";

void take_away(const fs::path& folder) {
  unlink((folder / "engine.sock").c_str());
  unlink((folder / "lock").c_str());
  rmdir(folder.c_str());
}

// A folder of ours whose lock nobody holds belongs to a gateway that was killed.
void take_away_leftovers(const fs::path& base) {
  std::error_code error;
  for (fs::directory_iterator at(base, error), end; !error && at != end; at.increment(error)) {
    const fs::path folder = at->path();
    if (!folder.filename().string().starts_with(kPrefix)) continue;
    struct stat found{};
    if (lstat(folder.c_str(), &found) != 0 || !S_ISDIR(found.st_mode) || found.st_uid != geteuid()) continue;
    const int lock = open((folder / "lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock < 0) continue;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) take_away(folder);
    close(lock);
  }
}

}  // namespace

Result<PrivateFolder> PrivateFolder::make() {
  std::vector<fs::path> bases;
  if (const char* const runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && *runtime == '/')
    bases.emplace_back(runtime);
  bases.emplace_back("/tmp");
  std::string last;
  for (const fs::path& base : bases) {
    std::string made = (base / (std::string(kPrefix) + "XXXXXX")).string();
    // A UNIX socket's path holds sizeof(sun_path) bytes, its zero included.
    if (made.size() + std::string_view("/engine.sock").size() >= sizeof(sockaddr_un::sun_path)) {
      last = fmt::format("a socket's path in {} would be too long", base.string());
      continue;
    }
    take_away_leftovers(base);
    if (mkdtemp(made.data()) == nullptr) {
      last = fmt::format("{}: {}", base.string(), std::strerror(errno));
      continue;
    }
    const int lock = open((fs::path(made) / "lock").c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) {
      last = fmt::format("{}: {}", made, std::strerror(errno));
      if (lock >= 0) close(lock);
      take_away(made);
      continue;
    }
    return PrivateFolder(made, lock);
  }
  return fail(
      ErrorCode::kIo,
      fmt::format(
          "no private folder could be made for the engine's socket ({}); set XDG_RUNTIME_DIR to a short, writable path",
          last));
}

PrivateFolder::PrivateFolder(PrivateFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

PrivateFolder::~PrivateFolder() {
  if (lock_ < 0) return;
  take_away(path_);
  close(lock_);
}

}  // namespace thalweg::engine
