#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "carry/engine/engine.h"

namespace thalweg::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProgram = "llama-server";

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool is_program(const fs::path& file) {
  std::error_code error;
  return fs::is_regular_file(file, error) && access(file.c_str(), X_OK) == 0;
}

}  // namespace

std::string_view name_of(State state) {
  switch (state) {
    case State::kStarting:
      return "starting";
    case State::kReady:
      return "ready";
    case State::kDown:
      return "down";
    case State::kUnloaded:
      return "unloaded";
    case State::kStopped:
      return "stopped";
  }
  return "unknown";
}

fs::path cache_folder() {
  if (const std::string own = variable("THALWEG_CACHE"); !own.empty()) return own;
  if (const std::string caches = variable("XDG_CACHE_HOME"); !caches.empty()) return fs::path(caches) / "thalweg";
  if (const std::string home = variable("HOME"); !home.empty()) return fs::path(home) / ".cache" / "thalweg";
  return {};
}

fs::path installed_folder() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return {};
  return self.parent_path().parent_path() / "lib" / "thalweg" / "engine";
}

Result<fs::path> find_program(const fs::path& wished, const fs::path& installed) {
  if (!wished.empty()) {
    if (is_program(wished)) return wished;
    return fail(ErrorCode::kIo,
                fmt::format("the engine's program {} is not there or not executable; give the path of a llama-server, "
                            "or leave it out to have one found",
                            wished.string()));
  }
  // The one that was installed with this program is the one that it was tested with.
  if (!installed.empty() && is_program(installed / kProgram)) return installed / kProgram;
  // An empty element of PATH means the working folder, which nothing is started from here.
  std::string_view rest;
  const std::string path = variable("PATH");
  for (rest = path; !rest.empty();) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    if (folder.starts_with('/') && is_program(fs::path(folder) / kProgram)) return fs::path(folder) / kProgram;
  }
  const fs::path cache = cache_folder();
  fs::path cached = cache / "engine" / kProgram;
  if (!cache.empty() && is_program(cached)) return cached;
  return fail(ErrorCode::kIo,
              fmt::format("no {} was found in {}, on PATH or at {}; `make engine` provides one", kProgram,
                          installed.string(), cache.empty() ? "the cache folder (HOME is not set)" : cached.string()));
}

}  // namespace thalweg::engine
