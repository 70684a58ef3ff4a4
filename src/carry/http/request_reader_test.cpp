#include <gtest/gtest.h>

#include <array>

#include "carry/http/message.h"
#include "carry/http/reading_test.h"

namespace thalweg::http {
namespace {

using Outcome = ReadRequest::Outcome;
using namespace std::string_literals;

const std::string kPost =
    "POST /v1/chat/completions?beta=true HTTP/1.1\r\nHost: localhost:8080\r\nContent-Type: application/json\r\n"
    "Authorization: Bearer sk-1\r\nOrigin: http://localhost:3000\r\nX-Empty:\r\nX-Padded: \t a  b "
    "\t\r\nContent-Length: 13\r\n\r\n"
    "{\"model\":\"m\"}";
const std::string kChunked =
    "POST /v1/messages HTTP/1.1\r\nhost: [::1]:8080\r\ntransfer-encoding: CHUNKED\r\n\r\n"
    "5\r\nhello\r\n1;name=\"a b\";x\r\n,\r\n0006\r\n world\r\n0\r\nTrailer: ignored\r\nAnother:\r\n\r\n";

TEST(RequestReader, ReadsARequestWithABody) {
  const ReadRequest read = read_request(kPost);
  ASSERT_EQ(read.outcome, Outcome::kDone) << read.sentence;
  EXPECT_EQ(read.method, Method::kPost);
  EXPECT_EQ(read.target, "/v1/chat/completions?beta=true");
  EXPECT_EQ(read.path, "/v1/chat/completions");
  EXPECT_EQ(read.query, "beta=true");
  EXPECT_EQ(read.host, "localhost:8080");
  EXPECT_EQ(read.origin, "http://localhost:3000");
  EXPECT_EQ(read.authorization, "Bearer sk-1");
  EXPECT_EQ(read.content_type, "application/json");
  ASSERT_EQ(read.fields.size(), 7u);
  EXPECT_EQ(read.fields[4], std::pair("X-Empty"s, ""s));
  EXPECT_EQ(read.fields[5], std::pair("X-Padded"s, "a  b"s));
  EXPECT_EQ(read.content_length, 13u);
  EXPECT_TRUE(read.has_body);
  EXPECT_FALSE(read.chunked);
  EXPECT_TRUE(read.keep_alive);
  EXPECT_EQ(read.body, "{\"model\":\"m\"}");
  EXPECT_EQ(read.end, kPost.size());
}

TEST(RequestReader, DecodesAChunkedBodyInPlaceAndPassesOverTrailers) {
  const ReadRequest read = read_request(kChunked + "GET /next");
  ASSERT_EQ(read.outcome, Outcome::kDone) << read.sentence;
  EXPECT_EQ(read.body, "hello, world");
  EXPECT_TRUE(read.chunked);
  EXPECT_TRUE(read.has_body);
  EXPECT_EQ(read.fields.size(), 2u);
  EXPECT_EQ(read.end, kChunked.size());
}

TEST(RequestReader, ReadsTheSameHoweverTheBytesAreCut) {
  std::mt19937_64 random(7);
  for (const std::string& bytes :
       {kPost, kChunked, "\r\n"s + kPost, "GET http://a.example/x?y HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"s}) {
    const ReadRequest expected = read_request(bytes);
    ASSERT_EQ(expected.outcome, Outcome::kDone) << expected.sentence;
    EXPECT_EQ(read_request(bytes, byte_by_byte(bytes.size())), expected);
    for (std::size_t first = 1; first < bytes.size(); ++first) {
      EXPECT_EQ(read_request(bytes, two_pieces(bytes.size(), first)), expected) << first;
    }
    for (int i = 0; i < 200; ++i) EXPECT_EQ(read_request(bytes, random_cuts(bytes.size(), random)), expected);
  }
}

TEST(RequestReader, StopsAtTheHeadSoThatItCanBeJudged) {
  RequestReader reader({});
  std::string bytes = kPost;
  EXPECT_EQ(reader.bytes_needed(), 0u);
  EXPECT_EQ(reader.advance(bytes).value(), RequestReader::State::kHeadDone);
  EXPECT_EQ(reader.bytes_needed(), kPost.size());
  EXPECT_EQ(reader.head(bytes).path, "/v1/chat/completions");
  EXPECT_EQ(reader.advance(bytes).value(), RequestReader::State::kDone);
  EXPECT_EQ(reader.advance(bytes).value(), RequestReader::State::kDone);
}

TEST(RequestReader, MakesItsViewsAnewWhenTheBufferMoves) {
  RequestReader reader({});
  std::string first = kPost.substr(0, kPost.size() - 3);
  ASSERT_EQ(reader.advance(first).value(), RequestReader::State::kHeadDone);
  EXPECT_EQ(reader.head(first).host.data(), first.data() + first.find("localhost"));
  std::string second = kPost;
  ASSERT_EQ(reader.advance(second).value(), RequestReader::State::kDone);
  first.assign(first.size(), '#');
  const RequestHead& head = reader.head(second);
  EXPECT_EQ(head.host.data(), second.data() + second.find("localhost"));
  EXPECT_EQ(head.field("x-padded"), "a  b");
  EXPECT_EQ(head.field("x-none").data(), nullptr);
}

TEST(RequestReader, ReadsPipelinedRequestsOneAfterTheOther) {
  std::string stream = kChunked + kPost + "\r\n\r\nGET /last HTTP/1.1\r\nHost: a\r\n\r\n";
  std::span<char> buffer(stream);
  RequestReader reader({});
  std::vector<std::string> read;
  while (!buffer.empty()) {
    ASSERT_EQ(reader.advance(buffer).value(), RequestReader::State::kHeadDone);
    ASSERT_EQ(reader.advance(buffer).value(), RequestReader::State::kDone);
    read.push_back(std::string(reader.head(buffer).path) + " " + std::string(reader.body(buffer)));
    buffer = buffer.subspan(reader.message_end());
    reader.reset();
  }
  EXPECT_EQ(read, (std::vector<std::string>{"/v1/messages hello, world", "/v1/chat/completions {\"model\":\"m\"}",
                                            "/last "}));
}

std::string request_with(std::string_view fields, std::string_view rest = "") {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n" + std::string(rest);
}

struct Case {
  std::string what;
  std::string bytes;
  Outcome outcome;
  ErrorCode code = ErrorCode::kInvalidRequest;
};

void judge(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    for (const Cuts& cuts : {whole(one.bytes.size()), byte_by_byte(one.bytes.size())}) {
      const ReadRequest read = read_request(one.bytes, cuts);
      EXPECT_EQ(static_cast<int>(read.outcome), static_cast<int>(one.outcome)) << one.what << ": " << read.sentence;
      if (one.outcome == Outcome::kRefused) {
        EXPECT_EQ(name_of(read.code), name_of(one.code)) << one.what << ": " << read.sentence;
        EXPECT_FALSE(read.sentence.empty()) << one.what;
      }
    }
  }
}

// Ways to smuggle one request inside another, after Heled/Linhart (2005), Kettle (2019, 2022), RFC 9112 section 11.2
// and the discrepancies that HTTP Garden (2024) collects: each is something that one server reads one way and another
// the other way.
TEST(RequestReader, RefusesWhatAnotherServerCouldReadDifferently) {
  const auto refused = Outcome::kRefused;
  judge({
      {"CL.TE", request_with("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nX"), refused},
      {"TE.CL", request_with("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "8\r\nSMUGGLED\r\n0\r\n\r\n"),
       refused},
      {"two different lengths", request_with("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), refused},
      {"two equal lengths", request_with("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), refused},
      {"a list of lengths", request_with("Content-Length: 3, 3\r\n", "abc"), refused},
      {"a length with a plus", request_with("Content-Length: +3\r\n", "abc"), refused},
      {"a length with a minus", request_with("Content-Length: -3\r\n", "abc"), refused},
      {"a hexadecimal length", request_with("Content-Length: 0x3\r\n", "abc"), refused},
      {"an octal length", request_with("Content-Length: 010\r\n", "0123456789"), refused},
      {"a length with a fraction", request_with("Content-Length: 3.0\r\n", "abc"), refused},
      {"a length with an underscore", request_with("Content-Length: 1_0\r\n", "0123456789"), refused},
      {"a length with a space inside", request_with("Content-Length: 1 0\r\n", "0123456789"), refused},
      {"an empty length", request_with("Content-Length:\r\n"), refused},
      {"a length above 64 bits", request_with("Content-Length: 18446744073709551619\r\n", "abc"), refused},
      {"a length above 2^62", request_with("Content-Length: 4611686018427387905\r\n", "abc"), refused},
      {"a length with a vertical tab",
       request_with("Content-Length: \x0b"
                    "3\r\n",
                    "abc"),
       refused},
      {"a length with a space before the colon", request_with("Content-Length : 3\r\n", "abc"), refused},
      {"a length with a tab before the colon", request_with("Content-Length\t: 3\r\n", "abc"), refused},
      {"a length behind a space", request_with(" Content-Length: 3\r\n", "abc"), refused},
      {"a length folded", request_with("Content-Length:\r\n 3\r\n", "abc"), refused},
      {"a length in a folded line", request_with("X: y\r\n Content-Length: 3\r\n", "abc"), refused},
      {"an unknown coding", request_with("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), refused},
      {"identity", request_with("Transfer-Encoding: identity\r\n"), refused},
      {"identity and a length", request_with("Transfer-Encoding: identity\r\nContent-Length: 3\r\n", "abc"), refused},
      {"chunked twice in a list", request_with("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), refused},
      {"chunked not last", request_with("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), refused},
      {"gzip, chunked", request_with("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), refused},
      {"identity, chunked", request_with("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n"), refused},
      {"an empty element before chunked", request_with("Transfer-Encoding: , chunked\r\n", "0\r\n\r\n"), refused},
      {"two coding fields", request_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
       refused},
      {"two coding fields, one a lie",
       request_with("Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n", "0\r\n\r\n"), refused},
      {"a quoted coding", request_with("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), refused},
      {"a coding with a parameter", request_with("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), refused},
      {"an empty coding", request_with("Transfer-Encoding:\r\n"), refused},
      {"a coding with a vertical tab",
       request_with("Transfer-Encoding: \x0b"
                    "chunked\r\n",
                    "0\r\n\r\n"),
       refused},
      {"a coding with a NUL", request_with("Transfer-Encoding: chunked\0\r\n"s, "0\r\n\r\n"), refused},
      {"a coding with a space before the colon", request_with("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), refused},
      {"a coding folded", request_with("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), refused},
      {"a coding after a bare LF", request_with("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), refused},
      {"a coding after a bare CR (CVE-2023-30589)", request_with("X: y\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
       refused},
      {"a coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", refused},
      {"a head that ends in CR LF CR X (CVE-2025-23167)",
       "GET / HTTP/1.1\r\nHost: a\r\n\rXGET /smuggled HTTP/1.1\r\n\r\n", refused},
      {"a head that ends in LF LF", "GET / HTTP/1.1\nHost: a\n\n", refused},
      {"a head that ends in CR LF LF", "GET / HTTP/1.1\r\nHost: a\r\n\n", refused},
      {"a head that ends in LF CR LF", "GET / HTTP/1.1\r\nHost: a\n\r\n", refused},
      {"a request line that ends in LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", refused},
      {"a request line that ends in CR", "GET / HTTP/1.1\rHost: a\r\n\r\n", refused},
      {"a first field behind a space", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", refused},
      {"a first field behind a tab", "GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n", refused},
      {"a folded value", request_with("X: y\r\n z\r\n"), refused},
      {"a folded value by tab", request_with("X: y\r\n\tz\r\n"), refused},
      {"a folded empty value", request_with("X:\r\n \r\n"), refused},
      {"a line of spaces", request_with("   \r\n"), refused},
      {"an empty name", request_with(": y\r\n"), refused},
      {"a field without a colon", request_with("X\r\n"), refused},
      {"a name with a space", request_with("X Y: z\r\n"), refused},
      {"a name in parentheses", request_with("X(: z\r\n"), refused},
      {"a name with a NUL", request_with("X\0: z\r\n"s), refused},
      {"a name with a byte above ASCII", request_with("X\xC3\xA9: z\r\n"), refused},
      {"two spaces in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", refused},
      {"a space before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a target with a space", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"HTTP/0.9", "GET /\r\n\r\n", refused},
      {"HTTP/0.9 with a version", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", refused},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", refused},
      {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", refused},
      {"HTTP/01.1", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", refused},
      {"HTTP/1.1 in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", refused},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", refused},
      {"another protocol", "GET / ICE/1.0\r\nHost: a\r\n\r\n", refused},
      {"RTSP", "DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", refused},
      {"the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", refused},
      {"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, refused},
      {"an unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a method in lower case", "get / HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", refused},
      {"an upgrade to WebSocket", request_with("Connection: Upgrade\r\nUpgrade: websocket\r\n"), refused},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", refused},
      {"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", refused},
      {"two Hosts", request_with("Host: b\r\n"), refused},
      {"two equal Hosts", request_with("hOST: a\r\n"), refused},
      {"a Host with a comma", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", refused},
      {"a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", refused},
      {"a Host with user information", "GET / HTTP/1.1\r\nHost: b@a\r\n\r\n", refused},
      {"a Host with a query", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", refused},
      {"a Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", refused},
      {"a Host with a port of letters", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", refused},
      {"a Host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", refused},
      {"a Host with a port above 65535", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", refused},
      {"an unbracketed IPv6 address", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", refused},
      {"an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", refused},
      {"a target of another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a target with user information", "GET http://x@a/ HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a target of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a target with a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a target with a fragment in the query", "GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a target without a slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a target with a backslash", "GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a target with a byte above ASCII", "GET /\xC3\xA9 HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a target with a NUL", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, refused},
      {"GET *", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"two Authorizations", request_with("Authorization: Bearer a\r\nauthorization: Bearer b\r\n"), refused},
      {"two content types", request_with("Content-Type: text/plain\r\nContent-Type: application/json\r\n"), refused},
      {"two origins", request_with("Origin: http://a\r\nOrigin: http://b\r\n"), refused},
      {"another expectation", request_with("Expect: wonders\r\n"), refused},
      {"three empty lines before", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"an LF before", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", refused},
      {"a CR before", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", refused},
  });
}

TEST(RequestReader, TakesWhatIsMeantInOneWayOnly) {
  const auto done = Outcome::kDone;
  judge({
      {"HTTP/1.0 without a Host", "GET / HTTP/1.0\r\n\r\n", done},
      {"two empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", done},
      {"a length of nothing", request_with("Content-Length: 0\r\n"), done},
      {"a GET with a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", done},
      {"chunked in any case", request_with("TRANSFER-ENCODING:\t Chunked \t\r\n", "0\r\n\r\n"), done},
      {"absolute form", "GET http://A.example:80/x HTTP/1.1\r\nHost: a.EXAMPLE:80\r\n\r\n", done},
      {"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", done},
      {"an IPv4 Host", "GET / HTTP/1.1\r\nHost: 127.0.0.1:65535\r\n\r\n", done},
      {"what browsers leave as it is in a query", "GET /?a={b}|c^d`e'f[g]\\ HTTP/1.1\r\nHost: a\r\n\r\n", done},
      {"bytes above ASCII in a value", request_with("X: \xC3\xA9\r\n"), done},
      {"a tab in a value", request_with("X: a\tb\r\n"), done},
      {"the upgrade that Java's HttpClient asks for",
       request_with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
                    "AAEAAEAAAAIAAAABAAMAAABk\r\nContent-Length: 1\r\n",
                    "x"),
       done},
      {"a name that only looks like a length", request_with("Content-Lengt: 5\r\nContent-Length-X: 7\r\n"), done},
  });
}

TEST(RequestReader, RefusesMalformedChunks) {
  const auto chunked = [](std::string_view body) { return request_with("Transfer-Encoding: chunked\r\n", body); };
  const auto refused = Outcome::kRefused;
  judge({
      {"no size", chunked("\r\nabc\r\n0\r\n\r\n"), refused},
      {"a size with a prefix", chunked("0x3\r\nabc\r\n0\r\n\r\n"), refused},
      {"a size with a plus", chunked("+3\r\nabc\r\n0\r\n\r\n"), refused},
      {"a negative size", chunked("-3\r\nabc\r\n0\r\n\r\n"), refused},
      {"a size with a space before", chunked(" 3\r\nabc\r\n0\r\n\r\n"), refused},
      {"a size with a space after", chunked("3 \r\nabc\r\n0\r\n\r\n"), refused},
      {"a size with an underscore", chunked("1_0\r\n0123456789abcdef\r\n0\r\n\r\n"), refused},
      {"a size that wraps 64 bits", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n"), refused},
      {"a size of 16 digits", chunked("0000000000000003\r\nabc\r\n0\r\n\r\n"), refused},
      {"a size that ends in LF", chunked("3\nabc\r\n0\r\n\r\n"), refused},
      {"a size that ends in CR X", chunked("3\rXabc\r\n0\r\n\r\n"), refused},
      {"a chunk longer than it says", chunked("3\r\nabcd\r\n0\r\n\r\n"), refused},
      {"a chunk shorter than it says", chunked("4\r\nabc\r\n0\r\n\r\n"), refused},
      {"a chunk that ends in LF", chunked("3\r\nabc\n0\r\n\r\n"), refused},
      {"a chunk that ends in two other bytes", chunked("3\r\nabcXX0\r\n\r\n"), refused},
      {"an extension with an LF", chunked("3;a\nb\r\nabc\r\n0\r\n\r\n"), refused},
      {"an extension with a CR", chunked("3;a\rb\r\nabc\r\n0\r\n\r\n"), refused},
      {"an extension with a NUL", chunked("3;\0\r\nabc\r\n0\r\n\r\n"s), refused},
      {"a last chunk that ends in LF", chunked("0\n\n"), refused},
      {"a trailer with a space before the colon", chunked("0\r\nX : y\r\n\r\n"), refused},
      {"a folded trailer", chunked("0\r\nX: y\r\n z\r\n\r\n"), refused},
      {"a trailer without a colon", chunked("0\r\nX\r\n\r\n"), refused},
      {"a trailer with a bare LF", chunked("0\r\nX: y\nZ: a\r\n\r\n"), refused},
      {"a request where the trailer should be", chunked("0\r\nGET / HTTP/1.1\r\n\r\n"), refused},
      {"a size of 15 digits", chunked("000000000000003\r\nabc\r\n0\r\n\r\n"), Outcome::kDone},
  });
}

// Every byte in every kind of place: a field's name, its value, the target. The expected sets are RFC 9110's token and
// field-value (sections 5.6.2 and 5.5), and what a browser sends in a path.
TEST(RequestReader, TakesExactlyTheBytesThatMayStandInEachPlace) {
  const std::string token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (int value = 0; value < 256; ++value) {
    const char byte = static_cast<char>(value);
    const auto taken = [](const std::string& bytes) { return read_request(bytes).outcome == Outcome::kDone; };
    EXPECT_EQ(taken(request_with("X"s + byte + "Y: z\r\n")), token.find(byte) != token.npos || byte == ':') << value;
    const bool visible = byte == '\t' || (value >= 0x20 && value != 0x7F);
    EXPECT_EQ(taken(request_with("X: a"s + byte + "b\r\n")), visible) << value;
    EXPECT_EQ(taken(request_with("X: "s + byte + "\r\n")), visible) << value;
    const bool in_path = value > 0x20 && value < 0x7F && "#\"<>\\"s.find(byte) == std::string::npos;
    EXPECT_EQ(taken("GET /a"s + byte + "b HTTP/1.1\r\nHost: a\r\n\r\n"), in_path) << value;
  }
}

TEST(RequestReader, TakesAHeadUpToItsLimitAndRefusesOneByteMore) {
  const RequestReader::Limits limits{.head_bytes = 100, .body_bytes = 10};
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  head += std::string(100 - head.size() - 4, 'x') + "\r\n\r\n";
  ASSERT_EQ(head.size(), 100u);
  EXPECT_EQ(read_request(head, whole(100), limits).outcome, Outcome::kDone);
  EXPECT_EQ(read_request(head, byte_by_byte(100), limits).outcome, Outcome::kDone);
  head.insert(30, "x");
  for (const Cuts& cuts : {whole(101), byte_by_byte(101)}) {
    const ReadRequest read = read_request(head, cuts, limits);
    EXPECT_EQ(read.outcome, Outcome::kRefused);
    EXPECT_EQ(read.code, ErrorCode::kHeadersTooLarge);
  }
  // Without an end, the refusal comes as soon as the limit is reached.
  EXPECT_EQ(read_request(head.substr(0, 100), whole(100), limits).code, ErrorCode::kHeadersTooLarge);
  EXPECT_EQ(read_request(head.substr(0, 99), whole(99), limits).outcome, Outcome::kUnfinished);
}

TEST(RequestReader, TakesAHundredFieldsAndRefusesOneMore) {
  std::string fields;
  for (std::size_t i = 1; i < kMaxHeaderFields; ++i) fields += "X" + std::to_string(i) + ": y\r\n";
  EXPECT_EQ(read_request(request_with(fields)).outcome, Outcome::kDone);
  const ReadRequest refused = read_request(request_with(fields + "X: y\r\n"));
  EXPECT_EQ(refused.outcome, Outcome::kRefused);
  EXPECT_EQ(refused.code, ErrorCode::kHeadersTooLarge);
  EXPECT_EQ(refused.sentence, "the head has more than 100 fields; send fewer");
}

TEST(RequestReader, TakesABodyUpToItsLimitAndRefusesOneByteMore) {
  const RequestReader::Limits limits{.head_bytes = 1024, .body_bytes = 10};
  const std::string exact = request_with("Content-Length: 10\r\n", "0123456789");
  EXPECT_EQ(read_request(exact, whole(exact.size()), limits).outcome, Outcome::kDone);
  const std::string above = request_with("Content-Length: 11\r\n");
  EXPECT_EQ(read_request(above, whole(above.size()), limits).code, ErrorCode::kTooLarge);
  const std::string exact_chunks =
      request_with("Transfer-Encoding: chunked\r\n", "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n");
  EXPECT_EQ(read_request(exact_chunks, whole(exact_chunks.size()), limits).outcome, Outcome::kDone);
  const std::string above_chunks =
      request_with("Transfer-Encoding: chunked\r\n", "5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n");
  for (const Cuts& cuts : {whole(above_chunks.size()), byte_by_byte(above_chunks.size())}) {
    EXPECT_EQ(read_request(above_chunks, cuts, limits).code, ErrorCode::kTooLarge);
  }
}

TEST(RequestReader, TakesAnotherBodyLimitOnceTheHeadIsKnownAndForgetsItForTheNextMessage) {
  RequestReader reader({.head_bytes = 1024, .body_bytes = 10});
  std::string bytes = request_with("Content-Length: 12\r\n", "0123456789ab");
  ASSERT_EQ(reader.advance(bytes).value(), RequestReader::State::kHeadDone);
  reader.set_body_limit(12);
  EXPECT_EQ(reader.advance(bytes).value(), RequestReader::State::kDone);
  reader.reset();
  ASSERT_EQ(reader.advance(bytes).value(), RequestReader::State::kHeadDone);
  EXPECT_EQ(reader.advance(bytes).error().code, ErrorCode::kTooLarge);
}

TEST(RequestReader, BoundsWhatChunkedFramingMayCost) {
  const auto chunked = [](std::string_view body) {
    return read_request(request_with("Transfer-Encoding: chunked\r\n", body));
  };
  EXPECT_EQ(chunked("1;" + std::string(256, 'x') + "\r\na\r\n0\r\n\r\n").outcome, Outcome::kDone);
  EXPECT_EQ(chunked("1;" + std::string(257, 'x') + "\r\na\r\n0\r\n\r\n").code, ErrorCode::kInvalidRequest);
  std::string extended;
  for (int i = 0; i < 64; ++i) extended += "1;" + std::string(256, 'x') + "\r\na\r\n";
  EXPECT_EQ(chunked(extended + "0\r\n\r\n").outcome, Outcome::kDone);  // 64 * 256 = 16 KiB
  EXPECT_EQ(chunked(extended + "1;x\r\na\r\n0\r\n\r\n").code, ErrorCode::kInvalidRequest);
  // Trailers are counted without their LFs: "X:", 8188 times x, CR and the empty line's CR are 8 KiB.
  EXPECT_EQ(chunked("0\r\nX:" + std::string(8188, 'x') + "\r\n\r\n").outcome, Outcome::kDone);
  EXPECT_EQ(chunked("0\r\nX:" + std::string(8189, 'x') + "\r\n\r\n").code, ErrorCode::kInvalidRequest);
  // A chunk of one byte costs five bytes of framing, four more than it brings; the last chunk costs five more. So 64
  // KiB hold 16382 of them and the last chunk (65533 bytes), but not 16383 (65537).
  std::string tiny;
  for (int i = 0; i < 16'382; ++i) tiny += "1\r\na\r\n";
  EXPECT_EQ(chunked(tiny + "0\r\n\r\n").outcome, Outcome::kDone);
  EXPECT_EQ(chunked(tiny + "0000\r\n\r\n").outcome, Outcome::kDone);
  EXPECT_EQ(chunked(tiny + "00000\r\n\r\n").code, ErrorCode::kTooLarge);
  EXPECT_EQ(chunked(tiny + "1\r\na\r\n0\r\n\r\n").code, ErrorCode::kTooLarge);
}

// 2^62 is a number that can be meant, and too large; one more is no length.
TEST(RequestReader, KnowsTheLargestLengthThatIsANumber) {
  EXPECT_EQ(read_request(request_with("Content-Length: 4611686018427387904\r\n")).code, ErrorCode::kTooLarge);
  EXPECT_EQ(read_request(request_with("Content-Length: 4611686018427387905\r\n")).code, ErrorCode::kInvalidRequest);
}

TEST(RequestReader, KnowsWhetherTheConnectionStaysOpen) {
  const auto kept = [](std::string_view version, std::string_view connection) {
    return read_request("GET / " + std::string(version) + "\r\nHost: a\r\n" + std::string(connection) + "\r\n")
        .keep_alive;
  };
  EXPECT_TRUE(kept("HTTP/1.1", ""));
  EXPECT_TRUE(kept("HTTP/1.1", "Connection: keep-alive\r\n"));
  EXPECT_FALSE(kept("HTTP/1.1", "Connection: close\r\n"));
  EXPECT_FALSE(kept("HTTP/1.1", "Connection: x , CLOSE ,y\r\n"));
  EXPECT_FALSE(kept("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
  EXPECT_TRUE(kept("HTTP/1.1", "Connection: closed\r\n"));
  EXPECT_FALSE(kept("HTTP/1.0", ""));
  EXPECT_TRUE(kept("HTTP/1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_FALSE(kept("HTTP/1.0", "Connection: keep-alive, close\r\n"));
}

TEST(RequestReader, KnowsWhoWaitsForContinue) {
  EXPECT_TRUE(read_request(request_with("Expect: 100-Continue\r\n")).expects_continue);
  EXPECT_FALSE(read_request(request_with("")).expects_continue);
  EXPECT_FALSE(read_request("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects_continue);
}

TEST(RequestReader, GivesTheAbsoluteFormsParts) {
  const ReadRequest read = read_request("GET https://a.example:444?q=1 HTTP/1.1\r\nHost: a.example:444\r\n\r\n");
  ASSERT_EQ(read.outcome, Outcome::kDone) << read.sentence;
  EXPECT_EQ(read.host, "a.example:444");
  EXPECT_EQ(read.path, "/");
  EXPECT_EQ(read.query, "q=1");
  EXPECT_EQ(read.target, "https://a.example:444?q=1");
}

TEST(RequestReader, NamesEachMethod) {
  for (const std::string name : {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    EXPECT_EQ(name_of(read_request(name + " / HTTP/1.1\r\nHost: a\r\n\r\n").method), name);
  }
  EXPECT_EQ(name_of(read_request("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").method), "OTHER");
}

}  // namespace
}  // namespace thalweg::http
