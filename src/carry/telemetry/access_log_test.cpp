#include "carry/telemetry/access_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

namespace thalweg::telemetry {
namespace {

std::string text_of(const AccessLine& line) {
  char out[kMaxLogLine];
  return {out, format_line(line, out)};
}

std::string read(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "thalweg-log-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

AccessLine numbered(std::uint64_t n) {
  AccessLine line;
  line.method = "POST";
  line.bytes_in = n;
  return line;
}

// The numbers in the order of the lines; every line must be whole.
std::vector<std::uint64_t> numbers_in(const std::string& text) {
  std::vector<std::uint64_t> numbers;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    EXPECT_TRUE(end != std::string::npos && line.starts_with("{\"time\":") && line.ends_with("}")) << line;
    if (end == std::string::npos) break;
    numbers.push_back(std::strtoull(line.c_str() + line.find("\"bytes_in\":") + 11, nullptr, 10));
    at = end + 1;
  }
  return numbers;
}

std::vector<std::uint64_t> up_to(std::uint64_t count, std::uint64_t from = 0) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t i = from; i < count; ++i) numbers.push_back(i);
  return numbers;
}

template <class Condition>
void wait_until(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

TEST(AccessLine, HasTheFormThatTheDocumentShows) {
  AccessLine line;
  // 2026-11-22T16:06:11Z is 1795363571 s after 1970 (`date -u -d 2026-11-22T16:06:11Z +%s`).
  line.at = UtcTime(1795363571s + 123ms);
  line.request = {0x0011223344556677, 0x8899aabbccddeeff};
  line.method = "POST";
  line.path = "/v1/chat/completions?key=secret";
  line.status = 200;
  line.outcome = "complete";
  line.key_id = "dev";
  line.tenant = "research";
  line.model_asked = "small";
  line.endpoint = "local";
  line.place = "here";
  line.model = "smollm2-135m";
  line.attempts = 1;
  line.streamed = true;
  line.usage_reported = true;
  line.input_tokens = 34;
  line.output_tokens = 12;
  line.bytes_in = 181;
  line.bytes_out = 3120;
  line.duration = 412'706us;
  line.time_to_first_token = 96'120us + 999ns;
  line.finish_reason = "stop";
  line.decision_hash = 0x0123456789abcdef;
  const std::string page = read(THALWEG_SOURCE_DIR "/docs/formats/access-log.md");
  const std::size_t example = page.find("```json\n") + 8;
  EXPECT_EQ(text_of(line), page.substr(example, page.find("```", example) - example));
}

TEST(AccessLine, LeavesOutWhatIsUnknown) {
  EXPECT_EQ(text_of(AccessLine{}),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"request\":\"req_00000000000000000000000000000000\",\"status\":0,"
            "\"attempts\":0,"
            "\"stream\":false,\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.000}\n");
}

std::string path_of(std::string_view text) {
  AccessLine line;
  line.path = text;
  const std::string out = text_of(line);
  const std::size_t begin = out.find("\"path\":\"") + 8;
  return out.substr(begin, out.find("\",\"status\"") - begin);
}

TEST(AccessLine, EscapesWhatCouldBreakTheLineOrTheTerminal) {
  using namespace std::string_view_literals;
  EXPECT_EQ(path_of("/a\"b\\c"), "/a\\\"b\\\\c");
  EXPECT_EQ(path_of("\n\r\t\0\x1b\x7f"sv), "\\u000a\\u000d\\u0009\\u0000\\u001b\\u007f");
  EXPECT_EQ(path_of("\xC2\x9B\xC2\xA0"), "\\u009b\xC2\xA0");  // C1 controls rule terminals too
  EXPECT_EQ(path_of("\xE6\x9D\xB1\xF0\x9F\x9A\xB0"), "\xE6\x9D\xB1\xF0\x9F\x9A\xB0");
  EXPECT_EQ(path_of("\xFF\xC3(\xED\xA0\x80\xF5"), "\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd");
  EXPECT_EQ(path_of("\xE6\x9D"), "\\ufffd\\ufffd");
  EXPECT_EQ(path_of("/?q"), "/");
}

// Long texts are looked at in words of eight bytes, short ones byte by byte: both must say the same.
TEST(AccessLine, EscapesEveryByteAlikeAtEveryPlace) {
  for (unsigned c = 0; c < 256; ++c) {
    if (c == 0x3F) continue;  // a query is left out
    const std::string alone = path_of(std::string(1, static_cast<char>(c)));
    for (std::size_t place = 0; place < 24; ++place) {
      std::string path(24, 'x');
      path[place] = static_cast<char>(c);
      ASSERT_EQ(path_of(path), std::string(place, 'x') + alone + std::string(23 - place, 'x')) << c << " " << place;
    }
  }
}

TEST(AccessLine, CutsLongTextsBetweenCharacters) {
  AccessLine line;
  const std::string fits(128, 'p');
  line.path = fits;
  EXPECT_NE(text_of(line).find("\"" + fits + "\""), std::string::npos);
  const std::string longer = fits + "p";
  line.path = longer;
  EXPECT_NE(text_of(line).find("\"" + fits + "\xE2\x80\xA6\""), std::string::npos);
  const std::string cut_inside = std::string(127, 'p') + "\xC3\xA9";
  line.path = cut_inside;
  EXPECT_NE(text_of(line).find("\"" + std::string(127, 'p') + "\xE2\x80\xA6\""), std::string::npos);
}

TEST(AccessLine, IsNeverLongerThanItsBound) {
  const std::string longest(10'000, '\x01');
  AccessLine line;
  line.at = UtcTime(Duration::max());
  line.method = line.path = line.outcome = line.error = line.key_id = line.tenant = line.model_asked = line.endpoint =
      line.place = line.model = line.failed = line.finish_reason = longest;
  line.status = 0xFFFF;
  line.attempts = 0xFF;
  line.usage_reported = line.passed = true;
  line.input_tokens = line.output_tokens = line.cached_input_tokens = line.bytes_in = line.bytes_out =
      line.decision_hash = ~std::uint64_t{0};
  line.duration = line.time_to_first_token = Duration::max();
  EXPECT_LE(text_of(line).size(), kMaxLogLine);
  const std::string plain(10'000, 'x');
  line.method = line.path = line.outcome = line.error = line.key_id = line.tenant = line.model_asked = line.endpoint =
      line.place = line.model = line.failed = line.finish_reason = plain;
  EXPECT_LE(text_of(line).size(), kMaxLogLine);
  EXPECT_GT(text_of(line).size(), 1200U);
}

TEST(AccessLog, WritesEveryLineOfEveryRingInItsOrder) {
  const Folder folder;
  constexpr std::uint64_t kLines = 20'000;
  LogRing first, second;
  {
    auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, folder.path / "log", {&first, &second});
    ASSERT_TRUE(writer);
    std::thread other([&] {
      for (std::uint64_t i = 0; i < kLines; ++i) second.write(numbered(1'000'000 + i));
    });
    for (std::uint64_t i = 0; i < kLines; ++i) first.write(numbered(i));
    other.join();
  }
  std::vector<std::uint64_t> of_first, of_second;
  for (const std::uint64_t n : numbers_in(read(folder.path / "log")))
    (n < 1'000'000 ? of_first : of_second).push_back(n);
  EXPECT_EQ(of_first, up_to(kLines));
  EXPECT_EQ(of_second, up_to(1'000'000 + kLines, 1'000'000));
}

TEST(AccessLog, WritesALoneLineWithoutBeingAsked) {
  const Folder folder;
  LogRing ring;
  const auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, folder.path / "log", {&ring});
  for (std::uint64_t i = 0; i < 3; ++i) {
    ring.write(numbered(i));
    wait_until([&] { return (*writer)->lines_written() == i + 1; });
  }
  EXPECT_EQ(numbers_in(read(folder.path / "log")), up_to(3));
  EXPECT_EQ((*writer)->write_errors(), 0U);
}

TEST(AccessLog, AppendsToWhatIsThereAndIsNotForEverybody) {
  const Folder folder;
  LogRing ring;
  ASSERT_TRUE(AccessLogWriter::open(AccessLogWriter::Sink::kFile, folder.path / "log", {&ring}));
  struct stat facts = {};
  ASSERT_EQ(::stat((folder.path / "log").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0137, 0U);
  for (std::uint64_t i = 0; i < 2; ++i) {
    const auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, folder.path / "log", {&ring});
    ring.write(numbered(i));
  }
  EXPECT_EQ(numbers_in(read(folder.path / "log")), up_to(2));
}

TEST(AccessLog, SaysWhyItCannotBeOpened) {
  LogRing ring;
  const auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, "/nowhere/log", {&ring});
  ASSERT_FALSE(writer);
  EXPECT_EQ(writer.error().code, ErrorCode::kIo);
  EXPECT_EQ(writer.error().message,
            "the access log /nowhere/log cannot be opened for appending: No such file or directory; check that its "
            "folder exists and is writable, or set log.access to stderr or off");
}

