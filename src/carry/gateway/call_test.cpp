#include "carry/gateway/call.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace thalweg::gateway {
namespace {

/// Answers one connection with these pieces, a pause before each, and keeps it open until the caller hangs up.
class SlowServer {
 public:
  SlowServer(std::vector<std::string> pieces, Duration pause) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, pieces = std::move(pieces), pause] {
      const int peer = ::accept(listener_, nullptr, nullptr);
      char asked[1024];
      EXPECT_GT(::read(peer, asked, sizeof asked), 0);
      for (const std::string& piece : pieces) {
        std::this_thread::sleep_for(pause);
        (void)::send(peer, piece.data(), piece.size(), MSG_NOSIGNAL);
      }
      while (::read(peer, asked, sizeof asked) > 0) {
      }
      ::close(peer);
    });
  }
  ~SlowServer() {
    thread_.join();
    ::close(listener_);
  }
  Call call() const {
    return {.address = {.host = "127.0.0.1", .port = port_, .path = {}, .tls = false},
            .request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            .on_head = {},
            .on_body = {}};
  }

 private:
  int listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

std::string fault_of(const Result<void>& called) {
  return called ? "" : called.error().message;
}

const std::string kHead = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";

TEST(Call, HangsUpAfterSilence) {
  const SlowServer server({kHead + "a"}, 0ms);
  Call silent = server.call();
  silent.silence_limit = 1s;
  EXPECT_EQ(fault_of(call(silent)), "nothing came for 1 s");
}

TEST(Call, TakesAsLongAsSomethingComes) {
  const SlowServer server({kHead, "a", "b", "c", "d"}, 300ms);
  Call slow = server.call();
  slow.silence_limit = 1s;  // less than the whole takes
  std::string body;
  slow.on_body = [&](std::string_view bytes) {
    body += bytes;
    return true;
  };
  EXPECT_EQ(fault_of(call(slow)), "");
  EXPECT_EQ(body, "abcd");
}

TEST(Call, HangsUpWhenTheWholeTakesTooLong) {
  const SlowServer server({kHead, "a", "b"}, 10ms);
  Call limited = server.call();
  limited.limit = 100ms;
  EXPECT_EQ(fault_of(call(limited)), "no answer in time");
}

}  // namespace
}  // namespace thalweg::gateway
