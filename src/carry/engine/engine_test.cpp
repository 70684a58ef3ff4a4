#include "carry/engine/engine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "carry/engine/backoff.h"
#include "carry/engine/command.h"
#include "carry/engine/folder.h"

namespace thalweg::engine {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

// A wait ends with an event; this only keeps a broken test from hanging.
constexpr Duration kPatience = 60s;

/// A folder of the test's own, out of the engine's reach.
class Scratch {
 public:
  Scratch() {
    std::string made = fs::temp_directory_path() / "thalweg-test-XXXXXX";
    if (mkdtemp(made.data()) == nullptr) std::abort();
    path = made;
  }
  ~Scratch() { fs::remove_all(path); }
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(path / name) << text;
    return path / name;
  }
  fs::path path;
};

/// Keeps what a supervisor tells, and waits for it.
class Told {
 public:
  Supervisor::OnState listener() {
    return [this](State state, std::string_view detail) {
      const std::lock_guard lock(mutex_);
      told_.emplace_back(state, detail);
      changed_.notify_all();
    };
  }
  /// Waits until `state` was told `count` times; the last detail with it, or "never".
  std::string wait(State state, std::size_t count = 1) {
    std::unique_lock lock(mutex_);
    std::string detail = "never";
    const auto reached = [&] {
      std::size_t seen = 0;
      for (const auto& [told, text] : told_) {
        if (told == state && ++seen == count) detail = text;
      }
      return seen >= count;
    };
    changed_.wait_for(lock, kPatience, reached);
    return detail;
  }
  std::vector<State> states() {
    const std::lock_guard lock(mutex_);
    std::vector<State> states;
    for (const auto& [state, detail] : told_) states.push_back(state);
    return states;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<State, std::string>> told_;
};

/// GET on a UNIX socket: the body, or "no answer" when the connection ends without one.
std::string ask(const fs::path& socket_path, const std::string& path) {
  const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  std::string answer;
  if (connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n";
    if (send(file, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      char bytes[4096];
      for (ssize_t got; (got = read(file, bytes, sizeof bytes)) > 0;) answer.append(bytes, static_cast<std::size_t>(got));
    }
  }
  close(file);
  const std::size_t head = answer.find("\r\n\r\n");
  return head == answer.npos ? "no answer" : answer.substr(head + 4);
}

enum class Confined { kYes, kNo };

/// A fake engine under supervision, ready. What it can reach is asked through its own socket.
class Fake {
 public:
  explicit Fake(Confined confined, const std::string& behaviour = "") : Fake(confined, behaviour, 512ULL << 20) {}
  Fake(Confined confined, const std::string& behaviour, std::uint64_t memory) {
    options.name = "fake";
    options.program = THALWEG_FAKE_ENGINE;
    options.model_file = scratch.write("model.gguf", behaviour);
    options.alias = "fake-model";
    options.memory_bytes = memory;
    options.sandbox = confined == Confined::kYes;
  }
  void start() {
    auto started = Supervisor::start(options, told.listener());
    ASSERT_TRUE(started) << started.error().message;
    supervisor = std::move(*started);
  }
  std::string ask(const std::string& path) const { return engine::ask(supervisor->socket_path(), path); }

  Scratch scratch;
  Told told;
  Options options;
  std::unique_ptr<Supervisor> supervisor;
};

bool is_alive(pid_t pid) { return kill(pid, 0) == 0; }

TEST(Backoff, DoublesFromATenthOfASecondToTenAndForgetsAfterALongLife) {
  Backoff backoff;
  for (const Duration expected : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 10000ms, 10000ms}) EXPECT_EQ(backoff.after(1s), expected);
  EXPECT_EQ(backoff.after(29s), 10s);
  EXPECT_EQ(backoff.after(30s), 100ms);
  EXPECT_EQ(backoff.after(1s), 200ms);
}

TEST(Command, GivesEachSlotItsContextAndBoundsThePromptCache) {
  Options options;
  options.program = "/opt/llama-server";
  options.model_file = "/models/m.gguf";
  options.alias = "m";
  options.context_tokens = 2048;
  options.slots = 3;
  options.threads = 5;
  options.memory_bytes = 2048ULL << 20;
  options.arguments = {"--flash-attn", "on"};
  const Command command = command_of(options, "/private", "/private/engine.sock");
  const auto after = [&](const char* name) {
    const auto at = std::ranges::find(command.arguments, name);
    return at == command.arguments.end() || at + 1 == command.arguments.end() ? "nothing"s : *(at + 1);
  };
  EXPECT_EQ(command.arguments[0], "llama-server");
  EXPECT_EQ(after("--host"), "/private/engine.sock");
  EXPECT_EQ(after("--model"), "/models/m.gguf");
  EXPECT_EQ(after("--alias"), "m");
  EXPECT_EQ(after("--ctx-size"), "6144");
  EXPECT_EQ(after("--parallel"), "3");
  EXPECT_EQ(after("--threads"), "5");
  EXPECT_EQ(after("--cache-ram"), "128");  // 2048 MiB / 16
  EXPECT_EQ(after("--flash-attn"), "on");
  options.memory_bytes = 64ULL << 30;
  const Command large = command_of(options, "/p", "/p/s");
  EXPECT_NE(std::ranges::find(large.arguments, "256"), large.arguments.end());
}

TEST(Command, AllowsTwiceTheWeightsACacheAndTwoGibibytesButNotMoreThanTheMachineHas) {
  // 100 MB of weights and 1,024 tokens: 200,000,000 + 1,024 * 131,072 + 2,147,483,648.
  EXPECT_EQ(default_memory(100'000'000, 1024), 2'481'701'376U);
  const auto machine = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  EXPECT_EQ(default_memory(std::uint64_t{1} << 50, 1), machine);
}

TEST(Command, KnowsWhatOnlyThalwegMayGive) {
  EXPECT_EQ(forbidden_argument({"--flash-attn", "on", "--host", "0.0.0.0"}), "--host");
  EXPECT_EQ(forbidden_argument({"--port=8080"}), "--port");
  EXPECT_EQ(forbidden_argument({"-m", "x"}), "-m");
  EXPECT_EQ(forbidden_argument({"--mlock", "-ngl", "99"}), "");
}

TEST(FindProgram, TakesTheWishedOneOrSaysThatItIsNotThere) {
  EXPECT_EQ(find_program(THALWEG_FAKE_ENGINE).value(), fs::path(THALWEG_FAKE_ENGINE));
  const auto missing = find_program("/nowhere/llama-server");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  EXPECT_NE(missing.error().message.find("/nowhere/llama-server"), std::string::npos);
  EXPECT_FALSE(find_program("/etc/passwd")) << "not executable";
}

/// Sets variables and puts them back.
class Environment {
 public:
  Environment(std::initializer_list<std::pair<const char*, std::string>> wished) {
    for (const auto& [name, value] : wished) {
      const char* const before = std::getenv(name);
      before_.emplace_back(name, before != nullptr ? std::optional<std::string>(before) : std::nullopt);
      setenv(name, value.c_str(), 1);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_) {
      if (value) {
        setenv(name, value->c_str(), 1);
      } else {
        unsetenv(name);
      }
    }
  }

 private:
  std::vector<std::pair<const char*, std::optional<std::string>>> before_;
};

TEST(FindProgram, LooksOnThePathAndThenInTheCache) {
  const Scratch scratch;
  const fs::path cached = scratch.path / "cache" / "engine" / "llama-server";
  const fs::path on_path = scratch.path / "bin" / "llama-server";
  const Environment environment({{"PATH", ":relative:" + (scratch.path / "bin").string()}, {"THALWEG_CACHE", (scratch.path / "cache").string()}});
  const auto nothing = find_program({});
  ASSERT_FALSE(nothing);
  EXPECT_NE(nothing.error().message.find(cached.string()), std::string::npos);
  for (const fs::path& program : {cached, on_path}) {
    fs::create_directories(program.parent_path());
    std::ofstream(program) << "x";
    fs::permissions(program, fs::perms::owner_all);
    EXPECT_EQ(find_program({}).value(), program);
  }
}

TEST(FindProgram, PutsTheCacheWhereTheEnvironmentSays) {
  const Environment environment({{"THALWEG_CACHE", "/a"}, {"XDG_CACHE_HOME", "/b"}, {"HOME", "/c"}});
  EXPECT_EQ(cache_folder(), "/a");
  setenv("THALWEG_CACHE", "", 1);
  EXPECT_EQ(cache_folder(), "/b/thalweg");
  setenv("XDG_CACHE_HOME", "", 1);
  EXPECT_EQ(cache_folder(), "/c/.cache/thalweg");
}

TEST(PrivateFolder, IsOursAloneAndGoesAway) {
  fs::path path;
  {
    const PrivateFolder folder = PrivateFolder::make().value();
    path = folder.path();
    struct stat found {};
    ASSERT_EQ(stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0700U);
    EXPECT_LT(folder.socket().string().size(), sizeof(sockaddr_un::sun_path));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(PrivateFolder, TakesAwayWhatAKilledGatewayLeftAndNothingElse) {
  const Scratch scratch;
  const Environment environment({{"XDG_RUNTIME_DIR", scratch.path.string()}});
  const fs::path left = scratch.path / "thalweg-engine-left00";
  fs::create_directory(left);
  std::ofstream(left / "lock") << "";
  std::ofstream(left / "engine.sock") << "";
  const fs::path unlocked = scratch.path / "thalweg-engine-young0";  // just made by another gateway, not locked yet
  fs::create_directory(unlocked);
  const PrivateFolder first = PrivateFolder::make().value();
  const PrivateFolder second = PrivateFolder::make().value();
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(unlocked));
  EXPECT_TRUE(fs::exists(first.path() / "lock"));
  EXPECT_EQ(first.path().parent_path(), scratch.path);
}

TEST(PrivateFolder, GoesToTmpWhereASocketsPathWouldNotFit) {
  const Scratch scratch;
  const fs::path deep = scratch.path / std::string(100, 'x');
  fs::create_directory(deep);
  const Environment environment({{"XDG_RUNTIME_DIR", deep.string()}});
  EXPECT_EQ(PrivateFolder::make().value().path().parent_path(), "/tmp");
}

TEST(Supervisor, SaysWhatIsMissing) {
  const Scratch scratch;
  Options options;
  options.program = "/nowhere/llama-server";
  options.model_file = scratch.write("model.gguf", "");
  auto started = Supervisor::start(options, nullptr);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("/nowhere/llama-server"), std::string::npos);
  options.program = THALWEG_FAKE_ENGINE;
  options.model_file = "/nowhere/model.gguf";
  started = Supervisor::start(options, nullptr);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::kIo);
  EXPECT_NE(started.error().message.find("/nowhere/model.gguf"), std::string::npos);
  options.model_file = scratch.path / "model.gguf";
  options.arguments = {"--host", "0.0.0.0"};
  started = Supervisor::start(options, nullptr);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::kConfig);
}

