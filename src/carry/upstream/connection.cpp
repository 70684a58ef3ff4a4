#include "carry/upstream/connection.h"

#include <fmt/format.h>

#include <algorithm>

namespace thalweg::upstream {

namespace {
enum TimerTag : std::uint32_t { kConnectTimer, kIdleTimer };
constexpr Duration kFinishLimit = 1s;  // for the framing's end after the answer's end mark
}  // namespace

Connection::Connection(net::Shard& shard, std::shared_ptr<Door::Pool> pool)
    : shard_(shard),
      pool_(std::move(pool)),
      stream_(shard.loop()),
      reader_(http::ResponseReader::Limits{}),
      buffer_(new char[kReadBuffer + http::kPadding]) {}

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
  head_.clear();
  fmt::format_to(std::back_inserter(head_), "{} {}{} HTTP/1.1\r\n{}", attempt.body_.get_ ? "GET" : "POST",
                 attempt.body_.root_ == Body::Root::kServer ? "" : pool_->destination.base_path, attempt.body_.path_,
                 pool_->fixed_fields);
  if (!attempt.body_.get_) {
    fmt::format_to(std::back_inserter(head_), "Content-Type: application/json\r\nContent-Length: {}\r\n",
                   attempt.body_.size_);
  }
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
  stream_.connect(pool_->destination.address, pool_->tls.get(), *this, shared_from_this());
}

void Connection::on_connected(const net::error_code& error) {
  timer_.stop();
  if (closed_) return;
  if (error) {
    break_off(Breakage::kNotConnected);
    return;
  }
  connected_ = true;
  send();
}

void Connection::send() {
  slices_.clear();
  slices_.push_back(head_);
  slices_.insert(slices_.end(), attempt_->body_.slices_.begin(), attempt_->body_.slices_.end());
  writing_ = !stream_.write(slices_, *this, shared_from_this());
  arm_read();
}

void Connection::on_written(const net::error_code& error) {
  // A server may refuse early and close: what it answered is read all the same, and the read tells how it ended.
  if (!error) writing_ = false;
}

void Connection::arm_read() {
  if (reading_ || closed_ || !connected_ || (attempt_ != nullptr && attempt_->paused_)) return;
  reading_ = true;
  stream_.read(buffer_.get(), kReadBuffer, *this, shared_from_this());
}

void Connection::on_read(const net::error_code& error, std::size_t bytes) {
  reading_ = false;
  if (closed_) return;
  if (error) {
    if (idle_ || attempt_ == nullptr) {
      close();
      return;
    }
    // A kept connection that had been closed meanwhile: once more, as long as the permit holds.
    if (!answered_ && used_ && !attempt_->reconnected_ && attempt_->door_.admits(attempt_->permit_)) {
      Attempt& attempt = *attempt_;
      attempt_ = nullptr;
      const auto self = shared_from_this();
      close();
      attempt.reconnected_ = true;
      attempt.door_.launch(attempt, true);
      return;
    }
    // Only an end in good order can end an answer that has neither length nor chunks (RFC 9112, section 9.8).
    if (error == net::asio::error::eof && reader_.finish(*this)) {
      if (attempt_ != nullptr) attempt_->sink_.on_batch_end();
      close();
    } else {
      break_off(Breakage::kCut);
    }
    return;
  }
  if (idle_) {  // bytes nobody asked for
    close();
    return;
  }
  if (attempt_ != nullptr && attempt_->paused_) {
    waiting_bytes_ = bytes;
    return;
  }
  take_in(bytes);
}

void Connection::take_in(std::size_t bytes) {
  const auto self = shared_from_this();
  answered_ = true;
  taking_in_ = true;  // the buffer is being looked at: nobody may read into it
  const auto read = reader_.advance({buffer_.get(), bytes}, *this);
  taking_in_ = false;
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
  if (!reader_.reusable() || writing_ || pool_->retired || pool_->idle.size() >= kMaxIdlePerEndpoint) {
    close();
    return;
  }
  idle_ = true;
  pool_->idle.push_back(shared_from_this());
  shard_.timers().start(timer_, kIdleLimit, *this, kIdleTimer);
  arm_read();  // sees the server close
}

void Connection::resume() {
  if (closed_ || idle_ || (attempt_ != nullptr && attempt_->paused_)) return;
  if (waiting_bytes_ != 0) {
    take_in(std::exchange(waiting_bytes_, 0));
  } else {
    arm_read();
  }
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
  if (writing_ || !connected_) {  // what is still to be written lies in the caller's buffers, which are theirs again
    close();
    return;
  }
  shard_.timers().start(timer_, kFinishLimit, *this, kIdleTimer);
  if (!taking_in_) resume();
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  timer_.stop();
  stream_.close();
  if (idle_) {
    idle_ = false;
    const auto self = shared_from_this();
    std::erase(pool_->idle, self);
  }
}

}  // namespace thalweg::upstream
