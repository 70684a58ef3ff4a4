#include "carry/gateway/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/hash.h"
#include "carry/gateway/connection.h"
#include "decide/placement/explain.h"

namespace thalweg::gateway {

using flight::Action;
using flight::Event;
using flight::Failure;

namespace {

constexpr Duration kFirstBackoff = 100ms;
constexpr Duration kLongestRetryAfter = 60s;  // what an endpoint may ask for at most
constexpr std::size_t kFrameLimit = 8 * 1024 * 1024;

std::string_view path_of(inference::Surface surface) {
  return surface == inference::Surface::kOpenAiChat ? "/chat/completions" : "/completions";
}

// Retry-After in seconds; dates are not used by the APIs spoken here.
Duration read_retry_after(std::string_view text) {
  std::uint64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end == text.data()) return Duration::zero();
  return std::min<Duration>(std::chrono::seconds(std::min<std::uint64_t>(seconds, 3600)), kLongestRetryAfter);
}

placement::AttemptEnd end_of(Failure failure) {
  switch (failure) {
    case Failure::kNotSent: return placement::AttemptEnd::kNotSent;
    case Failure::kBusy: return placement::AttemptEnd::kBusy;
    case Failure::kUnfit: return placement::AttemptEnd::kUnfit;
    case Failure::kSilent:
    case Failure::kStalled: return placement::AttemptEnd::kSilent;
    default: return placement::AttemptEnd::kFailed;
  }
}

placement::Sight sight_of(Failure failure) {
  switch (failure) {
    case Failure::kNotSent: return placement::Sight::kNotConnected;
    case Failure::kBusy: return placement::Sight::kBusy;
    case Failure::kServerError: return placement::Sight::kServerError;
    case Failure::kSilent:
    case Failure::kStalled: return placement::Sight::kSilence;
    case Failure::kCut:
    case Failure::kMalformed: return placement::Sight::kCut;
    default: return placement::Sight::kSuccess;  // it answered; what it answered is about the request
  }
}

}  // namespace

Exchange::Exchange(Connection& connection)
    : connection_(connection), worker_(connection.worker()), sse_(kFrameLimit), held_(connection.worker().common.bytes) {}

Exchange::~Exchange() { leave_line(); }

const fleet::Endpoint& Exchange::endpoint() const { return snapshot_->fleet().endpoints[target_.endpoint.value]; }

telemetry::ModelSeries& Exchange::series() {
  return *worker_.metrics.models[snapshot_->endpoints[target_.endpoint.value].series[target_.model.value]];
}

void Exchange::begin(const Arrival& arrival) {
  // A client that leaves in the middle of a callback must not take this object with it: callbacks keep the connection.
  snapshot_ = arrival.snapshot;
  arrived_ = arrival.at;
  arrived_at_ = arrival.at_instant;
  path_ = arrival.path;
  bytes_in_ = arrival.body.size();
  bytes_out_ = 0;
  status_ = 0;
  decision_hash_ = 0;
  dispatched_ = 0;
  dispatched_at_ = {};
  first_token_at_ = {};
  target_ = {};
  timeouts_ = {};
  queued_ = 0;
  running_ = true;
  settled_ = head_sent_ = blocked_ = cut_ = failed_ = false;
  form_ = AnswerForm::kNone;
  denial_.clear();
  batch_.clear();
  frame_used_.fill(false);
  question_ = {};
  question_.request = worker_.ids.next();
  question_.subject = arrival.subject;
  asked_under_ = arrival.snapshot;
  worker_.retries.on_request();

  const auto parsed = parsed_.parse(arrival.surface, arrival.body);
  streamed_ = parsed && parsed_.request().delivery == inference::Delivery::kStream;
  flight_ = flight::Flight(streamed_ ? inference::Delivery::kStream : inference::Delivery::kWhole);
  if (!parsed) {
    error_ = parsed.error().code;
    failed_ = true;
    const std::string body = dialect::error_body(parsed.error(), parsed_.fault_parameter());
    const std::string_view slices[] = {body};
    feeding_ = true;  // no Flight begins; conclude() once the answer is out
    send_response(dialect::status_of(parsed.error().code), {}, slices, body.size());
    settle(flight::Ending::kFailed);
    feeding_ = false;
    conclude();
    return;
  }
  const inference::Request& request = parsed_.request();
  question_.surface = request.surface;
  question_.model = request.model;
  question_.needs = request.needs;
  question_.estimated_input_tokens = request.estimated_input_tokens;
  question_.max_output_tokens = request.max_output_tokens;
  question_.utc = arrived_;
  question_.first_asked_at = MonotonicClock::now();
  question_.wait_limit = snapshot_->settings.limits.wait;
  question_.seed = mix64(question_.request.high, question_.request.low);
  feed({.kind = Event::Kind::kStart});
}