class EitherWay : public testing::TestWithParam<Confined> {};
INSTANTIATE_TEST_SUITE_P(Supervisor, EitherWay, testing::Values(Confined::kYes, Confined::kNo),
                         [](const auto& tested) { return tested.param == Confined::kYes ? "Confined" : "Unconfined"; });

TEST_P(EitherWay, IsReadyOnceItsHealthSaysSoAndStopsWithoutATrace) {
  Fake fake(GetParam(), "loading 3");
  fake.start();
  fake.told.wait(State::kReady);
  EXPECT_EQ(fake.supervisor->state(), State::kReady);
  EXPECT_EQ(fake.told.states(), (std::vector{State::kStarting, State::kReady}));
  const pid_t child = fake.supervisor->child();
  EXPECT_TRUE(is_alive(child));
  const fs::path socket = fake.supervisor->socket_path();
  EXPECT_TRUE(fs::exists(socket));
  EXPECT_EQ(getsid(child), child) << "a session of its own";
  EXPECT_EQ(fake.supervisor->options(), fake.options);
  fake.supervisor.reset();
  EXPECT_FALSE(is_alive(child));
  EXPECT_FALSE(fs::exists(socket.parent_path()));
  EXPECT_EQ(fake.told.states(), (std::vector{State::kStarting, State::kReady, State::kStopped}));
}