TEST(AccessLog, DropsLinesWithoutAWriterAndAlwaysHasRoomThen) {
  LogRing ring;
  for (std::uint64_t i = 0; i < 10'000; ++i) ring.write(numbered(i));
  EXPECT_TRUE(ring.has_room(0));
}

TEST(AccessLog, GoesOnInANewFileAfterRotation) {
  const Folder folder;
  constexpr std::uint64_t kLines = 5'000;
  LogRing ring;
  {
    auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, folder.path / "log", {&ring});
    std::uint64_t next = 0;
    for (; next < kLines; ++next) ring.write(numbered(next));
    wait_until([&] { return (*writer)->lines_written() == kLines; });
    std::filesystem::rename(folder.path / "log", folder.path / "log.1");
    (*writer)->reopen();
    for (; next < 2 * kLines; ++next) ring.write(numbered(next));
    wait_until([&] { return (*writer)->lines_written() == 2 * kLines; });
    std::filesystem::rename(folder.path / "log", folder.path / "log.2");
    (*writer)->reopen();  // nothing comes: the file is opened all the same
  }
  EXPECT_EQ(numbers_in(read(folder.path / "log.1")), up_to(kLines));
  EXPECT_EQ(numbers_in(read(folder.path / "log.2")), up_to(2 * kLines, kLines));
  EXPECT_TRUE(std::filesystem::exists(folder.path / "log"));
}

