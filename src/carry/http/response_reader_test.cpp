#include <gtest/gtest.h>

#include "carry/http/message.h"
#include "carry/http/reading_test.h"

namespace thalweg::http {
namespace {

using namespace std::string_literals;

class Telling final : public ResponseReader::Visitor {
 public:
  void on_head(const ResponseHead& head) override {
    EXPECT_EQ(status, 0) << "a second head";
    status = head.status;
    keep_alive = head.keep_alive;
    event_stream = head.event_stream;
    json = head.json;
    for (const Field& field : head.fields) fields.emplace_back(field.name, field.value);
    retry_after = head.field("retry-after");
  }
  void on_body(std::string_view bytes) override {
    EXPECT_NE(status, 0) << "a body before the head";
    EXPECT_FALSE(ended) << "a body after the end";
    body += bytes;
  }
  void on_end() override {
    EXPECT_FALSE(ended) << "two ends";
    ended = true;
  }
  int status = 0;
  bool keep_alive = false, event_stream = false, json = false, ended = false;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string retry_after, body;
};

struct ReadResponse {
  int status = 0;
  bool keep_alive = false, event_stream = false, json = false, ended = false, reusable = false, failed = false,
       truncated = false;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body, sentence;
  ErrorCode code{};
  friend bool operator==(const ReadResponse&, const ReadResponse&) = default;
};

enum class Asked { kGet, kHead };

/// Reads the bytes and then the end of the connection. Each piece lies in memory of its own.
ReadResponse read_response(std::string_view bytes, const Cuts& cuts, Asked asked = Asked::kGet,
                           ResponseReader::Limits limits = {}) {
  ResponseReader reader(limits);
  reader.set_head_request(asked == Asked::kHead);
  Telling telling;
  ReadResponse read;
  for (const std::size_t cut : cuts) {
    const std::string piece(bytes.substr(0, cut));
    bytes.remove_prefix(cut);
    if (const auto advanced = reader.advance(piece, telling); !advanced) {
      read.failed = true;
      read.code = advanced.error().code;
      read.sentence = advanced.error().message;
      break;
    }
  }
  read.reusable = reader.reusable();
  if (!read.failed) {
    const auto finished = reader.finish(telling);
    read.truncated = !finished;
    if (!finished) read.code = finished.error().code;
  }
  EXPECT_EQ(reader.done(), telling.ended);
  read.status = telling.status;
  read.keep_alive = telling.keep_alive;
  read.event_stream = telling.event_stream;
  read.json = telling.json;
  read.ended = telling.ended;
  read.fields = telling.fields;
  read.body = telling.body;
  return read;
}

ReadResponse read_response(std::string_view bytes) {
  return read_response(bytes, whole(bytes.size()));
}

const std::string kWithLength =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\n{}";
const std::string kChunkedStream =
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: "
    "Text/Event-Stream\r\n"
    "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n9;x=y\r\ndata: b\n\n\r\n0\r\nTrailer: x\r\n\r\n";
const std::string kUntilClose =
    "HTTP/1.0 500 Internal Server Error\r\nContent-Type: application/problem+json\r\n\r\n{\"a\":1}";

TEST(ResponseReader, ReadsABodyOfAKnownLength) {
  const ReadResponse read = read_response(kWithLength);
  EXPECT_FALSE(read.failed) << read.sentence;
  EXPECT_EQ(read.status, 200);
  EXPECT_TRUE(read.json);
  EXPECT_FALSE(read.event_stream);
  EXPECT_TRUE(read.ended);
  EXPECT_TRUE(read.reusable);
  EXPECT_EQ(read.body, "{}");
  ASSERT_EQ(read.fields.size(), 3u);
  EXPECT_EQ(read.fields[1], std::pair("Retry-After"s, "3"s));
}

TEST(ResponseReader, PassesOverInterimAnswersAndDecodesChunks) {
  const ReadResponse read = read_response(kChunkedStream);
  EXPECT_FALSE(read.failed) << read.sentence;
  EXPECT_EQ(read.status, 200);
  EXPECT_TRUE(read.event_stream);
  EXPECT_EQ(read.body, "data: a\n\ndata: b\n\n");
  EXPECT_TRUE(read.ended);
  EXPECT_TRUE(read.reusable);
}

TEST(ResponseReader, ReadsUntilTheConnectionClosesWhereNoLengthIsGiven) {
  const ReadResponse read = read_response(kUntilClose);
  EXPECT_TRUE(read.ended);
  EXPECT_FALSE(read.reusable);
  EXPECT_FALSE(read.keep_alive);
  EXPECT_TRUE(read.json);
  EXPECT_EQ(read.body, "{\"a\":1}");
}

TEST(ResponseReader, ReadsTheSameHoweverTheBytesAreCut) {
  std::mt19937_64 random(11);
  for (const std::string& bytes : {kWithLength, kChunkedStream, kUntilClose, "HTTP/1.1 204 No Content\r\n\r\n"s}) {
    const ReadResponse expected = read_response(bytes);
    EXPECT_EQ(read_response(bytes, byte_by_byte(bytes.size())), expected);
    for (std::size_t first = 1; first < bytes.size(); ++first)
      EXPECT_EQ(read_response(bytes, two_pieces(bytes.size(), first)), expected) << first;
    for (int i = 0; i < 200; ++i) EXPECT_EQ(read_response(bytes, random_cuts(bytes.size(), random)), expected);
  }
}

TEST(ResponseReader, CallsAnAnswerThatWasCutTruncatedAtEveryByte) {
  for (const std::string& bytes : {kWithLength, kChunkedStream}) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const ReadResponse read = read_response(bytes.substr(0, size), whole(size));
      EXPECT_FALSE(read.failed) << size;
      EXPECT_TRUE(read.truncated) << size;
      EXPECT_EQ(read.code, ErrorCode::kTruncated);
      EXPECT_FALSE(read.ended) << size;
      EXPECT_FALSE(read.reusable) << size;
    }
  }
}

