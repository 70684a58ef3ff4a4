#include "carry/upstream/key_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <poll.h>
#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <ctime>
#include <optional>

#include "carry/json/tree.h"

namespace thalweg::upstream {
namespace {

using Tree = nlohmann::ordered_json;

constexpr Duration kStopLook = 100ms;  // how often a waiting run looks whether it shall stop
constexpr double kMostSeconds = 10.0 * 365 * 86'400;

const Tree* at(const Tree& tree, std::initializer_list<const char*> path) {
  const Tree* node = &tree;
  for (const char* key : path) {
    if (!node->is_object()) return nullptr;
    const auto found = node->find(key);
    if (found == node->end()) return nullptr;
    node = &*found;
  }
  return node;
}

std::optional<double> as_number(const Tree* node) {
  if (node == nullptr) return std::nullopt;
  if (node->is_number()) return node->get<double>();
  if (!node->is_string()) return std::nullopt;
  const auto& text = node->get_ref<const std::string&>();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Seconds since 1970 of an RFC 3339 time, "2026-11-23T08:00:00.5Z".
std::optional<double> as_time(const Tree* node) {
  if (node == nullptr || !node->is_string()) return std::nullopt;
  const std::string text = node->get<std::string>();
  std::tm parts{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  if (*rest == '.') {
    do ++rest;
    while (*rest >= '0' && *rest <= '9');
  }
  double offset = 0;
  if (const std::string_view zone = rest; zone != "Z" && zone != "z") {
    int hours = 0, minutes = 0;
    char sign = 0;
    if (zone.size() != 6 || std::sscanf(rest, "%c%2d:%2d", &sign, &hours, &minutes) != 3 ||
        (sign != '+' && sign != '-'))
      return std::nullopt;  // without its zone a time says nothing
    offset = (sign == '-' ? -60.0 : 60.0) * (hours * 60 + minutes);
  }
  return static_cast<double>(timegm(&parts)) - offset;
}

/// The `exp` of a JSON Web Token (RFC 7519), in seconds since 1970.
std::optional<double> expiry_of_token(std::string_view key) {
  const std::size_t first = key.find('.');
  const std::size_t second = first == key.npos ? key.npos : key.find('.', first + 1);
  if (second == key.npos || key.find('.', second + 1) != key.npos) return std::nullopt;
  std::string claims(key.substr(first + 1, second - first - 1));
  std::ranges::replace(claims, '-', '+');
  std::ranges::replace(claims, '_', '/');
  while (claims.size() % 4 != 0) claims += '=';
  std::string plain(claims.size(), '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(plain.data()),
                      reinterpret_cast<const unsigned char*>(claims.data()), static_cast<int>(claims.size()));
  if (size <= 0) return std::nullopt;
  plain.resize(static_cast<std::size_t>(size));
  while (plain.ends_with('\0')) plain.pop_back();  // the padding
  const auto tree = json::read_tree(plain);
  return tree ? as_number(at(*tree, {"exp"})) : std::nullopt;
}

const Tree* key_in(const Tree& tree) {
  static constexpr std::array<std::array<const char*, 2>, 6> kNames = {{{"accessToken", nullptr},
                                                                        {"access_token", nullptr},
                                                                        {"token", nullptr},
                                                                        {"status", "token"},
                                                                        {"auth", "client_token"},
                                                                        {"data", "token"}}};
  for (const auto& [outer, inner] : kNames) {
    const Tree* found = inner == nullptr ? at(tree, {outer}) : at(tree, {outer, inner});
    if (found != nullptr && found->is_string()) return found;
  }
  return nullptr;
}

/// Seconds from now, where the object says it. `expiresOn` is left out: az writes it in local time, without a zone.
std::optional<double> life_in(const Tree& tree, double now) {
  for (const Tree* node :
       {at(tree, {"expires_on"}), at(tree, {"expires_at"}), at(tree, {"expiration"}), at(tree, {"Expiration"}),
        at(tree, {"expiresAt"}), at(tree, {"status", "expirationTimestamp"})}) {
    if (const auto number = as_number(node)) return *number - now;
    if (const auto time = as_time(node)) return *time - now;
  }
  for (const Tree* node :
       {at(tree, {"expires_in"}), at(tree, {"auth", "lease_duration"}), at(tree, {"lease_duration"})}) {
    // Vault says 0 of what has no lease.
    if (const auto seconds = as_number(node); seconds && *seconds > 0) return seconds;
  }
  return std::nullopt;
}

struct File {
  explicit File(int number) : handle(number) {}
  ~File() {
    if (handle >= 0) close(handle);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int handle;
};

/// Started, with its stdout in a pipe of which `output` is the other end.
Result<pid_t> spawn(const KeyCommand& command, int output) {
  std::vector<char*> arguments;
  for (const std::string& argument : command.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, 1);
  // Its complaints may quote what it knows.
  posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  pid_t child = 0;
  const int error = posix_spawn(&child, command.program.c_str(), &files, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail(ErrorCode::kIo, fmt::format("it could not be started: {}", std::strerror(error)));
  return child;
}

/// Waits until the file has something to say. False at the deadline, or when told to stop.
bool wait_for(int handle, Instant deadline, const std::atomic<bool>& stop) {
  for (;;) {
    const Duration left = deadline - MonotonicClock::now();
    if (left <= Duration::zero() || stop.load(std::memory_order_relaxed)) return false;
    pollfd file{handle, POLLIN, 0};
    if (poll(&file, 1, static_cast<int>(to_millis(std::min(left, kStopLook)) + 1)) > 0) return true;
  }
}

}  // namespace

std::string fault_of_secret(std::string_view secret) {
  if (secret.empty()) return "the key is empty";
  if (secret.size() > kMaxSecret) return fmt::format("the key has more than {} characters", kMaxSecret);
  if (!std::ranges::all_of(secret, [](char c) { return c > 0x20 && c < 0x7F; })) {
    return "the key has a space, line end or other character that an HTTP field must not hold";
  }
  return {};
}

Result<FreshKey> read_key_answer(std::string_view output, UtcTime now, Duration lifetime) {
  // Programs end their line, and some begin with an empty one.
  constexpr std::string_view kWhite = " \t\r\n";
  const std::size_t begin = output.find_first_not_of(kWhite);
  const std::string_view text =
      begin == output.npos ? "" : output.substr(begin, output.find_last_not_of(kWhite) + 1 - begin);
  if (text.empty()) return fail(ErrorCode::kConfig, "it wrote nothing to stdout");
  const double seconds_now = to_seconds(now.time_since_epoch());
  FreshKey fresh;
  std::optional<double> life;
  if (text.starts_with('{')) {
    const auto tree = json::read_tree(text);
    if (!tree) return fail(ErrorCode::kConfig, "it wrote something that begins like JSON and is none");
    const Tree* key = key_in(*tree);
    if (key == nullptr) {
      return fail(ErrorCode::kConfig,
                  "its JSON has no accessToken, access_token, token, status.token, auth.client_token or data.token");
    }
    fresh.key = key->get<std::string>();
    life = life_in(*tree, seconds_now);
  } else {
    fresh.key = text;
  }
  if (std::string fault = fault_of_secret(fresh.key); !fault.empty()) return fail(ErrorCode::kConfig, std::move(fault));
  if (!life) {
    if (const auto expiry = expiry_of_token(fresh.key)) life = *expiry - seconds_now;
  }
  if (life && !(*life > 0)) return fail(ErrorCode::kConfig, "the key has expired already");
  fresh.life = life ? std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::min(*life, kMostSeconds)))
                    : lifetime;
  return fresh;
}

Result<std::string> run_key_command(const KeyCommand& command, const std::atomic<bool>& stop) {
  std::array<int, 2> pipes{-1, -1};
  if (pipe2(pipes.data(), O_CLOEXEC) != 0)
    return fail(ErrorCode::kIo, fmt::format("no pipe could be opened for it: {}", std::strerror(errno)));
  const File ours(pipes[0]);
  Result<pid_t> child = 0;
  {
    const File theirs(pipes[1]);
    child = spawn(command, theirs.handle);
  }
  if (!child) return std::unexpected(child.error());
  const File ended(static_cast<int>(syscall(SYS_pidfd_open, *child, 0)));
  const Instant deadline = MonotonicClock::now() + command.timeout;
  std::string output, fault;
  std::array<char, 4096> bytes{};
  while (fault.empty()) {
    if (!wait_for(ours.handle, deadline, stop)) {
      fault = fmt::format("it had not ended after {} ms", to_millis(command.timeout));
      break;
    }
    const ssize_t got = read(ours.handle, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    output.append(bytes.data(), static_cast<std::size_t>(got));
    if (output.size() > kMaxKeyAnswer) fault = fmt::format("it wrote more than {} KiB", kMaxKeyAnswer / 1024);
  }
  if (fault.empty() && ended.handle >= 0 && !wait_for(ended.handle, deadline, stop))
    fault = fmt::format("it had not ended after {} ms", to_millis(command.timeout));
  if (!fault.empty()) kill(-*child, SIGKILL);  // it leads a session: its own children go with it
  int status = 0;
  while (waitpid(*child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!fault.empty()) return fail(ErrorCode::kIo, fault);
  if (WIFSIGNALED(status)) return fail(ErrorCode::kIo, fmt::format("it was ended by signal {}", WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) {
    return fail(ErrorCode::kIo,
                fmt::format("it ended with exit code {}; run it by hand to see why", WEXITSTATUS(status)));
  }
  return output;
}

KeyKeeper::KeyKeeper(std::string endpoint, KeyCommand command)
    : endpoint_(std::move(endpoint)), command_(std::move(command)) {}

KeyKeeper::~KeyKeeper() {
  stop_.store(true, std::memory_order_relaxed);
}

bool KeyKeeper::tick(Instant now) {
  if (running_.valid() && running_.wait_for(0s) == std::future_status::ready) {
    if (take(running_.get(), now)) return true;
  }
  if (!running_.valid() && now >= next_) {
    running_ = std::async(std::launch::async, [this]() -> Result<FreshKey> {
      auto output = run_key_command(command_, stop_);
      if (!output) return std::unexpected(output.error());
      return read_key_answer(*output, UtcClock::now(), command_.lifetime);
    });
  }
  if (key_.empty() || now < expires_at_) return false;
  spdlog::warn("endpoint {}: its key has expired, and key_command gave no other", endpoint_);
  key_.clear();
  return true;
}

bool KeyKeeper::take(Result<FreshKey> fetched, Instant now) {
  if (!fetched) {
    spdlog::warn("endpoint {}: key_command {}: {}", endpoint_, command_.program.string(), fetched.error().message);
    next_ = now + retry_;
    retry_ = std::min(retry_ * 2, kLongestKeyRetry);
    return false;
  }
  retry_ = kFirstKeyRetry;
  fetched_at_ = now;
  expires_at_ = now + fetched->life;
  next_ = now + fetched->life / 5 * 4;
  if (fetched->key == key_) return false;
  key_ = std::move(fetched->key);
  return true;
}

void KeyKeeper::refused(Instant now) {
  if (!key_.empty() && now - fetched_at_ >= kKeyRefusedAgain) next_ = std::min(next_, now);
}

}  // namespace thalweg::upstream
