#include "carry/engine/sandbox.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <utility>

#include "carry/engine/fake_engine_test.h"

namespace thalweg::engine {
namespace {

/// What a confined engine must not be able to do. Each line is asked of a confined engine (refused, with this errno)
/// and of one with `sandbox: off` (allowed, or refused for another reason): without its fence, the line fails.
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
    EXPECT_NE(free_->ask("/try/" + forbidden.path), "refused " + std::to_string(forbidden.error))
        << forbidden.what << " with sandbox: off";
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
  expect_refused({"a pair of them, which sends to any path", "datagram-pair", EPROTONOSUPPORT});
  // A kernel without these answers EAFNOSUPPORT by itself, so only that they are refused is asked.
  for (const int family : {AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG}) {
    EXPECT_EQ(confined_->ask("/try/socket/" + std::to_string(family)), "refused " + std::to_string(EAFNOSUPPORT))
        << family;
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
  expect_refused({"the kernel's version", "read//proc/version", EACCES});
  expect_refused({"a folder", "list//etc", EACCES});
  expect_refused({"the folder of models", "list/" + confined_->scratch.path.string(), EACCES});
  EXPECT_EQ(confined_->ask("/try/read/" + confined_->options.model_file.string()), "allowed");
}

TEST_F(ConfinedEngine, ShowsNoMoreThanTheLibrariesBesideTheProgram) {
  Fake fake(Confined::kYes);
  const std::string secret = fake.scratch.write("secret.key", "secret").string();
  const std::string library = fake.scratch.write("libbackend.so", "code").string();
  const std::string versioned = fake.scratch.write("libbackend.so.1", "code").string();
  const fs::path program = fake.scratch.path / "llama-server";
  fs::copy_file(THALWEG_FAKE_ENGINE, program);
  fake.options.program = program;
  fake.start();
  fake.told.wait(State::kReady);
  EXPECT_EQ(fake.ask("/try/read/" + secret), "refused " + std::to_string(EACCES));
  EXPECT_EQ(fake.ask("/try/read/" + library), "allowed");
  EXPECT_EQ(fake.ask("/try/read/" + versioned), "allowed");
  EXPECT_EQ(fake.ask("/try/list/" + fake.scratch.path.string()), "allowed") << "backends are found by their names";
}

TEST_F(ConfinedEngine, LetsTheEngineWriteNothing) {
  const std::string outside = outside_->path.string();
  expect_refused({"another file", "append/" + outside + "/secret", EACCES});
  expect_refused({"a new file", "create/" + outside + "/new", EACCES});
  EXPECT_EQ(confined_->ask("/try/append/" + confined_->options.model_file.string()),
            "refused " + std::to_string(EACCES));
  EXPECT_EQ(free_->ask("/try/append/" + free_->options.model_file.string()), "allowed");
  EXPECT_EQ(confined_->ask("/try/remove/" + outside + "/removable"), "refused " + std::to_string(EACCES));
  EXPECT_EQ(free_->ask("/try/remove/" + outside + "/removable-too"), "allowed");
  EXPECT_EQ(confined_->ask("/try/create/" + confined_->supervisor->socket_path().parent_path().string() + "/new"),
            "refused " + std::to_string(EACCES));
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
  if (probe_sandbox().landlock_abi >= 6)
    expect_refused({"a signal to a thread", "thread-signal/" + std::to_string(getpid()), EPERM});
  expect_refused({"a trace", "trace", EPERM});
  expect_refused({"another process's limits", "limits-of/" + std::to_string(getpid()), EPERM});
  EXPECT_EQ(confined_->ask("/try/limits-of/0"), "allowed");
  expect_refused({"another process's processors", "pin/" + std::to_string(getpid()), EPERM});
  expect_refused({"a life after this process", "outlive", EPERM});
  // With these arguments a kernel that lets them through answers something else than EPERM, or lacks the call.
  for (const long call : {SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp}) {
    EXPECT_EQ(confined_->ask("/try/call/" + std::to_string(call)), "refused " + std::to_string(EPERM)) << call;
  }
  expect_refused({"another process's memory", "call/" + std::to_string(SYS_process_vm_readv), EPERM});
  expect_refused({"another process's files", "call/" + std::to_string(SYS_pidfd_getfd), EPERM});
}

TEST_F(ConfinedEngine, ClosesTheKernelsRarerDoors) {
  for (const long call : {SYS_mount, SYS_umount2, SYS_pivot_root, SYS_bpf, SYS_keyctl, SYS_add_key, SYS_perf_event_open,
                          SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_setns,
                          SYS_init_module, SYS_kexec_load, SYS_open_by_handle_at, SYS_fanotify_init}) {
    EXPECT_EQ(confined_->ask("/try/call/" + std::to_string(call)), "refused " + std::to_string(EPERM)) << call;
  }
  // io_uring_enter on a file that is none is EBADF where the call is let through (or ENOSYS where it is not built in).
  expect_refused({"io_uring", "call/" + std::to_string(SYS_io_uring_enter), EPERM});
  expect_refused({"setns", "call/" + std::to_string(SYS_setns), EPERM});
}

TEST_F(ConfinedEngine, LimitsMemoryFilesAndCores) {
  expect_refused({"more memory than its limit", "memory/600", ENOMEM});
  EXPECT_EQ(confined_->ask("/try/memory/300"), "allowed");
  expect_refused({"memory that its limit does not count", "shared-memory", EPERM});
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

}  // namespace
}  // namespace thalweg::engine
