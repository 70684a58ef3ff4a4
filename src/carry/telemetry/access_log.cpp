// A ring is a chain of segments: the producer fills the last one, the consumer empties the first. In the steady state
// there is one, used round and round; only when it is full does the producer link another, and the consumer frees the
// one that it has emptied. So neither side ever locks or waits for the other.
//
// The writer sleeps while all rings are empty, and the first line rings its bell. It then waits up to kLogDelay for
// more, less when a ring becomes half full: a busy shard pays one system call for hundreds of lines, an idle process
// wakes up never.
#include "carry/telemetry/access_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

namespace thalweg::telemetry {
namespace {

constexpr int kRetryMillis = 1000;  // after a failed write
// On stderr a write is whole lines and at most this long, so that the kernel does not mix it with other threads' lines.
constexpr std::size_t kStderrBatch = PIPE_BUF;
static_assert(kMaxLogLine <= kStderrBatch);

}  // namespace

struct LogRing::Segment {
  std::unique_ptr<char[]> bytes =
      std::make_unique_for_overwrite<char[]>(kRingBytes);  // a page counts once it is touched
  alignas(64) std::atomic<std::uint64_t> head{0};          // written by the producer
  std::atomic<Segment*> next{nullptr};                     // set once, after the last store to head
  alignas(64) std::atomic<std::uint64_t> tail{0};          // written by the consumer
};

struct LogRing::Wake {
  int event = -1;
  std::atomic<bool> asleep{false};  // the writer waits without end

  void ring() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n =
        ::write(event, &one, sizeof one);  // can only fail when it is already rung 2^64 times
  }
};

LogRing::LogRing() : filling_(new Segment), draining_(filling_) {}

LogRing::~LogRing() {
  while (draining_ != nullptr) delete std::exchange(draining_, draining_->next.load(std::memory_order_acquire));
}

bool LogRing::has_room(std::uint32_t promised) const {
  return promised < kMaxPromisedLines &&
         written_ - taken_.load(std::memory_order_relaxed) + kMaxLogLine <= kMaxUnwritten;
}

void LogRing::write(const AccessLine& line) {
  Wake* const wake = wake_.load(std::memory_order_acquire);
  if (wake == nullptr) return;
  char text[kMaxLogLine];
  const std::size_t length = format_line(line, text);
  Segment* segment = filling_;
  std::uint64_t head = segment->head.load(std::memory_order_relaxed);
  if (kRingBytes - (head - segment->tail.load(std::memory_order_acquire)) < length) {
    filling_ = new Segment;
    segment->next.store(filling_, std::memory_order_release);
    segment = filling_;
    head = 0;
  }
  const std::size_t at = head % kRingBytes;
  const std::size_t first = std::min(length, kRingBytes - at);
  std::memcpy(segment->bytes.get() + at, text, first);
  std::memcpy(segment->bytes.get(), text + first, length - first);
  written_ += length;
  const std::uint64_t unwritten = written_ - taken_.load(std::memory_order_relaxed);
  // Sequentially consistent with the writer's "asleep, and nothing there": one of the two sees the other.
  segment->head.store(head + length, std::memory_order_seq_cst);
  if (wake->asleep.load(std::memory_order_seq_cst)) {
    if (wake->asleep.exchange(false)) wake->ring();
  } else if (unwritten >= kRingBytes / 2 && unwritten - length < kRingBytes / 2) {
    wake->ring();
  }
}

struct AccessLogWriter::Impl {
  Sink sink = Sink::kFile;
  std::filesystem::path path;
  int file = -1;
  std::vector<LogRing*> rings;
  LogRing::Wake wake;
  std::atomic<bool> stopping{false};
  std::atomic<bool> reopening{false};
  std::atomic<std::uint64_t> lines{0};
  std::atomic<std::uint64_t> errors{0};
  std::size_t current = 0;  // the ring that is written
  std::size_t partial = 0;  // bytes of its next line that the file has already
  std::thread thread;

  ~Impl() {
    if (sink == Sink::kFile && file >= 0) ::close(file);
    if (wake.event >= 0) ::close(wake.event);
  }