TEST_P(EitherWay, StartsAgainWhenTheEngineIsKilled) {
  Fake fake(GetParam());
  fake.start();
  fake.told.wait(State::kReady);
  for (std::size_t i = 1; i <= 3; ++i) {
    const pid_t child = fake.supervisor->child();
    ASSERT_EQ(kill(child, SIGKILL), 0);
    EXPECT_NE(fake.told.wait(State::kDown, i).find("SIGKILL"), std::string::npos);
    fake.told.wait(State::kReady, i + 1);
    EXPECT_NE(fake.supervisor->child(), child);
    EXPECT_EQ(fake.supervisor->restarts(), i);
    EXPECT_EQ(fake.ask("/health"), "");
  }
}

TEST_P(EitherWay, TellsTheExitCodeAndTheLastLineOfAFailedStart) {
  Fake fake(GetParam(), "fail 3");
  fake.start();
  const std::string detail = fake.told.wait(State::kDown);
  EXPECT_NE(detail.find("exit code 3"), std::string::npos) << detail;
  EXPECT_NE(detail.find("the model is broken"), std::string::npos) << detail;
  fake.told.wait(State::kDown, 3);  // goes on trying
  EXPECT_GE(fake.supervisor->restarts(), 2U);
}

TEST_P(EitherWay, TellsTheCrashButNoLineThatMayQuoteAPrompt) {
  Fake fake(GetParam());
  fake.start();
  fake.told.wait(State::kReady);
  EXPECT_EQ(fake.ask("/crash"), "no answer");
  const std::string detail = fake.told.wait(State::kDown);
  EXPECT_NE(detail.find("SIGABRT"), std::string::npos) << detail;
  EXPECT_NE(detail.find("GGML_ASSERT(false) failed"), std::string::npos) << detail;
  EXPECT_EQ(detail.find("prompt"), std::string::npos) << detail;
}

