#include "bench/load_driver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "bench/answer_reader.h"

namespace thalweg::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Instant = Clock::time_point;
using std::chrono::nanoseconds;

constexpr std::uint64_t kMaxErrors = 100;
constexpr std::size_t kReadBytes = 256 * 1024;

struct Connection {
  explicit Connection(const Expected& expected) : check(expected) {}
  int fd = -1;
  bool busy = false;
  bool answering = false;  // a byte of the body was seen
  bool waits_to_write = false;
  std::size_t written = 0;  // of the request
  Instant due;              // when the request should have gone out
  Instant last_frame;
  AnswerReader reader;
  AnswerCheck check;
};

std::pair<double, double> own_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return {seconds(usage.ru_utime), seconds(usage.ru_stime)};
}

int connect_to(const Plan& plan) {
  const int family = plan.unix_path.empty() ? AF_INET : AF_UNIX;
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int failed = -1;
  if (family == AF_UNIX) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, plan.unix_path.c_str(), sizeof address.sun_path - 1);
    failed = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(plan.port);
    inet_pton(AF_INET, plan.host.c_str(), &address.sin_addr);
    failed = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (failed != 0) {
    close(fd);
    return -1;
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}

class Driver {
 public:
  explicit Driver(const Plan& plan) : plan_(plan), epoll_(epoll_create1(EPOLL_CLOEXEC)), bytes_(kReadBytes) {
    prctl(PR_SET_TIMERSLACK, 1);  // else the kernel may wake us 50 us late, which the open loop would count as latency
    connections_.reserve(plan.connections);
    for (unsigned i = 0; i < plan.connections; ++i) {
      connections_.emplace_back(plan.expected);
      if (reconnect(connections_.back())) idle_.push_back(&connections_.back());
    }
  }
  ~Driver() {
    for (const Connection& connection : connections_) {
      if (connection.fd >= 0) close(connection.fd);
    }
    close(epoll_);
  }

  Outcome run() {
    const auto [user, system] = own_cpu_seconds();
    start_ = progress_ = Clock::now();
    std::vector<epoll_event> events(256);
    while (out_.errors < kMaxErrors) {
      const Instant now = Clock::now();
      send_what_is_due(now);
      if (running_ == 0 && (!more_to_send(now) || connected_ == 0)) break;
      const nanoseconds pause = until_next(now);

      const timespec timeout{.tv_sec = pause.count() / 1'000'000'000, .tv_nsec = pause.count() % 1'000'000'000};
      const int ready = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
      for (int i = 0; i < ready; ++i) on_event(*static_cast<Connection*>(events[i].data.ptr), events[i].events);
      if (ready > 0) {
        progress_ = Clock::now();
      } else if (running_ > 0 && Clock::now() - progress_ > plan_.patience) {
        error("nothing received for too long");
        break;
      }
    }
    out_.seconds = std::chrono::duration<double>((out_.ok > 0 ? finished_ : Clock::now()) - start_).count();
    const auto [user_end, system_end] = own_cpu_seconds();
    out_.cpu_user = user_end - user;
    out_.cpu_system = system_end - system;
    return std::move(out_);
  }

 private:
  bool open_loop() const { return plan_.rate > 0; }

  /// When request number `n` is due in the open loop.
  Instant due_at(std::uint64_t n) const {
    return start_ + nanoseconds(static_cast<std::int64_t>(static_cast<double>(n) * 1e9 / plan_.rate));
  }

  bool more_to_send(Instant now) const {
    if (plan_.requests > 0) return out_.sent < plan_.requests;
    return (open_loop() ? due_at(out_.sent) : now) < start_ + plan_.duration;
  }

  void send_what_is_due(Instant now) {
    while (!idle_.empty() && more_to_send(now) && out_.errors < kMaxErrors) {
      const Instant due = open_loop() ? due_at(out_.sent) : Clock::now();
      if (due > now && open_loop()) return;
      Connection& connection = *idle_.back();
      idle_.pop_back();
      if (open_loop()) out_.lateness.record(Clock::now() - due);
      ask(connection, due);
    }
  }

  /// How long to wait for events; at most a second, so that patience is looked at.
  nanoseconds until_next(Instant now) const {
    nanoseconds pause = std::chrono::seconds(1);
    if (open_loop() && !idle_.empty() && more_to_send(now)) {
      pause = std::min(
          pause, std::max(nanoseconds(0), std::chrono::duration_cast<nanoseconds>(due_at(out_.sent) - Clock::now())));
    }
    return pause;
  }

