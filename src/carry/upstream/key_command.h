// Keys that a program gives: tokens of an identity service, which expire, and secrets of a vault. The program is the
// operator's own and runs as the gateway does; what it says is never logged.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <future>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace thalweg::upstream {

inline constexpr std::size_t kMaxSecret = 4096;          // characters of a server's key; OAuth tokens reach 2 KiB
inline constexpr std::size_t kMaxKeyAnswer = 64 * 1024;  // bytes that a key command may write
inline constexpr Duration kFirstKeyRetry = 5s;           // after a failure, doubling
inline constexpr Duration kLongestKeyRetry = 60s;
inline constexpr Duration kKeyRefusedAgain = 30s;  // a key younger than this is not asked for anew when it is refused

/// Why the text cannot be sent as a key; empty if it can.
std::string fault_of_secret(std::string_view secret);

struct KeyCommand {
  std::filesystem::path program;       // empty: there is none
  std::vector<std::string> arguments;  // the program as it was named first
  Duration timeout = 30s;
  Duration lifetime = 300s;  // of a key that does not say when it expires
  bool given() const { return !program.empty(); }
  friend bool operator==(const KeyCommand&, const KeyCommand&) = default;
};

struct FreshKey {
  std::string key;
  Duration life{};  // from now on
};
/// What a key command wrote: the key alone, or a JSON object of the shapes that `az account get-access-token`,
/// OAuth 2.0, `vault ... -format=json` and Kubernetes' ExecCredential have. Without an expiry the key's own counts if
/// it is a JSON Web Token, else `lifetime`. kConfig says what is wrong, never what was written.
Result<FreshKey> read_key_answer(std::string_view output, UtcTime now, Duration lifetime);

/// Runs it in a session of its own, without a shell, and gives what it wrote to stdout. kIo: it cannot be started,
/// failed, took longer than its time-out or wrote too much; or `stop` was set.
Result<std::string> run_key_command(const KeyCommand& command, const std::atomic<bool>& stop);

/// Keeps one endpoint's key fresh: fetched in the background, again when a fifth of its life is left. One thread's own.
class KeyKeeper {
 public:
  KeyKeeper(std::string endpoint, KeyCommand command);
  ~KeyKeeper();  // ends a running command
  KeyKeeper(const KeyKeeper&) = delete;
  KeyKeeper& operator=(const KeyKeeper&) = delete;

  /// Called often. True when key() is another one now; none at all once it has expired.
  bool tick(Instant now);
  /// The server refuses it: it is fetched anew soon, unless it is fresh.
  void refused(Instant now);
  const std::string& key() const { return key_; }
  const KeyCommand& command() const { return command_; }

 private:
  bool take(Result<FreshKey> fetched, Instant now);

  std::string endpoint_;  // for logs
  KeyCommand command_;
  std::string key_;
  Instant fetched_at_{};
  Instant expires_at_{};
  Instant next_{};
  Duration retry_ = kFirstKeyRetry;
  std::atomic<bool> stop_{false};
  std::future<Result<FreshKey>> running_;
};

}  // namespace thalweg::upstream