TEST_P(EitherWay, KillsAnEngineThatDoesNotListen) {
  Fake fake(GetParam(), "stubborn");
  fake.start();
  fake.told.wait(State::kReady);
  const pid_t child = fake.supervisor->child();
  fake.supervisor.reset();
  EXPECT_FALSE(is_alive(child));
}

TEST_P(EitherWay, StopsWhileTheEngineStillLoads) {
  Fake fake(GetParam(), "loading 1000000");
  fake.start();
  fake.told.wait(State::kStarting);
  fake.supervisor.reset();
  EXPECT_EQ(fake.told.states(), (std::vector{State::kStarting, State::kStopped}));
}

TEST_P(EitherWay, HandsOnNoOpenFilesAndNoSecrets) {
  const Environment environment({{"OPENAI_API_KEY", "sk-secret"}, {"LLAMA_ARG_HOST", "0.0.0.0"}});
  Fake fake(GetParam());
  const int file = open("/dev/null", O_RDONLY);  // without O_CLOEXEC, as a careless library would
  const int high = fcntl(file, F_DUPFD, 200);
  fake.start();
  fake.told.wait(State::kReady);
  EXPECT_EQ(fake.ask("/try/inherited/" + std::to_string(high)), "refused " + std::to_string(EBADF));
  const std::string variables = fake.ask("/environment");
  EXPECT_EQ(variables.find("OPENAI_API_KEY"), std::string::npos);
  EXPECT_EQ(variables.find("LLAMA_ARG"), std::string::npos);
  EXPECT_NE(variables.find("HOME=" + fake.supervisor->socket_path().parent_path().string()), std::string::npos);
  close(file);
  close(high);
}

TEST(Supervisor, StartsOverALeftoverSocket) {
  Fake fake(Confined::kYes);
  fake.start();
  fake.told.wait(State::kReady);
  // A killed server leaves its socket; the fake one, like the real one, refuses to bind over it.
  ASSERT_EQ(kill(fake.supervisor->child(), SIGKILL), 0);
  EXPECT_NE(fake.told.wait(State::kReady, 2), "never");
  EXPECT_EQ(fake.told.wait(State::kDown).find("bind"), std::string::npos);
}

