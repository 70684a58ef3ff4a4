#include "carry/net/client.h"

#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <random>

#include "carry/net/authority_test.h"
#include "carry/net/scripted_server_test.h"
#include "carry/net/shard.h"

namespace thalweg::net {
namespace {

// Does what the test says and notes what comes back.
struct Caller final : ClientStream::Owner {
  explicit Caller(Loop& loop) : stream(loop, *this) {}
  ClientStream stream;
  std::optional<std::error_code> connected;
  std::optional<Taken> read;  // the last that was more than nothing
  std::string bytes;
  std::string_view unsent;
  std::array<char, 64 * 1024> buffer;

  void on_connected(std::error_code error) override { connected = error; }
  void on_writable() override {
    const std::string_view slices[] = {unsent};
    unsent.remove_prefix(stream.write(slices).bytes);
    if (!unsent.empty()) stream.want_write();
  }
  void on_readable() override {
    const Taken taken = stream.read(buffer.data(), buffer.size());
    bytes.append(buffer.data(), taken.bytes);
    if (taken.state == Taken::State::kNothing) {
      stream.want_read();
    } else {
      read = taken;
    }
  }
  void write(std::string_view text) {
    unsent = text;
    on_writable();
  }
};

class Client : public testing::Test {
 protected:
  Shard shard{0};
  Loop& loop = shard.loop();
  Caller caller{loop};