  bool reconnect(Connection& connection) {
    if (connection.fd >= 0) {
      close(connection.fd);
      --connected_;
    }
    connection.fd = connect_to(plan_);
    connection.waits_to_write = false;
    if (connection.fd < 0) {
      error(std::string("connect: ") + std::strerror(errno));
      return false;
    }
    ++connected_;
    ++out_.connects;
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &connection}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    return true;
  }

  void ask(Connection& connection, Instant due) {
    connection.due = due;
    connection.busy = true;
    connection.answering = false;
    connection.written = 0;
    connection.reader.restart();
    connection.check.restart();
    ++out_.sent;
    ++running_;
    write(connection);
  }

  void write(Connection& connection) {
    const std::string& request = plan_.request;
    const ssize_t n =
        send(connection.fd, request.data() + connection.written, request.size() - connection.written, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return lose(connection, std::string("send: ") + std::strerror(errno));
    if (n > 0) connection.written += static_cast<std::size_t>(n);
    const bool waits = connection.written < request.size();
    if (waits == connection.waits_to_write) return;
    connection.waits_to_write = waits;
    epoll_event event{.events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN, .data = {.ptr = &connection}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
  }

  void on_event(Connection& connection, std::uint32_t what) {
    if (connection.busy && (what & EPOLLOUT) != 0) write(connection);
    if ((what & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    const ssize_t n = recv(connection.fd, bytes_.data(), bytes_.size(), 0);
    if (n < 0) {
      if (errno != EAGAIN) lose(connection, std::string("recv: ") + std::strerror(errno));
      return;
    }
    if (n == 0) return lose(connection, "closed before the answer's end");
    if (!connection.busy) return lose(connection, "bytes that nobody asked for");
    ++out_.reads;
    const std::uint64_t frames_before = connection.check.frames();
    const auto progress = connection.reader.feed(std::string_view(bytes_.data(), static_cast<std::size_t>(n)),
                                                 [&](std::string_view piece) { connection.check.take(piece); });
    note_times(connection, connection.check.frames() - frames_before);
    if (progress == AnswerReader::Progress::kBroken) return lose(connection, connection.reader.fault());
    if (progress == AnswerReader::Progress::kDone) finish(connection);
  }

  void note_times(Connection& connection, std::uint64_t new_frames) {
    if (!plan_.expected.streams() || new_frames == 0 || !connection.check.has_spoken()) return;
    const Instant now = Clock::now();
    if (!connection.answering) {
      out_.first_token.record(now - connection.due);
      connection.answering = true;
    } else {
      out_.gap.record(now - connection.last_frame);
    }
    connection.last_frame = now;
  }

  void finish(Connection& connection) {
    finished_ = Clock::now();
    const std::string_view fault = connection.check.finish();
    if (connection.reader.status() != 200) {
      return lose(connection,
                  fmt::format("status {}: {}", connection.reader.status(), connection.check.unread().substr(0, 300)));
    }
    if (!fault.empty()) return lose(connection, fault);
    if (connection.reader.event_stream() != (plan_.expected.streams())) return lose(connection, "a wrong Content-Type");
    ++out_.ok;
    out_.latency.record(finished_ - connection.due);
    out_.frames += connection.check.frames();
    out_.usage.input_tokens += connection.check.usage().input_tokens;
    out_.usage.output_tokens += connection.check.usage().output_tokens;
    --running_;
    connection.busy = false;
    if (connection.reader.closes() && !reconnect(connection)) return;
    idle_.push_back(&connection);
  }

  /// Something is wrong on this connection: counted if a request was running, and begun anew.
  void lose(Connection& connection, std::string_view why) {
    const bool was_idle = !connection.busy;
    if (connection.busy) {
      error(why);
      --running_;
      connection.busy = false;
    }
    if (reconnect(connection) && !was_idle) idle_.push_back(&connection);
  }

  void error(std::string_view why) {
    if (out_.errors++ == 0) out_.first_error = why;
  }

  const Plan& plan_;
  int epoll_;
  std::vector<char> bytes_;
  std::vector<Connection> connections_;  // never grows after the constructor: pointers into it stay good
  std::vector<Connection*> idle_;
  std::uint64_t running_ = 0;
  unsigned connected_ = 0;
  Instant start_, progress_, finished_;
  Outcome out_;
};

}  // namespace

Outcome drive(const Plan& plan) {
  return Driver(plan).run();
}

}  // namespace thalweg::bench
