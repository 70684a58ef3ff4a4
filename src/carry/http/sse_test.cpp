#include "carry/http/sse.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "carry/http/message.h"
#include "carry/http/reading_test.h"

namespace thalweg::http {
namespace {

using namespace std::string_literals;

struct Frame {
  std::string raw, data, event;
  bool has_data = false, single_line = false;
  friend bool operator==(const Frame&, const Frame&) = default;
};

struct Stream {
  std::vector<Frame> frames;
  bool mid_frame = false;
  bool failed = false;
  ErrorCode code{};
  friend bool operator==(const Stream&, const Stream&) = default;
};

Stream read(std::string_view bytes, const Cuts& cuts, std::size_t limit = 64 * 1024) {
  SseReader reader(limit);
  Stream stream;
  for (const std::size_t cut : cuts) {
    // Memory of its own, exactly padded: a view kept too long, or a read behind the padding, is seen by
    // AddressSanitizer.
    std::vector<char> piece(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
    piece.resize(cut + kPadding, '#');
    bytes.remove_prefix(cut);
    reader.feed({piece.data(), cut});
    for (;;) {
      SseFrame frame;
      const auto next = reader.next(frame);
      if (!next) {
        stream.failed = true;
        stream.code = next.error().code;
        return stream;
      }
      if (!*next) break;
      stream.frames.push_back({std::string(frame.raw), std::string(frame.data), std::string(frame.event),
                               frame.has_data, frame.single_line});
      if (frame.has_data) {
        volatile char behind = 0;
        for (std::size_t i = 0; i < kPadding; ++i) behind = frame.data.data()[frame.data.size() + i];
        (void)behind;
      }
    }
  }
  stream.mid_frame = reader.mid_frame();
  return stream;
}

Stream read(std::string_view bytes) {
  return read(bytes, whole(bytes.size()));
}

Frame single(std::string raw, std::string data, std::string event = "") {
  return {std::move(raw), std::move(data), std::move(event), true, true};
}
Frame without_data(std::string raw, std::string event = "") {
  return {std::move(raw), "", std::move(event), false, false};
}

TEST(SseReader, ReadsFramesOfEveryKind) {
  const Stream stream = read(
      "data: {\"a\":1}\n\n"
      ": keep-alive\n\n"
      "event: message_start\r\ndata: {}\r\n\r\n"
      "data:no space\ndata:  two spaces\ndata\n\n"
      "id: 7\nretry: 10\ndataset: other\nEVENT: x\n\n"
      "data: [DONE]\n\n");
  EXPECT_EQ(stream.frames,
            (std::vector<Frame>{
                single("data: {\"a\":1}\n\n", "{\"a\":1}"),
                without_data(": keep-alive\n\n"),
                single("event: message_start\r\ndata: {}\r\n\r\n", "{}", "message_start"),
                {"data:no space\ndata:  two spaces\ndata\n\n", "no space\n two spaces\n", "", true, false},
                without_data("id: 7\nretry: 10\ndataset: other\nEVENT: x\n\n"),
                single("data: [DONE]\n\n", "[DONE]"),
            }));
  EXPECT_FALSE(stream.mid_frame);
}

// The three examples of WHATWG HTML, section 9.2.6, as the section itself explains them.
TEST(SseReader, ReadsTheStandardsExamples) {
  EXPECT_EQ(read("data: YHOO\ndata: +2\ndata: 10\n\n").frames[0].data, "YHOO\n+2\n10");
  const Stream ids =
      read(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n");
  ASSERT_EQ(ids.frames.size(), 4u);
  EXPECT_FALSE(ids.frames[0].has_data);
  EXPECT_EQ(ids.frames[1].data, "first event");
  EXPECT_EQ(ids.frames[2].data, "second event");
  EXPECT_EQ(ids.frames[3].data, " third event");
  const Stream empty = read("data\n\ndata\ndata\n\ndata:");
  ASSERT_EQ(empty.frames.size(), 2u);
  EXPECT_EQ(empty.frames[0], single("data\n\n", ""));
  EXPECT_EQ(empty.frames[1].data, "\n");
  EXPECT_TRUE(empty.mid_frame) << "the last block is discarded: it has no blank line behind it";
}

TEST(SseReader, TakesEveryLineEnd) {
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    const std::string first = fmt::format("event: a{0}data: b{0}{0}", end);
    const std::string second = fmt::format("data: c{0}{0}", end);
    const Stream stream = read(first + second);
    EXPECT_EQ(stream.frames, (std::vector<Frame>{single(first, "b", "a"), single(second, "c")}));
    EXPECT_FALSE(stream.mid_frame);
  }
}

TEST(SseReader, GivesAFrameOfBareCrWithoutWaitingForTheNextByte) {
  EXPECT_EQ(read("data: a\r\r").frames.size(), 1u);
  // The CR of a CR LF is not taken for a line of its own.
  EXPECT_TRUE(read("data: a\r\n\r").mid_frame);
  EXPECT_EQ(read("data: a\r\n\r\n").frames.size(), 1u);
}

TEST(SseReader, PassesOverAByteOrderMarkAtTheBeginningOnly) {
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "data: a\n\n")
                .frames[0],
            single("data: a\n\n", "a"));
  EXPECT_FALSE(read("data: a\n\n\xEF\xBB\xBF"
                    "data: b\n\n")
                   .frames[1]
                   .has_data);
  EXPECT_FALSE(read("\xEF\xBB"
                    "data: a\n\n")
                   .frames[0]
                   .has_data);
}

const std::vector<std::string>& streams() {
  static const std::string kMark = "\xEF\xBB\xBF";
  static const std::vector<std::string> kStreams = {
      "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n: ping\n\nevent: done\ndata: [DONE]\n\n",
      "event: a\r\ndata: 1\r\ndata: 2\r\n\r\n\r\ndata: 3\r\n\r\n: x\r\n\r\n",
      "data: a\rdata: b\r\rdata: c\r\r\r\r",
      kMark + "data: a\r\n\ndata: b\n\r\ndata: c\r\r\n\ndata: d\n\rdata: e\r\n\rdata: f\n\n",
      kMark.substr(0, 2) + "x\n\ndata\n\n\n\n\r\n\r\r\ndata:\n\n",
      "data: unfinished\n",
  };
  return kStreams;
}

TEST(SseReader, GivesTheSameFramesHoweverTheBytesAreCut) {
  std::mt19937_64 random(13);
  for (const std::string& bytes : streams()) {
    const Stream expected = read(bytes);
    EXPECT_EQ(read(bytes, byte_by_byte(bytes.size())), expected);
    for (std::size_t first = 1; first < bytes.size(); ++first) {
      for (std::size_t second = first; second < bytes.size(); ++second) {
        EXPECT_EQ(read(bytes, {first, second - first, bytes.size() - second}), expected) << first << ", " << second;
      }
    }
    for (int i = 0; i < 100; ++i) EXPECT_EQ(read(bytes, random_cuts(bytes.size(), random)), expected);
  }
}

/// The section's rules as an independent, slow program over the whole stream.
std::vector<std::pair<std::string, std::string>> events_of(std::string bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.erase(0, 3);
  std::string lines;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\r') {
      lines += '\n';
      if (i + 1 < bytes.size() && bytes[i + 1] == '\n') ++i;
    } else {
      lines += bytes[i];
    }
  }
  std::vector<std::pair<std::string, std::string>> events;
  std::string event, data;
  bool has_data = false;
  for (std::size_t end; (end = lines.find('\n')) != lines.npos; lines.erase(0, end + 1)) {
    std::string line = lines.substr(0, end);
    if (line.empty()) {
      if (has_data) events.emplace_back(event, data.substr(0, data.size() - 1));
      event = data = "";
      has_data = false;
      continue;
    }
    const std::size_t colon = line.find(':');
    std::string value = colon == line.npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.erase(0, 1);
    const std::string name = line.substr(0, colon);
    if (name == "data") data += value + "\n", has_data = true;
    if (name == "event") event = value;
  }
  return events;
}

