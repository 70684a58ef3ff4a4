// The driver: feeds events to the Flight, carries its actions out, and asks for every attempt anew.
#include "carry/gateway/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/hash.h"
#include "carry/gateway/connection.h"
#include "decide/placement/explain.h"

namespace thalweg::gateway {

using flight::Action;
using flight::Event;
using flight::Failure;

Exchange::Exchange(Connection& connection)
    : connection_(connection),
      worker_(connection.worker()),
      sse_(kFrameLimit),
      held_(connection.worker().common.bytes),
      held_written_(connection.worker().common.bytes) {}

Exchange::~Exchange() {
  leave_line();
}

const fleet::Endpoint& Exchange::endpoint() const {
  return snapshot_->fleet().endpoints[target_.endpoint.value];
}

telemetry::ModelSeries& Exchange::series() {
  const auto& of_model = snapshot_->endpoints[target_.endpoint.value].series[target_.model.value];
  return *worker_.metrics.models[of_model[operation_of(question_.surface)]];
}

void Exchange::begin(const Arrival& arrival) {
  // A client that leaves in the middle of a callback must not take this object with it: callbacks keep the connection.
  snapshot_ = arrival.snapshot;
  arrived_ = arrival.at;
  arrived_at_ = arrival.at_instant;
  method_ = arrival.method;
  path_ = arrival.path;
  passage_ = arrival.passage;
  bytes_in_ = arrival.body.size();
  bytes_out_ = 0;
  status_ = 0;
  decision_hash_ = 0;
  dispatched_ = 0;
  failed_attempts_.clear();
  first_token_at_ = load_began_ = {};
  target_ = {};
  timeouts_ = {};
  queued_ = 0;
  running_ = true;
  settled_ = head_sent_ = blocked_ = cut_ = failed_ = false;
  form_ = AnswerForm::kNone;
  framing_ = Framing::kLength;
  denial_.clear();
  denial_parameter_ = {};
  anthropic_ = arrival.anthropic;
  callers_fields_ = arrival.fields;
  batch_.clear();
  frame_used_.fill(false);
  question_ = {};
  question_.request = worker_.ids.next();
  question_.subject = arrival.subject;
  asked_under_ = arrival.snapshot;
  worker_.refill.on_request(worker_.common.retries);

  question_.surface = words_ = arrival.surface;
  const auto parsed = passage_ != nullptr ? begin_passage(arrival) : read_request(arrival);
  streamed_ = passage_ != nullptr || (parsed && caller_.request().delivery == inference::Delivery::kStream);
  flight_ =
      flight::Flight(streamed_ ? inference::Delivery::kStream : inference::Delivery::kWhole,
                     passage_ != nullptr && passing_.once ? flight::Repetition::kUnsafe : flight::Repetition::kSafe);
  if (!parsed) {
    error_ = parsed.error().code;
    failed_ = true;
    const bool later = parsed.error().code == ErrorCode::kOverloaded;
    answer_at_once(dialect::status_of(parsed.error().code), later ? kRetrySoon : "",
                   dialect::error_body(words_, parsed.error(),
                                       passage_ != nullptr ? std::string_view() : caller_.fault_parameter(),
                                       question_.request.text()),
                   flight::Ending::kFailed);
    return;
  }
  question_.utc = arrived_;
  question_.wait_limit = snapshot_->settings.limits.wait;
  question_.seed = mix64(question_.request.high, question_.request.low);
  if (passage_ == nullptr && caller_.load() != dialect::OllamaRequest::Load::kNo) return answer_load();
  feed({.kind = Event::Kind::kStart});
}

// No Flight begins.
void Exchange::answer_at_once(std::uint16_t status, std::string_view extra_fields, std::string_view body,
                              flight::Ending ending) {
  feeding_ = true;  // conclude() once the answer is out
  const std::string_view slices[] = {body};
  send_response(status, extra_fields, slices, body.size());
  settle(ending);
  feeding_ = false;
  conclude();
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
      std::copy(queue_.begin() + static_cast<std::ptrdiff_t>(next) + 1,
                queue_.begin() + static_cast<std::ptrdiff_t>(queued_), queue_.begin());
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
    case Action::Kind::kDispatch:
      dispatch();
      return;
    case Action::Kind::kCancel:
      attempt_.reset();
      return;
    case Action::Kind::kEmit:
      emit(action.slot);
      return;
    case Action::Kind::kDropHeld:
      frame_used_.fill(false);
      return;
    case Action::Kind::kDeliverWhole:
      deliver_whole();
      return;
    case Action::Kind::kComplete:
      complete(action.slot == Action::kMarkMissing);
      return;
    case Action::Kind::kFail:
      fail(action);
      return;
    case Action::Kind::kStartTimer: {
      Duration after = action.wait;
      if (action.timer == flight::Timer::kFirstToken) {
        // A server that answers whole says nothing before its end. Nor may one of which nothing is known.
        const bool whole = !streamed_ && endpoint().kind != fleet::EndpointKind::kEngine;
        after = whole || passage_ != nullptr ? timeouts_.whole : timeouts_.first_token;
      }
      if (action.timer == flight::Timer::kGap) after = passage_ != nullptr ? timeouts_.whole : timeouts_.gap;
      if (action.timer == flight::Timer::kTotal) return;  // begins with the first attempt: waiting has its own limit
      if (action.timer == flight::Timer::kClientWrite) after = snapshot_->settings.limits.write_timeout;
      worker_.shard.timers().start(timers_[static_cast<std::size_t>(action.timer)], after, *this,
                                   static_cast<std::uint32_t>(action.timer));
      return;
    }
    case Action::Kind::kStopTimer:
      timers_[static_cast<std::size_t>(action.timer)].stop();
      return;
    case Action::Kind::kPauseReading:
      if (attempt_) attempt_->pause();
      return;
    case Action::Kind::kResumeReading:
      if (attempt_) attempt_->resume();
      return;
    case Action::Kind::kSettle:
      settle(action.ending);
      return;
  }
}