  void run();
  bool anything() const;
  void listen(int millis) const;
  bool takes_more() const;
  enum class Drained : std::uint8_t { kAll, kFailed };
  Drained drain();
  Drained drain_current();
  void open_anew();
};

namespace {

std::uint64_t count_lines(std::string_view text) {
  std::uint64_t count = 0;
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) ++count;
  return count;
}

Result<int> open_file(const std::filesystem::path& path) {
  // Non-blocking: a pipe that nobody reads must not keep the process from ending.
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0640);
  if (file >= 0) return file;
  return fail(ErrorCode::kIo,
              fmt::format("the access log {} cannot be opened for appending: {}; check that its folder exists "
                          "and is writable, or set log.access to stderr or off",
                          path.string(), std::strerror(errno)));
}

}  // namespace

bool AccessLogWriter::Impl::anything() const {
  return std::ranges::any_of(rings, [](const LogRing* ring) {
    const LogRing::Segment* segment = ring->draining_;
    return segment->head.load(std::memory_order_seq_cst) != segment->tail.load(std::memory_order_relaxed) ||
           segment->next.load(std::memory_order_acquire) != nullptr;
  });
}

void AccessLogWriter::Impl::listen(int millis) const {
  pollfd bell{.fd = wake.event, .events = POLLIN, .revents = 0};
  if (::poll(&bell, 1, millis) > 0) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto n = ::read(wake.event, &count, sizeof count);
  }
}

// Waits a little until the file takes more. A write to stderr may block (it is shared, so it stays as it is), but not
// after this: a pipe that takes anything takes a batch. An error counts as taking: the write tells it.
bool AccessLogWriter::Impl::takes_more() const {
  pollfd ready{.fd = file, .events = POLLOUT, .revents = 0};
  return ::poll(&ready, 1, kRetryMillis) != 0;
}

void AccessLogWriter::Impl::run() {
  while (!stopping.load()) {
    wake.asleep.store(true, std::memory_order_seq_cst);
    if (!anything() && !stopping.load() && !reopening.load()) listen(-1);
    wake.asleep.store(false, std::memory_order_seq_cst);
    if (!stopping.load()) listen(static_cast<int>(to_millis(kLogDelay)));
    if (reopening.exchange(false)) open_anew();
    while (drain() == Drained::kFailed && !stopping.load()) listen(kRetryMillis);
  }
  if (reopening.exchange(false)) open_anew();
  if (drain() == Drained::kFailed)
    spdlog::error("the access log's last lines could not be written: {}", std::strerror(errno));
}

void AccessLogWriter::Impl::open_anew() {
  if (sink != Sink::kFile) return;
  const auto opened = open_file(path);
  if (!opened) {
    errors.fetch_add(1, std::memory_order_relaxed);
    spdlog::error("{}; the old file stays in use", opened.error().message);
    return;
  }
  ::close(file);
  file = *opened;
  partial = 0;  // a line that the old file has in part is written whole
}

// Every ring until it is empty. After a failure the next call goes on in the same ring, in the middle of its line.
AccessLogWriter::Impl::Drained AccessLogWriter::Impl::drain() {
  for (std::size_t i = 0; i < rings.size(); ++i) {
    if (drain_current() == Drained::kFailed) return Drained::kFailed;
    current = (current + 1) % rings.size();
  }
  return Drained::kAll;
}