  testing::AssertionResult connects(const Address& address, const TlsContext* tls = nullptr) {
    caller.connected.reset();
    caller.stream.connect(address, tls);
    EXPECT_FALSE(caller.connected) << "a callback came from inside the call";
    if (!run_until(loop, [&] { return caller.connected.has_value(); }))
      return testing::AssertionFailure() << "nothing happened";
    if (*caller.connected) return testing::AssertionFailure() << caller.connected->message();
    return testing::AssertionSuccess();
  }
  // "ping" there, "pong" back.
  void expect_talks(ScriptedServer& server) {
    caller.write("ping");
    ASSERT_TRUE(run_until(loop, [&] { return server.accepted() == 1 && server.last().received == "ping"; }));
    caller.stream.want_read();
    server.last().send("pong");
    ASSERT_TRUE(run_until(loop, [&] { return caller.read.has_value(); }));
    EXPECT_EQ(caller.bytes, "pong");
  }
  // 8 MiB, more than a socket takes at once, in three slices.
  void expect_carries_all_of_a_long_write(ScriptedServer& server) {
    std::mt19937 random(1);
    std::string text(8 << 20, '\0');
    for (char& c : text) c = static_cast<char>(random());
    const std::string_view all = text;
    const std::string_view slices[] = {all.substr(0, 1), all.substr(1, 5'000'000), all.substr(5'000'001)};
    const Written written = caller.stream.write(slices);
    EXPECT_FALSE(written.error);
    EXPECT_LT(written.bytes, text.size());
    caller.unsent = all.substr(written.bytes);
    caller.stream.want_write();
    ASSERT_TRUE(
        run_until(loop, [&] { return server.accepted() == 1 && server.last().received.size() == text.size(); }));
    EXPECT_TRUE(server.last().received == text);
    EXPECT_TRUE(caller.unsent.empty());
  }
};

TEST_F(Client, TalksOverTcp) {
  ScriptedServer server(loop);
  ASSERT_TRUE(connects(server.address()));
  expect_talks(server);
}

TEST_F(Client, ResolvesNames) {
  ScriptedServer server(loop);
  Address address = server.address();
  address.host = "localhost";  // ::1 may come first and refuse: the next address is tried
  ASSERT_TRUE(connects(address));
  expect_talks(server);
}

TEST_F(Client, SaysThatANameIsUnknown) {
  EXPECT_FALSE(connects({.host = "name.invalid", .port = 80, .path = {}}));  // RFC 6761: never exists
}

TEST_F(Client, SaysThatAConnectionIsRefused) {
  ScriptedServer here(loop);
  const BoundSocket bound;
  EXPECT_FALSE(connects({.host = "127.0.0.1", .port = bound.port, .path = {}}));
  EXPECT_EQ(*caller.connected, std::errc::connection_refused);
}

TEST_F(Client, TalksOverAUnixSocket) {
  const auto path = std::filesystem::temp_directory_path() / ("thalweg-client-" + std::to_string(::getpid()));
  {
    ScriptedServer server(loop, path.string());
    ASSERT_TRUE(connects(server.address()));
    expect_talks(server);
  }
  std::filesystem::remove(path);
}

TEST_F(Client, RefusesAUnixPathThatTheSystemCannotHold) {
  EXPECT_FALSE(connects({.host = {}, .port = 0, .path = "/tmp/" + std::string(108, 'x')}));  // sun_path has 108 bytes
  EXPECT_EQ(*caller.connected, std::errc::filename_too_long);
}

TEST_F(Client, CarriesAllOfALongWrite) {
  ScriptedServer server(loop);
  ASSERT_TRUE(connects(server.address()));
  expect_carries_all_of_a_long_write(server);
}

TEST_F(Client, SaysThatTheServerClosed) {
  ScriptedServer server(loop);
  ASSERT_TRUE(connects(server.address()));
  ASSERT_TRUE(run_until(loop, [&] { return server.accepted() == 1; }));
  caller.stream.want_read();
  server.last().close();
  ASSERT_TRUE(run_until(loop, [&] { return caller.read.has_value(); }));
  EXPECT_EQ(caller.read->state, Taken::State::kEnd);
}

TEST_F(Client, SaysThatTheServerReset) {
  ScriptedServer server(loop);
  ASSERT_TRUE(connects(server.address()));
  ASSERT_TRUE(run_until(loop, [&] { return server.accepted() == 1; }));
  caller.stream.want_read();
  server.last().reset();
  ASSERT_TRUE(run_until(loop, [&] { return caller.read.has_value(); }));
  EXPECT_EQ(caller.read->state, Taken::State::kBroken);
  EXPECT_EQ(caller.read->error, std::errc::connection_reset);
}

// The end comes with the last bytes: one edge tells of both, and the read that takes the bytes comes back short.
TEST_F(Client, SeesAnEndThatCameWithTheLastBytes) {
  ScriptedServer server(loop);
  ASSERT_TRUE(connects(server.address()));
  ASSERT_TRUE(run_until(loop, [&] { return server.accepted() == 1; }));
  server.last().send("last");
  server.last().close();
  run_ready(loop);
  caller.stream.want_read();
  ASSERT_TRUE(run_until(loop, [&] { return caller.read.has_value(); }));
  EXPECT_EQ(caller.bytes, "last");
  caller.read.reset();
  caller.stream.want_read();
  ASSERT_TRUE(run_until(loop, [&] { return caller.read.has_value(); }));
  EXPECT_EQ(caller.read->state, Taken::State::kEnd);
}

TEST_F(Client, ReadsWhatCameWhileNobodyAsked) {
  ScriptedServer server(loop);
  ASSERT_TRUE(connects(server.address()));
  ASSERT_TRUE(run_until(loop, [&] { return server.accepted() == 1; }));
  server.last().send("early");
  run_ready(loop);
  EXPECT_FALSE(caller.read);
  caller.stream.want_read();
  EXPECT_FALSE(caller.read) << "a callback came from inside the call";
  ASSERT_TRUE(run_until(loop, [&] { return caller.read.has_value(); }));
  EXPECT_EQ(caller.bytes, "early");
}

TEST_F(Client, HearsNothingOnceClosed) {
  ScriptedServer server(loop);
  ASSERT_TRUE(connects(server.address()));
  ASSERT_TRUE(run_until(loop, [&] { return server.accepted() == 1; }));
  server.last().send("pong");
  caller.stream.want_read();
  caller.stream.want_write();
  caller.stream.close();
  run_ready(loop);
  EXPECT_FALSE(caller.read);
  EXPECT_TRUE(run_until(loop, [&] { return server.last().gone; }));
}

TEST_F(Client, HearsOfNoConnectionOnceClosed) {
  ScriptedServer server(loop);
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    caller.stream.connect({.host = host, .port = server.port(), .path = {}}, nullptr);
    caller.stream.close();
    loop.turn(20ms);
    run_ready(loop);
    EXPECT_FALSE(caller.connected) << host;
  }
}

TEST_F(Client, ConnectsAgainAfterAFailure) {
  const BoundSocket bound;
  EXPECT_FALSE(connects({.host = "127.0.0.1", .port = bound.port, .path = {}}));
  ScriptedServer server(loop);
  ASSERT_TRUE(connects(server.address()));
  expect_talks(server);
}

// A full backlog drops what asks to connect, as a route that leads nowhere does.
TEST_F(Client, PassesOverAnAddressThatDoesNotAnswer) {
  ScriptedServer server(loop);
  Address address = server.address();
  sockaddr_in6 name{};
  name.sin6_family = AF_INET6;
  name.sin6_addr = in6addr_loopback;
  name.sin6_port = htons(address.port);
  const auto* const where = reinterpret_cast<const sockaddr*>(&name);
  const Socket mute(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(mute.handle(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  ASSERT_EQ(::getaddrinfo("localhost", nullptr, &hints, &list), 0);
  const bool six_first = list->ai_family == AF_INET6 && list->ai_next != nullptr;
  ::freeaddrinfo(list);
  if (!mute || !six_first || ::bind(mute.handle(), where, sizeof name) != 0 || ::listen(mute.handle(), 0) != 0) {
    GTEST_SKIP() << "localhost is not first ::1 and then 127.0.0.1 here";
  }
  std::vector<Socket> waiting;  // more than the backlog holds
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back(::socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    (void)::connect(waiting.back().handle(), where, sizeof name);
  }
  address.host = "localhost";
  EXPECT_TRUE(connects(address));
  EXPECT_EQ(server.accepted(), 1U);
}

class TlsClient : public Client {
 protected:
  TlsClient() { std::signal(SIGPIPE, SIG_IGN); }  // a server's session writes to a client that has left
  Authority authority;
  std::unique_ptr<TlsContext> trusting = *TlsContext::make(authority.pem());
};

TEST_F(TlsClient, TalksToAServerWithItsName) {
  const auto context = authority.serve_as("DNS:localhost");
  ScriptedServer server(loop, context.get());
  Address address = server.address();
  address.host = "localhost";
  ASSERT_TRUE(connects(address, trusting.get()));
  expect_talks(server);
}

TEST_F(TlsClient, TalksToAServerWithItsAddress) {
  const auto context = authority.serve_as("IP:127.0.0.1");
  ScriptedServer server(loop, context.get());
  ASSERT_TRUE(connects(server.address(), trusting.get()));
  expect_talks(server);
}

TEST_F(TlsClient, CarriesAllOfALongWrite) {
  const auto context = authority.serve_as("IP:127.0.0.1");
  ScriptedServer server(loop, context.get());
  ASSERT_TRUE(connects(server.address(), trusting.get()));
  expect_carries_all_of_a_long_write(server);
}

TEST_F(TlsClient, TakesVersion12) {
  const auto context = authority.serve_as("IP:127.0.0.1");
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  ScriptedServer server(loop, context.get());
  ASSERT_TRUE(connects(server.address(), trusting.get()));
  expect_talks(server);
}

TEST_F(TlsClient, RefusesAnotherHostsCertificate) {
  for (const char* names : {"DNS:elsewhere.example", "IP:127.0.0.2", "DNS:127.0.0.1.example,DNS:localhost"}) {
    const auto context = authority.serve_as(names);
    ScriptedServer server(loop, context.get());
    Caller fresh(loop);
    fresh.stream.connect(server.address(), trusting.get());
    ASSERT_TRUE(run_until(loop, [&] { return fresh.connected.has_value(); }));
    EXPECT_TRUE(*fresh.connected) << names;
  }
}

TEST_F(TlsClient, RefusesACertificateOfAnUnknownAuthority) {
  const Authority stranger;
  const auto context = stranger.serve_as("IP:127.0.0.1");
  ScriptedServer server(loop, context.get());
  EXPECT_FALSE(connects(server.address(), trusting.get()));
}

TEST_F(TlsClient, RefusesAnUnknownAuthorityByTheSystemsStoreToo) {
  const auto context = authority.serve_as("IP:127.0.0.1");
  ScriptedServer server(loop, context.get());
  const auto system = TlsContext::make({});
  ASSERT_TRUE(system);
  EXPECT_FALSE(connects(server.address(), system->get()));
}

TEST_F(TlsClient, RefusesACertificateThatHasExpired) {
  const auto context = authority.serve_as("IP:127.0.0.1", Authority::Validity::kPast);
  ScriptedServer server(loop, context.get());
  EXPECT_FALSE(connects(server.address(), trusting.get()));
}

TEST_F(TlsClient, RefusesVersion11) {
  const auto context = authority.serve_as("IP:127.0.0.1");
  SSL_CTX_set_cipher_list(context.get(), "ALL:@SECLEVEL=0");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_1_VERSION);
  ScriptedServer server(loop, context.get());
  EXPECT_FALSE(connects(server.address(), trusting.get()));
}

TEST_F(TlsClient, RefusesAServerThatSpeaksInClear) {
  ScriptedServer server(loop);
  Address address = server.address();
  address.tls = true;
  caller.stream.connect(address, trusting.get());
  ASSERT_TRUE(run_until(loop, [&] { return server.accepted() == 1; }));
  server.last().send("HTTP/1.1 400 Bad Request\r\n\r\n");
  ASSERT_TRUE(run_until(loop, [&] { return caller.connected.has_value(); }));
  EXPECT_TRUE(*caller.connected);
}

TEST_F(TlsClient, TellsASessionThatEndedFromOneThatWasCut) {
  for (const bool in_good_order : {true, false}) {
    const auto context = authority.serve_as("IP:127.0.0.1");
    ScriptedServer server(loop, context.get());
    Caller fresh(loop);
    fresh.stream.connect(server.address(), trusting.get());
    ASSERT_TRUE(run_until(loop, [&] { return fresh.connected && server.accepted() == 1 && server.last().handshaken; }));
    ASSERT_FALSE(*fresh.connected);
    fresh.stream.want_read();
    if (in_good_order) {
      server.last().end_session();
    } else {
      server.last().close();
    }
    ASSERT_TRUE(run_until(loop, [&] { return fresh.read.has_value(); }));
    EXPECT_EQ(fresh.read->state, in_good_order ? Taken::State::kEnd : Taken::State::kBroken)
        << fresh.read->error.message();
    fresh.stream.close();
    server.last().close();
    run_ready(loop);
  }
}

TEST_F(TlsClient, EndsAHandshakeWhenClosed) {
  ScriptedServer silent(loop);
  Address address = silent.address();
  address.tls = true;
  caller.stream.connect(address, trusting.get());
  ASSERT_TRUE(run_until(loop, [&] { return silent.accepted() == 1 && !silent.last().received.empty(); }));
  EXPECT_FALSE(caller.connected);
  caller.stream.close();
  EXPECT_TRUE(run_until(loop, [&] { return silent.last().gone; }));
  EXPECT_FALSE(caller.connected);
}

TEST_F(TlsClient, PinnedItTrustsThatCertificateWhateverItsNameAndNoOther) {
  const auto context = authority.serve_as("DNS:elsewhere.example");
  const auto other = authority.serve_as("IP:127.0.0.1");
  ScriptedServer server(loop, context.get());
  ScriptedServer another(loop, other.get());
  const auto pinned = TlsContext::make_pinned(Authority::pem_of(context));
  ASSERT_TRUE(pinned);
  EXPECT_TRUE(connects(server.address(), pinned->get()));
  EXPECT_FALSE(connects(another.address(), pinned->get()));
}

}  // namespace
}  // namespace thalweg::net
