// A stand-in for llama-server that does what it is told. It takes --host SOCKET and --model FILE like the real one; the
// "model" is a text of words:
//   loading N      answers /health with 503 so many times before 200
//   fail CODE      writes a line to stderr and exits at once
//   stubborn       ignores SIGTERM
// GET /health, /crash, /exit/CODE, /arguments, /environment, and /try/WHAT/ARGUMENT, which tries something that a
// confined engine must not be able to do and answers `allowed` or `refused ERRNO`.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>

extern char** environ;

namespace {

std::string verdict(bool allowed) {
  return allowed ? "allowed" : "refused " + std::to_string(errno);
}

std::string verdict_of_file(int file) {
  const std::string said = verdict(file >= 0);
  if (file >= 0) close(file);
  return said;
}

std::string try_connect(const std::string& path) {
  const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const std::string said = verdict(connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  close(file);
  return said;
}

std::string try_fork() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  const std::string said = verdict(child > 0);
  if (child > 0) waitpid(child, nullptr, 0);
  return said;
}

// Address space only: nothing is touched.
std::string try_memory(std::size_t bytes) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  const std::string said = verdict(memory != MAP_FAILED);
  if (memory != MAP_FAILED) munmap(memory, bytes);
  return said;
}

std::string try_files(int count) {
  int opened[4096];
  int n = 0;
  while (n < count && n < 4096 && (opened[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) ++n;
  const std::string said = verdict(n == count);
  while (n > 0) close(opened[--n]);
  return said;
}

std::string try_large_file(const std::string& path) {
  std::signal(SIGXFSZ, SIG_IGN);
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::string said = verdict(file >= 0 && ftruncate(file, 64 << 20) == 0);
  if (file >= 0) close(file);
  return said;
}

std::string attempt(std::string_view what, const std::string& argument) {
  errno = 0;
  const long number = std::atol(argument.c_str());
  int pair[2];
  rlimit limits{};
  if (what == "socket") return verdict_of_file(socket(static_cast<int>(number), SOCK_STREAM, 0));
  if (what == "datagram") return verdict_of_file(socket(AF_UNIX, SOCK_DGRAM, 0));
  if (what == "datagram-pair") return verdict(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
  if (what == "connect") return try_connect(argument);
  if (what == "read") return verdict_of_file(open(argument.c_str(), O_RDONLY | O_CLOEXEC));
  if (what == "append") return verdict_of_file(open(argument.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (what == "create") return verdict_of_file(open(argument.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (what == "remove") return verdict(unlink(argument.c_str()) == 0);
  if (what == "list") return verdict_of_file(open(argument.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (what == "large") return try_large_file(argument);
  if (what == "fork") return try_fork();
  if (what == "memory") return try_memory(static_cast<std::size_t>(number) << 20);
  if (what == "shared-memory") {
    return verdict(mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
  }
  if (what == "limits-of") return verdict(prlimit(static_cast<pid_t>(number), RLIMIT_NOFILE, nullptr, &limits) == 0);
  if (what == "pin") {
    cpu_set_t all;
    sched_getaffinity(0, sizeof all, &all);
    return verdict(sched_setaffinity(static_cast<pid_t>(number), sizeof all, &all) == 0);
  }
  if (what == "outlive") return verdict(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0);
  if (what == "files") return try_files(static_cast<int>(number));
  if (what == "signal") return verdict(kill(static_cast<pid_t>(number), 0) == 0);
  if (what == "thread-signal") return verdict(syscall(SYS_tgkill, number, number, 0) == 0);
  if (what == "trace") return verdict(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0);
  if (what == "call") return verdict(syscall(number, -1, 0, 0, 0, 0, 0) >= 0);
  if (what == "inherited") return verdict(fcntl(static_cast<int>(number), F_GETFD) >= 0);
  if (what == "privileges") return verdict(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
  if (what == "core") {
    getrlimit(RLIMIT_CORE, &limits);
    return verdict(limits.rlim_max != 0);
  }
  if (what == "run") {  // when it works, this process is another program, and nobody answers
    char* const arguments[] = {const_cast<char*>(argument.c_str()), nullptr};
    execve(argument.c_str(), arguments, environ);
    return verdict(false);
  }
  if (what == "link") {
    char text[256];
    const ssize_t size = readlink(argument.c_str(), text, sizeof text);
    return size < 0 ? verdict(false) : std::string(text, static_cast<std::size_t>(size));
  }
  return "unknown";
}

struct Behaviour {
  int loading = 0;
};

Behaviour read_behaviour(const char* model) {
  Behaviour behaviour;
  std::ifstream file(model);
  if (!file) {
    std::fprintf(stderr, "fake engine: %s can't be read: %s\n", model, std::strerror(errno));
    std::exit(9);
  }
  for (std::string word; file >> word;) {
    int number = 0;
    if (word == "loading" && file >> behaviour.loading) continue;
    if (word == "stubborn") std::signal(SIGTERM, SIG_IGN);
    if (word == "fail" && file >> number) {
      std::fprintf(stderr, "fake engine: loading the model\nfake engine: the model is broken\n");
      std::exit(number);
    }
  }
  return behaviour;
}

std::string answer(std::string_view path, int argc, char** argv) {
  std::string text;
  if (path == "/arguments") {
    for (int i = 0; i < argc; ++i) text += std::string(argv[i]) + "\n";
  } else if (path == "/environment") {
    for (char** at = environ; *at != nullptr; ++at) text += std::string(*at) + "\n";
  } else if (path == "/crash") {
    std::fprintf(stderr, "a line that quotes a prompt\nGGML_ASSERT(false) failed\nanother prompt\n");
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
  } else if (path.starts_with("/exit/")) {
    std::exit(std::atoi(path.data() + 6));
  } else if (path.starts_with("/try/")) {
    path.remove_prefix(5);
    const std::size_t slash = path.find('/');
    text = attempt(path.substr(0, slash), slash == path.npos ? "" : std::string(path.substr(slash + 1)));
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const char* host = "";
  const char* model = "";
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], "--host") == 0) host = argv[i + 1];
    if (std::strcmp(argv[i], "--model") == 0) model = argv[i + 1];
  }
  Behaviour behaviour = read_behaviour(model);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, host, sizeof address.sun_path - 1);
  // Like the real one, it does not take over a socket that is there already.
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(listener, 16) != 0) {
    std::fprintf(stderr, "fake engine: couldn't bind: %s\n", std::strerror(errno));
    return 8;
  }
  for (;;) {
    const int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (peer < 0) continue;
    std::string request;
    char bytes[4096];
    for (ssize_t got; request.find("\r\n\r\n") == request.npos && (got = read(peer, bytes, sizeof bytes)) > 0;)
      request.append(bytes, static_cast<std::size_t>(got));
    const std::size_t begin = request.find(' ') + 1;
    std::string path = request.substr(begin, request.find(' ', begin) - begin);
    const bool loading = path == "/health" && behaviour.loading > 0;
    if (loading) --behaviour.loading;
    const std::string text =
        loading ? "{\"error\":{\"message\":\"Loading model\",\"code\":503}}" : answer(path, argc, argv);
    const std::string reply = std::string("HTTP/1.1 ") + (loading ? "503 Service Unavailable" : "200 OK") +
                              "\r\nContent-Length: " + std::to_string(text.size()) + "\r\nConnection: close\r\n\r\n" +
                              text;
    if (write(peer, reply.data(), reply.size()) < 0) std::perror("fake engine");
    close(peer);
  }
}
