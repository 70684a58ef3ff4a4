// What a model runner may reach: its own program and libraries, its model file and a socket in its folder. Four fences
// stand one behind the other: Landlock (files, TCP, signals), seccomp (system calls), an empty network namespace where
// the system allows one, and resource limits. Used in this room only.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"

namespace thalweg::engine {

struct Confinement {
  std::filesystem::path program;
  std::filesystem::path model_file;
  std::filesystem::path folder;
  std::uint64_t memory_bytes = 0;
  std::uint64_t open_files = 256;
};

/// One fence could not be put up: which, and errno. Sent through a pipe by a child that can't format text.
struct SandboxFailure {
  enum class Step : std::uint8_t { kNone, kLimits, kPrivileges, kFiles, kCalls };
  Step step = Step::kNone;
  int error = 0;
};
std::string_view name_of(SandboxFailure::Step step);

/// Prepared in the parent for one child, entered by that child between fork and exec.
class Sandbox {
 public:
  static Result<Sandbox> prepare(const Confinement& confinement);
  Sandbox(Sandbox&& other) noexcept;
  Sandbox& operator=(Sandbox&&) = delete;
  ~Sandbox();

  /// Only async-signal-safe calls. First, because leaving the gateway's namespaces clears the signal asked for at its
  /// death.
  void leave_network() const noexcept;
  SandboxFailure enter() const noexcept;

 private:
  Sandbox() = default;
  int ruleset_ = -1;
  bool network_namespace_ = false;
  std::uint64_t memory_bytes_ = 0;
  std::uint64_t open_files_ = 0;
  std::vector<sock_filter> filter_;
};

}  // namespace thalweg::engine