/// What a confined engine must not be able to do. Each line is asked of a confined engine (refused, with this errno) and of one
/// with `sandbox: off` (allowed, or refused for another reason): without its fence, the line fails.
struct Forbidden {
  std::string what;
  std::string path;
  int error;
};

class ConfinedEngine : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!probe_sandbox().usable()) return;
    outside_ = new Scratch;
    outside_->write("secret", "secret");
    outside_->write("removable", "");
    outside_->write("removable-too", "");
    confined_ = new Fake(Confined::kYes);
    free_ = new Fake(Confined::kNo);
    for (Fake* fake : {confined_, free_}) {
      fake->start();
      fake->told.wait(State::kReady);
    }
  }
  static void TearDownTestSuite() {
    delete std::exchange(confined_, nullptr);
    delete std::exchange(free_, nullptr);
    delete std::exchange(outside_, nullptr);
  }
  void SetUp() override {
    if (confined_ == nullptr) GTEST_SKIP() << "this machine has no sandbox: " << probe_sandbox().advice;
  }
  static void expect_refused(const Forbidden& forbidden) {
    EXPECT_EQ(confined_->ask("/try/" + forbidden.path), "refused " + std::to_string(forbidden.error)) << forbidden.what;
    EXPECT_NE(free_->ask("/try/" + forbidden.path), "refused " + std::to_string(forbidden.error)) << forbidden.what << " with sandbox: off";
  }
  static Fake* confined_;
  static Fake* free_;
  static Scratch* outside_;
};
Fake* ConfinedEngine::confined_ = nullptr;
Fake* ConfinedEngine::free_ = nullptr;
Scratch* ConfinedEngine::outside_ = nullptr;

TEST_F(ConfinedEngine, KeepsTheEngineOffTheNetwork) {
  expect_refused({"an IPv4 socket", "socket/" + std::to_string(AF_INET), EAFNOSUPPORT});
  expect_refused({"an IPv6 socket", "socket/" + std::to_string(AF_INET6), EAFNOSUPPORT});
  expect_refused({"a UNIX datagram socket", "datagram", EPROTONOSUPPORT});
  // A kernel without these answers EAFNOSUPPORT by itself, so only that they are refused is asked.
  for (const int family : {AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG}) {
    EXPECT_EQ(confined_->ask("/try/socket/" + std::to_string(family)), "refused " + std::to_string(EAFNOSUPPORT)) << family;
  }
}

TEST_F(ConfinedEngine, KeepsTheEngineFromCallingOtherPrograms) {
  const fs::path path = outside_->path / "listener";
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 4), 0);
  expect_refused({"another program's socket", "connect/" + path.string(), EPERM});
  close(listener);
}

TEST_F(ConfinedEngine, PutsTheEngineIntoANetworkOfItsOwnWhereThatIsPermitted) {
  if (!probe_sandbox().network_namespace) GTEST_SKIP() << probe_sandbox().advice;
  const std::string ours = fs::read_symlink("/proc/self/ns/net").string();
  EXPECT_NE(confined_->ask("/try/link//proc/self/ns/net"), ours);
  EXPECT_EQ(free_->ask("/try/link//proc/self/ns/net"), ours);
}

TEST_F(ConfinedEngine, ShowsTheEngineItsOwnFilesOnly) {
  const std::string outside = outside_->path.string();
  expect_refused({"a file", "read//etc/passwd", EACCES});
  expect_refused({"a file of this user", "read/" + outside + "/secret", EACCES});
  expect_refused({"a file by way of /proc", "read//proc/self/root" + outside + "/secret", EACCES});
  expect_refused({"this process's memory map", "read//proc/" + std::to_string(getpid()) + "/maps", EACCES});
  expect_refused({"a folder", "list//etc", EACCES});
  expect_refused({"the folder of models", "list/" + confined_->scratch.path.string(), EACCES});
  EXPECT_EQ(confined_->ask("/try/read/" + confined_->options.model_file.string()), "allowed");
}

