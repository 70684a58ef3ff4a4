#include "carry/gateway/probe.h"

namespace thalweg::gateway {

namespace {
constexpr Duration kProbeLimit = 5s;

upstream::Body body_of(ProbeKind kind, fleet::Target target) {
  if (kind == ProbeKind::kModels) return {target, "/models", upstream::Body::Root::kBasePath};
  return {target, kind == ProbeKind::kEngineProps ? "/props" : "/health", upstream::Body::Root::kServer};
}
}  // namespace

Probe::Probe(net::Shard& shard, upstream::Door& door, OnFinding on_finding)
    : shard_(shard), door_(door), on_finding_(std::move(on_finding)) {}

bool Probe::start(ProbeKind kind, EndpointIndex endpoint, const Snapshot& snapshot, const fleet::Conditions& conditions,
                  RequestId id) {
  kind_ = kind;
  endpoint_ = endpoint;
  finding_ = {};
  placement::Question question;
  question.request = id;
  question.subject.tenant = policy::kProbeTenant;
  question.only = endpoint;
  question.asked_at = question.first_asked_at = MonotonicClock::now();
  question.utc = UtcClock::now();
  const placement::World world{&snapshot.fleet(), &snapshot.settings.policy, &snapshot.facts, &conditions};
  const placement::Decision decision = placement::place(question, world, scratch_);
  if (decision.outcome() != placement::Outcome::kRun) return false;
  auto slot = fleet::take_slot(*snapshot.endpoints[endpoint.value].slots, endpoint);
  if (!slot) return false;
  placement::Permit permit = placement::grant(decision, budget::Reservation(), std::move(*slot));
  auto attempt = upstream::dispatch(std::move(permit), body_of(kind, decision.target()), door_, *this);
  if (!attempt) return false;
  attempt_ = std::move(*attempt);
  shard_.timers().start(timer_, kProbeLimit, *this, 0);
  return true;
}

void Probe::on_head(const http::ResponseHead& head) {
  finding_.status = head.status;
}

void Probe::on_body(std::string_view bytes) {
  if (finding_.status != 200) return;
  if (finding_.body.size() + bytes.size() > kProbeAnswerBytes) {
    finding_.body.clear();  // it lives; its list is not read
    report(placement::Sight::kSuccess);
    return;
  }
  finding_.body.append(bytes);
}

// Any answer below 500 shows life: a server without a models list, or one that refuses the key, can still be asked.
void Probe::on_end() {
  if (finding_.status == 429 || finding_.status == 503) {
    report(kind_ == ProbeKind::kEngineHealth ? placement::Sight::kServerError : placement::Sight::kBusy);
  } else {
    report(finding_.status >= 500 ? placement::Sight::kServerError : placement::Sight::kSuccess);
  }
}

void Probe::on_break(upstream::Breakage breakage) {
  // Our own lack of files says nothing of the endpoint: like one that is busy, it keeps the health it has.
  report(breakage == upstream::Breakage::kNoRoom           ? placement::Sight::kBusy
         : breakage == upstream::Breakage::kNotConnected   ? placement::Sight::kNotConnected
         : breakage == upstream::Breakage::kConnectTimeout ? placement::Sight::kSilence
                                                           : placement::Sight::kCut);
}

void Probe::on_timer(std::uint32_t) {
  report(placement::Sight::kSilence);
}

void Probe::report(placement::Sight sight) {
  timer_.stop();
  attempt_.reset();
  finding_.sight = sight;
  on_finding_(endpoint_, kind_, std::move(finding_));
}

}  // namespace thalweg::gateway
