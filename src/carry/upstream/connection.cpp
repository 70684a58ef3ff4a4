#include "carry/upstream/connection.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace thalweg::upstream {

namespace {
enum TimerTag : std::uint32_t { kConnectTimer, kIdleTimer };
constexpr std::string_view kAccept = "application/json, text/event-stream";
constexpr Duration kStaleLimit = 1s;   // for a closed connection to show, after the request was written
constexpr Duration kFinishLimit = 1s;  // for the framing's end after the answer's end mark

// Not the endpoint's doing.
bool is_own_limit(std::error_code error) {
  return error == std::errc::too_many_files_open || error == std::errc::too_many_files_open_in_system ||
         error == std::errc::not_enough_memory || error == std::errc::no_buffer_space;
}
}  // namespace

Connection::Connection(net::Shard& shard, std::shared_ptr<Door::Pool> pool, std::shared_ptr<char[]> buffer)
    : shard_(shard),
      pool_(std::move(pool)),
      stream_(shard.loop(), *this),
      reader_(http::ResponseReader::Limits{}),
      buffer_(std::move(buffer)) {}

Connection::~Connection() = default;

void Connection::carry(Attempt& attempt) {
  attempt_ = &attempt;
  used_ = connected_;
  answered_ = false;
  ended_ = false;
  idle_ = false;
  reader_.reset();
  timer_.stop();
  const placement::Permit& permit = attempt.permit_;
  const Body& body = attempt.body_;
  head_.assign(http::name_of(body.method_));
  head_ += ' ';
  add_target(body);
  head_ += " HTTP/1.1\r\n";
  head_ += pool_->fixed_fields;
  add_field("Accept", !body.passing_ ? kAccept : body.passing_->accept.empty() ? "*/*" : body.passing_->accept);
  head_ += pool_->key_field;
  if (pool_->destination.credentials == Credentials::kAnthropic) add_anthropic_fields(body.anthropic_);
  if (!pool_->destination.forwarded.empty()) add_forwarded(body.callers_);
  add_content_fields(body);
  head_ += "X-Request-Id: ";
  const std::size_t at = head_.size();
  head_.resize(at + RequestId::kTextLength);
  permit.request().write(head_.data() + at);
  head_ += "\r\n\r\n";
  if (connected_) {
    send();
    return;
  }
  shard_.timers().start(timer_, permit.timeouts().connect, *this, kConnectTimer);
  stream_.connect(pool_->destination.address, pool_->tls.get());
}

void Connection::add_field(std::string_view name, std::string_view value) {
  head_ += name;
  head_ += ": ";
  head_ += value;
  head_ += "\r\n";
}

void Connection::add_target(const Body& body) {
  const Destination& destination = pool_->destination;
  const bool whole = body.root_ == Body::Root::kServer;
  if (!whole) head_ += destination.base_path;
  head_ += body.path_;
  if (!whole) head_ += destination.query;
  if (!body.passing_ || body.passing_->query.empty()) return;
  head_ += destination.query.empty() ? '?' : '&';
  head_ += body.passing_->query;
}

// A closed list of fields: of the caller's head only what describes a body that goes as it is, and what the destination
// names, travel on.
void Connection::add_content_fields(const Body& body) {
  const bool passes = body.passing_.has_value();
  if (!passes && body.method_ == http::Method::kGet) return;
  const std::string_view type = passes ? body.passing_->content_type : std::string_view("application/json");
  if (!type.empty()) add_field("Content-Type", type);
  if (passes && !body.passing_->content_encoding.empty())
    add_field("Content-Encoding", body.passing_->content_encoding);
  // Without a length a server may wait for the body of a method that has one.
  const bool bodiless = body.method_ == http::Method::kGet || body.method_ == http::Method::kDelete;
  if (body.size_ == 0 && bodiless) return;
  const fmt::format_int size(body.size_);
  add_field("Content-Length", {size.data(), size.size()});
}

// The version tells how the key is sent: each generation of the API's clients has a way of its own.
void Connection::add_anthropic_fields(const AnthropicFields& fields) {
  const std::string_view version = fields.version.empty() ? kAnthropicVersion : fields.version;
  head_ += "anthropic-version: ";
  head_ += version;
  head_ += "\r\n";
  if (const std::string& key = pool_->key; !key.empty()) {
    head_ += version < kAnthropicBearerSince ? "x-api-key: " : "Authorization: Bearer ";
    head_ += key;
    head_ += "\r\n";
  }
  if (fields.betas.empty()) return;
  head_ += "anthropic-beta: ";
  head_ += fields.betas;
  head_ += "\r\n";
}

void Connection::add_forwarded(std::span<const http::Field> callers) {
  for (const http::Field& field : callers) {
    const auto same = [&](const std::string& name) { return equals_ignoring_case(name, field.name); };
    if (std::ranges::none_of(pool_->destination.forwarded, same)) continue;
    add_field(field.name, field.value);
  }
}

void Connection::on_connected(std::error_code error) {
  timer_.stop();
  if (error) {
    break_off(is_own_limit(error) ? Breakage::kNoRoom : Breakage::kNotConnected);
    return;
  }
  connected_ = true;
  send();
}