TEST(SseReader, AgreesWithTheStandardsRulesOnRandomStreams) {
  const std::vector<std::string> words = {"data", "event", "id", ":", ": ",        " ",  "\n",          "\n",
                                          "\r\n", "\r\n",  "\r", "x", "{\"a\":1}", "\t", "\xEF\xBB\xBF"};
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    std::mt19937_64 random(seed);
    std::string bytes;
    for (int i = 0; i < 30; ++i) bytes += words[random() % words.size()];
    bytes += "x\n\n\n";  // a CR at the end is complete in the standard, and waits for an LF here
    const Stream stream = read(bytes, random_cuts(bytes.size(), random));
    std::vector<std::pair<std::string, std::string>> events;
    for (const Frame& frame : stream.frames) {
      if (frame.has_data) events.emplace_back(frame.event, frame.data);
    }
    ASSERT_EQ(events, events_of(bytes)) << "seed " << seed;
  }
}

TEST(SseReader, GivesDataInPlaceWhereItIsOneLine) {
  std::string bytes = "event: x\ndata: {\"a\":1}\n\n";
  bytes.reserve(bytes.size() + kPadding);
  SseReader reader(1024);
  reader.feed(bytes);
  SseFrame frame;
  ASSERT_TRUE(reader.next(frame).value());
  EXPECT_EQ(frame.raw.data(), bytes.data());
  EXPECT_EQ(frame.data.data(), bytes.data() + 15);
}

