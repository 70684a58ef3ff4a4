// What may leave, and what it says: permits, bodies, fields, credentials, destinations.
#include "carry/upstream/dispatch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "carry/net/authority_test.h"
#include "carry/upstream/scene_test.h"

namespace thalweg::upstream {
namespace {

using Dispatch = Scene;
using Publish = Scene;

TEST_F(Dispatch, SendsTheClosedListOfFieldsAndTheBody) {
  net::ScriptedServer server(loop);
  publish({to(server, "sk-1")});
  placement::Permit granted = permit();
  const std::string id = granted.request().text();
  const std::string_view slices[] = {"{\"model\":", "\"up\"", "}"};
  const auto attempt = dispatch(std::move(granted), Body(target(0), {}, "/chat/completions", slices, 14), door, sink);
  ASSERT_TRUE(attempt);
  const std::string expected = fmt::format(
      "POST /v1/chat/completions HTTP/1.1\r\n"
      "Host: api.example\r\n"
      "User-Agent: thalweg\r\n"
      "Accept: application/json, text/event-stream\r\n"
      "Authorization: Bearer sk-1\r\n"
      "Content-Type: application/json\r\n"
      "Content-Length: 14\r\n"
      "X-Request-Id: {}\r\n"
      "\r\n"
      "{{\"model\":\"up\"}}",
      id);
  ASSERT_TRUE(until([&] { return server.accepted() == 1 && server.last().received.size() >= expected.size(); }));
  EXPECT_EQ(server.last().received, expected);
}

TEST_F(Dispatch, AsksProbesWithoutABodyFromTheBaseOrTheRoot) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  for (const Body::Root root : {Body::Root::kBasePath, Body::Root::kServer}) {
    NotingSink reader;
    placement::Permit granted = permit();
    const std::string id = granted.request().text();
    const auto attempt = dispatch(std::move(granted), Body(target(0), "/props", root), door, reader);
    ASSERT_TRUE(attempt);
    const std::string expected = fmt::format(
        "GET {}/props HTTP/1.1\r\nHost: api.example\r\nUser-Agent: thalweg\r\nAccept: application/json, "
        "text/event-stream\r\nX-Request-Id: {}\r\n\r\n",
        root == Body::Root::kServer ? "" : "/v1", id);
    ASSERT_TRUE(until([&] { return server.accepted() == 1 && server.last().received.size() >= expected.size(); }));
    EXPECT_EQ(server.last().received, expected);
    server.last().received.clear();
    server.last().send(std::string(kOk));
    ASSERT_TRUE(until([&] { return reader.ended; }));
    EXPECT_EQ(reader.body, "{}");
  }
}

TEST_F(Dispatch, SendsWhatGoesThroughWithTheFieldsThatDescribeIt) {
  net::ScriptedServer server(loop);
  Destination destination = to(server, "sk-1");
  destination.query = "?api-version=preview";
  publish({destination});
  placement::Permit granted = permit();
  const std::string id = granted.request().text();
  const std::string_view content[] = {std::string_view("\0\xFF", 2)};
  const Passing passing{.method = http::Method::kPut,
                        .query = "a=b%20c",
                        .accept = "audio/mpeg",
                        .content_type = "multipart/form-data; boundary=x",
                        .content_encoding = "gzip"};
  const auto attempt =
      dispatch(std::move(granted), Body(target(0), "/files/a", passing, content, 2, {}, {}), door, sink);
  ASSERT_TRUE(attempt);
  const std::string expected = fmt::format(
                                   "PUT /v1/files/a?api-version=preview&a=b%20c HTTP/1.1\r\n"
                                   "Host: api.example\r\n"
                                   "User-Agent: thalweg\r\n"
                                   "Accept: audio/mpeg\r\n"
                                   "Authorization: Bearer sk-1\r\n"
                                   "Content-Type: multipart/form-data; boundary=x\r\n"
                                   "Content-Encoding: gzip\r\n"
                                   "Content-Length: 2\r\n"
                                   "X-Request-Id: {}\r\n"
                                   "\r\n",
                                   id) +
                               std::string(content[0]);
  ASSERT_TRUE(until([&] { return server.accepted() == 1 && server.last().received.size() >= expected.size(); }));
  EXPECT_EQ(server.last().received, expected);
}

TEST_F(Dispatch, SendsALengthWithEveryMethodThatHasABody) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  for (const auto& [method, length] : {std::pair{http::Method::kPost, true},
                                       {http::Method::kPatch, true},
                                       {http::Method::kGet, false},
                                       {http::Method::kDelete, false}}) {
    NotingSink reader;
    const std::string_view content[] = {std::string_view()};
    const auto attempt =
        dispatch(permit(), Body(target(0), "/files/a", Passing{.method = method}, content, 0, {}, {}), door, reader);
    ASSERT_TRUE(attempt);
    ASSERT_TRUE(until([&] { return server.accepted() == 1 && server.last().received.ends_with("\r\n\r\n"); }));
    const std::string& sent = server.last().received;
    EXPECT_EQ(sent.find("Content-Length: 0\r\n") != std::string::npos, length) << sent;
    EXPECT_EQ(sent.find("Content-Type"), std::string::npos);
    EXPECT_NE(sent.find("Accept: */*\r\n"), std::string::npos);
    server.last().received.clear();
    server.last().send(std::string(kOk));
    ASSERT_TRUE(until([&] { return reader.ended; }));
  }
}

