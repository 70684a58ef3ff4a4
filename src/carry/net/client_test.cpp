#include "carry/net/client.h"

#include <gtest/gtest.h>
#include <unistd.h>

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
  explicit Caller(Loop& loop) : stream(loop) {}
  ClientStream stream;
  std::optional<error_code> connected, written, read;
  std::string bytes;
  std::array<char, 64 * 1024> buffer;

  void on_connected(const error_code& error) override { connected = error; }
  void on_written(const error_code& error) override { written = error; }
  void on_read(const error_code& error, std::size_t size) override {
    read = error;
    bytes.append(buffer.data(), size);
  }
  void write(std::string_view text) {
    const std::string_view slices[] = {text};
    if (stream.write(slices, *this, nullptr)) written = error_code();
  }
  void read_some() { stream.read(buffer.data(), buffer.size(), *this, nullptr); }
};

class Client : public testing::Test {
 protected:
  Shard shard{0};
  Loop& loop = shard.loop();
  Caller caller{loop};

  testing::AssertionResult connects(const Address& address, TlsContext* tls = nullptr) {
    caller.connected.reset();
    caller.stream.connect(address, tls, caller, nullptr);
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
    caller.read_some();
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
    EXPECT_FALSE(caller.stream.write(slices, caller, nullptr));
    ASSERT_TRUE(
        run_until(loop, [&] { return server.accepted() == 1 && server.last().received.size() == text.size(); }));
    EXPECT_TRUE(server.last().received == text);
    ASSERT_TRUE(run_until(loop, [&] { return caller.written.has_value(); }));
    EXPECT_FALSE(*caller.written);
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
  // Bound and not listening: nobody else gets the port meanwhile.
  asio::basic_stream_socket<asio::ip::tcp, Executor> bound(loop.get_executor());
  bound.open(asio::ip::tcp::v4());
  bound.bind({asio::ip::address_v4::loopback(), 0});
  EXPECT_FALSE(connects({.host = "127.0.0.1", .port = bound.local_endpoint().port(), .path = {}}));
  EXPECT_EQ(*caller.connected, asio::error::connection_refused);
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
  EXPECT_EQ(*caller.connected, asio::error::name_too_long);
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
  caller.read_some();
  server.last().close();
  ASSERT_TRUE(run_until(loop, [&] { return caller.read.has_value(); }));
  EXPECT_EQ(*caller.read, asio::error::eof);
}

TEST_F(Client, EndsWhatIsPendingWhenClosed) {
  ScriptedServer server(loop);
  ASSERT_TRUE(connects(server.address()));
  ASSERT_TRUE(run_until(loop, [&] { return server.accepted() == 1; }));
  server.last().stop_reading();
  {
    const std::string text(32 << 20, 'x');
    caller.write(text);
    caller.read_some();
    caller.stream.close();
  }  // the bytes may go as soon as close() has returned
  ASSERT_TRUE(run_until(loop, [&] { return caller.read && caller.written; }));
  EXPECT_EQ(*caller.read, asio::error::operation_aborted);
  EXPECT_EQ(*caller.written, asio::error::operation_aborted);
}

TEST_F(Client, EndsAnAttemptToConnectWhenClosed) {
  ScriptedServer server(loop);
  caller.stream.connect(server.address(), nullptr, caller, nullptr);
  caller.stream.close();
  ASSERT_TRUE(run_until(loop, [&] { return caller.connected.has_value(); }));
  EXPECT_TRUE(*caller.connected);
}

TEST_F(Client, HoldsItsKeeperUntilTheCallbackCame) {
  ScriptedServer server(loop);
  auto keeper = std::make_shared<int>(0);
  const std::weak_ptr<int> watched = keeper;
  caller.stream.connect(server.address(), nullptr, caller, std::move(keeper));
  EXPECT_FALSE(watched.expired());
  ASSERT_TRUE(run_until(loop, [&] { return caller.connected.has_value(); }));
  EXPECT_TRUE(watched.expired());
}

class TlsClient : public Client {
 protected:
  Authority authority;
  std::unique_ptr<TlsContext> trusting = *TlsContext::make(authority.file());
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
  SSL_CTX_set_max_proto_version(context->native_handle(), TLS1_2_VERSION);
  ScriptedServer server(loop, context.get());
  ASSERT_TRUE(connects(server.address(), trusting.get()));
  expect_talks(server);
}

TEST_F(TlsClient, RefusesAnotherHostsCertificate) {
  for (const char* names : {"DNS:elsewhere.example", "IP:127.0.0.2", "DNS:127.0.0.1.example,DNS:localhost"}) {
    const auto context = authority.serve_as(names);
    ScriptedServer server(loop, context.get());
    Caller fresh(loop);
    fresh.stream.connect(server.address(), trusting.get(), fresh, nullptr);
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
  SSL_CTX_set_cipher_list(context->native_handle(), "ALL:@SECLEVEL=0");
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context->native_handle(), TLS1_1_VERSION);
  ScriptedServer server(loop, context.get());
  EXPECT_FALSE(connects(server.address(), trusting.get()));
}

TEST_F(TlsClient, RefusesAServerThatSpeaksInClear) {
  ScriptedServer server(loop);
  Address address = server.address();
  address.tls = true;
  caller.stream.connect(address, trusting.get(), caller, nullptr);
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
    fresh.stream.connect(server.address(), trusting.get(), fresh, nullptr);
    ASSERT_TRUE(run_until(loop, [&] { return fresh.connected && server.accepted() == 1 && server.last().handshaken; }));
    ASSERT_FALSE(*fresh.connected);
    fresh.read_some();
    if (in_good_order) {
      server.last().end_session();
    } else {
      server.last().close();
    }
    ASSERT_TRUE(run_until(loop, [&] { return fresh.read.has_value(); }));
    EXPECT_TRUE(*fresh.read);
    EXPECT_EQ(*fresh.read == asio::error::eof, in_good_order) << fresh.read->message();
    fresh.stream.close();
    server.last().close();
    run_ready(loop);
  }
}

TEST_F(TlsClient, EndsAHandshakeWhenClosed) {
  ScriptedServer silent(loop);
  Address address = silent.address();
  address.tls = true;
  caller.stream.connect(address, trusting.get(), caller, nullptr);
  ASSERT_TRUE(run_until(loop, [&] { return silent.accepted() == 1 && !silent.last().received.empty(); }));
  EXPECT_FALSE(caller.connected);
  caller.stream.close();
  ASSERT_TRUE(run_until(loop, [&] { return caller.connected.has_value(); }));
  EXPECT_TRUE(*caller.connected);
}

TEST(TlsContext, NamesTheFileThatCannotBeRead) {
  const auto made = TlsContext::make("/nowhere/ca.pem");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kIo);
  EXPECT_NE(made.error().message.find("/nowhere/ca.pem"), std::string::npos);
}

}  // namespace
}  // namespace thalweg::net
