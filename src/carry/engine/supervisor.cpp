// One thread a child: it starts it, waits for its /health, keeps its last words, reaps it and starts it again. The
// thread is the child's parent in the kernel's eyes (PR_SET_PDEATHSIG goes by thread), so it lives as long as the
// child.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <span>
#include <thread>

#include "carry/engine/backoff.h"
#include "carry/engine/child.h"
#include "carry/engine/command.h"
#include "carry/engine/engine.h"
#include "carry/engine/folder.h"
#include "carry/engine/sandbox.h"

namespace thalweg::engine {
namespace {

constexpr Duration kFirstLook = 20ms;  // at /health, doubling
constexpr Duration kLongestLook = 250ms;
constexpr Duration kHealthLimit = 250ms;  // for one answer; a server that loads answers 503 at once
constexpr Duration kTermination = 2s;     // between SIGTERM and SIGKILL
constexpr std::size_t kMaxLine = 512;
// That a child may have: some of its own, and for each slot's connection.
constexpr std::uint64_t kOpenFiles = 256, kOpenFilesOfSlot = 2;

/// GET /health on the UNIX socket: does it answer 200?
bool is_healthy(const std::filesystem::path& socket_path) {
  const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (file < 0) return false;
  const timeval limit{
      0, static_cast<suseconds_t>(std::chrono::duration_cast<std::chrono::microseconds>(kHealthLimit).count())};
  (void)setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  (void)setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  constexpr std::string_view kRequest = "GET /health HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n";
  constexpr std::string_view kStatus = "HTTP/1.1 200";
  std::array<char, kStatus.size()> begin{};
  std::size_t size = 0;
  if (connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      send(file, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(kRequest.size())) {
    ssize_t got = 0;
    while (size < begin.size() && (got = recv(file, begin.data() + size, begin.size() - size, 0)) > 0)
      size += static_cast<std::size_t>(got);
  }
  close(file);
  return std::string_view(begin.data(), size) == kStatus;
}

/// What the child writes, line by line. Lines may quote prompts once there were any: from readiness on, only words of a
/// crash are kept, and nothing is logged.
class LastWords {
 public:
  LastWords(std::string_view name, int output) : name_(name), output_(output) {}

  /// Reads what is there. False at the end of the output.
  bool read() {
    std::array<char, 4096> bytes{};
    for (;;) {
      const ssize_t got = ::read(output_, bytes.data(), bytes.size());
      if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
      for (const char c : std::string_view(bytes.data(), static_cast<std::size_t>(got))) {
        if (c == '\n') {
          end_line();
        } else if (line_.size() < kMaxLine) {
          line_ += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
        }
      }
    }
  }
  void ready() { ready_ = true; }
  std::string last() {
    end_line();
    return last_;
  }

 private:
  void end_line() {
    static constexpr std::array<std::string_view, 6> kCrash = {"GGML_ASSERT", "GGML_ABORT",     "terminate called",
                                                               "CUDA error",  "std::bad_alloc", "error while loading"};
    if (line_.find_first_not_of(' ') != line_.npos) {
      const bool crash =
          std::ranges::any_of(kCrash, [&](std::string_view word) { return line_.find(word) != line_.npos; });
      if (!ready_) spdlog::debug("engine {}: {}", name_, line_);
      if (!ready_ || crash) last_ = line_;
    }
    line_.clear();
  }

  std::string_view name_;
  int output_;
  bool ready_ = false;
  std::string line_;
  std::string last_;
};

std::string describe(int status, const std::string& last_words) {
  std::string text;
  if (WIFSIGNALED(status)) {
    const char* const name = sigabbrev_np(WTERMSIG(status));
    text = fmt::format("the engine was killed by signal {} (SIG{})", WTERMSIG(status), name != nullptr ? name : "?");
  } else {
    text = fmt::format("the engine ended with exit code {}", WEXITSTATUS(status));
  }
  if (!last_words.empty()) text += ": " + last_words;
  return text;
}

}  // namespace

struct Supervisor::Impl {
  Impl(Options wished, Options completed, OnState callback, PrivateFolder made, int event)
      : given(std::move(wished)),
        options(std::move(completed)),
        on_state(std::move(callback)),
        folder(std::move(made)),
        socket_path(folder.socket()),
        news(event) {}
  ~Impl() { close(news); }