AccessLogWriter::Impl::Drained AccessLogWriter::Impl::drain_current() {
  LogRing& ring = *rings[current];
  for (;;) {
    LogRing::Segment* segment = ring.draining_;
    const std::uint64_t tail = segment->tail.load(std::memory_order_relaxed);
    std::uint64_t head = segment->head.load(std::memory_order_acquire);
    if (head == tail) {
      LogRing::Segment* const next = segment->next.load(std::memory_order_acquire);
      if (next == nullptr) return Drained::kAll;
      head = segment->head.load(std::memory_order_acquire);  // final now
      if (head == tail) {
        delete std::exchange(ring.draining_, next);
        continue;
      }
    }
    // Asked after the head was read: a line that was written after reopen() is never seen before the request is.
    if (reopening.exchange(false)) open_anew();

    const std::size_t begin = tail % kRingBytes;
    std::size_t length = head - tail;
    const auto piece = [&](std::size_t from, std::size_t to) {  // offsets from the tail, not over the ring's end
      return std::string_view(segment->bytes.get() + (begin + from) % kRingBytes, to - from);
    };
    const std::size_t wrap = kRingBytes - begin;  // offset at which the ring begins anew
    const auto line_end_before =
        [&](std::size_t offset) {  // the end of the last whole line in the first `offset` bytes
          while (offset > 0 && piece(offset - 1, offset)[0] != '\n') --offset;
          return offset;
        };
    if (sink == Sink::kStderr && length > partial + kStderrBatch) length = line_end_before(partial + kStderrBatch);
    std::array<iovec, 2> parts{};
    int count = 0;
    for (const auto& [from, to] :
         {std::pair{partial, std::min(length, wrap)}, std::pair{std::max(partial, wrap), length}}) {
      if (from < to) parts[count++] = {.iov_base = const_cast<char*>(piece(from, to).data()), .iov_len = to - from};
    }
    errno = EAGAIN;
    const bool waits = sink == Sink::kStderr && !takes_more();
    const ssize_t written = waits ? -1 : ::writev(file, parts.data(), count);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        if (!waits && takes_more()) continue;
        errno = EAGAIN;
      }
      errors.fetch_add(1, std::memory_order_relaxed);
      if (errno != EPIPE || sink != Sink::kStderr) return Drained::kFailed;
      partial = 0;
      segment->tail.store(tail + length, std::memory_order_release);
      ring.taken_.fetch_add(length, std::memory_order_relaxed);
      continue;
    }
    const std::size_t reached = partial + static_cast<std::size_t>(written);
    const std::size_t whole = line_end_before(reached);
    std::uint64_t ended = 0;
    for (const auto& [from, to] : {std::pair{std::size_t{0}, std::min(whole, wrap)}, std::pair{wrap, whole}}) {
      if (from < to) ended += count_lines(piece(from, to));
    }
    partial = reached - whole;
    segment->tail.store(tail + whole, std::memory_order_release);
    ring.taken_.fetch_add(whole, std::memory_order_relaxed);
    lines.fetch_add(ended, std::memory_order_relaxed);
  }
}

AccessLogWriter::AccessLogWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<AccessLogWriter>> AccessLogWriter::open(Sink sink, const std::filesystem::path& file,
                                                               std::vector<LogRing*> rings) {
  auto impl = std::make_unique<Impl>();
  impl->sink = sink;
  impl->path = file;
  impl->rings = std::move(rings);
  if (sink == Sink::kStderr) {
    impl->file = STDERR_FILENO;
  } else {
    const auto opened = open_file(file);
    if (!opened) return std::unexpected(opened.error());
    impl->file = *opened;
  }
  impl->wake.event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (impl->wake.event < 0) {
    return fail(ErrorCode::kIo,
                fmt::format("the access log's writer cannot be woken: eventfd: {}", std::strerror(errno)));
  }
  // The thread takes no signals: they are the main thread's, and a closed stderr is seen as EPIPE.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  impl->thread = std::thread([writer = impl.get()] {
    pthread_setname_np(pthread_self(), "access-log");
    writer->run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  for (LogRing* ring : impl->rings) ring->wake_.store(&impl->wake, std::memory_order_release);
  return std::unique_ptr<AccessLogWriter>(new AccessLogWriter(std::move(impl)));
}

AccessLogWriter::~AccessLogWriter() {
  for (LogRing* ring : impl_->rings) ring->wake_.store(nullptr, std::memory_order_release);
  impl_->stopping.store(true);
  impl_->wake.ring();
  impl_->thread.join();
}

void AccessLogWriter::reopen() {
  impl_->reopening.store(true);
  impl_->wake.ring();
}

std::uint64_t AccessLogWriter::lines_written() const {
  return impl_->lines.load(std::memory_order_relaxed);
}
std::uint64_t AccessLogWriter::write_errors() const {
  return impl_->errors.load(std::memory_order_relaxed);
}

}  // namespace thalweg::telemetry
