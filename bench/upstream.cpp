// bench_upstream: the fixed model server behind every proxy under test. It gives the same valid chat completion each
// time, or the same stream at a steady pace, for as little CPU as a server can: one read, one write. What it will say
// lies ready in memory.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "bench/conversation.h"

namespace {

using namespace thalweg::bench;
using Clock = std::chrono::steady_clock;
using Instant = Clock::time_point;

constexpr std::string_view kHelp = R"(bench_upstream: a fixed OpenAI chat completions server

  bench_upstream --answer-bytes 1024 --frames 200 --interval-us 10000

  --port N          (0: the system chooses; the address is printed)
  --answer-bytes N  (1024) length of a whole answer's body
  --frames N        (200) frames of text in a stream, 200 bytes each
  --interval-us T   (0) time between two frames of a stream; 0: as fast as the socket takes them
  --spoil KIND      damages every 97th answer, to show that bench_load notices: status, byte, short, frame, terminator
GET /stats tells what was served. Ends on SIGTERM.
)";

/// Everything that can be said, framed for the wire.
struct Script {
  std::string answer;               // head and body
  std::string stream_head;          // and the first frame, which names the role
  std::vector<std::string> frames;  // of text, each in its own chunk
  std::string end_with_usage, end;  // finish reason, perhaps usage, [DONE], last chunk
  std::string embeddings;           // head and body
  std::string models;               // GET /v1/models: a gateway's probe
};

std::string with_head(std::string_view status, std::string_view type, std::string_view body) {
  return fmt::format("HTTP/1.1 {}\r\nContent-Type: {}\r\nx-request-id: req_bench\r\nContent-Length: {}\r\n\r\n{}",
                     status, type, body.size(), body);
}

std::string chunk(std::string_view data) {
  return fmt::format("{:x}\r\n{}\r\n", data.size(), data);
}
std::string frame_chunk(std::string_view json) {
  return chunk(fmt::format("data: {}\n\n", json));
}

Script write_script(std::size_t answer_bytes, std::size_t frames) {
  Script script;
  script.answer = with_head("200 OK", "application/json", chat_answer(answer_bytes).with(kUpstreamModel));
  script.embeddings = with_head("200 OK", "application/json", embeddings_answer(answer_bytes).with(kUpstreamModel));
  const std::vector<AroundModel> parts = stream_frames(frames);
  std::vector<std::string> chunks;
  for (const AroundModel& part : parts) chunks.push_back(frame_chunk(part.with(kUpstreamModel)));
  script.stream_head =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nx-request-id: req_bench\r\n"
      "Transfer-Encoding: chunked\r\n\r\n" +
      chunks.front();
  const std::string last = frame_chunk("[DONE]") + "0\r\n\r\n";
  script.end_with_usage = chunks[chunks.size() - 2] + chunks.back() + last;
  script.end = chunks[chunks.size() - 2] + last;
  script.frames.assign(chunks.begin() + 1, chunks.end() - 2);
  script.models = with_head(
      "200 OK", "application/json",
      fmt::format(R"({{"object":"list","data":[{{"id":"{}","object":"model","created":0,"owned_by":"bench"}}]}})",
                  kUpstreamModel));
  return script;
}

struct Connection {
  int fd = -1;
  std::uint64_t life = 0;  // which connection on this descriptor; a timer of an earlier one is void
  std::string in;          // a request in pieces
  std::string unsent;      // what the socket did not take
  bool streaming = false, wants_usage = false;
  std::size_t next_frame = 0;
  Instant due;
};

struct Timer {
  Instant due;
  int fd;
  std::uint64_t life;
  bool operator>(const Timer& other) const { return due > other.due; }
};

volatile std::sig_atomic_t stopping = 0;

class Upstream {
 public:
  Upstream(Script script, std::chrono::nanoseconds interval, std::string_view spoil)
      : script_(std::move(script)),
        interval_(interval),
        spoil_(spoil),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        bytes_(256 * 1024) {}