// Events are taken one after the other, never one inside another: an action that causes an event queues it.
void Exchange::feed(const Event& event) {
  if (!running_ || flight_.done()) return;
  THALWEG_CHECK(queued_ < queue_.size());
  queue_[queued_++] = event;
  if (feeding_) return;
  feeding_ = true;
  for (std::size_t next = 0; next < queued_; ++next) {
    const Event taken = queue_[next];
    for (const Action& action : flight_.on(taken)) perform(action);
    if (next + 1 == queued_) break;
    if (next + 1 == queue_.size() / 2) {  // make room: what is taken is gone
      std::copy(queue_.begin() + static_cast<std::ptrdiff_t>(next) + 1, queue_.begin() + static_cast<std::ptrdiff_t>(queued_),
                queue_.begin());
      queued_ -= next + 1;
      next = static_cast<std::size_t>(-1);
    }
  }
  queued_ = 0;
  feeding_ = false;
  if (settled_) conclude();
}

void Exchange::perform(const Action& action) {
  switch (action.kind) {
    case Action::Kind::kAsk:
      if (action.from_attempt) record_failed_attempt(action.failure);
      ask();
      return;
    case Action::Kind::kDispatch: dispatch(); return;
    case Action::Kind::kCancel: attempt_.reset(); return;
    case Action::Kind::kEmit: emit(action.slot); return;
    case Action::Kind::kDropHeld: frame_used_.fill(false); return;
    case Action::Kind::kDeliverWhole: deliver_whole(); return;
    case Action::Kind::kComplete: complete(action.slot == Action::kMarkMissing); return;
    case Action::Kind::kFail: fail(action); return;
    case Action::Kind::kStartTimer: {
      Duration after = action.wait;
      if (action.timer == flight::Timer::kFirstToken) after = timeouts_.first_token;
      if (action.timer == flight::Timer::kGap) after = timeouts_.gap;
      if (action.timer == flight::Timer::kTotal) return;  // begins with the first attempt: waiting has its own limit
      if (action.timer == flight::Timer::kClientWrite) after = snapshot_->settings.limits.write_timeout;
      worker_.shard.timers().start(timers_[static_cast<std::size_t>(action.timer)], after, *this,
                                   static_cast<std::uint32_t>(action.timer));
      return;
    }
    case Action::Kind::kStopTimer: timers_[static_cast<std::size_t>(action.timer)].stop(); return;
    case Action::Kind::kPauseReading:
      if (attempt_) attempt_->pause();
      return;
    case Action::Kind::kResumeReading:
      if (attempt_) attempt_->resume();
      return;
    case Action::Kind::kSettle: settle(action.ending); return;
  }
}

void Exchange::leave_line() {
  if (waiting_) worker_.stop_waiting(*this);
  waiting_ = false;
}

// Lost races are of one asking only; attempts stay, under the indices of the newest fleet.
void Exchange::carry_over_attempts(const Snapshot& newest) {
  placement::EarlierAttempts kept;
  for (placement::EarlierAttempt earlier : question_.earlier.view()) {
    if (earlier.end == placement::AttemptEnd::kLostRace) continue;
    if (newest.fleet().number != asked_under_->fleet().number) {
      const fleet::Endpoint& before = asked_under_->fleet().endpoints[earlier.target.endpoint.value];
      const std::string& model = before.models[earlier.target.model.value].name;
      const auto& endpoints = newest.fleet().endpoints;
      const auto endpoint = std::ranges::find(endpoints, before.name, &fleet::Endpoint::name);
      if (endpoint == endpoints.end()) continue;
      const auto same = std::ranges::find(endpoint->models, model, &fleet::EndpointModel::name);
      if (same == endpoint->models.end()) continue;
      earlier.target = {{static_cast<std::uint16_t>(endpoint - endpoints.begin())},
                        {static_cast<std::uint16_t>(same - endpoint->models.begin())}};
    }
    kept.add(earlier);
  }
  question_.earlier = kept;
}

