#include "carry/engine/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace thalweg::engine {
namespace {

enum class Step : std::uint8_t { kFiles, kFolder, kParent, kSandbox, kProgram };

struct Report {
  Step step = Step::kFiles;
  SandboxFailure::Step fence = SandboxFailure::Step::kNone;
  int error = 0;
};

struct Prepared {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const char* folder;
  const Sandbox* sandbox;
  int null;
  int output;
  int report;
  pid_t parent;
};

[[noreturn]] void give_up(const Prepared& prepared, Report report) {
  while (write(prepared.report, &report, sizeof report) < 0 && errno == EINTR) {
  }
  _exit(127);
}

[[noreturn]] void become_child(const Prepared& prepared) {
  // Handlers of the gateway must not run here, and what it ignores (SIGPIPE) the program may want.
  struct sigaction defaults{};
  defaults.sa_handler = SIG_DFL;
  for (int signal = 1; signal < 65; ++signal) (void)sigaction(signal, &defaults, nullptr);
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, nullptr);

  (void)setsid();
  if (dup2(prepared.null, 0) < 0 || dup2(prepared.output, 1) < 0 || dup2(prepared.output, 2) < 0)
    give_up(prepared, {Step::kFiles, {}, errno});
  if (chdir(prepared.folder) != 0) give_up(prepared, {Step::kFolder, {}, errno});
  if (prepared.sandbox != nullptr) prepared.sandbox->leave_network();
  // The parent may have ended before this was asked for; then nobody would send the signal.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != prepared.parent)
    give_up(prepared, {Step::kParent, {}, errno});
  if (prepared.sandbox != nullptr) {
    if (const SandboxFailure failure = prepared.sandbox->enter(); failure.step != SandboxFailure::Step::kNone) {
      give_up(prepared, {Step::kSandbox, failure.step, failure.error});
    }
  }
  // exec closes them; until then the pipe for reports is needed.
  if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) give_up(prepared, {Step::kFiles, {}, errno});
  execve(prepared.program, prepared.arguments, prepared.environment);
  give_up(prepared, {Step::kProgram, {}, errno});
}

std::string sentence(const Report& report, const Command& command) {
  const char* const reason = std::strerror(report.error);
  switch (report.step) {
    case Step::kFiles:
      return fmt::format("the engine's open files could not be set up: {}", reason);
    case Step::kFolder:
      return fmt::format("the engine's folder {} can't be entered: {}", command.folder.string(), reason);
    case Step::kParent:
      return fmt::format("the engine could not be tied to this process: {}", reason);
    case Step::kSandbox:
      return fmt::format("the engine's sandbox could not be put up ({}): {}", name_of(report.fence), reason);
    case Step::kProgram:
      return fmt::format("{} could not be started: {}", command.program.string(), reason);
  }
  return "the engine could not be started";
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> made;
  for (const std::string& text : texts) made.push_back(const_cast<char*>(text.c_str()));
  made.push_back(nullptr);
  return made;
}

void close_all(std::initializer_list<int> files) {
  for (const int file : files) {
    if (file >= 0) close(file);
  }
}

}  // namespace

Result<Child> start_child(const Command& command, const Sandbox* sandbox) {
  const std::vector<char*> arguments = pointers(command.arguments);
  const std::vector<char*> environment = pointers(command.environment);
  std::array<int, 2> output{-1, -1};
  std::array<int, 2> report{-1, -1};
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || pipe2(output.data(), O_CLOEXEC) != 0 || pipe2(report.data(), O_CLOEXEC) != 0 ||
      fcntl(output[0], F_SETFL, O_NONBLOCK) != 0) {
    const int error = errno;
    close_all({null, output[0], output[1], report[0], report[1]});
    return fail(ErrorCode::kIo, fmt::format("no pipe could be opened for the engine: {}", std::strerror(error)));
  }
  const Prepared prepared{command.program.c_str(),
                          arguments.data(),
                          environment.data(),
                          command.folder.c_str(),
                          sandbox,
                          null,
                          output[1],
                          report[1],
                          getpid()};

  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork();
  if (pid == 0) become_child(prepared);
  const int fork_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  close_all({null, output[1], report[1]});
  if (pid < 0) {
    close_all({output[0], report[0]});
    return fail(ErrorCode::kIo,
                fmt::format("no process could be started for the engine: {}", std::strerror(fork_error)));
  }

  // Ends with exec, which closes the pipe, or with a report.
  Report failure;
  ssize_t size = 0;
  while ((size = read(report[0], &failure, sizeof failure)) < 0 && errno == EINTR) {
  }
  close(report[0]);
  Child child{pid, static_cast<int>(syscall(SYS_pidfd_open, pid, 0)), output[0]};
  if (size == 0 && child.pidfd >= 0) return child;

  std::string reason = size == 0 ? fmt::format("the engine's process can't be watched: {}", std::strerror(errno))
                                 : sentence(failure, command);
  kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  close_all({child.pidfd, child.output});
  return fail(ErrorCode::kIo, std::move(reason));
}

}  // namespace thalweg::engine