// A failover goes to an endpoint that has not failed this request; only asking the same one again is a retry.
bool Exchange::tried_before(EndpointIndex endpoint) const {
  return std::ranges::any_of(question_.earlier.view(), [endpoint](const placement::EarlierAttempt& earlier) {
    return earlier.target.endpoint == endpoint && earlier.end != placement::AttemptEnd::kLostRace &&
           earlier.end != placement::AttemptEnd::kUnfit;  // another model there is no second try of the same
  });
}

void Exchange::leave_line() {
  if (waiting_) worker_.stop_waiting(*this);
  waiting_ = false;
}

// Lost races are of one asking only; attempts stay, under the indices of the newest fleet.
void Exchange::carry_over_attempts(const Snapshot& newest) {
  if (question_.earlier.count == 0) return;
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

// False when the key was revoked meanwhile.
bool Exchange::adopt_newest() {
  const auto& newest = worker_.snapshot();
  if (question_.subject.key != nullptr && newest != asked_under_) {
    question_.subject.key = newest->settings.policy.find_key(question_.subject.key->id);
    if (question_.subject.key == nullptr) {
      question_.subject.tenant = "default";
      asked_under_ = newest;
      denial_ = "the key was revoked while the request was on its way";
      return false;
    }
    question_.subject.tenant = question_.subject.key->tenant;
  }
  carry_over_attempts(*newest);
  asked_under_ = newest;  // what the Question points into
  return true;
}

// Always on the newest snapshots: a key that was revoked meanwhile, a rule that changed, hold at once.
void Exchange::ask() {
  const auto& newest = worker_.snapshot();  // nothing is adopted while this runs
  if (!adopt_newest()) {
    leave_line();
    feed({.kind = Event::Kind::kDenied, .attempt = flight_.attempt(), .error = ErrorCode::kUnauthenticated});
    return;
  }
  // Conditions are up to 100 ms old; what they call full may have come free since.
  const fleet::Conditions& conditions = *worker_.conditions();
  question_.seen_free.clear();
  for (std::size_t i = 0; i < newest->endpoints.size(); ++i) {
    const fleet::Endpoint& there = newest->fleet().endpoints[i];
    const std::uint32_t wanted = fleet::slots_for(there, question_.choices);
    if (conditions.endpoints[i].running + wanted <= there.slots) continue;
    const fleet::SlotCounter& slots = *newest->endpoints[i].slots;
    if (slots.taken.load(std::memory_order_relaxed) + wanted <= slots.limit.load(std::memory_order_relaxed)) {
      question_.seen_free.add({static_cast<std::uint16_t>(i)});
    }
  }
  const std::uint8_t attempt = static_cast<std::uint8_t>(dispatched_ + 1);
  question_.attempt = attempt;
  while (true) {
    question_.asked_at = MonotonicClock::now();
    if (question_.first_asked_at == Instant{}) question_.first_asked_at = question_.asked_at;
    const placement::World world{&newest->fleet(), &newest->settings.policy, &newest->facts, worker_.conditions()};
    const placement::Decision decision = placement::place(question_, world, worker_.scratch);
    decision_hash_ = decision.hash();
    if (decision.outcome() == placement::Outcome::kDeny) {
      denial_ = placement::denial_sentence(decision, question_, world);
      if (passage_ == nullptr && decision.denial() == ErrorCode::kUnsupported &&
          decision.rejects_as(placement::Rejection::kNotCarried) && !caller_.not_carried().empty()) {
        denial_ += fmt::format(" ({})", caller_.not_carried());
        denial_parameter_ = caller_.not_carried_parameter();
      }
      if (decision.denial() == ErrorCode::kModelNotFound) name_unknown_model();
      worker_.metrics.denials.add();
      leave_line();
      feed({.kind = Event::Kind::kDenied, .attempt = flight_.attempt(), .error = decision.denial()});
      return;
    }
    if (decision.outcome() == placement::Outcome::kWait) {
      if (decision.to_load()) wait_for_load(decision.to_load(), *newest);
      if (!waiting_) {
        worker_.metrics.waits.add();
        waiting_ = true;
        worker_.wait(*this);
      }
      feed({.kind = Event::Kind::kMustWait, .attempt = flight_.attempt(), .wait = decision.wait()});
      return;
    }
    const std::size_t index = decision.target().endpoint.value;
    auto slot = fleet::take_slot(*newest->endpoints[index].slots, decision.target().endpoint,
                                 fleet::slots_for(newest->fleet().endpoints[index], question_.choices));
    if (!slot) {
      question_.earlier.add({decision.target(), placement::AttemptEnd::kLostRace, {}});
      continue;  // after as many as the Question can hold, place() lets it wait
    }
    if (tried_before(decision.target().endpoint) && !worker_.common.retries.spend()) {
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

// The time that a model takes to load is no waiting for a slot.
void Exchange::wait_for_load(EndpointIndex endpoint, const Snapshot& newest) {
  worker_.common.want(endpoint, newest.fleet().number);
  if (worker_.conditions()->endpoints[endpoint.value].health == fleet::Health::kLoading)
    question_.first_asked_at = question_.asked_at;
  if (load_began_ == Instant{}) load_began_ = question_.asked_at;
}

void Exchange::dispatch() {
  form_ = AnswerForm::kNone;
  dispatched_at_ = MonotonicClock::now();
  upstream_status_ = 0;
  retry_after_.clear();
  upstream_request_id_.clear();
  body_.clear();
  lent_ = {};
  folded_bytes_ = 0;
  sse_.reset();
  if (!timers_[static_cast<std::size_t>(flight::Timer::kTotal)].running() && timeouts_.total != Duration::zero()) {
    worker_.shard.timers().start(timers_[static_cast<std::size_t>(flight::Timer::kTotal)], timeouts_.total, *this,
                                 static_cast<std::uint32_t>(flight::Timer::kTotal));
  }
  ++dispatched_;
  recorded_ = never_again_ = false;
  if (dispatched_ > 1) worker_.metrics.failovers.add();
  auto attempt = passage_ != nullptr ? send_passage() : send_request();
  permit_.reset();
  if (!attempt) {  // a stale permit: ask again on the newest snapshots; the endpoint has no part in it
    recorded_ = true;
    fail_attempt(Failure::kNotSent);
    return;
  }
  attempt_ = std::move(*attempt);
}

// Uses the permit up.
Result<std::unique_ptr<upstream::Attempt>> Exchange::send_request() {
  const fleet::EndpointModel& model = snapshot_->fleet().at(target_);
  const fleet::EndpointKind kind = endpoint().kind;
  if (const auto idle = caller_.keep_alive(); idle && kind == fleet::EndpointKind::kEngine)
    worker_.common.keep(target_.endpoint, snapshot_->fleet().number, *idle);
  answer_.begin(question_.surface, kind, caller_.request(), model.name,
                question_.request.text().substr(std::string_view("req_").size()),
                std::chrono::floor<std::chrono::seconds>(arrived_.time_since_epoch()).count(), caller_.echo(),
                caller_.namespaced());
  const placement::Obligations obligations = permit_->obligations();
  const json::SlicedBody& body = caller_.body_for(kind, model, obligations);
  std::string_view path = caller_.path_for(kind);
  if (snapshot_->endpoints[target_.endpoint.value].destination.deployments) {
    deployment_path_ = upstream::deployment_path(model.upstream_name, path);
    path = deployment_path_;
  }
  return upstream::dispatch(
      std::move(*permit_),
      upstream::Body(target_, obligations, path, body.slices(), body.size(), anthropic_, callers_fields_), worker_.door,
      *this);
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

void Exchange::on_timer(std::uint32_t tag) {
  const auto self = connection_.shared_from_this();
  const auto timer = static_cast<flight::Timer>(tag);
  feed({.kind = Event::Kind::kTimer, .timer = timer});
  if (running_) flush_batch();
}

void Exchange::on_slot_free() {
  const auto self = connection_.shared_from_this();
  feed({.kind = Event::Kind::kSlotFree});
}
void Exchange::on_client_gone() {
  feed({.kind = Event::Kind::kClientGone});
}
void Exchange::on_drain(Duration limit) {
  feed({.kind = Event::Kind::kDrain, .wait = limit});
}

}  // namespace thalweg::gateway