TEST(SseReader, TakesAFrameUpToItsLimitAndRefusesOneByteMore) {
  const std::string frame = "data: " + std::string(92, 'x') + "\n\n";
  ASSERT_EQ(frame.size(), 100u);
  for (const bool bytewise : {false, true}) {
    const std::string two = frame + frame;
    const Cuts cuts = bytewise ? byte_by_byte(two.size()) : whole(two.size());
    EXPECT_EQ(read(two, cuts, 100).frames.size(), 2u);
    const Stream refused = read(two, cuts, 99);
    EXPECT_TRUE(refused.failed);
    EXPECT_EQ(refused.code, ErrorCode::kTooLarge);
  }
  // An unfinished frame is refused as soon as it can't fit any more, not when it ends.
  EXPECT_FALSE(read(std::string(100, 'x'), whole(100), 100).failed);
  EXPECT_TRUE(read(std::string(101, 'x'), whole(101), 100).failed);
}

TEST(SseReader, RefusesANulByteAfterGivingWhatCameBeforeIt) {
  const std::string bytes = "data: a\n\ndata: \0b\n\ndata: c\n\n"s;
  for (const Cuts& cuts : {whole(bytes.size()), byte_by_byte(bytes.size())}) {
    const Stream stream = read(bytes, cuts);
    EXPECT_EQ(stream.frames.size(), 1u);
    EXPECT_TRUE(stream.failed);
    EXPECT_EQ(stream.code, ErrorCode::kUpstreamFailed);
  }
}

TEST(SseReader, KnowsWhetherAFrameIsUnfinished) {
  EXPECT_FALSE(read("").mid_frame);
  EXPECT_FALSE(read("data: a\n\n").mid_frame);
  EXPECT_TRUE(read("data: a\n\nd").mid_frame);
  EXPECT_TRUE(read("data: a\n").mid_frame);
}

TEST(SseReader, IsReadyForAnotherStreamAfterReset) {
  SseReader reader(64);
  const std::string bad = "\0"s + std::string(kPadding, ' ');
  SseFrame frame;
  reader.feed({bad.data(), 1});
  EXPECT_FALSE(reader.next(frame));
  EXPECT_FALSE(reader.next(frame)) << "an error lasts until reset";
  reader.reset();
  EXPECT_FALSE(reader.mid_frame());
  const std::string good =
      "\xEF\xBB\xBF"
      "data: a\n\n" +
      std::string(kPadding, ' ');
  reader.feed({good.data(), good.size() - kPadding});
  ASSERT_TRUE(reader.next(frame).value());
  EXPECT_EQ(frame.data, "a");
}

}  // namespace
}  // namespace thalweg::http
