// The engine: one supervised, sandboxed llama-server a model. It is a child process on a UNIX socket in a private
// folder, with no network, a read-only view of its own files and limits on memory and open files; when it dies it is
// started again with back-off, and the gateway lives on.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace thalweg::engine {

/// What the model is for. A server for vectors or scores does nothing else.
enum class Task : std::uint8_t { kGenerate, kEmbed, kRerank };

struct Options {
  std::string name;  // of the endpoint, for logs
  std::filesystem::path program;
  std::filesystem::path model_file;
  std::string alias;                    // the model's name towards the server
  std::uint32_t context_tokens = 4096;  // of one slot
  std::uint32_t slots = 4;
  std::uint32_t threads = 0;
  std::uint64_t memory_bytes =
      0;  // that it may write on its own (RLIMIT_DATA; a mapped model does not count); 0: enough for the model
  Duration start_timeout = 300s;
  bool sandbox = true;
  Task task = Task::kGenerate;
  std::vector<std::string> arguments;
  friend bool operator==(const Options&, const Options&) = default;
};

enum class State : std::uint8_t { kStarting, kReady, kDown, kUnloaded, kStopped };
std::string_view name_of(State state);

/// Where an installation has its engine: ../lib/thalweg/engine, seen from the folder of this very program, so that a
/// tree can be moved as a whole.
std::filesystem::path installed_folder();
/// Finds a llama-server: `wished` if not empty, else in `installed`, else on PATH, else in the cache folder
/// (THALWEG_CACHE, else XDG_CACHE_HOME/thalweg, else HOME/.cache/thalweg)/engine/llama-server. kIo says where it
/// looked.
Result<std::filesystem::path> find_program(const std::filesystem::path& wished,
                                           const std::filesystem::path& installed = installed_folder());
/// The cache folder itself.
std::filesystem::path cache_folder();

/// The main memory that an engine of these options takes once it is loaded, in bytes: what it was given, else an
/// estimate from the model file and its metadata.
std::uint64_t expected_memory(const Options& options);
/// What a running child takes now (its resident pages); 0: unknown.
std::uint64_t measured_memory(pid_t child);

/// What the sandbox can use on this machine, one line each, for `thalweg doctor`.
struct SandboxReport {
  bool network_namespace = false;
  bool landlock = false;
  int landlock_abi = 0;
  bool seccomp = false;
  std::string advice;  // empty when all is there
  bool usable() const { return landlock && seccomp; }
};
SandboxReport probe_sandbox();

/// Runs one child and keeps it running. All callbacks come on the supervisor's own thread.
class Supervisor {
 public:
  /// `on_state(state, detail)` on each change; kReady after the child's /health answered 200.
  using OnState = std::function<void(State, std::string_view detail)>;

  /// Whether the child is started at once, or with the first load().
  enum class Begin : std::uint8_t { kLoaded, kUnloaded };

  /// Starts in the background. kIo when the program or model file is missing or the sandbox cannot be set up
  /// while it is wanted (the sentence says what `engine.sandbox: off` would give up).
  static Result<std::unique_ptr<Supervisor>> start(Options options, OnState on_state, Begin begin = Begin::kLoaded);
  ~Supervisor();  // stops the child: SIGTERM, after 2 s SIGKILL; removes its folder

  /// From now on a child shall run, or none. Both return at once; the state tells when it is so.
  void load();
  void unload();

  const std::filesystem::path& socket_path() const;
  State state() const;
  pid_t child() const;  // 0 when none runs
  const Options& options() const;
  std::uint64_t restarts() const;

 private:
  struct Impl;
  explicit Supervisor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace thalweg::engine