TEST(ResponseReader, EndsAnswersWithoutABodyAtTheirHead) {
  for (const std::string head :
       {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}) {
    const ReadResponse read = read_response(head);
    EXPECT_TRUE(read.ended && read.reusable) << head;
  }
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_TRUE(read_response(head, whole(head.size()), Asked::kHead).reusable);
  EXPECT_TRUE(read_response(head).truncated);
}

TEST(ResponseReader, RefusesBytesAfterTheEnd) {
  for (const std::string& bytes : {kWithLength, kChunkedStream, "HTTP/1.1 204 No Content\r\n\r\n"s}) {
    for (const Cuts& cuts : {whole(bytes.size() + 1), two_pieces(bytes.size() + 1, bytes.size())}) {
      const ReadResponse read = read_response(bytes + "H", cuts);
      EXPECT_TRUE(read.ended);  // the answer itself was whole
      EXPECT_TRUE(read.failed);
      EXPECT_EQ(read.code, ErrorCode::kUpstreamFailed);
      EXPECT_FALSE(read.reusable);
    }
  }
}

TEST(ResponseReader, RefusesWhatCouldBeReadInTwoWays) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  for (const std::string& bytes : {
           ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
           ok + "Content-Length: 1, 1\r\n\r\na",
           ok + "Content-Length: +1\r\n\r\na",
           ok + "Content-Length: \r\n\r\na",
           ok + "Transfer-Encoding: gzip, chunked\r\n\r\n",
           ok + "Transfer-Encoding: identity\r\n\r\n",
           ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
           ok + "X: y\r\n z\r\n\r\n",
           ok + "X : y\r\n\r\n",
           ok + "X: y\n\r\n",
           ok + "X: y\rZ: a\r\n\r\n",
           ok + "X: \0\r\n\r\n"s,
           ok + "\rX",
           "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"s,
           "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"s,
           "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"s,
           "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n"s,
           "HTTP/1.1 099 Low\r\n\r\n"s,
           "HTTP/1.1 600 High\r\n\r\n"s,
           "HTTP/1.1 20 Short\r\n\r\n"s,
           "HTTP/1.1 2000 Long\r\n\r\n"s,
           "HTTP/1.1  200 OK\r\n\r\n"s,
           "HTTP/1.2 200 OK\r\n\r\n"s,
           "HTTP/2.0 200 OK\r\n\r\n"s,
           "HTTP/2 200\r\n\r\n"s,
           "http/1.1 200 OK\r\n\r\n"s,
           "\r\nHTTP/1.1 200 OK\r\n\r\n"s,
           "ICY 200 OK\r\n\r\n"s,
           "SSH-2.0-OpenSSH_9\r\n"s,
           ok + "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
           ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
           ok + "Transfer-Encoding: chunked\r\n\r\nx\r\n",
       }) {
    for (const Cuts& cuts : {whole(bytes.size()), byte_by_byte(bytes.size())}) {
      const ReadResponse read = read_response(bytes, cuts);
      EXPECT_TRUE(read.failed) << bytes;
      EXPECT_EQ(read.code, ErrorCode::kUpstreamFailed) << bytes;
      EXPECT_FALSE(read.ended) << bytes;
      EXPECT_FALSE(read.reusable) << bytes;
    }
  }
}

