// How an attempt runs over its connection: kept ones, cancels, back-pressure, and every way an answer can end or break
// off.
#include "carry/upstream/connection.h"

#include <gtest/gtest.h>

#include "carry/upstream/scene_test.h"

namespace thalweg::upstream {
namespace {

using What = NotingSink::What;
using KeptConnection = Scene;
using Cancel = Scene;
using Pause = Scene;
using Answer = Scene;
using EarlyAnswer = Scene;
using LetFinish = Scene;

TEST_F(KeptConnection, CarriesTheNextAttempt) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server, 0, 2));
  server.last().send(std::string(kOk));
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_EQ(sink.notes, (std::vector{What::kHead, What::kBody, What::kEnd}));
  EXPECT_EQ(sink.status, 200);
  EXPECT_EQ(server.accepted(), 1U);
}

TEST_F(KeptConnection, CarriesOneAttemptAtATime) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  NotingSink other;
  const auto first = send(sink);
  const auto second = send(other);
  ASSERT_TRUE(until_asked(server, 0, 2));
  ASSERT_TRUE(until_asked(server, 1));
}

TEST_F(KeptConnection, IsNotKeptWhenTheServerSaysSo) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  for (const std::string_view answer :
       {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}and more"}) {
    NotingSink reader;
    const auto attempt = send(reader);
    ASSERT_TRUE(until_asked(server, server.accepted()));
    server.last().send(std::string(answer));
    ASSERT_TRUE(until([&] { return reader.over(); }));
    EXPECT_TRUE(reader.ended) << answer;
    EXPECT_EQ(reader.body, "{}") << answer;
    EXPECT_TRUE(until([&] { return server.last().gone; })) << answer;
  }
}

TEST_F(KeptConnection, IsLetGoWhenTheServerClosesIt) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  server.last().close();
  net::run_ready(loop);
  const auto attempt = send(sink);
  EXPECT_TRUE(until_asked(server, 1));
}

TEST_F(KeptConnection, IsLetGoWhenTheServerSpeaksUnasked) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  server.last().send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(until([&] { return server.last().gone; }));
  const auto attempt = send(sink);
  EXPECT_TRUE(until_asked(server, 1));
}

TEST_F(KeptConnection, IsReplacedOnceWhenItHadBeenClosedMeanwhile) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  server.last().close();  // the loop has not seen it yet
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server, 1));
  server.last().send(std::string(kOk));
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_TRUE(sink.ended);
  EXPECT_EQ(slots[0].taken, 1U);  // until the attempt goes
}

TEST_F(KeptConnection, IsReplacedOnlyOnce) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  server.last().reset();
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server, 1));
  server.last().close();
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_EQ(sink.broken, Breakage::kCut);
  net::run_ready(loop);
  EXPECT_EQ(server.accepted(), 2U);
}

// The server has perhaps worked on the request: a second try would not be free.
TEST_F(KeptConnection, IsNotReplacedWhenItBreaksLate) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server, 0, 2));
  const Instant asked = MonotonicClock::now();
  ASSERT_TRUE(until([&] { return MonotonicClock::now() - asked > 1100ms; }));
  server.last().close();
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_EQ(sink.broken, Breakage::kCut);
  EXPECT_EQ(server.accepted(), 1U);
}

TEST_F(KeptConnection, IsNotReplacedOnceItHasAnswered) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  warm(server);
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server, 0, 2));
  server.last().send("HTTP/1.1 200 OK\r\n");
  net::run_ready(loop);
  server.last().close();
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_EQ(sink.broken, Breakage::kCut);
  EXPECT_EQ(server.accepted(), 1U);
}

TEST_F(KeptConnection, IsNotReplacedByOneOfAnotherConfiguration) {
  net::ScriptedServer before(loop), after(loop);
  publish({to(before)});
  warm(before);
  before.last().close();
  const auto attempt = send(sink);
  publish({to(after)});  // the permit was not made for it
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_EQ(sink.broken, Breakage::kCut);
  net::run_ready(loop);
  EXPECT_EQ(before.accepted(), 1U);
  EXPECT_EQ(after.accepted(), 0U);
}

TEST_F(KeptConnection, ANewConnectionThatIsClosedIsNotReplaced) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server));
  server.last().close();
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_EQ(sink.broken, Breakage::kCut);
  net::run_ready(loop);
  EXPECT_EQ(server.accepted(), 1U);
}