TEST_F(ConfinedEngine, LetsTheEngineWriteNothing) {
  const std::string outside = outside_->path.string();
  expect_refused({"another file", "append/" + outside + "/secret", EACCES});
  expect_refused({"a new file", "create/" + outside + "/new", EACCES});
  EXPECT_EQ(confined_->ask("/try/append/" + confined_->options.model_file.string()), "refused " + std::to_string(EACCES));
  EXPECT_EQ(free_->ask("/try/append/" + free_->options.model_file.string()), "allowed");
  EXPECT_EQ(confined_->ask("/try/remove/" + outside + "/removable"), "refused " + std::to_string(EACCES));
  EXPECT_EQ(free_->ask("/try/remove/" + outside + "/removable-too"), "allowed");
  EXPECT_EQ(confined_->ask("/try/create/" + confined_->supervisor->socket_path().parent_path().string() + "/new"), "refused " + std::to_string(EACCES));
  EXPECT_EQ(free_->ask("/try/create/" + free_->scratch.path.string() + "/new"), "allowed");
}

TEST_F(ConfinedEngine, LetsTheEngineStartNothing) {
  expect_refused({"a process", "fork", EPERM});
  expect_refused({"a new namespace", "call/" + std::to_string(SYS_unshare), EPERM});
  EXPECT_EQ(confined_->ask("/try/privileges"), "refused 0") << "no new privileges";
  EXPECT_EQ(free_->ask("/try/privileges"), "allowed");
}

TEST_F(ConfinedEngine, LetsTheEngineBecomeNoOtherProgram) {
  EXPECT_EQ(confined_->ask("/try/run//bin/true"), "refused " + std::to_string(EACCES));
  Fake free(Confined::kNo);
  free.start();
  free.told.wait(State::kReady);
  EXPECT_EQ(free.ask("/try/run//bin/true"), "no answer") << "it became /bin/true";
}

TEST_F(ConfinedEngine, KeepsTheEngineFromReachingOtherProcesses) {
  expect_refused({"a signal", "signal/" + std::to_string(getpid()), EPERM});
  if (probe_sandbox().landlock_abi >= 6) expect_refused({"a signal to a thread", "thread-signal/" + std::to_string(getpid()), EPERM});
  expect_refused({"a trace", "trace", EPERM});
  // With these arguments a kernel that lets them through answers something else than EPERM, or lacks the call.
  for (const long call : {SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp}) {
    EXPECT_EQ(confined_->ask("/try/call/" + std::to_string(call)), "refused " + std::to_string(EPERM)) << call;
  }
  expect_refused({"another process's memory", "call/" + std::to_string(SYS_process_vm_readv), EPERM});
  expect_refused({"another process's files", "call/" + std::to_string(SYS_pidfd_getfd), EPERM});
}

TEST_F(ConfinedEngine, ClosesTheKernelsRarerDoors) {
  for (const long call : {SYS_mount, SYS_umount2, SYS_pivot_root, SYS_bpf, SYS_keyctl, SYS_add_key, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup,
                          SYS_io_uring_enter, SYS_io_uring_register, SYS_setns, SYS_init_module, SYS_kexec_load, SYS_open_by_handle_at, SYS_fanotify_init}) {
    EXPECT_EQ(confined_->ask("/try/call/" + std::to_string(call)), "refused " + std::to_string(EPERM)) << call;
  }
  // io_uring_enter on a file that is none is EBADF where the call is let through (or ENOSYS where it is not built in).
  expect_refused({"io_uring", "call/" + std::to_string(SYS_io_uring_enter), EPERM});
  expect_refused({"setns", "call/" + std::to_string(SYS_setns), EPERM});
}

TEST_F(ConfinedEngine, LimitsMemoryFilesAndCores) {
  expect_refused({"more memory than its limit", "memory/600", ENOMEM});
  EXPECT_EQ(confined_->ask("/try/memory/300"), "allowed");
  expect_refused({"1,000 open files", "files/1000", EMFILE});
  EXPECT_EQ(confined_->ask("/try/files/200"), "allowed");
  EXPECT_EQ(confined_->ask("/try/core"), "refused 0");
}

