#include "carry/gateway/connection.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "carry/dialect/ollama_models.h"
#include "carry/gateway/exchange.h"

namespace thalweg::gateway {

namespace {

// Beside a long body there stays room to read on, so that a client that leaves is seen.
constexpr std::size_t kSpareBytes = 4096;
constexpr std::size_t kClaimedAtOnce = 1024 * 1024;
constexpr std::size_t kMaxAskedFields = 512;   // of a preflight's list of header fields, repeated to it
constexpr std::size_t kKeptUnsent = 4 * 1024;  // of a connection's memory for unsent bytes, while it has none
// A body may come this many time-outs' lengths long in all, however steadily it trickles.
constexpr int kBodyTimeoutsInAll = 10;

// What a page may ask by: our own paths take these two.
std::string allowed_in_pages(std::string_view path, const config::Passages& passages) {
  return passages.find(path) == nullptr ? "GET, POST, OPTIONS" : allowed_methods(path, passages);
}

}  // namespace

Connection::Connection(Worker& worker)
    : worker_(worker),
      stream_(worker.shard.loop(), *this),
      reader_({.head_bytes = worker.snapshot()->settings.limits.head_bytes,
               .body_bytes = worker.snapshot()->settings.limits.body_bytes}),
      held_(worker.common.bytes),
      held_unsent_(worker.common.bytes) {}

Connection::~Connection() = default;

void Connection::start(net::Socket socket, Where where) {
  where_ = where;
  if (stream_.open(std::move(socket))) {
    close();
    return;
  }
  if (worker_.tls() != nullptr) stream_.use(worker_.tls()->session());
  snapshot_ = worker_.snapshot();
  capacity_ = kClientBuffer;
  buffer_.reset(new char[capacity_ + http::kPadding]);
  worker_.shard.timers().start(read_timer_, snapshot_->settings.limits.header_timeout, *this, kReadTimer);
  read();
}

void Connection::close() {
  if (phase_ == Phase::kClosed) return;
  const auto self = shared_from_this();
  phase_ = Phase::kClosed;
  read_timer_.stop();
  write_timer_.stop();
  if (exchange_ && exchange_->running()) exchange_->on_client_gone();
  uncount();
  stream_.close();
  worker_.closed(*this);
}

void Connection::drain(Duration limit) {
  if (phase_ == Phase::kRunning) {
    exchange_->on_drain(limit);
  } else if (phase_ == Phase::kReading && filled_ == 0) {
    stream_.shut_writing();
    close();
  }
}

void Connection::read() {
  if (phase_ != Phase::kClosed && filled_ != capacity_) stream_.want_read();
}

void Connection::on_readable() {
  if (filled_ == capacity_) return;  // whoever makes room asks again
  const auto self = shared_from_this();
  const net::Taken taken = stream_.read(buffer_.get() + filled_, capacity_ - filled_);
  switch (taken.state) {
    case net::Taken::State::kNothing:
      read();
      return;
    case net::Taken::State::kBytes:
      take(taken.bytes);
      return;
    case net::Taken::State::kBroken:
      if (stream_.is_shaking_hands()) return refuse_handshake(taken.error);
      [[fallthrough]];
    case net::Taken::State::kEnd:
      close();
      return;
  }
}

// HTTP in clear is told where it has come to; anything else is no use talking to.
void Connection::refuse_handshake(std::error_code why) {
  worker_.metrics.tls_failures.add();
  spdlog::debug("a client's TLS handshake failed: {}", why.message());
  if (!net::is_plain_http(why)) return close();
  stream_.leave_tls();
  keep_alive_ = false;
  refuse({ErrorCode::kInvalidRequest, "this port speaks TLS: use https:// in the base URL", {}}, true);
}

void Connection::take(std::size_t bytes) {
  if (phase_ == Phase::kLingering) {
    read();
    return;
  }
  if (filled_ == 0 && phase_ == Phase::kReading) {
    arrived_at_ = MonotonicClock::now();
    worker_.shard.timers().start(read_timer_, snapshot_->settings.limits.header_timeout, *this, kReadTimer);
  }
  filled_ += bytes;
  worker_.metrics.bytes_in.add(bytes);
  if (phase_ == Phase::kReading) {
    process();
  } else {
    read();  // the next request comes early: keep it, and keep seeing whether the client leaves
  }
}

// Room for `wanted` bytes in all, from the start of the message. Grown bytes count against the process's budget.
bool Connection::make_room(std::size_t wanted) {
  if (wanted <= capacity_) return true;
  if (!held_.hold(wanted - kClientBuffer)) return false;
  std::unique_ptr<char[]> grown(new char[wanted + http::kPadding]);
  std::memcpy(grown.get(), buffer_.get(), filled_);
  buffer_ = std::move(grown);
  capacity_ = wanted;
  return true;
}

void Connection::process() {
  if (in_process_) return;
  in_process_ = true;
  const auto self = shared_from_this();
  while (phase_ == Phase::kReading) {
    if (filled_ == 0) {
      if (capacity_ > kClientBuffer) {
        buffer_.reset(new char[kClientBuffer + http::kPadding]);
        capacity_ = kClientBuffer;
        held_.release();
      }
      worker_.shard.timers().start(read_timer_, snapshot_->settings.limits.idle_timeout, *this, kReadTimer);
      if (worker_.draining) {
        close();
        break;
      }
      read();
      break;
    }
    const auto state = reader_.advance({buffer_.get(), filled_});
    if (!state) {
      keep_alive_ = false;
      refuse(state.error(), true);
      break;
    }
    if (*state == http::RequestReader::State::kHeadDone) {
      head_done();
      continue;
    }
    if (*state == http::RequestReader::State::kDone) {
      run();
      continue;
    }
    // More bytes are needed.
    if (filled_ == capacity_) {
      const auto& limits = snapshot_->settings.limits;
      // Chunk framing comes on top of a body; the reader bounds it.
      const std::size_t most = limits.head_bytes + 2 * limits.body_bytes + kClientBuffer;
      if (filled_ >= most) {
        keep_alive_ = false;
        refuse(
            {ErrorCode::kTooLarge, fmt::format("the body is larger than limits.body, {} bytes", limits.body_bytes), {}},
            true);
        break;
      }
      const std::size_t known = reader_.bytes_needed() == 0 ? most : reader_.bytes_needed() + kSpareBytes;
      // Where the budget has no room for twice as much, it may have for the next piece.
      const std::size_t next = capacity_ + kClientBuffer;
      if (!make_room(std::min(capacity_ * 2, std::max(known, capacity_ + kSpareBytes))) &&
          !make_room(std::min(next, std::max(known, capacity_ + kSpareBytes)))) {
        keep_alive_ = false;
        refuse({ErrorCode::kOverloaded, "the gateway holds as many bytes as it may; try again shortly", {}}, true);
        break;
      }
    }
    if (admitted_) {
      const Duration gap = snapshot_->settings.limits.body_timeout;
      const Duration left = body_began_ + gap * kBodyTimeoutsInAll - MonotonicClock::now();
      worker_.shard.timers().start(read_timer_, std::min(gap, left), *this, kReadTimer);
    }
    read();
    break;
  }
  in_process_ = false;
}

// Judges the head. Refusals leave the body unread: the connection closes after the answer unless there is no body.
void Connection::head_done() {
  if (admitted_) return;
  snapshot_ = worker_.snapshot();
  const config::Settings& settings = snapshot_->settings;
  const http::RequestHead& head = reader_.head({buffer_.get(), filled_});
  head_known_ = true;
  arrived_ = UtcClock::now();
  minor_version_ = head.minor_version;
  keep_alive_ = head.keep_alive && !worker_.draining;
  const auto stop = [&](const Error& error) {
    // Without a body the message is read to its end, and the connection goes on.
    if (head.has_body || !reader_.advance({buffer_.get(), filled_})) keep_alive_ = false;
    refuse(error, true);
  };
  if (const auto origin = check_origin(head, settings); !origin) return stop(origin.error());
  const auto route = find_route(head, settings.passages);
  if (!route) return stop(route.error());
  route_ = *route;
  if (!is_open(route_)) {
    const auto subject = authenticate(head, settings.policy);
    if (!subject) return stop(subject.error());
    subject_ = *subject;
  }
  if (surface_of(route_)) {
    if (worker_.draining) return stop({ErrorCode::kDraining, "the gateway is shutting down; try again", {}});
    const bool passes = route_ == Route::kPassthrough;
    if (!head.has_body && !passes) return stop({ErrorCode::kInvalidRequest, "the request has no body", {}});
    if (head.has_body && passes && head.method == http::Method::kGet)
      return stop({ErrorCode::kInvalidRequest, "a GET takes no body", {}});
    if (!worker_.log_has_room()) {
      return stop({ErrorCode::kOverloaded, "the access log cannot keep up; try again shortly", {}});
    }
    // Counted from here, body or not: what is admitted is bounded.
    counted_stream_ = true;
    ++worker_.promised_lines;
    if (worker_.common.streams.fetch_add(1, std::memory_order_relaxed) >= settings.limits.streams) {
      return stop(
          {ErrorCode::kOverloaded,
           fmt::format("{} requests are running or waiting, the most that limits.streams allows; try again shortly",
                       settings.limits.streams),
           {}});
    }
  } else if (route_ == Route::kOllamaShow) {
    if (!head.has_body) return stop({ErrorCode::kInvalidRequest, "the request has no body", {}});
  } else if (head.has_body) {  // nobody's bytes are read without need, least of all where no key is asked for
    return stop({ErrorCode::kInvalidRequest, fmt::format("{} takes no body", head.path.substr(0, kMaxQuoted)), {}});
  }
  const bool show = route_ == Route::kOllamaShow;
  const std::uint64_t most = show ? kMaxShowBody : settings.limits.body_bytes;
  reader_.set_body_limit(most);
  if (head.content_length > most) {
    return stop({ErrorCode::kTooLarge,
                 fmt::format("the body has {} bytes; {} allows {}", head.content_length,
                             show ? std::string_view("a request to show a model") : "limits.body", most),
                 {}});
  }
  // A long body's room grows as its bytes come: a claimed length takes nothing from others.
  if (!make_room(std::min(reader_.bytes_needed() + kSpareBytes, kClaimedAtOnce))) {
    return stop({ErrorCode::kOverloaded, "the gateway holds as many bytes as it may; try again shortly", {}});
  }
  admitted_ = true;
  body_began_ = worker_.shard.loop().turn_began();
  if (head.expects_continue && head.minor_version >= 1) {
    static constexpr std::string_view kContinue[] = {"HTTP/1.1 100 Continue\r\n\r\n"};
    send(kContinue);
  }
}

void Connection::run() {
  read_timer_.stop();
  // Room to read on, so that a client that leaves is seen; without it the request runs all the same.
  if (filled_ == capacity_) (void)make_room(capacity_ + kSpareBytes);
  const http::RequestHead& head = reader_.head({buffer_.get(), filled_});
  switch (route_) {
    case Route::kChat:
    case Route::kCompletions:
    case Route::kResponses:
    case Route::kMessages:
    case Route::kCountTokens:
    case Route::kEmbeddings:
    case Route::kRerank:
    case Route::kPassthrough:
    case Route::kOllamaChat:
    case Route::kOllamaGenerate:
    case Route::kOllamaEmbed:
    case Route::kOllamaEmbeddings: {
      phase_ = Phase::kRunning;
      worker_.metrics.requests_started.add();
      if (!exchange_) exchange_ = std::make_unique<Exchange>(*this);
      exchange_->begin(
          Arrival{.surface = *surface_of(route_),
                  .body = reader_.body({buffer_.get(), filled_}),
                  .subject = subject_,
                  .snapshot = snapshot_,
                  .at = arrived_,
                  .at_instant = arrived_at_,
                  .method = head.method,
                  .path = head.path,
                  .query = head.query,
                  .passage = route_ == Route::kPassthrough ? snapshot_->settings.passages.find(head.path) : nullptr,
                  .anthropic = inference::speaks_messages(*surface_of(route_)) || route_ == Route::kPassthrough
                                   ? upstream::AnthropicFields{.version = head.field("anthropic-version"),
                                                               .betas = head.field("anthropic-beta")}
                                   : upstream::AnthropicFields{},
                  .fields = head.fields});
      if (phase_ == Phase::kRunning && worker_.draining) {
        exchange_->on_drain(std::max(Duration::zero(), worker_.drain_deadline - MonotonicClock::now()));
      }
      if (phase_ == Phase::kRunning) read();  // sees the client leave
      return;
    }
    case Route::kModels:
    case Route::kModel:
    case Route::kOllamaTags:
    case Route::kOllamaShow:
    case Route::kOllamaPs:
      answer_models();
      return;
    case Route::kOllamaVersion:
      answer_simple(200, "application/json", dialect::ollama_version_body(), keep_alive_);
      return;
    case Route::kOllamaRuns:
      answer_simple(200, "text/plain; charset=utf-8", dialect::kOllamaRuns, keep_alive_);
      return;
    case Route::kHealth:
      answer_simple(200, "text/plain", "ok\n", keep_alive_);
      return;
    case Route::kReady:
      if (worker_.common.ready.load(std::memory_order_relaxed) && !worker_.draining) {
        answer_simple(200, "text/plain", "ready\n", keep_alive_);
      } else {
        answer_simple(503, "text/plain", worker_.draining ? "draining\n" : "no endpoint is ready yet\n", keep_alive_);
      }
      return;
    case Route::kMetrics:
      answer_simple(200, "text/plain; version=0.0.4; charset=utf-8", worker_.common.render_metrics(worker_),
                    keep_alive_);
      return;
    case Route::kPreflight: {
      const std::string_view wanted = head.field("access-control-request-headers");
      answer_simple(204, {}, {}, keep_alive_,
                    fmt::format("Access-Control-Allow-Methods: {}\r\nAccess-Control-Allow-Headers: "
                                "{}\r\nAccess-Control-Max-Age: 600\r\n",
                                allowed_in_pages(head.path, snapshot_->settings.passages),
                                wanted.empty() ? "authorization, content-type" : wanted.substr(0, kMaxAskedFields)));
      return;
    }
  }
}

// Small answers leave at the end of the loop's turn, all that are ready one after the other: whoever reads them is
// woken once and finds them all, instead of falling asleep between two (docs/decisions/0012-sends-at-the-turns-end.md).
bool Connection::send(std::span<const std::string_view> slices) {
  if (phase_ == Phase::kClosed) return false;
  std::size_t total = 0;
  for (const auto slice : slices) total += slice.size();
  worker_.metrics.bytes_out.add(total);
  std::size_t sent = 0;
  if (unsent() == 0 && total > kSentAtTurnsEnd) {
    const net::Written written = stream_.write(slices);
    sent = written.bytes;
    if (sent == total) return true;
    if (written.error) {
      close();
      return false;
    }
    await_progress();
  }
  // A reader that is always a little behind must not make the stream's whole past stay.
  if (unsent_offset_ >= kHighWater) {
    unsent_.erase(0, unsent_offset_);
    unsent_offset_ = 0;
  }
  for (std::string_view slice : slices) {
    if (sent >= slice.size()) {
      sent -= slice.size();
      continue;
    }
    unsent_.append(slice.substr(sent));
    sent = 0;
  }
  if (unsent_.size() > kSentAtTurnsEnd && !held_unsent_.hold(unsent_.size())) {
    close();
    return false;
  }
  stream_.want_write();
  return true;
}

// The client takes no more now: it has the write time-out for the next byte.
void Connection::await_progress() {
  if (write_timer_.running()) return;
  worker_.shard.timers().start(write_timer_, snapshot_->settings.limits.write_timeout, *this, kWriteTimer);
}

void Connection::on_writable() {
  const auto self = shared_from_this();
  const std::string_view rest[] = {unsent_};
  const net::Written written = stream_.write(rest, unsent_offset_);
  unsent_offset_ += written.bytes;
  if (written.error) {
    close();
    return;
  }
  if (written.bytes != 0) write_timer_.stop();
  if (unsent() == 0) {
    unsent_.clear();
    unsent_offset_ = 0;
    held_unsent_.release();
    if (unsent_.capacity() > kKeptUnsent) std::string().swap(unsent_);
  } else {
    await_progress();
    stream_.want_write();
  }
  if (phase_ == Phase::kRunning && exchange_ && exchange_->running()) {
    exchange_->on_client_progress();
  } else if (phase_ == Phase::kFlushing && unsent() == 0) {
    answered(!close_after_flush_);
  }
}

// The running request is over, however it ended: its place among the streams and its log line are free again.
void Connection::uncount() {
  if (!std::exchange(counted_stream_, false)) return;
  worker_.common.streams.fetch_sub(1, std::memory_order_relaxed);
  --worker_.promised_lines;
}

void Connection::answered(bool keep_alive) {
  uncount();
  if (phase_ == Phase::kClosed) return;
  if (unsent() != 0) {  // the client gets the rest under its write time-out
    phase_ = Phase::kFlushing;
    close_after_flush_ = !keep_alive;
    return;
  }
  if (cut_ && unframed_) {  // with a reset: an ordinary end would look like the answer's
    close();
    return;
  }
  if (!keep_alive || worker_.draining) {
    // A client that is still sending a refused body would get a reset instead of its answer: stop our side first.
    stream_.shut_writing();
    linger();
    return;
  }
  const std::size_t used = reader_.message_end();
  std::memmove(buffer_.get(), buffer_.get() + used, filled_ - used);
  filled_ -= used;
  reader_.reset();
  snapshot_ = worker_.snapshot();
  reader_.set_head_limit(snapshot_->settings.limits.head_bytes);
  admitted_ = false;
  head_known_ = false;
  subject_ = {};
  phase_ = Phase::kReading;
  if (filled_ != 0) {  // the next request has begun already
    arrived_at_ = MonotonicClock::now();
    worker_.shard.timers().start(read_timer_, snapshot_->settings.limits.header_timeout, *this, kReadTimer);
  }
  if (in_process_) return;  // its loop goes on
  if (filled_ == 0) {
    process();
  } else {  // not from inside the answer of the request before
    worker_.shard.post([self = shared_from_this()] { self->process(); });
  }
}

// Reads and forgets what the client still sends, for a short while, so that it gets to read the answer.
void Connection::linger() {
  constexpr Duration kLinger = 500ms;
  phase_ = Phase::kLingering;
  filled_ = 0;
  worker_.shard.timers().start(read_timer_, kLinger, *this, kReadTimer);
  read();
}

// After an answer that broke off. Chunked framing without its last chunk tells the client, as does a length; HTTP/1.0
// and an answer that its connection ends have no framing to break, there only a reset does.
void Connection::cut(Framing framing) {
  uncount();
  if (phase_ == Phase::kClosed) return;
  cut_ = true;
  unframed_ = minor_version_ == 0 || framing == Framing::kClose;
  if (unframed_) {
    stream_.reset_on_close();
  }
  if (unsent() != 0) {
    phase_ = Phase::kFlushing;
    close_after_flush_ = true;
  } else if (unframed_) {
    close();
  } else {
    stream_.shut_writing();
    linger();
  }
}

void Connection::on_timer(std::uint32_t tag) {
  if (tag == kWriteTimer) {
    worker_.metrics.slow_clients.add();
    close();
    return;
  }
  if (phase_ == Phase::kReading && filled_ != 0) {  // a request begun and not ended in time
    worker_.metrics.slow_clients.add();
    keep_alive_ = false;
    refuse({ErrorCode::kTimeout, "the request did not come in whole in time", {}}, true);
    return;
  }
  stream_.shut_writing();
  close();
}

}  // namespace thalweg::gateway