TEST_F(Cancel, ClosesAtOnceAndGivesTheSlotBack) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server));
  EXPECT_EQ(slots[0].taken, 1U);
  attempt.reset();
  EXPECT_EQ(slots[0].taken, 0U);
  EXPECT_TRUE(until([&] { return server.last().gone; }));
  EXPECT_TRUE(sink.notes.empty());
}

TEST_F(Cancel, WhileConnecting) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  auto attempt = send(sink);
  attempt.reset();
  net::run_ready(loop);
  EXPECT_TRUE(sink.notes.empty());
  EXPECT_TRUE(server.accepted() == 0 || server.last().received.empty());
}

TEST_F(Cancel, InsideEachCall) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  for (const What when : {What::kHead, What::kBody, What::kBatchEnd, What::kEnd, What::kBreak}) {
    NotingSink reader;
    auto attempt = send(reader);
    reader.then = [&](What what) {
      if (what == when) attempt.reset();
    };
    ASSERT_TRUE(until_asked(server, server.accepted()));
    std::string answer =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n";
    if (when == What::kEnd) answer += "0\r\n\r\n";
    if (when == What::kBreak) answer += "not a size\r\n";
    server.last().send(answer);
    ASSERT_TRUE(until([&] { return server.last().gone; }));
    ASSERT_FALSE(reader.notes.empty());
    EXPECT_EQ(reader.notes.back(), when);
    EXPECT_FALSE(attempt);
    EXPECT_EQ(slots[0].taken, 0U);
  }
}

TEST_F(Cancel, WhileTheBodyIsStillBeingWrittenTouchesItNoMore) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  auto text = std::make_unique<std::string>(32 << 20, 'x');
  const std::string_view slices[] = {*text};
  auto attempt = dispatch(permit(), Body(target(0), {}, kPath, slices, text->size()), door, sink);
  ASSERT_TRUE(attempt);
  ASSERT_TRUE(until([&] { return server.accepted() == 1 && !server.last().received.empty(); }));
  attempt->reset();
  text.reset();
  ASSERT_TRUE(until([&] { return server.last().gone; }));
  EXPECT_LT(server.last().received.size(), std::size_t{32} << 20);
}

TEST_F(Pause, HandsOverNothingUntilResumed) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  const auto attempt = send(sink);
  sink.then = [&](What what) {
    if (what == What::kBatchEnd && sink.body == "a") attempt->pause();
  };
  ASSERT_TRUE(until_asked(server));
  server.last().send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na");
  ASSERT_TRUE(until([&] { return sink.body == "a"; }));
  server.last().send("b");
  net::run_ready(loop);
  EXPECT_EQ(sink.body, "a");
  attempt->resume();
  EXPECT_EQ(sink.body, "a") << "handed over from inside resume()";
  ASSERT_TRUE(until([&] { return sink.body == "ab"; }));
  server.last().send("c");
  ASSERT_TRUE(until([&] { return sink.ended; }));
  EXPECT_EQ(sink.body, "abc");
}

TEST_F(Pause, HoldsWhatWasReadMeanwhile) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server));
  attempt->pause();  // a read is pending
  server.last().send(std::string(kOk));
  net::run_ready(loop);
  EXPECT_TRUE(sink.notes.empty());
  attempt->resume();
  ASSERT_TRUE(until([&] { return sink.ended; }));
  EXPECT_EQ(sink.body, "{}");
  // Nothing of that is left for the next one.
  NotingSink next;
  const auto second = send(next);
  ASSERT_TRUE(until_asked(server, 0, 2));
  server.last().send(std::string(kOk));
  ASSERT_TRUE(until([&] { return next.over(); }));
  EXPECT_TRUE(next.ended);
}

TEST_F(Pause, IsBackPressureOnTheServer) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server));
  attempt->pause();
  constexpr std::size_t kSize = 32 << 20;  // more than the system's buffers hold
  server.last().send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n" +
                     std::string(kSize, 'x'));
  net::run_ready(loop);
  EXPECT_FALSE(server.last().sent());
  EXPECT_TRUE(sink.notes.empty());
  attempt->resume();
  ASSERT_TRUE(until([&] { return sink.ended; }));
  EXPECT_EQ(sink.body.size(), kSize);
}

TEST_F(Pause, AgainBeforeAnythingWasHandedOverHolds) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server));
  attempt->pause();
  server.last().send(std::string(kOk));
  net::run_ready(loop);
  attempt->resume();
  attempt->pause();
  net::run_ready(loop);
  EXPECT_TRUE(sink.notes.empty());
  attempt->resume();
  ASSERT_TRUE(until([&] { return sink.ended; }));
}