TEST(ResponseReader, TakesUnusualButClearAnswers) {
  EXPECT_EQ(read_response("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").status, 200);
  EXPECT_EQ(read_response("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n").status, 200);
  EXPECT_EQ(read_response("HTTP/1.1 599 Caf\xC3\xA9\r\nContent-Length: 0\r\n\r\n").status, 599);
  EXPECT_FALSE(read_response("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").reusable);
  EXPECT_FALSE(read_response("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").reusable);
  EXPECT_TRUE(read_response("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").reusable);
}

TEST(ResponseReader, BoundsTheHeadAndTheInterimAnswers) {
  std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ";
  head += std::string(200 - head.size() - 4, 'x') + "\r\n\r\n";
  for (const bool bytewise : {false, true}) {
    const auto cuts = [&] { return bytewise ? byte_by_byte(head.size()) : whole(head.size()); };
    EXPECT_TRUE(read_response(head, cuts(), Asked::kGet, {.head_bytes = 200}).ended);
    EXPECT_TRUE(read_response(head, cuts(), Asked::kGet, {.head_bytes = 199}).failed);
  }
  std::string interim;
  for (int i = 0; i < 16; ++i) interim += "HTTP/1.1 102 Processing\r\n\r\n";
  EXPECT_TRUE(read_response(interim + kWithLength).ended);
  EXPECT_TRUE(read_response(interim + "HTTP/1.1 102 Processing\r\n\r\n" + kWithLength).failed);
}

TEST(ResponseReader, TakesAHundredFieldsAndRefusesOneMore) {
  const auto read = [](std::size_t count) {
    std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    for (std::size_t i = 1; i < count; ++i) head += "X" + std::to_string(i) + ": y\r\n";
    return read_response(head + "\r\n");
  };
  EXPECT_TRUE(read(kMaxHeaderFields).ended);
  const ReadResponse refused = read(kMaxHeaderFields + 1);
  EXPECT_TRUE(refused.failed);
  EXPECT_EQ(refused.code, ErrorCode::kUpstreamFailed);
  EXPECT_EQ(refused.sentence, "the head has more than 100 fields; send fewer");
}

TEST(ResponseReader, TakesAHeadOf64KibUnlessToldOtherwise) {
  std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ";
  head += std::string(64 * 1024 - head.size() - 4, 'x') + "\r\n\r\n";
  ASSERT_EQ(head.size(), 65'536u);
  EXPECT_TRUE(read_response(head).ended);
  EXPECT_TRUE(read_response(head.insert(40, "x")).failed);
}

TEST(ResponseReader, IsReadyForTheNextAnswerAfterReset) {
  ResponseReader reader({});
  for (const std::string& bytes : {kWithLength, kChunkedStream, kWithLength}) {
    Telling telling;
    EXPECT_FALSE(reader.started());
    ASSERT_TRUE(reader.advance(bytes, telling));
    EXPECT_TRUE(reader.started());
    EXPECT_TRUE(reader.reusable());
    EXPECT_EQ(telling.status, 200);
    reader.reset();
  }
  Telling telling;
  EXPECT_EQ(reader.finish(telling).error().code, ErrorCode::kTruncated);
  ASSERT_FALSE(reader.advance("nonsense", telling));
  EXPECT_FALSE(reader.advance(kWithLength, telling)) << "an error lasts until reset";
}

}  // namespace
}  // namespace thalweg::http