// One that was kept may turn out to be closed, and then nobody knows what became of the request.
TEST_F(Dispatch, SendsWhatMayGoOnceOnAConnectionOfItsOwn) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  for (const std::size_t connections : {1U, 2U, 3U}) {
    NotingSink reader;
    const std::string_view content[] = {"x"};
    const auto attempt =
        dispatch(permit(), Body(target(0), "/images", Passing{.once = true}, content, 1, {}, {}), door, reader);
    ASSERT_TRUE(attempt);
    ASSERT_TRUE(until([&] { return server.accepted() == connections && !server.last().received.empty(); }));
    server.last().send(std::string(kOk));
    ASSERT_TRUE(until([&] { return reader.ended; }));
  }
}

TEST_F(Dispatch, RefusesAPermitThatExpired) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  const auto attempt = dispatch(permit(0, placement::kPermitLifetime + 1ms), body(), door, sink);
  ASSERT_FALSE(attempt);
  EXPECT_EQ(attempt.error().code, ErrorCode::kInternal);
  net::run_ready(loop);
  EXPECT_EQ(server.accepted(), 0U);
}

TEST_F(Dispatch, RefusesAPermitThatWasUsed) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  placement::Permit granted = permit();
  const auto first = dispatch(std::move(granted), body(), door, sink);
  ASSERT_TRUE(first);
  NotingSink other;
  EXPECT_FALSE(
      dispatch(std::move(granted), body(), door, other));  // NOLINT(bugprone-use-after-move): that is what it is about
}

TEST_F(Dispatch, RefusesAPermitOfAnotherConfiguration) {
  net::ScriptedServer before(loop), after(loop);
  publish({to(before)});
  placement::Permit granted = permit();
  publish({to(after)});
  EXPECT_FALSE(dispatch(std::move(granted), body(), door, sink));
  net::run_ready(loop);
  EXPECT_EQ(before.accepted() + after.accepted(), 0U);
}

TEST_F(Dispatch, RefusesABodyForAnotherTarget) {
  net::ScriptedServer server(loop);
  publish({to(server), to(server)});
  EXPECT_FALSE(dispatch(permit(0), body("{}", 1), door, sink));
  const std::string_view slices[] = {"{}"};
  const fleet::Target other_model{EndpointIndex{0}, ModelIndex{1}};
  EXPECT_FALSE(dispatch(permit(0), Body(other_model, {}, kPath, slices, 2), door, sink));
  net::run_ready(loop);
  EXPECT_EQ(server.accepted(), 0U);
}

TEST_F(Dispatch, RefusesABodyBuiltUnderOtherObligations) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  const std::string_view slices[] = {"{}"};
  EXPECT_FALSE(dispatch(permit(), Body(target(0), {.output_cap = 10}, kPath, slices, 2), door, sink));
  EXPECT_FALSE(dispatch(permit(), Body(target(0), {.no_storage = true}, kPath, slices, 2), door, sink));
  net::run_ready(loop);
  EXPECT_EQ(server.accepted(), 0U);
}

TEST_F(Dispatch, ARefusalGivesTheSlotBack) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  EXPECT_FALSE(dispatch(permit(0, 6s), body(), door, sink));
  EXPECT_EQ(slots[0].taken, 0U);
}

TEST_F(Dispatch, CallsNobodyFromInside) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  server.last().close();
  const auto attempt = send(sink);  // into a connection whose end has already come
  EXPECT_TRUE(sink.notes.empty());
}

TEST_F(Dispatch, SendsCredentialsOnlyToTheirOwnDestination) {
  net::ScriptedServer first(loop), second(loop);
  publish({to(first, "key-of-first"), to(second, "key-of-second")});
  warm(first, 0);
  warm(second, 1);
  EXPECT_NE(first.last().received.find("Authorization: Bearer key-of-first\r\n"), std::string::npos);
  EXPECT_NE(second.last().received.find("Authorization: Bearer key-of-second\r\n"), std::string::npos);
  // The endpoints change places, and one loses its key: each kept connection goes with its destination.
  publish({to(second, "key-of-second"), to(first)});
  NotingSink reader;
  const auto attempt = send(sink, 0);
  const auto other = send(reader, 1);
  ASSERT_TRUE(until_asked(second, 0, 2));
  ASSERT_TRUE(until_asked(first, 1));
  EXPECT_EQ(first.peer(0).received.find("key-of-second"), std::string::npos);
  EXPECT_EQ(second.peer(0).received.find("key-of-first"), std::string::npos);
  EXPECT_EQ(first.peer(1).received.find("Authorization"), std::string::npos);
}

TEST_F(Publish, KeepsConnectionsToDestinationsThatDidNotChange) {
  net::ScriptedServer server(loop);
  publish({to(server, "k")});
  warm(server);
  publish({to(server, "k")});
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server, 0, 2));
  EXPECT_EQ(server.accepted(), 1U);
}