TEST_F(Pause, MayBeCancelled) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server));
  attempt->pause();
  server.last().send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na");
  net::run_ready(loop);
  attempt->resume();  // on its way when the attempt goes
  attempt.reset();
  ASSERT_TRUE(until([&] { return server.last().gone; }));
  EXPECT_TRUE(sink.notes.empty());
}

TEST_F(Answer, ComesInPiecesWithABatchEndAfterEach) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  const auto attempt = send(sink);
  ASSERT_TRUE(until_asked(server));
  server.last().send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  ASSERT_TRUE(until([&] { return sink.body == "a"; }));
  server.last().send("2\r\nbc\r\n");
  ASSERT_TRUE(until([&] { return sink.body == "abc"; }));
  server.last().send("0\r\n\r\n");
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_EQ(sink.notes,
            (std::vector{What::kHead, What::kBody, What::kBatchEnd, What::kBody, What::kBatchEnd, What::kEnd}));
}

TEST_F(Answer, WithoutLengthEndsWhenTheServerClosesInGoodOrder) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  for (const bool in_good_order : {true, false}) {
    NotingSink reader;
    const auto attempt = send(reader);
    ASSERT_TRUE(until_asked(server, server.accepted()));
    server.last().send("HTTP/1.1 200 OK\r\n\r\nabc");
    ASSERT_TRUE(until([&] { return reader.body == "abc"; }));
    if (in_good_order) {
      server.last().close();
    } else {
      server.last().reset();
    }
    ASSERT_TRUE(until([&] { return reader.over(); }));
    EXPECT_EQ(reader.ended, in_good_order);
  }
}

TEST_F(Answer, CutShortIsSaidToBe) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  for (const std::string_view answer : {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
                                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"}) {
    NotingSink reader;
    auto attempt = send(reader);
    ASSERT_TRUE(until_asked(server, server.accepted()));
    if (!answer.empty()) server.last().send(std::string(answer));
    net::run_ready(loop);
    server.last().close();
    ASSERT_TRUE(until([&] { return reader.over(); }));
    EXPECT_EQ(reader.broken, Breakage::kCut) << answer;
    EXPECT_EQ(slots[0].taken, 1U);
    attempt.reset();
    EXPECT_EQ(slots[0].taken, 0U);
  }
}

TEST_F(Answer, ThatIsNotHttpIsMalformed) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  for (const std::string_view answer :
       {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"}) {
    NotingSink reader;
    const auto attempt = send(reader);
    ASSERT_TRUE(until_asked(server, server.accepted()));
    server.last().send(std::string(answer));
    ASSERT_TRUE(until([&] { return reader.over(); }));
    EXPECT_EQ(reader.broken, Breakage::kMalformed) << answer;
    EXPECT_TRUE(until([&] { return server.last().gone; }));
  }
}

TEST_F(Answer, IsNotExpectedOfAServerThatRefusesTheConnection) {
  const net::BoundSocket bound;
  publish({{.address = {.host = "127.0.0.1", .port = bound.port, .path = {}},
            .host_header = "api.example",
            .base_path = "/v1",
            .key = {},
            .authorities = {}}});
  const auto attempt = send(sink);
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_EQ(sink.broken, Breakage::kNotConnected);
}

TEST_F(Answer, IsNotExpectedOfAServerThatNeverFinishesConnecting) {
  net::ScriptedServer silent(loop);  // takes the connection and says nothing to the TLS handshake
  fleet_.endpoints[0].timeouts.connect = 20ms;
  Destination destination = to(silent);
  destination.address.tls = true;
  publish({destination});
  const auto attempt = send(sink);
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_EQ(sink.broken, Breakage::kConnectTimeout);
  EXPECT_TRUE(until([&] { return silent.accepted() == 1 && silent.last().gone; }));
}

// 32 MiB, of which the server takes the first bytes only. The bytes live as long as the attempt.
struct LongBody {
  std::unique_ptr<std::string> text = std::make_unique<std::string>(32 << 20, 'x');
  std::string_view slice = *text;
};

TEST_F(EarlyAnswer, IsHandedOverWhileTheBodyIsStillBeingWritten) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  LongBody long_body;
  auto attempt =
      dispatch(permit(), Body(target(0), {}, kPath, {&long_body.slice, 1}, long_body.slice.size()), door, sink);
  ASSERT_TRUE(attempt);
  sink.then = [&](What what) {
    if (what != What::kEnd) return;
    attempt->reset();
    long_body.text.reset();  // the caller's buffer is its own again
  };
  ASSERT_TRUE(until([&] { return server.accepted() == 1; }));
  server.last().stop_reading();
  server.last().send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}");
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_TRUE(sink.ended);
  EXPECT_EQ(sink.status, 413);
  EXPECT_EQ(sink.body, "{}");
  // Half a request lies on that connection: it cannot carry another.
  server.last().read_on();
  ASSERT_TRUE(until([&] { return server.last().gone; }));
  EXPECT_LT(server.last().received.size(), std::size_t{32} << 20);
}

