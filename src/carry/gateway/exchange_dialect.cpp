// The request and its errors in the caller's dialect.
#include <fmt/format.h>

#include "carry/dialect/ollama_models.h"
#include "carry/gateway/connection.h"
#include "carry/gateway/exchange.h"
#include "carry/json/text.h"
#include "decide/placement/explain.h"

namespace thalweg::gateway {

namespace {

constexpr std::size_t kMaxBetas = 4096;

// A date, as Anthropic's API has it.
bool is_version(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00";
  if (text.size() != kForm.size()) return false;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != kForm[i]) return false;
  }
  return true;
}

}  // namespace

Result<void> Exchange::check_anthropic_fields() const {
  if (!anthropic_.version.empty() && !is_version(anthropic_.version)) {
    return thalweg::fail(ErrorCode::kInvalidRequest, "anthropic-version: expected a date, like 2023-06-01");
  }
  if (anthropic_.betas.size() > kMaxBetas) {
    return thalweg::fail(ErrorCode::kInvalidRequest, fmt::format("anthropic-beta: has more than {} bytes", kMaxBetas));
  }
  return {};
}

// What is written anew counts among the bytes held: about as long as it came at first, then with the length it has.
Result<void> Exchange::read_request(const Arrival& arrival) {
  const auto no_room = [] {
    return thalweg::fail(ErrorCode::kOverloaded, "the gateway holds as many bytes as it may; try again shortly");
  };
  if (auto fields = check_anthropic_fields(); !fields) return fields;
  if (dialect::CallerRequest::is_written_anew(arrival.surface) && !held_written_.hold(arrival.body.size()))
    return no_room();
  if (auto parsed = caller_.parse(arrival.surface, arrival.body); !parsed) return parsed;
  const fleet::Fleet& fleet = snapshot_->fleet();
  std::string_view model = caller_.request().model;
  if (inference::speaks_ollama(arrival.surface)) model = dialect::meant_model(fleet, model);
  caller_.describe(question_, fleet.kinds_for(model));
  question_.model = model;
  if (!held_written_.hold(caller_.bytes_written())) return no_room();
  return {};
}

// Nothing is to be answered, so nothing is sent: it is enough that the model could be asked. Engines that load on
// demand will be told here, with how long the caller wants the model kept.
void Exchange::answer_load() {
  const auto refuse = [this](ErrorCode code) {
    failed_ = true;
    error_ = code;
    answer_at_once(dialect::status_of(code), code == ErrorCode::kUnavailable ? kRetrySoon : "",
                   dialect::error_body(question_.surface, {code, denial_, {}}, {}, question_.request.text()),
                   flight::Ending::kFailed);
  };
  if (!adopt_newest()) return refuse(ErrorCode::kUnauthenticated);
  const Snapshot& newest = *asked_under_;
  question_.asked_at = question_.first_asked_at = MonotonicClock::now();
  const placement::World world{&newest.fleet(), &newest.settings.policy, &newest.facts, worker_.conditions()};
  const placement::Decision decision = placement::place(question_, world, worker_.scratch);
  decision_hash_ = decision.hash();
  if (decision.outcome() == placement::Outcome::kDeny) {
    worker_.metrics.denials.add();
    denial_ = placement::denial_sentence(decision, question_, world);
    if (decision.denial() == ErrorCode::kModelNotFound) name_unknown_model();
    return refuse(decision.denial());
  }
  // Which engine it is about: the one that would run it now, or that would be loaded for it.
  const bool loads = caller_.load() == dialect::OllamaRequest::Load::kLoad;
  const EndpointIndex endpoint = decision.to_load() ? decision.to_load() : decision.target().endpoint;
  const bool engine = endpoint && newest.fleet().endpoints[endpoint.value].kind == fleet::EndpointKind::kEngine;
  if (engine && loads && decision.to_load()) worker_.common.want(endpoint, newest.fleet().number);
  if (const auto idle = caller_.keep_alive(); engine && idle)
    worker_.common.keep(endpoint, newest.fleet().number, *idle);
  dialect::AnswerTimes times;
  times.now = UtcClock::now();
  times.total = MonotonicClock::now() - arrived_at_;
  answer_at_once(200, {}, dialect::ollama_loaded_body(question_.surface, question_.model, caller_.load(), times),
                 flight::Ending::kComplete);
}

// Ollama's clients look for these words: some then fetch the model.
void Exchange::name_unknown_model() {
  if (!inference::speaks_ollama(question_.surface)) return;
  denial_ = fmt::format("model \"{}\" not found: {}", json::cut_at(question_.model, kMaxQuoted), denial_);
}

// What an API tells of time beside its answer; clients make rates of it.
void Exchange::tell_times() {
  if (!answer_.tells_times()) return;
  const Instant now = MonotonicClock::now();
  dialect::AnswerTimes times;
  times.now = UtcClock::now();
  times.total = now - arrived_at_;
  if (endpoint().kind == fleet::EndpointKind::kEngine)
    times.load = load_began_ == Instant{} ? Duration::zero() : dispatched_at_ - load_began_;
  if (first_token_at_ != Instant{} && first_token_at_ >= dispatched_at_) {
    times.prompt = first_token_at_ - dispatched_at_;
    times.generation = now - first_token_at_;
  }
  if (answer_.prefill_time() != Duration::zero()) times.prompt = answer_.prefill_time();
  answer_.tell(times);
}

std::string Exchange::refusal_body(dialect::RefusalKind kind, std::uint16_t status) const {
  return dialect::refusal_body(words_,
                               {.endpoint_kind = endpoint().kind,
                                .endpoint_name = endpoint().name,
                                .status = upstream_status_,
                                .body = body_,
                                .kind = kind},
                               status, question_.request.text());
}

// Fields of the answer's head that not every answer has.
std::string Exchange::dialect_fields() const {
  std::string fields;
  if (inference::speaks_messages(words_)) fields = "request-id: " + question_.request.text() + "\r\n";
  if (dispatched_ == 0 || passage_ != nullptr) return fields;
  if (const std::string dropped = caller_.dropped(endpoint().kind); !dropped.empty()) {
    fields += "Thalweg-Dropped: ";
    fields += dropped;
    fields += "\r\n";
  }
  return fields;
}

}  // namespace thalweg::gateway
