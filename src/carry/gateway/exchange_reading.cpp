// What an endpoint answers, as events for the Flight: streams frame by frame, whole answers and refusals at their end.
#include <algorithm>

#include "carry/gateway/connection.h"
#include "carry/gateway/exchange.h"

namespace thalweg::gateway {

using flight::Event;
using flight::Failure;

void Exchange::on_head(const http::ResponseHead& head) {
  const auto keep = connection_.shared_from_this();
  upstream_status_ = head.status;
  if (head.status == 200) {
    form_ = head.event_stream ? AnswerForm::kStream : AnswerForm::kWhole;
    if (form_ == AnswerForm::kWhole && parsed_.request().delivery == inference::Delivery::kStream) {
      // Asked for a stream and answered whole: an error object, or a server that cannot stream.
      fail_attempt(Failure::kMalformed);
    }
    return;
  }
  if (head.status >= 400) {
    form_ = AnswerForm::kRefusal;
    retry_after_ = head.field("retry-after");
    upstream_request_id_ = head.field("x-request-id").substr(0, 128);
    return;
  }
  fail_attempt(Failure::kMalformed);
}

void Exchange::on_body(std::string_view bytes) {
  const auto keep = connection_.shared_from_this();
  if (!attempt_) return;
  switch (form_) {
    case AnswerForm::kStream:
      read_stream(bytes);
      return;
    case AnswerForm::kWhole:
      if (body_.size() + bytes.size() > snapshot_->settings.limits.answer_bytes ||
          !held_.hold(body_.size() + bytes.size())) {
        fail_attempt(Failure::kTooLarge);
        return;
      }
      if (body_.capacity() < body_.size() + bytes.size() + http::kPadding) {
        body_.reserve((body_.size() + bytes.size()) * 2 + http::kPadding);
      }
      body_.append(bytes);
      return;
    case AnswerForm::kRefusal:
      if (body_.size() < kRefusalBytes) body_.append(bytes.substr(0, kRefusalBytes - body_.size()));
      return;
    case AnswerForm::kNone:
      return;
  }
}

std::uint8_t Exchange::free_slot() const {
  for (std::uint8_t i = 0; i < kFrameSlots; ++i) {
    if (!frame_used_[i]) return i;
  }
  return kFrameSlots;
}

void Exchange::read_stream(std::string_view bytes) {
  sse_.feed(bytes);
  http::SseFrame frame;
  while (attempt_) {
    const auto next = sse_.next(frame);
    if (!next) {
      fail_attempt(next.error().code == ErrorCode::kTooLarge ? Failure::kTooLarge : Failure::kMalformed);
      return;
    }
    if (!*next) return;
    const std::uint8_t slot = free_slot();
    THALWEG_CHECK(slot < kFrameSlots);
    std::string& text = frames_[slot];
    text.clear();
    const auto read = answer_.read_frame(frame, text);
    if (!read) {
      fail_attempt(Failure::kMalformed);
      return;
    }
    if (read->withheld) text.clear();
    if (first_token_at_ == Instant{} && (read->facts.text || read->facts.tool)) first_token_at_ = MonotonicClock::now();
    if (read->facts.error) {
      fail_attempt(Failure::kErrorFrame);
      return;
    }
    if (!streamed_) {
      folded_bytes_ += frame.raw.size();
      if (folded_bytes_ > snapshot_->settings.limits.answer_bytes || !held_.hold(folded_bytes_)) {
        fail_attempt(Failure::kTooLarge);
        return;
      }
    }
    frame_used_[slot] = true;
    const bool folds = parsed_.request().delivery == inference::Delivery::kWhole;
    feed({.kind = Event::Kind::kFrame,
          .attempt = flight_.attempt(),
          .slot = slot,
          .facts = read->facts,
          .length = static_cast<std::uint32_t>(frame.raw.size())});
    if (folds) frame_used_[slot] = false;  // the answer keeps what it needs
  }
}

void Exchange::on_batch_end() {
  const auto keep = connection_.shared_from_this();
  flush_batch();
  if (running_ && !flight_.done() && !blocked_ && connection_.unsent() > kHighWater) {
    blocked_ = true;
    worker_.metrics.slow_clients.add();
    feed({.kind = Event::Kind::kClientBlocked});
  }
}

void Exchange::on_end() {
  const auto keep = connection_.shared_from_this();
  if (form_ == AnswerForm::kRefusal) {
    switch (dialect::classify_refusal(upstream_status_, body_)) {
      case dialect::RefusalKind::kContext:
      case dialect::RefusalKind::kContent:
        fail_attempt(Failure::kUnfit);
        return;
      case dialect::RefusalKind::kBusy:
        fail_attempt(Failure::kBusy);
        return;
      case dialect::RefusalKind::kServer:
        fail_attempt(Failure::kServerError);
        return;
      case dialect::RefusalKind::kCaller:
        fail_attempt(Failure::kRefused);
        return;
      // Our key there, not the caller's fault: another endpoint may do, this one will not.
      case dialect::RefusalKind::kCredentials:
        never_again_ = true;
        fail_attempt(Failure::kServerError);
        return;
    }
  }
  if (form_ == AnswerForm::kWhole) {
    const auto facts = answer_.read_whole(body_);
    if (!facts) {
      fail_attempt(Failure::kMalformed);
      return;
    }
    if (facts->error) {
      fail_attempt(Failure::kErrorFrame);
      return;
    }
    feed({.kind = Event::Kind::kFrame,
          .attempt = flight_.attempt(),
          .facts = *facts,
          .length = static_cast<std::uint32_t>(body_.size())});
  }
  if (form_ == AnswerForm::kNone) {
    fail_attempt(Failure::kMalformed);
    return;
  }
  feed({.kind = Event::Kind::kUpstreamEnd, .attempt = flight_.attempt()});
}

void Exchange::on_break(upstream::Breakage breakage) {
  const auto keep = connection_.shared_from_this();
  switch (breakage) {
    case upstream::Breakage::kNotConnected:
      fail_attempt(Failure::kNotSent);
      return;
    case upstream::Breakage::kConnectTimeout:
      fail_attempt(Failure::kSilent);
      return;
    case upstream::Breakage::kCut:
      fail_attempt(Failure::kCut);
      return;
    case upstream::Breakage::kMalformed:
      fail_attempt(Failure::kMalformed);
      return;
  }
}

// The attempt is over: the Flight judges what follows.
void Exchange::fail_attempt(Failure failure) {
  attempt_.reset();
  feed({.kind = Event::Kind::kUpstreamError, .attempt = flight_.attempt(), .failure = failure});
}

}  // namespace thalweg::gateway