  void run();
  /// Runs one child to its end; what became of it.
  std::string run_child();
  int terminate(const Child& child);
  void tell(State now, std::string_view detail) {
    state.store(now, std::memory_order_release);
    if (on_state) on_state(now, detail);
  }
  /// Waits for news or `others`; false when no child shall run any more.
  bool wait(std::span<pollfd> others, Duration limit);
  bool goes_on() const { return wanted.load(std::memory_order_acquire) && !ending.load(std::memory_order_acquire); }
  /// There may be none: whoever asks looks at what it was about anyway.
  void take_news() const {
    std::uint64_t count = 0;
    while (read(news, &count, sizeof count) < 0 && errno == EINTR) {
    }
  }
  void announce() const {
    const std::uint64_t one = 1;
    while (write(news, &one, sizeof one) < 0 && errno == EINTR) {
    }
  }

  const Options given;    // as asked for, so that they can be compared with the next ones
  const Options options;  // with absolute paths and a memory limit
  const OnState on_state;
  const PrivateFolder folder;
  const std::filesystem::path socket_path;
  const int news;                   // an event: what follows has changed
  std::atomic<bool> wanted{false};  // a child shall run
  std::atomic<bool> ending{false};
  std::atomic<State> state{State::kStarting};
  std::atomic<pid_t> child{0};
  std::atomic<std::uint64_t> restarts{0};
  Instant ready_at{};  // of the running child; the thread's own
  std::thread thread;
};

bool Supervisor::Impl::wait(std::span<pollfd> others, Duration limit) {
  if (!goes_on()) return false;
  std::array<pollfd, 3> files{pollfd{news, POLLIN, 0}};
  std::ranges::copy(others, files.begin() + 1);
  const auto millis =
      limit == Duration::max() ? -1 : static_cast<int>(std::max<std::int64_t>(0, to_millis(limit + 999us)));
  if (poll(files.data(), others.size() + 1, millis) <= 0) {
    for (pollfd& other : others) other.revents = 0;
    return true;
  }
  std::copy_n(files.begin() + 1, others.size(), others.begin());
  if (files[0].revents != 0) take_news();
  return goes_on();
}

void Supervisor::Impl::run() {
  Backoff backoff;
  bool failed = false;
  while (!ending.load(std::memory_order_acquire)) {
    if (!wanted.load(std::memory_order_acquire)) {
      tell(State::kUnloaded, {});
      pollfd file{news, POLLIN, 0};
      while (!goes_on() && !ending.load(std::memory_order_acquire)) {
        if (poll(&file, 1, -1) > 0) take_news();
      }
      failed = false;
      continue;
    }
    if (failed) restarts.fetch_add(1, std::memory_order_relaxed);
    tell(State::kStarting, {});
    ready_at = {};
    const std::string end = run_child();
    failed = !end.empty();
    if (!failed) continue;  // told to
    tell(State::kDown, end);
    // A model that takes a minute to load and then fails has not lived at all.
    const Duration life = ready_at == Instant{} ? Duration::zero() : MonotonicClock::now() - ready_at;
    (void)wait({}, backoff.after(life));
  }
  tell(State::kStopped, {});
}

// Empty when it was told to stop.
std::string Supervisor::Impl::run_child() {
  unlink(socket_path.c_str());  // the server does not bind over a leftover
  std::optional<Sandbox> sandbox;
  if (options.sandbox) {
    auto prepared = Sandbox::prepare({options.program, options.model_file, folder.path(), options.memory_bytes,
                                      kOpenFiles + kOpenFilesOfSlot * options.slots});
    if (!prepared) return prepared.error().message;
    sandbox.emplace(std::move(*prepared));
  }
  const auto started = start_child(command_of(options, folder.path(), socket_path), sandbox ? &*sandbox : nullptr);
  sandbox.reset();
  if (!started) return started.error().message;
  const Child running = *started;
  child.store(running.pid, std::memory_order_release);

  LastWords words(options.name, running.output);
  std::array<pollfd, 2> files{pollfd{running.pidfd, POLLIN, 0}, pollfd{running.output, POLLIN, 0}};
  const Instant began = MonotonicClock::now();
  Instant next_look = began + kFirstLook;
  Duration between_looks = kFirstLook;
  bool ready = false, told_to_stop = false;
  std::string end;
  while (end.empty() && !told_to_stop) {
    told_to_stop = !wait(files, ready ? Duration::max() : next_look - MonotonicClock::now());
    if (files[1].revents != 0 && !words.read()) files[1].fd = -1;
    if (files[0].revents != 0) {
      int status = 0;
      while (waitpid(running.pid, &status, 0) < 0 && errno == EINTR) {
      }
      words.read();
      end = describe(status, words.last());
    } else if (!ready && !told_to_stop && MonotonicClock::now() >= next_look) {
      ready = is_healthy(socket_path);
      between_looks = std::min(kLongestLook, between_looks * 2);
      next_look = MonotonicClock::now() + between_looks;
      if (ready) {
        words.ready();
        ready_at = MonotonicClock::now();
        tell(State::kReady, {});
      } else if (MonotonicClock::now() - began > options.start_timeout) {
        terminate(running);
        end = fmt::format("the engine was not ready within {} ms: {}", to_millis(options.start_timeout), words.last());
      }
    }
  }
  if (end.empty()) terminate(running);
  child.store(0, std::memory_order_release);
  close(running.pidfd);
  close(running.output);
  return told_to_stop ? std::string() : end;
}

// The pid is ours until it is waited for, so no stranger can get the signals.
int Supervisor::Impl::terminate(const Child& running) {
  int status = 0;
  kill(running.pid, SIGTERM);
  const Instant last = MonotonicClock::now() + kTermination;
  for (;;) {
    const Duration left = last - MonotonicClock::now();
    std::array<pollfd, 2> files{pollfd{running.pidfd, POLLIN, 0}, pollfd{running.output, POLLIN, 0}};
    if (left <= Duration::zero() || poll(files.data(), files.size(), static_cast<int>(to_millis(left) + 1)) == 0) {
      kill(running.pid, SIGKILL);
      break;
    }
    if (files[0].revents != 0) break;
    // A full pipe must not keep it from ending.
    std::array<char, 4096> bytes{};
    if (files[1].revents != 0 && ::read(running.output, bytes.data(), bytes.size()) == 0)
      (void)poll(files.data(), 1, static_cast<int>(to_millis(left) + 1));
  }
  while (waitpid(running.pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

Result<std::unique_ptr<Supervisor>> Supervisor::start(Options given, OnState on_state, Begin begin) {
  Options options = given;
  std::error_code error;
  if (!std::filesystem::is_regular_file(options.program, error) || access(options.program.c_str(), X_OK) != 0) {
    return fail(ErrorCode::kIo,
                fmt::format("the engine's program {} is not there or not executable; `make engine` provides one",
                            options.program.string()));
  }
  const std::uint64_t model_bytes = std::filesystem::file_size(options.model_file, error);
  if (error || access(options.model_file.c_str(), R_OK) != 0) {
    return fail(ErrorCode::kIo,
                fmt::format("the model file {} is not there or not readable; give the path of a GGUF file",
                            options.model_file.string()));
  }
  if (const std::string ours = forbidden_argument(options.arguments); !ours.empty()) {
    return fail(ErrorCode::kConfig,
                fmt::format("the engine's argument {} is Thalweg's to give; leave it out of `arguments`", ours));
  }
  if (options.sandbox) {
    if (const SandboxReport report = probe_sandbox(); !report.usable()) {
      return fail(
          ErrorCode::kIo,
          fmt::format(
              "the engine's sandbox can't be set up: {}. `engine.sandbox: off` runs the engine without it: then a "
              "hostile model file could read this user's files and use the network",
              report.advice));
    }
  }
  // The child runs in another folder.
  options.program = std::filesystem::absolute(options.program, error);
  options.model_file = std::filesystem::absolute(options.model_file, error);
  if (options.memory_bytes == 0)
    options.memory_bytes = default_memory(model_bytes, std::uint64_t{options.context_tokens} * options.slots);
  auto folder = PrivateFolder::make();
  if (!folder) return std::unexpected(folder.error());
  const int news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (news < 0)
    return fail(ErrorCode::kIo, fmt::format("no event could be made for the engine: {}", std::strerror(errno)));
  auto impl =
      std::make_unique<Impl>(std::move(given), std::move(options), std::move(on_state), std::move(*folder), news);
  impl->wanted = begin == Begin::kLoaded;
  if (begin == Begin::kUnloaded) impl->state = State::kUnloaded;
  impl->thread = std::thread([self = impl.get()] { self->run(); });
  return std::unique_ptr<Supervisor>(new Supervisor(std::move(impl)));
}

Supervisor::Supervisor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Supervisor::~Supervisor() {
  impl_->ending.store(true, std::memory_order_release);
  impl_->announce();
  impl_->thread.join();
}

void Supervisor::load() {
  impl_->wanted.store(true, std::memory_order_release);
  impl_->announce();
}

void Supervisor::unload() {
  impl_->wanted.store(false, std::memory_order_release);
  impl_->announce();
}

const std::filesystem::path& Supervisor::socket_path() const {
  return impl_->socket_path;
}
State Supervisor::state() const {
  return impl_->state.load(std::memory_order_acquire);
}
pid_t Supervisor::child() const {
  return impl_->child.load(std::memory_order_acquire);
}
const Options& Supervisor::options() const {
  return impl_->given;
}
std::uint64_t Supervisor::restarts() const {
  return impl_->restarts.load(std::memory_order_relaxed);
}

}  // namespace thalweg::engine