TEST_F(Publish, ClosesConnectionsToDestinationsThatChanged) {
  net::ScriptedServer server(loop);
  publish({to(server, "old")});
  warm(server);
  publish({to(server, "new")});
  ASSERT_TRUE(until([&] { return server.peer(0).gone; }));
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server, 1));
  EXPECT_NE(server.last().received.find("Bearer new\r\n"), std::string::npos);
}

TEST_F(Publish, ARunningAttemptEndsWhereItBeganAndItsConnectionIsNotKept) {
  net::ScriptedServer server(loop), other(loop);
  publish({to(server)});
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server));
  publish({to(other)});
  server.last().send(std::string(kOk));
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_TRUE(sink.ended);
  EXPECT_TRUE(until([&] { return server.last().gone; }));
  EXPECT_EQ(other.accepted(), 0U);
}

TEST_F(Publish, ChangesNothingWhenAnAuthorityCannotBeRead) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  Destination broken = to(server);
  broken.address.tls = true;
  broken.authorities = "no certificate";
  const auto published = door.publish(fleet_.number + 1, {broken, broken});
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error().code, ErrorCode::kConfig);
  const auto attempt = send(sink);  // under the number still in force
  ASSERT_TRUE(until_asked(server, 0, 2));
  EXPECT_EQ(server.accepted(), 1U);
}

TEST_F(Publish, WhatRestsTooLongIsClosed) {
  net::ScriptedServer server(loop);
  Destination destination = to(server);
  destination.idle_limit = 20ms;
  publish({destination});
  warm(server);
  EXPECT_TRUE(until([&] { return server.last().gone; }));
}

TEST_F(Publish, ClosingTheDoorClosesWhatRests) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  door.close();
  EXPECT_TRUE(until([&] { return server.last().gone; }));
}

TEST_F(Publish, AClosedDoorKeepsNoConnection) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server));
  door.close();
  server.last().send(std::string(kOk));
  ASSERT_TRUE(until([&] { return sink.ended; }));
  EXPECT_TRUE(until([&] { return server.last().gone; }));
}

TEST_F(Dispatch, GoesThroughAUnixSocket) {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("thalweg-dispatch-{}", ::getpid());
  {
    net::ScriptedServer server(loop, path.string());
    publish({to(server)});
    warm(server);
  }
  std::filesystem::remove(path);
}

class DispatchOverTls : public Scene {
 protected:
  net::Authority authority;
  Destination over_tls(const net::ScriptedServer& server, const std::string& authorities) {
    Destination destination = to(server, "sk-1");
    destination.authorities = authorities;
    return destination;
  }
};

TEST_F(DispatchOverTls, TalksAndKeepsTheConnection) {
  const auto context = authority.serve_as("IP:127.0.0.1");
  net::ScriptedServer server(loop, context.get());
  publish({over_tls(server, authority.pem())});
  warm(server);
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server, 0, 2));
  server.last().send(std::string(kOk));
  ASSERT_TRUE(until([&] { return sink.ended; }));
  EXPECT_EQ(server.accepted(), 1U);
}

TEST_F(DispatchOverTls, SendsNothingToAServerThatCannotProveItsName) {
  const auto context = authority.serve_as("DNS:elsewhere.example");
  net::ScriptedServer server(loop, context.get());
  publish({over_tls(server, authority.pem())});
  const auto attempt = send(sink);
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_EQ(sink.broken, Breakage::kNotConnected);
  ASSERT_TRUE(until([&] { return server.last().gone; }));
  EXPECT_EQ(server.last().received, "");
}

TEST_F(DispatchOverTls, PausingAndResumingBeforeTheHandshakeEndedLosesNothing) {
  const auto context = authority.serve_as("IP:127.0.0.1");
  net::ScriptedServer server(loop, context.get());
  publish({over_tls(server, authority.pem())});
  const auto attempt = send(sink);
  attempt->pause();
  attempt->resume();
  ASSERT_TRUE(until_asked(server));
  server.last().send(std::string(kOk));
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_TRUE(sink.ended);
}

TEST_F(DispatchOverTls, ACutSessionEndsNoAnswerWithoutLength) {
  const auto context = authority.serve_as("IP:127.0.0.1");
  net::ScriptedServer server(loop, context.get());
  publish({over_tls(server, authority.pem())});
  for (const bool in_good_order : {true, false}) {
    NotingSink reader;
    const auto attempt = send(reader);
    ASSERT_TRUE(until_asked(server, server.accepted()));
    server.last().send("HTTP/1.1 200 OK\r\n\r\nhalf an ans");
    ASSERT_TRUE(until([&] { return !reader.body.empty(); }));
    if (in_good_order) {
      server.last().end_session();
    } else {
      server.last().close();
    }
    ASSERT_TRUE(until([&] { return reader.over(); }));
    EXPECT_EQ(reader.ended, in_good_order);
    server.last().close();
  }
}

}  // namespace
}  // namespace thalweg::upstream
