#include "carry/net/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "carry/net/resolver.h"
#include "carry/net/scripted_server_test.h"

namespace thalweg::net {
namespace {

// What a listener hands out, as the shards see it.
struct Arrivals {
  std::mutex mutex;
  std::condition_variable came;
  std::vector<std::pair<std::uint32_t, Socket>> all;

  Listener::OnConnection note() {
    return [this](Shard& shard, Socket socket) {
      const std::lock_guard lock(mutex);
      all.emplace_back(shard.index(), std::move(socket));
      came.notify_all();
    };
  }
  void wait_for(std::size_t count) {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(came.wait_for(lock, std::chrono::seconds(20), [&] { return all.size() >= count; }));
  }
};

// A client that blocks.
struct Knocker {
  std::vector<Socket> sockets;
  std::error_code knock(std::uint16_t port) {
    const SocketAddress address = numeric_address("127.0.0.1", port).front();
    sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(sockets.back().handle(), address.get(), address.size) == 0) return {};
    return {errno, std::system_category()};
  }
};

TEST(Listener, SpreadsConnectionsOverShardsByCount) {
  Shard first{0}, second{1}, third{2};
  Arrivals arrivals;
  Knocker client;
  Shard* const shards[] = {&first, &second, &third};
  const auto listener = Listener::open("127.0.0.1", 0, shards, arrivals.note());
  ASSERT_TRUE(listener);
  second.connections = 2;  // it has two from before
  for (Shard* shard : shards) shard->run();
  (*listener)->start();
  for (int i = 0; i < 7; ++i) ASSERT_FALSE(client.knock((*listener)->port()));
  arrivals.wait_for(7);
  // 2 + 7 connections on three shards.
  for (Shard* shard : shards) EXPECT_EQ(shard->connections, 3U);
  (*listener)->close();
  for (Shard* shard : shards) shard->stop();
}

TEST(Listener, HandsOutConnectedSocketsOnTheirShard) {
  Shard shard{7};
  Knocker client;
  Shard* const shards[] = {&shard};
  Socket arrived;
  const auto listener = Listener::open("127.0.0.1", 0, shards, [&](Shard& here, Socket socket) {
    EXPECT_EQ(&here, &shard);
    arrived = std::move(socket);
  });
  ASSERT_TRUE(listener);
  (*listener)->start();
  ASSERT_FALSE(client.knock((*listener)->port()));
  ASSERT_TRUE(run_until(shard.loop(), [&] { return static_cast<bool>(arrived); }));
  EXPECT_NE(::fcntl(arrived.handle(), F_GETFL) & O_NONBLOCK, 0);
  ASSERT_EQ(::send(client.sockets[0].handle(), "hi", 2, 0), 2);
  std::array<char, 8> buffer;
  ASSERT_EQ(::recv(arrived.handle(), buffer.data(), buffer.size(), 0), 2);
  EXPECT_EQ(std::string_view(buffer.data(), 2), "hi");
}

TEST(Listener, AcceptsNoMoreOnceClosed) {
  Shard shard{0};
  Arrivals arrivals;
  Knocker client;
  Shard* const shards[] = {&shard};
  const auto listener = Listener::open("127.0.0.1", 0, shards, arrivals.note());
  ASSERT_TRUE(listener);
  (*listener)->start();
  const std::uint16_t port = (*listener)->port();
  ASSERT_FALSE(client.knock(port));
  ASSERT_TRUE(run_until(shard.loop(), [&] { return arrivals.all.size() == 1; }));
  (*listener)->close();
  (*listener)->close();  // twice does no harm
  run_ready(shard.loop());
  EXPECT_EQ(client.knock(port), std::errc::connection_refused);
  EXPECT_EQ((*listener)->port(), port);
}

TEST(Listener, MayGoWhileItAccepts) {
  Shard shard{0};
  Arrivals arrivals;
  Shard* const shards[] = {&shard};
  auto listener = Listener::open("127.0.0.1", 0, shards, arrivals.note());
  ASSERT_TRUE(listener);
  (*listener)->start();
  run_ready(shard.loop());
  listener->reset();
  run_ready(shard.loop());
}

TEST(Listener, SaysThatAnotherListensThere) {
  Shard shard{0};
  Arrivals arrivals;
  Shard* const shards[] = {&shard};
  const auto first = Listener::open("127.0.0.1", 0, shards, arrivals.note());
  ASSERT_TRUE(first);
  const auto second = Listener::open("127.0.0.1", (*first)->port(), shards, arrivals.note());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kIo);
  EXPECT_NE(second.error().message.find("127.0.0.1:" + std::to_string((*first)->port())), std::string::npos);
  EXPECT_NE(second.error().message.find("--listen"), std::string::npos);
}

TEST(Listener, SaysThatAnAddressIsNotLocal) {
  Shard shard{0};
  Arrivals arrivals;
  Shard* const shards[] = {&shard};
  const auto opened = Listener::open("192.0.2.1", 0, shards, arrivals.note());  // TEST-NET-1, RFC 5737
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kIo);
  EXPECT_NE(opened.error().message.find("192.0.2.1"), std::string::npos);
}

TEST(Listener, OutlivesAShortageOfFileDescriptors) {
  Shard shard{0};
  Arrivals arrivals;
  Knocker client;
  Shard* const shards[] = {&shard};
  const auto listener = Listener::open("127.0.0.1", 0, shards, arrivals.note());
  ASSERT_TRUE(listener);
  (*listener)->start();
  run_ready(shard.loop());

  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(client.knock((*listener)->port()));
  // The client has its descriptor; from here on there is none for the listener's side.
  const int probe = ::dup(0);
  ASSERT_GE(probe, 0);
  ::close(probe);
  rlimit short_of{.rlim_cur = static_cast<rlim_t>(probe), .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &short_of), 0);
  run_ready(shard.loop());
  EXPECT_TRUE(arrivals.all.empty());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(run_until(shard.loop(), [&] { return arrivals.all.size() == 1; }));
}

}  // namespace
}  // namespace thalweg::net