// Always on the newest snapshots: a key that was revoked meanwhile, a rule that changed, hold at once.
void Exchange::ask() {
  const auto newest = worker_.snapshot();
  if (question_.subject.key != nullptr && newest != asked_under_) {
    question_.subject.key = newest->settings.policy.find_key(question_.subject.key->id);
    if (question_.subject.key == nullptr) {
      question_.subject.tenant = "default";
      asked_under_ = newest;
      leave_line();
      denial_ = "the key was revoked while the request was on its way";
      feed({.kind = Event::Kind::kDenied, .attempt = flight_.attempt(), .error = ErrorCode::kUnauthenticated});
      return;
    }
    question_.subject.tenant = question_.subject.key->tenant;
  }
  carry_over_attempts(*newest);
  asked_under_ = newest;  // what the Question points into
  // Conditions are up to 100 ms old; what they call full may have come free since.
  const fleet::Conditions& conditions = *worker_.conditions();
  question_.seen_free.clear();
  for (std::size_t i = 0; i < newest->endpoints.size(); ++i) {
    if (conditions.endpoints[i].running < newest->fleet().endpoints[i].slots) continue;
    const fleet::SlotCounter& slots = *newest->endpoints[i].slots;
    if (slots.taken.load(std::memory_order_relaxed) < slots.limit.load(std::memory_order_relaxed)) {
      question_.seen_free.add({static_cast<std::uint16_t>(i)});
    }
  }
  const std::uint8_t attempt = static_cast<std::uint8_t>(dispatched_ + 1);
  question_.attempt = attempt;
  while (true) {
    question_.asked_at = MonotonicClock::now();
    const placement::World world{&newest->fleet(), &newest->settings.policy, &newest->facts, worker_.conditions()};
    const placement::Decision decision = placement::place(question_, world, worker_.scratch);
    decision_hash_ = decision.hash();
    if (decision.outcome() == placement::Outcome::kDeny) {
      denial_ = placement::denial_sentence(decision, question_, world);
      worker_.metrics.denials.add();
      leave_line();
      feed({.kind = Event::Kind::kDenied, .attempt = flight_.attempt(), .error = decision.denial()});
      return;
    }
    if (decision.outcome() == placement::Outcome::kWait) {
      if (!waiting_) {
        worker_.metrics.waits.add();
        waiting_ = true;
        worker_.wait(*this);
      }
      feed({.kind = Event::Kind::kMustWait, .attempt = flight_.attempt(), .wait = decision.wait()});
      return;
    }
    auto slot = fleet::take_slot(*newest->endpoints[decision.target().endpoint.value].slots, decision.target().endpoint);
    if (!slot) {
      question_.earlier.add({decision.target(), placement::AttemptEnd::kLostRace, {}});
      if (!question_.earlier.full()) continue;
      // So many lost races mean that everything is busy.
      denial_ = "every endpoint that could answer is busy";
      leave_line();
      feed({.kind = Event::Kind::kDenied, .attempt = flight_.attempt(), .error = ErrorCode::kOverloaded});
      return;
    }
    if (attempt > 1 && !worker_.retries.spend()) {
      denial_ = "the retry budget is spent";
      leave_line();
      feed({.kind = Event::Kind::kDenied, .attempt = flight_.attempt(), .error = ErrorCode::kOverloaded});
      return;
    }
    leave_line();
    target_ = decision.target();
    timeouts_ = decision.timeouts();
    permit_.emplace(placement::grant(decision, budget::Reservation(), std::move(*slot)));
    snapshot_ = newest;
    feed({.kind = Event::Kind::kGranted, .attempt = flight_.attempt()});
    return;
  }
}