TEST(AccessLog, StaysInTheOldFileWhenTheNewOneCannotBeOpened) {
  const Folder folder;
  LogRing ring;
  {
    std::filesystem::create_directory(folder.path / "logs");
    auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, folder.path / "logs/log", {&ring});
    std::filesystem::rename(folder.path / "logs", folder.path / "moved");
    (*writer)->reopen();
    ring.write(numbered(0));
    wait_until([&] { return (*writer)->lines_written() == 1; });
    EXPECT_EQ((*writer)->write_errors(), 1U);
  }
  EXPECT_EQ(numbers_in(read(folder.path / "moved/log")), up_to(1));
}

// A pipe stands for a file that does not keep up: it takes 64 KiB and then nothing until somebody reads.
class Pipe {
 public:
  explicit Pipe(const Folder& folder) : path(folder.path / "pipe") {
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    reader_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    EXPECT_GE(reader_, 0);
  }
  ~Pipe() { ::close(reader_); }
  /// What is there now.
  std::string take() const {
    std::string text;
    char part[4096];
    for (ssize_t n = 0; (n = ::read(reader_, part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
    return text;
  }
  std::filesystem::path path;

 private:
  int reader_;
};

TEST(AccessLog, RefusesAdmissionWhileTheFileIsStuckAndLosesNothingThatWasPromised) {
  const Folder folder;
  const Pipe pipe(folder);
  LogRing ring;
  auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, pipe.path, {&ring});
  ASSERT_TRUE(writer);
  std::uint64_t count = 0;
  while (ring.has_room(0)) ring.write(numbered(count++));  // ends: the pipe takes no more
  EXPECT_FALSE(ring.has_room(0));
  // What was admitted before finds room all the same, far beyond one ring's memory.
  const std::uint64_t before = count;
  for (; count < before + 5'000; ++count) ring.write(numbered(count));
  std::string text;
  wait_until([&] {
    text += pipe.take();
    return (*writer)->lines_written() == count;
  });
  text += pipe.take();
  EXPECT_EQ(numbers_in(text), up_to(count));
  EXPECT_TRUE(ring.has_room(0));
  EXPECT_TRUE(ring.has_room(kMaxPromisedLines - 1));
  EXPECT_FALSE(ring.has_room(kMaxPromisedLines));
  // Back in one ring: the steady state goes on as before.
  ring.write(numbered(count));
  wait_until([&] { return (*writer)->lines_written() == count + 1; });
  EXPECT_EQ(numbers_in(pipe.take()), up_to(count + 1, count));
}

// /dev/full answers every write with ENOSPC.
TEST(AccessLog, CountsFailedWritesAndKeepsTheLines) {
  const Folder folder;
  std::filesystem::create_symlink("/dev/full", folder.path / "log");
  LogRing ring;
  auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, folder.path / "log", {&ring});
  ASSERT_TRUE(writer);
  for (std::uint64_t i = 0; i < 10; ++i) ring.write(numbered(i));
  wait_until([&] { return (*writer)->write_errors() > 0; });
  EXPECT_EQ((*writer)->lines_written(), 0U);
  std::filesystem::remove(folder.path / "log");
  (*writer)->reopen();  // as an operator would after making room elsewhere
  wait_until([&] { return (*writer)->lines_written() == 10; });
  EXPECT_EQ(numbers_in(read(folder.path / "log")), up_to(10));
}

// As long as the longest line fits into what may wait.
TEST(AccessLog, HasRoomForSoManyUnwrittenBytesAndNotBeyond) {
  const Folder folder;
  std::filesystem::create_symlink("/dev/full", folder.path / "log");
  LogRing ring;
  const auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, folder.path / "log", {&ring});
  ASSERT_TRUE(writer);
  const std::size_t length = text_of(numbered(100'000)).size();  // of every line with six digits
  const std::size_t most = (kMaxUnwritten - kMaxLogLine) / length + 1;
  ASSERT_LT(most, 900'000U);
  for (std::size_t i = 0; i < most; ++i) {
    ASSERT_TRUE(ring.has_room(0)) << i;
    ring.write(numbered(100'000 + i));
  }
  EXPECT_FALSE(ring.has_room(0));
}

TEST(AccessLog, EndsThoughTheFileTakesNothing) {
  const Folder folder;
  std::filesystem::create_symlink("/dev/full", folder.path / "log");
  LogRing ring;
  auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, folder.path / "log", {&ring});
  ring.write(numbered(0));
  writer->reset();
}

// stderr replaced for the time of a test.
class Stderr {
 public:
  explicit Stderr(int file) : saved_(::dup(STDERR_FILENO)) { ::dup2(file, STDERR_FILENO); }
  ~Stderr() {
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
  }

 private:
  int saved_;
};

TEST(AccessLog, WritesWholeLinesToStderrInPiecesThatThePipeKeepsTogether) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_DIRECT), 0);  // packets: each read gives one write
  std::vector<std::string> writes;
  std::thread reader([&] {
    char part[65536];
    for (ssize_t n = 0; (n = ::read(ends[0], part, sizeof part)) > 0;)
      writes.emplace_back(part, static_cast<std::size_t>(n));
  });
  constexpr std::uint64_t kLines = 3'000;  // more than a ring's memory
  {
    const Stderr replaced(ends[1]);
    LogRing ring;
    auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kStderr, {}, {&ring});
    for (std::uint64_t i = 0; i < kLines; ++i) ring.write(numbered(i));
  }
  ::close(ends[1]);
  reader.join();
  ::close(ends[0]);
  std::string text;
  for (const std::string& write : writes) {
    EXPECT_LE(write.size(), 4096U);
    EXPECT_TRUE(write.ends_with('\n'));
    text += write;
  }
  EXPECT_EQ(numbers_in(text), up_to(kLines));
  EXPECT_LT(writes.size(), kLines / 5);
}

// A pipe whose reader lives but reads nothing: neither a file's writer nor that of stderr waits there for ever.
TEST(AccessLog, EndsThoughNobodyReadsThePipe) {
  const Folder folder;
  const Pipe pipe(folder);
  const int full = ::open(pipe.path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  const std::string page(4096, '#');
  while (::write(full, page.data(), page.size()) > 0) {
  }
  const int blocking = ::open(pipe.path.c_str(), O_WRONLY | O_CLOEXEC);
  const Stderr replaced(blocking);
  for (const auto sink : {AccessLogWriter::Sink::kFile, AccessLogWriter::Sink::kStderr}) {
    LogRing ring;
    auto writer = AccessLogWriter::open(sink, pipe.path, {&ring});
    ASSERT_TRUE(writer);
    for (std::uint64_t i = 0; i < 100; ++i) ring.write(numbered(i));
    writer->reset();
  }
  ::close(full);
  ::close(blocking);
}

TEST(AccessLog, OutlivesTheReaderOfStderr) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ::close(ends[0]);
  const Stderr replaced(ends[1]);
  LogRing ring;
  auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kStderr, {}, {&ring});
  ring.write(numbered(0));
  wait_until([&] { return (*writer)->write_errors() > 0; });
  EXPECT_EQ((*writer)->lines_written(), 0U);
  writer->reset();
  EXPECT_TRUE(ring.has_room(0));
  ::close(ends[1]);
}

}  // namespace
}  // namespace thalweg::telemetry