TEST_F(EarlyAnswer, IsReadEvenThoughTheServerResetsTheRest) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  LongBody long_body;
  const auto attempt =
      dispatch(permit(), Body(target(0), {}, kPath, {&long_body.slice, 1}, long_body.slice.size()), door, sink);
  ASSERT_TRUE(attempt);
  ASSERT_TRUE(until([&] { return server.accepted() == 1; }));
  server.last().stop_reading();
  (*attempt)->pause();  // neither side has looked at the other's bytes when the reset comes
  server.last().send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}");
  net::run_ready(loop);
  server.last().close();  // with unread bytes: a reset
  net::run_ready(loop);
  (*attempt)->resume();
  ASSERT_TRUE(until([&] { return sink.over(); }));
  EXPECT_TRUE(sink.ended);
  EXPECT_EQ(sink.status, 401);
}

constexpr std::string_view kStreamToItsMark =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\ne\r\ndata: [DONE]\n\n\r\n";

TEST_F(LetFinish, GivesTheSlotBackAndKeepsTheConnection) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  auto attempt = send(sink);
  sink.then = [&](What what) {
    if (what != What::kBody) return;
    attempt->let_finish();
    attempt.reset();
    EXPECT_EQ(slots[0].taken, 0U);
  };
  ASSERT_TRUE(until_asked(server));
  server.last().send(std::string(kStreamToItsMark));
  ASSERT_TRUE(until([&] { return !sink.body.empty(); }));
  // Not kept yet: its answer has not ended.
  NotingSink other;
  const auto meanwhile = send(other);
  ASSERT_TRUE(until_asked(server, 1));
  server.peer(0).send("0\r\n\r\n");
  net::run_ready(loop);
  NotingSink next;
  const auto second = send(next);
  ASSERT_TRUE(until_asked(server, 0, 2));
  EXPECT_EQ(server.accepted(), 2U);
  EXPECT_EQ(sink.notes, (std::vector{What::kHead, What::kBody}));
}

TEST_F(LetFinish, KeepsTheConnectionWhenTheEndCameInTheSameRead) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  auto attempt = send(sink);
  sink.then = [&](What what) {
    if (what != What::kBody) return;
    attempt->let_finish();
    attempt.reset();
  };
  ASSERT_TRUE(until_asked(server));
  server.last().send(std::string(kStreamToItsMark) + "0\r\n\r\n");
  ASSERT_TRUE(until([&] { return !sink.body.empty(); }));
  NotingSink next;
  const auto second = send(next);
  ASSERT_TRUE(until_asked(server, 0, 2));
  EXPECT_EQ(server.accepted(), 1U);
}

TEST_F(LetFinish, ClosesAConnectionWhoseFramingNeverEnds) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  auto attempt = send(sink);
  sink.then = [&](What what) {
    if (what != What::kBody) return;
    attempt->let_finish();
    attempt.reset();
  };
  ASSERT_TRUE(until_asked(server));
  server.last().send(std::string(kStreamToItsMark));
  EXPECT_TRUE(until([&] { return server.last().gone; }));
}

TEST_F(LetFinish, ClosesWhileTheBodyIsStillBeingWritten) {
  net::ScriptedServer server(loop);
  publish({to(server)});
  LongBody long_body;
  auto attempt =
      dispatch(permit(), Body(target(0), {}, kPath, {&long_body.slice, 1}, long_body.slice.size()), door, sink);
  ASSERT_TRUE(attempt);
  sink.then = [&](What what) {
    if (what != What::kBody) return;
    (*attempt)->let_finish();
    attempt->reset();
    long_body.text.reset();
  };
  ASSERT_TRUE(until([&] { return server.accepted() == 1; }));
  server.last().stop_reading();
  server.last().send(std::string(kStreamToItsMark));
  ASSERT_TRUE(until([&] { return !sink.body.empty(); }));
  server.last().read_on();  // were it still written, it would be written from freed memory now
  ASSERT_TRUE(until([&] { return server.last().gone; }));
  EXPECT_LT(server.last().received.size(), std::size_t{32} << 20);
}

}  // namespace
}  // namespace thalweg::upstream