void Exchange::dispatch() {
  const inference::Request& request = parsed_.request();
  const fleet::EndpointModel& model = snapshot_->fleet().at(target_);
  const fleet::EndpointKind kind = endpoint().kind;
  form_ = AnswerForm::kNone;
  upstream_status_ = 0;
  retry_after_.clear();
  upstream_request_id_.clear();
  body_.clear();
  sse_.reset();
  answer_.begin(request, model.name, request.delivery == inference::Delivery::kWhole);
  const dialect::SlicedBody& body = parsed_.body_for(kind, model.upstream_name, permit_->obligations());
  dispatched_at_ = MonotonicClock::now();
  if (!timers_[static_cast<std::size_t>(flight::Timer::kTotal)].running() && timeouts_.total != Duration::zero()) {
    worker_.shard.timers().start(timers_[static_cast<std::size_t>(flight::Timer::kTotal)], timeouts_.total, *this,
                                 static_cast<std::uint32_t>(flight::Timer::kTotal));
  }
  ++dispatched_;
  recorded_ = false;
  if (dispatched_ > 1) worker_.metrics.failovers.add();
  const placement::Obligations obligations = permit_->obligations();
  auto attempt = upstream::dispatch(std::move(*permit_),
                                    upstream::Body(target_, obligations, path_of(request.surface), body.slices(), body.size()),
                                    worker_.door, *this);
  permit_.reset();
  if (!attempt) {  // a stale permit: ask again on the newest snapshots
    fail_attempt(Failure::kNotSent);
    return;
  }
  attempt_ = std::move(*attempt);
}

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
    case AnswerForm::kStream: read_stream(bytes); return;
    case AnswerForm::kWhole:
      if (body_.size() + bytes.size() > snapshot_->settings.limits.answer_bytes || !held_.hold(body_.size() + bytes.size())) {
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
    case AnswerForm::kNone: return;
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

void Exchange::on_client_progress() {
  if (blocked_ && connection_.unsent() < kLowWater) {
    blocked_ = false;
    feed({.kind = Event::Kind::kClientWritable});
  } else if (blocked_ && timers_[static_cast<std::size_t>(flight::Timer::kClientWrite)].running()) {
    // It takes bytes, if slowly: the time-out is for one that takes none.
    worker_.shard.timers().start(timers_[static_cast<std::size_t>(flight::Timer::kClientWrite)],
                                 snapshot_->settings.limits.write_timeout, *this,
                                 static_cast<std::uint32_t>(flight::Timer::kClientWrite));
  }
}

void Exchange::on_end() {
  const auto keep = connection_.shared_from_this();
  if (form_ == AnswerForm::kRefusal) {
    switch (dialect::classify_refusal(upstream_status_, body_)) {
      case dialect::RefusalKind::kContext:
      case dialect::RefusalKind::kContent: fail_attempt(Failure::kUnfit); return;
      case dialect::RefusalKind::kBusy: fail_attempt(Failure::kBusy); return;
      case dialect::RefusalKind::kServer: fail_attempt(Failure::kServerError); return;
      case dialect::RefusalKind::kCredentials:
      case dialect::RefusalKind::kCaller: fail_attempt(Failure::kRefused); return;
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
    case upstream::Breakage::kNotConnected: fail_attempt(Failure::kNotSent); return;
    case upstream::Breakage::kConnectTimeout: fail_attempt(Failure::kSilent); return;
    case upstream::Breakage::kCut: fail_attempt(Failure::kCut); return;
    case upstream::Breakage::kMalformed: fail_attempt(Failure::kMalformed); return;
  }
}

// The attempt is over: the Flight judges what follows.
void Exchange::fail_attempt(Failure failure) {
  attempt_.reset();
  feed({.kind = Event::Kind::kUpstreamError, .attempt = flight_.attempt(), .failure = failure});
}

// Once an attempt: for the next Question, the numbers and the learners.
void Exchange::record_failed_attempt(Failure failure) {
  if (std::exchange(recorded_, true)) return;
  const Instant now = MonotonicClock::now();
  Duration wait = read_retry_after(retry_after_);
  if (wait == Duration::zero() && failure != Failure::kNotSent) {
    // Jittered: half to one and a half of a doubling back-off.
    const Duration base = kFirstBackoff * (1 << (dispatched_ - 1));
    wait = base / 2 + Duration(worker_.ids.random() % static_cast<std::uint64_t>(base.count()));
  } else if (failure == Failure::kNotSent) {
    wait = kFirstBackoff / 2 + Duration(worker_.ids.random() % static_cast<std::uint64_t>(kFirstBackoff.count()));
  }
  question_.earlier.add({target_, end_of(failure), now + wait});
  series().failures.add();
  worker_.observe({.endpoint = target_.endpoint, .sight = sight_of(failure)});
}

void Exchange::on_timer(std::uint32_t tag) {
  const auto keep = connection_.shared_from_this();
  const auto timer = static_cast<flight::Timer>(tag);
  feed({.kind = Event::Kind::kTimer, .timer = timer});
  if (running_) flush_batch();
}

void Exchange::on_slot_free() {
  const auto keep = connection_.shared_from_this();
  feed({.kind = Event::Kind::kSlotFree});
}
void Exchange::on_client_gone() { feed({.kind = Event::Kind::kClientGone}); }
void Exchange::on_drain(Duration limit) { feed({.kind = Event::Kind::kDrain, .wait = limit}); }

void Exchange::emit(std::uint8_t slot) {
  batch_ += frames_[slot];
  frame_used_[slot] = false;
}

void Exchange::send_stream_head() {
  head_sent_ = true;
  status_ = 200;
  worker_.metrics.responses_by_class[2].add();
  const std::string id = question_.request.text();
  const std::string head =
      fmt::format("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Request-Id: {}\r\n{}{}\r\n", id,
                  connection_.minor_version() == 0 ? "Connection: close\r\n"
                  : connection_.client_keeps_alive() ? "Transfer-Encoding: chunked\r\n"
                                                     : "Transfer-Encoding: chunked\r\nConnection: close\r\n",
                  connection_.cors_fields());
  const std::string_view slices[] = {head};
  connection_.send(slices);
}

// All frames of one read leave with one write, as one chunk.
void Exchange::flush_batch() {
  if (batch_.empty() || cut_) return;
  bytes_out_ += batch_.size();
  if (!head_sent_) send_stream_head();
  char size[24];
  std::string_view slices[3] = {{}, batch_, {}};
  if (connection_.minor_version() != 0) {
    const auto end = fmt::format_to(size, "{:x}\r\n", batch_.size());
    slices[0] = {size, static_cast<std::size_t>(end - size)};
    slices[2] = "\r\n";
  }
  const bool sent = connection_.send(slices);
  batch_.clear();
  if (!sent) cut_ = true;
}

void Exchange::complete(bool mark_missing) {
  if (mark_missing) batch_ += dialect::kEndMark;
  flush_batch();
  if (connection_.minor_version() != 0 && !cut_) {
    static constexpr std::string_view kLastChunk[] = {"0\r\n\r\n"};
    connection_.send(kLastChunk);
  }
}

void Exchange::send_response(std::uint16_t status, std::string_view extra_fields, std::span<const std::string_view> body,
                             std::size_t body_size) {
  head_sent_ = true;
  status_ = status;
  bytes_out_ += body_size;
  worker_.metrics.responses_by_class[std::min<std::size_t>(status / 100, 5)].add();
  char id[RequestId::kTextLength];
  question_.request.write(id);
  fmt::basic_memory_buffer<char, 512> head;
  fmt::format_to(std::back_inserter(head),
                 "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nX-Request-Id: {}\r\n{}{}{}\r\n", status,
                 reason_phrase(status), body_size, std::string_view(id, sizeof id), extra_fields,
                 connection_.client_keeps_alive() ? "" : "Connection: close\r\n", connection_.cors_fields());
  slices_.clear();
  slices_.emplace_back(head.data(), head.size());
  slices_.insert(slices_.end(), body.begin(), body.end());
  if (!connection_.send(slices_)) cut_ = true;
}

void Exchange::deliver_whole() {
  if (form_ == AnswerForm::kStream) {
    auto folded = answer_.fold();
    if (!folded) {  // frames that each were right do not make an answer
      fail({.kind = Action::Kind::kFail, .error = ErrorCode::kUpstreamFailed});
      return;
    }
    const std::string_view slices[] = {*folded};
    send_response(200, {}, slices, folded->size());
    return;
  }
  send_response(200, {}, answer_.whole().slices(), answer_.whole().size());
}

Error Exchange::error_of(const Action& action) const {
  const std::string name = target_.endpoint ? endpoint().name : std::string("the endpoint");
  if (action.from_attempt) {
    switch (action.failure) {
      case Failure::kNotSent: return {action.error, fmt::format("no connection to the endpoint \"{}\"", name), {}};
      case Failure::kSilent:
        return {action.error, fmt::format("the endpoint \"{}\" gave no token within its time-out", name), {}};
      case Failure::kStalled:
        return {action.error, fmt::format("the endpoint \"{}\" fell silent in the middle of its answer", name), {}};
      case Failure::kCut:
        return {action.error, fmt::format("the answer of the endpoint \"{}\" ended before it was complete", name), {}};
      case Failure::kMalformed:
        return {action.error, fmt::format("the endpoint \"{}\" did not answer as its API says", name), {}};
      case Failure::kTooLarge:
        return {action.error, fmt::format("the answer of the endpoint \"{}\" is larger than limits.answer", name), {}};
      case Failure::kErrorFrame:
        return {action.error,
                answer_.error_message().empty() ? fmt::format("the endpoint \"{}\" reported an error", name)
                                                : std::string(answer_.error_message().substr(0, 1024)),
                {}};
      default: return {action.error, fmt::format("the endpoint \"{}\" failed", name), {}};
    }
  }
  if (!denial_.empty()) return {action.error, denial_, {}};
  if (action.error == ErrorCode::kUpstreamTimeout) return {action.error, "the request took longer than timeouts.total allows", {}};
  if (action.error == ErrorCode::kDraining) return {action.error, "the gateway is shutting down; try again", {}};
  return {action.error, std::string(name_of(action.error)), {}};
}

void Exchange::fail(const Action& action) {
  if (action.from_attempt) record_failed_attempt(action.failure);
  failed_ = true;
  error_ = action.error;
  const Error error = error_of(action);
  if (head_sent_ || (flight_.committed() && !batch_.empty())) {
    // Inside a stream: the error as an event, and no well-formed end, so that no client can take it for the whole.
    batch_ += dialect::error_frame(error);
    flush_batch();
    cut_ = true;
    return;
  }
  if (action.from_attempt && form_ == AnswerForm::kRefusal) {
    const auto kind = dialect::classify_refusal(upstream_status_, body_);
    const std::uint16_t status = kind == dialect::RefusalKind::kCredentials ? 502 : upstream_status_;
    const std::string body = dialect::refusal_body(upstream_status_, body_, kind, endpoint().name);
    std::string extra;
    if (!retry_after_.empty()) extra += fmt::format("Retry-After: {}\r\n", retry_after_);
    if (!upstream_request_id_.empty()) extra += fmt::format("Thalweg-Upstream-Request-Id: {}\r\n", upstream_request_id_);
    const std::string_view slices[] = {body};
    send_response(status, extra, slices, body.size());
    return;
  }
  const std::string body = dialect::error_body(error, action.error == ErrorCode::kModelNotFound ? "model" : "");
  const bool later = action.error == ErrorCode::kOverloaded || action.error == ErrorCode::kUnavailable ||
                     action.error == ErrorCode::kDraining;
  const std::string_view slices[] = {body};
  send_response(dialect::status_of(action.error), later ? "Retry-After: 1\r\n" : "", slices, body.size());
}

void Exchange::settle(flight::Ending ending) {
  for (net::Timer& timer : timers_) timer.stop();
  leave_line();
  permit_.reset();
  settled_ = true;
  if (ending != flight::Ending::kComplete) cut_ = cut_ || (head_sent_ && ending == flight::Ending::kTruncated);
  if (attempt_) attempt_->let_finish();
  attempt_.reset();
  const Instant now = MonotonicClock::now();
  const inference::Usage& usage = answer_.usage();
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
                       .prefill_tokens = answer_.prefill_tokens(),
                       .prefill_time = answer_.prefill_time()});
    }
    if (usage.reported) {
      numbers.input_tokens.add(usage.input_tokens);
      numbers.output_tokens.add(usage.output_tokens);
      numbers.cached_input_tokens.add(usage.cached_input_tokens);
    } else {
      numbers.unreported_usage.add();
    }
    numbers.duration.record(now - arrived_at_);
    if (first_token_at_ != Instant{}) numbers.time_to_first_token.record(first_token_at_ - arrived_at_);
  }
  telemetry::AccessLine line;
  line.at = arrived_;
  line.request = question_.request;
  line.method = "POST";
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
  line.streamed = streamed_;
  line.usage_reported = dispatched_ != 0 && usage.reported;
  if (dispatched_ != 0) {
    line.input_tokens = usage.input_tokens;
    line.output_tokens = usage.output_tokens;
    line.cached_input_tokens = usage.cached_input_tokens;
    line.finish_reason = answer_.finish_reason();
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
  if (body_.capacity() > kClientBuffer * 4) std::string().swap(body_);
  const bool cut = cut_;
  worker_.slot_came_free();
  if (cut) {
    connection_.cut();
  } else {
    connection_.answered(connection_.client_keeps_alive() && !(connection_.minor_version() == 0 && form_ == AnswerForm::kStream));
  }
}

}  // namespace thalweg::gateway