TEST_F(ConfinedEngine, RunsNothingThatIsNoProgram) {
  Fake fake(Confined::kYes);
  const fs::path script = fake.scratch.write("llama-server", "#!/bin/sh\nexec true\n");
  fs::permissions(script, fs::perms::owner_all);
  fake.options.program = script;
  fake.start();
  const std::string detail = fake.told.wait(State::kDown);
  EXPECT_NE(detail.find("could not be started"), std::string::npos) << detail;
}

TEST(Sandbox, ReportsWhatThisMachineCanDo) {
  const SandboxReport report = probe_sandbox();
  EXPECT_EQ(report.landlock, report.landlock_abi > 0);
  const bool complete = report.usable() && report.network_namespace && report.landlock_abi >= 6;
  EXPECT_EQ(report.advice.empty(), complete) << report.advice;
}

// This program again, as the gateway that gets killed: it starts an engine, tells its pid, and waits.
TEST(Supervisor, GatewayThatIsKilled) {
  const char* const pipe = std::getenv("THALWEG_TEST_TELL");
  if (pipe == nullptr) GTEST_SKIP() << "runs as a part of TakesTheEngineWithItWhenTheGatewayIsKilled";
  Fake fake(std::getenv("THALWEG_TEST_FREE") != nullptr ? Confined::kNo : Confined::kYes);
  fake.start();
  fake.told.wait(State::kReady);
  const pid_t child = fake.supervisor->child();
  ASSERT_EQ(write(std::atoi(pipe), &child, sizeof child), static_cast<ssize_t>(sizeof child));
  for (;;) pause();
}

TEST_P(EitherWay, TakesTheEngineWithItWhenTheGatewayIsKilled) {
  int tell[2];
  ASSERT_EQ(pipe(tell), 0);
  const std::string variable = "THALWEG_TEST_TELL=" + std::to_string(tell[1]);
  std::vector<char*> environment;
  for (char** at = environ; *at != nullptr; ++at) environment.push_back(*at);
  environment.push_back(const_cast<char*>(variable.c_str()));
  if (GetParam() == Confined::kNo) environment.push_back(const_cast<char*>("THALWEG_TEST_FREE=1"));
  environment.push_back(nullptr);
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  const char* const arguments[] = {self.c_str(), "--gtest_filter=Supervisor.GatewayThatIsKilled", nullptr};
  const pid_t gateway = fork();
  if (gateway == 0) {
    execve(self.c_str(), const_cast<char**>(arguments), environment.data());
    _exit(127);
  }
  close(tell[1]);
  pid_t engine = 0;
  ASSERT_EQ(read(tell[0], &engine, sizeof engine), static_cast<ssize_t>(sizeof engine));
  close(tell[0]);
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, engine, 0));
  ASSERT_GE(pidfd, 0);
  kill(gateway, SIGKILL);
  waitpid(gateway, nullptr, 0);
  pollfd ended{pidfd, POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, static_cast<int>(to_millis(kPatience))), 1) << "the engine lives on";
  close(pidfd);
}

TEST(Supervisor, RunsTheRealEngineInItsSandbox) {
  const fs::path cache = cache_folder();
  const fs::path program = cache / "engine" / "llama-server";
  const fs::path model = cache / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!fs::exists(program)) GTEST_SKIP() << program << " is not there; `make engine` provides it";
  if (!fs::exists(model)) GTEST_SKIP() << model << " is not there; `make model` provides it";
  if (!probe_sandbox().usable()) GTEST_SKIP() << probe_sandbox().advice;
  Told told;
  Options options;
  options.name = "real";
  options.program = program;
  options.model_file = model;
  options.alias = "smol";
  options.context_tokens = 512;
  options.slots = 2;
  auto started = Supervisor::start(options, told.listener());
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_NE(told.wait(State::kReady), "never") << told.wait(State::kDown);
  const std::string models = ask((*started)->socket_path(), "/v1/models");
  EXPECT_NE(models.find("\"smol\""), std::string::npos) << models;
  // Its CPU back end is a library beside the program, its context what was asked for.
  const std::string slots = ask((*started)->socket_path(), "/props");
  EXPECT_NE(slots.find("\"n_ctx\":512"), std::string::npos) << slots;
}

}  // namespace
}  // namespace thalweg::engine
