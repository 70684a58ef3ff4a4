// What an endpoint answers, as events for the Flight: streams frame by frame, whole answers and refusals at their end.
#include <algorithm>
#include <utility>

#include "carry/gateway/connection.h"
#include "carry/gateway/exchange.h"

namespace thalweg::gateway {

using flight::Event;
using flight::Failure;

namespace {
constexpr std::size_t kMaxPassedId = 128;  // of an endpoint's request id
}  // namespace

// What the endpoint calls the request.
std::string_view Exchange::passed_id(const http::ResponseHead& head) const {
  return head.field(endpoint().kind == fleet::EndpointKind::kAnthropic ? "request-id" : "x-request-id")
      .substr(0, kMaxPassedId);
}

void Exchange::on_head(const http::ResponseHead& head) {
  const auto self = connection_.shared_from_this();
  upstream_status_ = head.status;
  if (passage_ != nullptr) return pass_head(head);
  if (head.status == 200) {
    form_ = head.event_stream ? AnswerForm::kStream : AnswerForm::kWhole;
    // Asked for a stream and answered whole: an error object, or a server that cannot stream. The other way round
    // only what can be folded will do.
    const bool folds = endpoint().kind != fleet::EndpointKind::kAnthropic;
    if (form_ == AnswerForm::kWhole ? streamed_ : !streamed_ && !folds) fail_attempt(Failure::kMalformed);
    return;
  }
  if (head.status >= 400) {
    form_ = AnswerForm::kRefusal;
    retry_after_ = head.field("retry-after");
    upstream_request_id_ = passed_id(head);
    return;
  }
  fail_attempt(Failure::kMalformed);
}

void Exchange::on_body(std::string_view bytes) {
  const auto self = connection_.shared_from_this();
  if (!attempt_) return;
  switch (form_) {
    case AnswerForm::kStream:
      read_stream(bytes);
      return;
    case AnswerForm::kWhole:
      if (body_.size() + lent_.size() + bytes.size() > snapshot_->settings.limits.answer_bytes) {
        too_large_for_ = "limits.answer";
        fail_attempt(Failure::kTooLarge);
        return;
      }
      // An answer that comes in one piece is read where it lies; most do.
      if (body_.empty() && lent_.empty()) {
        lent_ = bytes;
        return;
      }
      if (!keep(std::exchange(lent_, {})) || !keep(bytes)) fail_attempt(Failure::kNoRoom);
      return;
    case AnswerForm::kRefusal:
      if (body_.size() < dialect::kMaxReadRefusal)
        body_.append(bytes.substr(0, dialect::kMaxReadRefusal - body_.size()));
      return;
    case AnswerForm::kPassed:
      return pass_body(bytes);
    case AnswerForm::kNone:
      return;
  }
}

// Adds to the whole answer; false when the process may hold no more.
bool Exchange::keep(std::string_view bytes) {
  const std::size_t size = body_.size() + bytes.size();
  if (!held_.hold(size)) return false;
  if (body_.capacity() < size + http::kPadding) body_.reserve(size * 2 + http::kPadding);
  body_.append(bytes);
  return true;
}

// What a stream makes us hold between two reads: an unfinished frame, frames held back, an answer that is put together.
std::size_t Exchange::held_of_stream() const {
  std::size_t bytes = sse_.held() + folded_bytes_ + answer_.held();
  for (std::size_t i = 0; i < kFrameSlots; ++i) bytes += frame_used_[i] ? frames_[i].size() : 0;
  return bytes;
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
      too_large_for_ = kFrameLimitText;
      fail_attempt(next.error().code == ErrorCode::kTooLarge ? Failure::kTooLarge : Failure::kMalformed);
      return;
    }
    if (!*next) {
      if (!held_.hold(held_of_stream())) fail_attempt(Failure::kNoRoom);
      return;
    }
    const std::uint8_t slot = free_slot();
    THALWEG_CHECK(slot < kFrameSlots);
    std::string& text = frames_[slot];
    text.clear();
    tell_times();
    const auto read = answer_.read_frame(frame, text);
    if (!read) {
      fail_attempt(Failure::kMalformed);
      return;
    }
    if (read->withheld) text.clear();
    if (first_token_at_ == Instant{} && (read->facts.text || read->facts.tool)) first_token_at_ = MonotonicClock::now();
    if (read->facts.error) {
      fail_attempt(failure_of_error(frame.data));
      return;
    }
    if (!streamed_) {
      folded_bytes_ += frame.raw.size();
      if (folded_bytes_ > snapshot_->settings.limits.answer_bytes) {
        too_large_for_ = "limits.answer";
        fail_attempt(Failure::kTooLarge);
        return;
      }
    }
    frame_used_[slot] = true;
    const bool folds = caller_.request().delivery == inference::Delivery::kWhole;
    feed({.kind = Event::Kind::kFrame,
          .attempt = flight_.attempt(),
          .slot = slot,
          .facts = read->facts,
          .length = static_cast<std::uint32_t>(frame.raw.size())});
    if (folds) frame_used_[slot] = false;  // the answer keeps what it needs
  }
}

// An error object under status 200: from servers that begin their answer before they judge the request.
Failure Exchange::failure_of_error(std::string_view data) const {
  if (flight_.committed()) return Failure::kErrorFrame;
  const auto kind = dialect::classify_refusal(400, data);
  return kind == dialect::RefusalKind::kContext || kind == dialect::RefusalKind::kContent ? Failure::kUnfit
                                                                                          : Failure::kErrorFrame;
}

void Exchange::on_batch_end() {
  const auto self = connection_.shared_from_this();
  if (!lent_.empty() && !keep(std::exchange(lent_, {}))) {
    fail_attempt(Failure::kNoRoom);
    return;
  }
  flush_batch();
  if (running_ && !flight_.done() && !blocked_ && connection_.unsent() > kHighWater) {
    blocked_ = true;
    worker_.metrics.slow_clients.add();
    feed({.kind = Event::Kind::kClientBlocked});
  }
}

void Exchange::on_end() {
  const auto self = connection_.shared_from_this();
  if (passage_ != nullptr) return end_passage();
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
    const std::string_view whole = whole_read();
    tell_times();
    const auto facts = answer_.read_whole(whole);
    if (!facts) {
      fail_attempt(Failure::kMalformed);
      return;
    }
    if (facts->error) {
      fail_attempt(failure_of_error(whole));
      return;
    }
    feed({.kind = Event::Kind::kFrame,
          .attempt = flight_.attempt(),
          .facts = *facts,
          .length = static_cast<std::uint32_t>(whole.size())});
  }
  if (form_ == AnswerForm::kNone) {
    fail_attempt(Failure::kMalformed);
    return;
  }
  attempt_.reset();  // its slot with it: whatever comes next, another attempt too, must not wait for this one
  feed({.kind = Event::Kind::kUpstreamEnd, .attempt = flight_.attempt()});
}

void Exchange::on_break(upstream::Breakage breakage) {
  const auto self = connection_.shared_from_this();
  switch (breakage) {
    case upstream::Breakage::kNotConnected:
      fail_attempt(Failure::kNotSent);
      return;
    case upstream::Breakage::kNoRoom:
      fail_attempt(Failure::kNoRoom);
      return;
    case upstream::Breakage::kConnectTimeout:  // of what goes through, another endpoint must know that nothing was sent
      fail_attempt(passage_ != nullptr ? Failure::kNotSent : Failure::kSilent);
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
  lent_ = {};
  feed({.kind = Event::Kind::kUpstreamError, .attempt = flight_.attempt(), .failure = failure});
}

}  // namespace thalweg::gateway
