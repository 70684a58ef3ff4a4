// The books: each failed attempt once, each request once, in numbers, observations and the access log.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "carry/gateway/connection.h"
#include "carry/gateway/exchange.h"
#include "carry/http/retry_after.h"

namespace thalweg::gateway {

using flight::Failure;

namespace {

constexpr Duration kFirstBackoff = 100ms;
constexpr std::size_t kKeptCapacity = 16 * 1024;

placement::AttemptEnd end_of(Failure failure) {
  switch (failure) {
    case Failure::kNotSent:
      return placement::AttemptEnd::kNotSent;
    case Failure::kBusy:
      return placement::AttemptEnd::kBusy;
    case Failure::kUnfit:
      return placement::AttemptEnd::kUnfit;
    case Failure::kSilent:
    case Failure::kStalled:
      return placement::AttemptEnd::kSilent;
    default:
      return placement::AttemptEnd::kFailed;
  }
}

placement::Sight sight_of(Failure failure) {
  switch (failure) {
    case Failure::kNotSent:
      return placement::Sight::kNotConnected;
    case Failure::kBusy:
      return placement::Sight::kBusy;
    case Failure::kServerError:
      return placement::Sight::kServerError;
    case Failure::kSilent:
    case Failure::kStalled:
      return placement::Sight::kSilence;
    case Failure::kCut:
    case Failure::kMalformed:
      return placement::Sight::kCut;
    default:
      return placement::Sight::kSuccess;  // it answered; what it answered is about the request
  }
}

}  // namespace

// Once an attempt: for the next Question, the numbers and the learners.
void Exchange::record_failed_attempt(Failure failure) {
  if (std::exchange(recorded_, true)) return;
  const Instant now = MonotonicClock::now();
  Duration wait = http::read_retry_after(retry_after_, UtcClock::now()).value_or(Duration::zero());
  if (wait == Duration::zero() && failure != Failure::kNotSent) {
    // Jittered: half to one and a half of a doubling back-off.
    const Duration base = kFirstBackoff * (1 << (dispatched_ - 1));
    wait = base / 2 + Duration(worker_.ids.random() % static_cast<std::uint64_t>(base.count()));
  } else if (failure == Failure::kNotSent) {
    wait = kFirstBackoff / 2 + Duration(worker_.ids.random() % static_cast<std::uint64_t>(kFirstBackoff.count()));
  }
  question_.earlier.add({target_, never_again_ ? placement::AttemptEnd::kSilent : end_of(failure), now + wait});
  series().failures.add();
  if (!failed_attempts_.empty()) failed_attempts_ += ", ";
  fmt::format_to(std::back_inserter(failed_attempts_), "{}: {}", endpoint().name, flight::name_of(failure));
  if (upstream_status_ >= 400) fmt::format_to(std::back_inserter(failed_attempts_), " ({})", upstream_status_);
  // One that is busy says for how long; a bare 503 is what a proxy answers whose server is gone.
  const bool bare = failure == Failure::kBusy && upstream_status_ == 503 && retry_after_.empty();
  if (failure == Failure::kNoRoom) return;  // our own lack says nothing of the endpoint
  const bool key_refused = failure == Failure::kRefused && upstream_status_ == 401;
  worker_.observe({.endpoint = target_.endpoint,
                   .sight = bare          ? placement::Sight::kServerError
                            : key_refused ? placement::Sight::kKeyRefused
                                          : sight_of(failure)},
                  snapshot_->fleet().number);
}

void Exchange::settle(flight::Ending ending) {
  if (failed_ && ending == flight::Ending::kComplete) ending = flight::Ending::kFailed;  // it could not be delivered
  for (net::Timer& timer : timers_) timer.stop();
  leave_line();
  permit_.reset();
  settled_ = true;
  const bool left = ending == flight::Ending::kTruncated || ending == flight::Ending::kClientGone;
  cut_ = cut_ || (head_sent_ && left);
  if (attempt_) attempt_->let_finish();
  attempt_.reset();
  const Instant now = MonotonicClock::now();
  // What goes through is not read: it has no tokens, and what the answer before it had is not its own.
  const bool read = passage_ == nullptr;
  const inference::Usage usage = read ? answer_.usage() : inference::Usage{};
  auto& metrics = worker_.metrics;
  metrics.requests_finished.add();
  if (ending == flight::Ending::kTruncated) metrics.truncated.add();
  if (ending == flight::Ending::kClientGone) {
    metrics.cancelled.add();
    if (status_ == 0) metrics.responses_by_class[0].add();
  }
  if (dispatched_ != 0) {
    telemetry::ModelSeries& numbers = series();
    if (ending == flight::Ending::kComplete) {
      numbers.requests.add();
      worker_.observe({.endpoint = target_.endpoint,
                       .sight = placement::Sight::kSuccess,
                       .prefill_tokens = read ? answer_.prefill_tokens() : 0,
                       .prefill_time = read ? answer_.prefill_time() : Duration{}},
                      snapshot_->fleet().number);
    }
    if (usage.reported) {
      numbers.input_tokens.record(usage.input_tokens);
      numbers.output_tokens.record(usage.output_tokens);
      numbers.cached_input_tokens.add(usage.cached_input_tokens);
    } else if (read && question_.surface != inference::Surface::kAnthropicCountTokens) {  // which uses none
      numbers.unreported_usage.add();
    }
    numbers.duration.record(now - arrived_at_);
    if (first_token_at_ != Instant{}) numbers.time_to_first_token.record(first_token_at_ - arrived_at_);
  }
  telemetry::AccessLine line;
  line.at = arrived_;
  line.request = question_.request;
  line.method = http::name_of(method_);
  line.path = path_;
  line.status = status_;
  line.outcome = flight::name_of(ending);
  if (failed_) line.error = name_of(error_);
  if (question_.subject.key != nullptr) line.key_id = question_.subject.key->id;
  line.tenant = question_.subject.tenant;
  line.model_asked = question_.model;
  if (target_.endpoint) {
    line.endpoint = endpoint().name;
    line.place = snapshot_->fleet().places[endpoint().place.value].name;
    line.model = snapshot_->fleet().at(target_).name;
  }
  line.attempts = dispatched_;
  line.failed = failed_attempts_;
  line.streamed = streamed_ && read;
  line.passed = !read;
  line.usage_reported = dispatched_ != 0 && usage.reported;
  if (dispatched_ != 0) {
    line.input_tokens = usage.input_tokens;
    line.output_tokens = usage.output_tokens;
    line.cached_input_tokens = usage.cached_input_tokens;
    if (read) line.finish_reason = answer_.finish_reason();
  }
  line.bytes_in = bytes_in_;
  line.bytes_out = bytes_out_;
  line.duration = now - arrived_at_;
  if (first_token_at_ != Instant{}) line.time_to_first_token = first_token_at_ - arrived_at_;
  line.decision_hash = decision_hash_;
  worker_.write_line(line);
}

// After the last action: hands the connection back. Nothing of this exchange may be touched afterwards.
void Exchange::conclude() {
  running_ = false;
  settled_ = false;
  held_.release();
  held_written_.release();
  caller_.forget();
  lent_ = {};
  // What a large answer has grown is not kept for the next.
  const auto shrink = [](std::string& text) {
    if (text.capacity() > kKeptCapacity) std::string().swap(text);
  };
  shrink(body_);
  shrink(batch_);
  for (std::string& frame : frames_) shrink(frame);
  sse_.reset();
  answer_.forget();
  const bool cut = cut_;
  const Framing framing = framing_;
  worker_.slot_came_free();
  if (cut) {
    connection_.cut(framing);
  } else {
    connection_.answered(connection_.client_keeps_alive() && framing != Framing::kClose);
  }
}

}  // namespace thalweg::gateway