void Connection::send() {
  slices_.clear();
  slices_.push_back(head_);
  slices_.insert(slices_.end(), attempt_->body_.slices_.begin(), attempt_->body_.slices_.end());
  size_ = head_.size() + attempt_->body_.size_;
  sent_ = 0;
  stream_.want_write();  // at the turn's end, behind all others that are ready: the servers are woken once
  arm_read();
}

void Connection::write() {
  if (sent_ == 0) written_at_ = shard_.loop().turn_began();
  const net::Written written = stream_.write(slices_, sent_);
  sent_ += written.bytes;
  // A server may refuse early and close: what it answered is read all the same, and the read tells how it ended.
  if (!written.error && sent_ != size_) stream_.want_write();
}

void Connection::on_writable() {
  if (attempt_ != nullptr) write();
}

void Connection::arm_read() {
  if (closed_ || !connected_ || (attempt_ != nullptr && attempt_->paused_)) return;
  stream_.want_read();
}

void Connection::on_readable() {
  if (attempt_ != nullptr && attempt_->paused_) return;  // resume() asks again
  const auto self = shared_from_this();
  const net::Taken taken = stream_.read(buffer_.get(), kReadBuffer);
  switch (taken.state) {
    case net::Taken::State::kNothing:
      arm_read();
      return;
    case net::Taken::State::kBytes:
      if (idle_) {  // bytes nobody asked for
        close();
      } else {
        take_in(taken.bytes);
      }
      return;
    case net::Taken::State::kEnd:
    case net::Taken::State::kBroken:
      on_broken(taken);
      return;
  }
}

void Connection::on_broken(const net::Taken& taken) {
  if (idle_ || attempt_ == nullptr) {
    close();
    return;
  }
  // A kept connection that had been closed meanwhile: once more, as long as the permit holds. One that breaks later has
  // perhaps worked on the request, and a second try would not be free.
  const bool at_once = MonotonicClock::now() - written_at_ < kStaleLimit;
  if (!answered_ && used_ && at_once && !attempt_->reconnected_ && attempt_->door_.admits(attempt_->permit_)) {
    Attempt& attempt = *attempt_;
    attempt_ = nullptr;
    close();
    attempt.reconnected_ = true;
    attempt.door_.launch(attempt, true);
    return;
  }
  // Only an end in good order can end an answer that has neither length nor chunks (RFC 9112, section 9.8).
  if (taken.state == net::Taken::State::kEnd && reader_.finish(*this)) {
    if (attempt_ != nullptr) attempt_->sink_.on_batch_end();
    close();
  } else {
    break_off(Breakage::kCut);
  }
}

void Connection::take_in(std::size_t bytes) {
  answered_ = true;
  const auto read = reader_.advance({buffer_.get(), bytes}, *this);
  if (closed_) return;
  if (!read && !ended_) {
    break_off(Breakage::kMalformed);
    return;
  }
  if (attempt_ != nullptr) attempt_->sink_.on_batch_end();
  if (closed_) return;
  if (ended_) {
    rest();
  } else {
    arm_read();
  }
}

void Connection::on_head(const http::ResponseHead& head) {
  if (attempt_ != nullptr) attempt_->sink_.on_head(head);
}

void Connection::on_body(std::string_view bytes) {
  if (attempt_ != nullptr) attempt_->sink_.on_body(bytes);
}

void Connection::on_end() {
  ended_ = true;
  if (attempt_ == nullptr) return;
  Attempt& attempt = *attempt_;
  attempt_ = nullptr;
  AttemptSink& sink = attempt.sink_;
  attempt.connection_.reset();
  sink.on_end();
}

void Connection::rest() {
  if (!reader_.reusable() || sent_ != size_ || pool_->retired || pool_->idle.size() >= kMaxIdlePerEndpoint) {
    close();
    return;
  }
  idle_ = true;
  pool_->idle.push_back(shared_from_this());
  std::erase(pool_->finishing, pool_->idle.back());
  shard_.timers().start(timer_, pool_->destination.idle_limit, *this, kIdleTimer);
  arm_read();  // sees the server close
}

void Connection::resume() {
  arm_read();
}

void Connection::on_timer(std::uint32_t tag) {
  if (tag == kIdleTimer) {
    close();
  } else {
    break_off(Breakage::kConnectTimeout);
  }
}

void Connection::break_off(Breakage breakage) {
  const auto self = shared_from_this();
  Attempt* attempt = std::exchange(attempt_, nullptr);
  close();
  if (attempt == nullptr) return;
  AttemptSink& sink = attempt->sink_;
  attempt->connection_.reset();
  sink.on_break(breakage);
}

void Connection::abandon() {
  attempt_ = nullptr;
  close();
}

void Connection::let_finish() {
  attempt_ = nullptr;
  if (closed_ || ended_) return;
  if (sent_ != size_ ||
      !connected_) {  // what is still to be written lies in the caller's buffers, which are theirs again
    close();
    return;
  }
  pool_->finishing.push_back(shared_from_this());
  shard_.timers().start(timer_, kFinishLimit, *this, kIdleTimer);
  resume();
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  timer_.stop();
  stream_.close();
  // Whoever calls holds this: the pool may be the last other that does.
  const auto self = shared_from_this();
  std::erase(std::exchange(idle_, false) ? pool_->idle : pool_->finishing, self);
}

}  // namespace thalweg::upstream
