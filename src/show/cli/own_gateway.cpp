#include "show/cli/own_gateway.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <filesystem>
#include <string_view>

namespace thalweg::cli {

OwnGateway::~OwnGateway() {
  if (child_ > 0) {
    ::kill(child_, SIGTERM);
    ::waitpid(child_, nullptr, 0);
  }
  if (out_ >= 0) ::close(out_);
}

Result<std::uint16_t> OwnGateway::start(const std::string& config) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return fail(ErrorCode::kIo, "cannot make a pipe");
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  const pid_t chat = ::getpid();
  child_ = ::fork();
  if (child_ == 0) {
    // A signal ends the chat without its destructors. The chat may also have ended before this was asked for.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != chat) ::_exit(127);
    ::dup2(out[1], STDOUT_FILENO);
    const int quiet = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (quiet >= 0) ::dup2(quiet, STDERR_FILENO);
    ::setpgid(0, 0);  // Ctrl-C is for the chat
    ::execl(program.c_str(), "thalweg", "serve", "--config", config.c_str(), "--listen", "127.0.0.1:0", nullptr);
    ::_exit(127);
  }
  ::close(out[1]);
  out_ = out[0];
  std::string line;
  char c = 0;
  while (::read(out_, &c, 1) == 1 && c != '\n') line += c;
  const std::string_view digits = std::string_view(line).substr(line.rfind(':') + 1);
  std::uint16_t port = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), port).ec != std::errc()) {
    return fail(ErrorCode::kIo, fmt::format("the gateway did not start; `thalweg serve --config {}` says why", config));
  }
  return port;
}

}  // namespace thalweg::cli