  /// The port it listens on; 0 when it cannot.
  std::uint16_t listen_on(std::uint16_t port) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(listener_, 1024) != 0)
      return 0;
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    watch(listener_, EPOLL_CTL_ADD, EPOLLIN);
    return ntohs(address.sin_port);
  }

  void run() {
    sigset_t while_waiting;
    sigemptyset(&while_waiting);
    std::vector<epoll_event> events(256);
    while (stopping == 0) {
      const std::chrono::nanoseconds pause = send_due_frames();
      const timespec timeout{.tv_sec = pause.count() / 1'000'000'000, .tv_nsec = pause.count() % 1'000'000'000};
      const int ready = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, &while_waiting);
      for (int i = 0; i < ready; ++i) {
        if (events[i].data.fd == listener_)
          accept_all();
        else
          on_event(connections_[events[i].data.fd], events[i].events);
      }
    }
  }

  std::string stats() const {
    return fmt::format(R"({{"chats":{},"streams":{},"frames":{},"others":{},"connections":{}}})", chats_, streams_,
                       frames_, others_, lives_);
  }

 private:
  void watch(int fd, int operation, std::uint32_t what) {
    epoll_event event{.events = what, .data = {.fd = fd}};
    epoll_ctl(epoll_, operation, fd, &event);
  }

  void accept_all() {
    while (true) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      if (static_cast<std::size_t>(fd) >= connections_.size()) connections_.resize(fd + 64);
      connections_[fd] = Connection{};
      connections_[fd].fd = fd;
      connections_[fd].life = ++lives_;
      watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
  }

  void drop(Connection& connection) {
    close(connection.fd);
    connection = Connection{};
  }

  void on_event(Connection& connection, std::uint32_t what) {
    if ((what & EPOLLOUT) != 0) {
      if (!flush(connection)) return;
      if (connection.streaming && connection.unsent.empty() && interval_.count() == 0) pour(connection);
    }
    if ((what & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    const ssize_t n = recv(connection.fd, bytes_.data(), bytes_.size(), 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return drop(connection);
    std::string_view all(bytes_.data(), static_cast<std::size_t>(n));
    if (connection.in.empty()) {
      const std::size_t used = answer_first(connection, all);
      if (connection.fd >= 0 && used < all.size()) connection.in.assign(all.substr(used));
    } else {
      connection.in.append(all);
      const std::size_t used = answer_first(connection, connection.in);
      if (connection.fd >= 0) connection.in.erase(0, used);
    }
  }

  /// Answers the request that `bytes` begin with, if it is whole. Gives the bytes used. One request at a time: HTTP
  /// clients under test do not pipeline.
  std::size_t answer_first(Connection& connection, std::string_view bytes) {
    const std::size_t head_end = bytes.find("\r\n\r\n");
    if (head_end == std::string_view::npos) return 0;
    const std::string_view head = bytes.substr(0, head_end + 2);
    if (!head.starts_with("POST ")) {
      ++others_;
      if (head.starts_with("GET /v1/models"))
        send_now(connection, script_.models);
      else if (head.starts_with("GET /stats "))
        send_now(connection, with_head("200 OK", "application/json", stats()));
      else
        send_now(connection, with_head("404 Not Found", "application/json", R"({"error":{"message":"no such path"}})"));
      return head_end + 4;
    }
    const std::size_t length = content_length(head);
    const bool embeddings = head.starts_with("POST /v1/embeddings ");
    if (length == std::string_view::npos || (!embeddings && !head.starts_with("POST /v1/chat/completions "))) {
      ++others_;
      send_now(connection, with_head("400 Bad Request", "application/json",
                                     R"({"error":{"message":"a chat completion with Content-Length, please"}})"));
      return bytes.size();
    }
    if (bytes.size() < head_end + 4 + length) return 0;
    // The fields that matter here are the last ones in the OpenAI clients' order; gateways that edit them write them
    // there too.
    const std::string_view body = bytes.substr(head_end + 4, length);
    const std::string_view fields = body.substr(body.size() - std::min<std::size_t>(body.size(), 512));
    if (embeddings) {
      ++chats_;
      send_now(connection, script_.embeddings);
    } else if (fields.find(R"("stream":true)") != std::string_view::npos) {
      begin_stream(connection, fields.find(R"("include_usage":true)") != std::string_view::npos);
    } else {
      ++chats_;
      if (spoilt())
        send_spoilt(connection);
      else
        send_now(connection, script_.answer);
    }
    return head_end + 4 + length;
  }

  static std::size_t content_length(std::string_view head) {
    for (std::size_t at = head.find("\r\n"); at + 2 < head.size(); at = head.find("\r\n", at + 2)) {
      constexpr std::string_view kName = "content-length:";
      const std::string_view line = head.substr(at + 2);
      if (line.size() < kName.size() || strncasecmp(line.data(), kName.data(), kName.size()) != 0) continue;
      const char* from = line.data() + kName.size();
      while (*from == ' ') ++from;
      std::size_t value = 0;
      if (std::from_chars(from, head.data() + head.size(), value).ec == std::errc{}) return value;
    }
    return std::string_view::npos;
  }

  void begin_stream(Connection& connection, bool wants_usage) {
    ++streams_;
    ++frames_;
    connection.streaming = true;
    connection.wants_usage = wants_usage;
    connection.next_frame = 0;
    if (!send_now(connection, script_.stream_head)) return;
    if (interval_.count() == 0) return pour(connection);
    // Streams of real requests are not in step. Multiples of the golden ratio spread any number of phases evenly.
    const double phase = std::fmod(static_cast<double>(streams_) * 0.6180339887498949, 1.0);
    connection.due =
        Clock::now() + interval_ +
        std::chrono::nanoseconds(static_cast<std::int64_t>(phase * static_cast<double>(interval_.count())));
    timers_.push({connection.due, connection.fd, connection.life});
  }

  /// Sends what is due and gives the time until something is.
  std::chrono::nanoseconds send_due_frames() {
    while (!timers_.empty()) {
      const Instant now = Clock::now();
      const Timer timer = timers_.top();
      if (timer.due > now) return timer.due - now;
      timers_.pop();
      Connection& connection = connections_[timer.fd];
      if (connection.life != timer.life || !connection.streaming) continue;
      if (!send_next_frame(connection) || !connection.streaming) continue;
      connection.due += interval_;
      timers_.push({connection.due, connection.fd, connection.life});
    }
    return std::chrono::seconds(1);
  }

  /// False when the connection is gone.
  bool send_next_frame(Connection& connection) {
    if (connection.next_frame < script_.frames.size()) {
      ++frames_;
      const std::size_t index = connection.next_frame++;
      if (spoil_ == "frame" && index == script_.frames.size() / 2 && spoilt()) return true;
      return send_now(connection, script_.frames[index]);
    }
    connection.streaming = false;
    frames_ += connection.wants_usage ? 3 : 2;
    if (spoil_ == "terminator" && spoilt()) return send_now(connection, "0\r\n\r\n");
    return send_now(connection, connection.wants_usage ? script_.end_with_usage : script_.end);
  }

  /// As fast as the socket takes: many frames a write.
  void pour(Connection& connection) {
    while (connection.fd >= 0 && connection.streaming && connection.unsent.empty()) {
      if (!send_next_frame(connection)) return;
    }
  }

  /// Sends, and keeps what the socket does not take. False when the connection is gone.
  bool send_now(Connection& connection, std::string_view data) {
    if (!connection.unsent.empty()) {
      connection.unsent.append(data);
      return true;
    }
    const ssize_t n = send(connection.fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return drop(connection), false;
    const std::size_t sent = n < 0 ? 0 : static_cast<std::size_t>(n);
    if (sent == data.size()) return true;
    connection.unsent.assign(data.substr(sent));
    watch(connection.fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    return true;
  }

  bool flush(Connection& connection) {
    const ssize_t n = send(connection.fd, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return drop(connection), false;
    if (n > 0) connection.unsent.erase(0, static_cast<std::size_t>(n));
    if (connection.unsent.empty()) watch(connection.fd, EPOLL_CTL_MOD, EPOLLIN);
    return true;
  }

  bool spoilt() { return !spoil_.empty() && ++since_spoilt_ % 97 == 0; }

  void send_spoilt(Connection& connection) {
    std::string answer = script_.answer;
    if (spoil_ == "status") answer.replace(0, 15, "HTTP/1.1 503 No");
    if (spoil_ == "byte") answer[answer.size() - 300] ^= 1;
    if (spoil_ == "short") answer.resize(answer.size() - 1);
    if (send_now(connection, answer) && spoil_ == "short") drop(connection);
  }

  Script script_;
  std::chrono::nanoseconds interval_;
  std::string spoil_;
  int epoll_;
  int listener_ = -1;
  std::vector<char> bytes_;
  std::vector<Connection> connections_;  // by descriptor
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::uint64_t chats_ = 0, streams_ = 0, frames_ = 0, others_ = 0, lives_ = 0, since_spoilt_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  std::uint16_t port = 0;
  std::size_t answer_bytes = 1024, frames = 200;
  std::int64_t interval_us = 0;
  std::string spoil;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--help") {
      fmt::print("{}", kHelp);
      return 0;
    }
    const char* const value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (value != nullptr && name == "--port")
      port = static_cast<std::uint16_t>(std::atoi(value));
    else if (value != nullptr && name == "--answer-bytes")
      answer_bytes = std::strtoull(value, nullptr, 10);
    else if (value != nullptr && name == "--frames")
      frames = std::strtoull(value, nullptr, 10);
    else if (value != nullptr && name == "--interval-us")
      interval_us = std::strtoll(value, nullptr, 10);
    else if (value != nullptr && name == "--spoil")
      spoil = value;
    else {
      fmt::print(stderr, "bench_upstream: unknown option {} or no value; see bench_upstream --help\n", name);
      return 2;
    }
  }
  // The signals come only while it waits for events, so none is missed between looking and waiting.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  struct sigaction action{};
  action.sa_handler = [](int) { stopping = 1; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  prctl(PR_SET_TIMERSLACK, 1);  // frames leave when they are due, not up to 50 us later

  Upstream upstream(write_script(answer_bytes, frames), std::chrono::microseconds(interval_us), spoil);
  const std::uint16_t listening = upstream.listen_on(port);
  if (listening == 0) {
    fmt::print(stderr, "bench_upstream: cannot listen on 127.0.0.1:{}: {}\n", port, std::strerror(errno));
    return 1;
  }
  fmt::print("listening on http://127.0.0.1:{}\n", listening);
  std::fflush(stdout);
  upstream.run();
  return 0;
}
