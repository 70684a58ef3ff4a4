// How it decides: gather the targets in order of preference with a verdict each, then take the first that may run; else
// an earlier failure whose time has come; else wait for the nearest chance; else deny with the cause that is nearest to
// serving.
#include "decide/placement/place.h"

#include <algorithm>
#include <array>
#include <limits>

#include "decide/serving/prefill.h"

namespace thalweg::placement {
namespace {

using fleet::Target;
using inference::Capabilities;
using inference::Capability;

const fleet::EndpointConditions& conditions_of(const World& world, EndpointIndex endpoint) {
  static const fleet::EndpointConditions kNothingKnown;
  const auto& endpoints = world.conditions->endpoints;
  return endpoint.value < endpoints.size() ? endpoints[endpoint.value] : kNothingKnown;
}

const fleet::ModelConditions& conditions_of(const World& world, Target target) {
  static const fleet::ModelConditions kNothingTold;
  const auto& models = conditions_of(world, target.endpoint).models;
  return target.model.value < models.size() ? models[target.model.value] : kNothingTold;
}

bool is_attempt(const EarlierAttempt& earlier) {
  return earlier.end != AttemptEnd::kLostRace;
}

constexpr std::int64_t kLatest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kEarliest = std::numeric_limits<std::int64_t>::min();

constexpr Instant later(Instant instant, Duration by) {
  std::int64_t sum = 0;
  const std::int64_t start = instant.time_since_epoch().count();
  if (__builtin_add_overflow(start, by.count(), &sum)) sum = by.count() < 0 ? kEarliest : kLatest;
  return Instant(Duration(sum));
}

/// From one instant to another, zero when it is past.
constexpr Duration until(Instant from, Instant to) {
  if (to <= from) return Duration::zero();
  std::int64_t difference = 0;
  if (__builtin_sub_overflow(to.time_since_epoch().count(), from.time_since_epoch().count(), &difference)) {
    difference = kLatest;
  }
  return Duration(difference);
}

Duration or_else(Duration configured, Duration otherwise) {
  return configured > Duration::zero() ? configured : otherwise;
}

std::uint64_t mix(std::uint64_t hash, Duration duration) {
  return mix64(hash, static_cast<std::uint64_t>(duration.count()));
}

std::uint64_t mix(std::uint64_t hash, Target target) {
  return mix64(hash, static_cast<std::uint64_t>(target.endpoint.value) << 16 | target.model.value);
}

std::uint64_t mix(std::uint64_t hash, const Verdict& verdict) {
  static_assert(inference::kCapabilityCount <= 24);
  return mix64(hash, static_cast<std::uint64_t>(verdict.target.endpoint.value) << 48 |
                         static_cast<std::uint64_t>(verdict.target.model.value) << 32 |
                         static_cast<std::uint64_t>(verdict.rejection) << 24 | verdict.lacking.bits());
}

}  // namespace

class Placer {
 public:
  Placer(const Question& question, const World& world, Scratch& scratch)
      : question_(question),
        world_(world),
        fleet_(*world.fleet),
        verdicts_(scratch.verdicts_),
        seen_(scratch.seen_),
        by_model_(scratch.by_model_),
        asked_(question.asked()),
        needs_(question.needs.joined({inference::need_of(question.surface)})),
        limit_(later(question.first_asked_at, question.wait_limit)) {
    verdicts_.clear();
    gather_rules();
  }

  Decision decide() {
    Decision decision;
    decision.request_ = question_.request;
    decision.attempt_ = question_.attempt;
    decision.fleet_number_ = world_.fleet->number;
    decision.policy_number_ = world_.policy->number;
    decision.conditions_number_ = world_.conditions->number;
    decision.asked_at_ = question_.asked_at;
    choose(decision);
    decision.verdicts_ = verdicts_;
    decision.hash_ = hash(decision);
    return decision;
  }

 private:
  enum class Pass : std::uint8_t { kFirst, kTrial, kLoading, kUnloaded };
  static constexpr std::array<Pass, 4> kPasses = {Pass::kFirst, Pass::kTrial, Pass::kLoading, Pass::kUnloaded};

  void choose(Decision& decision) {
    if (!gather()) return deny(decision, ErrorCode::kModelNotFound);
    if (question_.attempt > kMaxAttempts) return deny(decision, all_tried());

    // The best that may run, or that could once its model is loaded.
    bool any_full = false;
    for (Verdict& verdict : verdicts_) {
      if (verdict.rejection == Rejection::kNone) return run(decision, verdict);
      if (verdict.rejection != Rejection::kNotLoaded) continue;
      const bool loading = conditions_of(world_, verdict.target.endpoint).health == fleet::Health::kLoading;
      if (loading || question_.asked_at < limit_) return load(decision, verdict.target.endpoint, loading);
      any_full = true;  // there was no room for it all the while
    }

    Instant soonest = Instant::max();
    Verdict* retry = nullptr;
    for (Verdict& verdict : verdicts_) {
      any_full |= verdict.rejection == Rejection::kFull;
      if (verdict.rejection != Rejection::kTriedBefore) continue;
      const Instant at = retry_at(verdict.target.endpoint);
      if (retry == nullptr || at < soonest) {
        retry = &verdict;
        soonest = at;
      }
    }
    const bool may_retry = retry != nullptr && soonest <= limit_;
    if (may_retry && soonest <= question_.asked_at) return run(decision, *retry);

    if (any_full && question_.asked_at < limit_) {
      const Instant poll = std::min(later(question_.asked_at, kSlotPoll), limit_);
      return wait(decision, may_retry ? std::min(poll, soonest) : poll);
    }
    if (may_retry) return wait(decision, soonest);
    if (any_full) return deny(decision, ErrorCode::kOverloaded);
    deny(decision, cause_of_denial());
  }

  /// The endpoints that every rule allows which applies whatever the model, what those rules demand, and the rules that
  /// are to be asked at each candidate.
  void gather_rules() {
    const policy::Policy& policy = *world_.policy;
    by_model_.clear();
    permitted_.fill();
    if (policy.rules.empty()) return;
    if (policy.fleet != fleet_.hash) return permitted_.clear();  // its sets are of other endpoints
    for (std::uint16_t i = 0; i < policy.rules.size(); ++i) {
      const policy::Rule& rule = policy.rules[i];
      if (!rule.applies(asked_)) continue;
      if (!rule.when.models.empty()) {
        by_model_.push_back(i);
      } else if (rule.forbids(asked_)) {
        permitted_.clear();
      } else {
        permitted_.keep(rule.allowed);
        add(obligations_, rule);
      }
    }
  }

  static void add(Obligations& obligations, const policy::Rule& rule) {
    obligations.no_storage |= rule.zero_retention;
    if (rule.output_cap == 0) return;
    const std::uint32_t before = obligations.output_cap;
    obligations.output_cap = before == 0 ? rule.output_cap : std::min(before, rule.output_cap);
  }

  bool permits(Target target) const {
    if (!permitted_.has(target.endpoint)) return false;
    return std::ranges::all_of(by_model_, [&](std::uint16_t index) {
      const policy::Rule& rule = world_.policy->rules[index];
      return !rule.covers(asked_, fleet_.at(target).name) ||
             (!rule.forbids(asked_) && rule.allowed.has(target.endpoint));
    });
  }

  Obligations obligations_for(Target target) const {
    Obligations obligations = obligations_;
    for (const std::uint16_t index : by_model_) {
      const policy::Rule& rule = world_.policy->rules[index];
      if (rule.covers(asked_, fleet_.at(target).name)) add(obligations, rule);
    }
    return obligations;
  }

  /// Fills the verdicts. False: there is no such model for this key.
  bool gather() {
    if (question_.only) {
      if (question_.only.value >= fleet_.endpoints.size()) return false;
      if (question_.model.empty()) {  // a probe of the endpoint itself
        verdicts_.push_back(
            {.target = {question_.only, ModelIndex{}}, .rejection = probe_of_endpoint(), .lacking = {}});
        return true;
      }
    }
    const bool is_auto = question_.model == fleet::kAutoModel;
    if (is_auto && inference::is_incomparable(inference::need_of(question_.surface))) return false;  // by name only
    const fleet::Model* model = is_auto ? nullptr : fleet_.find_model(question_.model);
    if (is_auto ? !may_use_any() : model == nullptr || !may_use(question_.model)) return false;

    // Those on trial come after all others, so a second pass where there are any; for `auto` also those whose
    // model is not loaded.
    passes_ = {true};
    issuer_unknown_ = question_.bound_elsewhere && has_several_issuers(model);
    if (is_auto) seen_.assign(fleet_.endpoints.size() * kWordsPerEndpoint, 0);
    for (const Pass pass : kPasses) {
      if (!passes_[static_cast<std::size_t>(pass)]) continue;
      if (is_auto) {
        for (const fleet::Model& each : fleet_.models) {
          if (may_use(each.name)) consider_for_auto(each, pass);
        }
      } else {
        for (const Target target : model->targets) consider(target, pass, is_auto);
      }
    }
    return true;
  }

  /// A bound request runs where one issuer alone can be meant, whatever that issuer's endpoints do just now.
  bool has_several_issuers(const fleet::Model* model) const {
    const fleet::Endpoint* first = nullptr;
    const auto differ = [&](Target target) {
      const fleet::Endpoint& endpoint = fleet_.endpoints[target.endpoint.value];
      if (!question_.carried_by.has(endpoint.kind)) return false;
      if (first == nullptr) first = &endpoint;
      return endpoint.issuer != first->issuer;
    };
    if (model != nullptr) return std::ranges::any_of(model->targets, differ);
    return std::ranges::any_of(fleet_.models, [&](const fleet::Model& each) {
      return may_use(each.name) && std::ranges::any_of(each.targets, differ);
    });
  }

  void consider_for_auto(const fleet::Model& model, Pass pass) {
    const Capability surface = inference::need_of(question_.surface);
    for (const Target target : model.targets) {
      const fleet::EndpointModel& there = fleet_.at(target);
      if (!there.capabilities.joined(there.asked).has(surface) && !capabilities_of(world_, target).has(surface))
        continue;
      std::uint64_t& word = seen_[target.endpoint.value * kWordsPerEndpoint + target.model.value / 64U];
      const std::uint64_t bit = std::uint64_t{1} << target.model.value % 64U;
      if ((word & bit) != 0) continue;
      if (consider(target, pass, true)) word |= bit;
    }
  }

  bool consider(Target target, Pass now, bool is_auto) {
    const fleet::Health health = conditions_of(world_, target.endpoint).health;
    const Pass pass = health == fleet::Health::kTrial                 ? Pass::kTrial
                      : is_auto && health == fleet::Health::kLoading  ? Pass::kLoading
                      : is_auto && health == fleet::Health::kUnloaded ? Pass::kUnloaded
                                                                      : Pass::kFirst;
    passes_[static_cast<std::size_t>(pass)] = true;
    if (pass != now) return false;
    verdicts_.push_back(judge(target));
    return true;
  }

  Verdict judge(Target target) const {
    Verdict verdict{.target = target, .rejection = Rejection::kNone, .lacking = {}};
    const bool probe = static_cast<bool>(question_.only);
    if (probe && target.endpoint != question_.only) {
      verdict.rejection = Rejection::kNotTheProbed;
      return verdict;
    }
    if (!question_.carried_by.has(fleet_.endpoints[target.endpoint.value].kind)) {
      verdict.rejection = Rejection::kNotCarried;
      return verdict;
    }
    verdict.lacking = needs_.without(capabilities_of(world_, target));
    if (!verdict.lacking.empty() && says_later(target).covers(verdict.lacking)) verdict.lacking = {};
    if (!verdict.lacking.empty()) {
      verdict.rejection = Rejection::kLacksCapability;
    } else if (issuer_unknown_) {
      verdict.rejection = Rejection::kIssuerUnknown;
    } else if (!may_fit(target)) {
      verdict.rejection = Rejection::kContextTooSmall;
    } else if (!permits(target)) {
      verdict.rejection = Rejection::kForbidden;
    } else {
      verdict.rejection = judge_history(target);
    }
    return verdict;
  }

  bool may_fit(Target target) const {
    const std::uint64_t context = context_tokens_of(world_, target);
    const std::uint64_t piece =
        question_.largest_piece_tokens != 0 ? question_.largest_piece_tokens : question_.estimated_input_tokens;
    return context == 0 || piece <= context * kEstimateMargin;
  }

  /// For a target that could serve the question if nothing had happened.
  Rejection judge_history(Target target) const {
    const bool probe = static_cast<bool>(question_.only);
    const fleet::EndpointConditions& now = conditions_of(world_, target.endpoint);
    bool tried = false;
    bool silent = false;
    bool lost_race = question_.earlier.full();
    for (const EarlierAttempt& earlier : question_.earlier.view()) {
      if (earlier.end == AttemptEnd::kUnfit && same_model(earlier.target, target)) return Rejection::kUnfitBefore;
      if (earlier.target.endpoint != target.endpoint) continue;
      switch (earlier.end) {
        case AttemptEnd::kSilent:
          silent = true;
          break;
        case AttemptEnd::kLostRace:
          lost_race = true;
          break;
        case AttemptEnd::kNotSent:
        case AttemptEnd::kBusy:
        case AttemptEnd::kFailed:
          tried = true;
          break;
        case AttemptEnd::kUnfit:
          break;
      }
    }
    if (silent) return Rejection::kSilentBefore;
    if (!probe && now.health == fleet::Health::kDown) return Rejection::kDown;
    if (!probe && (now.health == fleet::Health::kUnloaded || now.health == fleet::Health::kLoading))
      return Rejection::kNotLoaded;
    if (tried && retry_at(target.endpoint) > question_.asked_at) return Rejection::kTriedBefore;
    const fleet::Endpoint& endpoint = fleet_.endpoints[target.endpoint.value];
    const std::uint64_t taken_then = std::uint64_t{now.running} + fleet::slots_for(endpoint, question_.choices);
    const bool full = endpoint.slots != 0 && taken_then > endpoint.slots && !question_.seen_free.has(target.endpoint);
    if (lost_race || (full && !probe)) return Rejection::kFull;
    return tried ? Rejection::kTriedBefore : Rejection::kNone;
  }

  /// What an engine that does not run now will tell once it does: until then it is no reason to refuse.
  Capabilities says_later(Target target) const {
    const fleet::Health health = conditions_of(world_, target.endpoint).health;
    const bool runs =
        health != fleet::Health::kDown && health != fleet::Health::kUnloaded && health != fleet::Health::kLoading;
    return runs ? Capabilities{} : fleet_.at(target).asked.without(conditions_of(world_, target).told);
  }

  Rejection probe_of_endpoint() const {
    const Target itself{question_.only, ModelIndex{}};
    return permitted_.has(question_.only) ? judge_history(itself) : Rejection::kForbidden;
  }

  bool same_model(Target a, Target b) const {
    if (a == b) return true;
    const auto name_at = [this](Target target) -> std::string_view {
      if (target.endpoint.value >= fleet_.endpoints.size()) return {};
      const auto& models = fleet_.endpoints[target.endpoint.value].models;
      return target.model.value < models.size() ? std::string_view(models[target.model.value].name)
                                                : std::string_view();
    };
    return !name_at(a).empty() && name_at(a) == name_at(b);
  }

  /// When an endpoint that failed this request before may be asked again: as its newest attempt says.
  Instant retry_at(EndpointIndex endpoint) const {
    Instant at = Instant::min();
    for (const EarlierAttempt& earlier : question_.earlier.view()) {
      if (earlier.target.endpoint == endpoint && is_attempt(earlier)) at = earlier.retry_at;
    }
    return at;
  }

  bool may_use(std::string_view model) const {
    return question_.subject.key == nullptr || question_.subject.key->may_use(model);
  }

  bool may_use_any() const {
    return std::ranges::any_of(fleet_.models, [this](const fleet::Model& model) { return may_use(model.name); });
  }

  ErrorCode all_tried() const {
    bool any = false;
    for (const EarlierAttempt& earlier : question_.earlier.view()) {
      if (!is_attempt(earlier)) continue;
      if (earlier.end != AttemptEnd::kBusy) return ErrorCode::kUnavailable;
      any = true;
    }
    return any ? ErrorCode::kRateLimited : ErrorCode::kUnavailable;
  }

  /// The cause nearest to serving: what could serve but for its health or an earlier failure, then but for a rule, then
  /// but for its context.
  ErrorCode cause_of_denial() const {
    bool tried = false;
    bool down = false;
    bool forbidden = false;
    bool too_small = false;
    for (const Verdict& verdict : verdicts_) {
      switch (verdict.rejection) {
        case Rejection::kTriedBefore:
          tried = true;
          break;
        case Rejection::kDown:
        case Rejection::kNotLoaded:
        case Rejection::kSilentBefore:
        case Rejection::kUnfitBefore:
          down = true;
          break;
        case Rejection::kForbidden:
          forbidden = true;
          break;
        case Rejection::kContextTooSmall:
          too_small = true;
          break;
        default:
          break;
      }
    }
    if (tried && !down) return all_tried();
    if (tried || down) return ErrorCode::kUnavailable;
    if (forbidden) return ErrorCode::kForbidden;
    return too_small ? ErrorCode::kContextExceeded : ErrorCode::kUnsupported;
  }

  void run(Decision& decision, Verdict& verdict) const {
    verdict.rejection = Rejection::kNone;
    decision.outcome_ = Outcome::kRun;
    decision.target_ = verdict.target;
    if (verdict.target.model) decision.obligations_ = obligations_for(verdict.target);
    decision.timeouts_ = timeouts_for(verdict.target.endpoint);
  }

  void wait(Decision& decision, Instant until_then) const {
    decision.outcome_ = Outcome::kWait;
    decision.wait_ = until(question_.asked_at, until_then);
  }

  void load(Decision& decision, EndpointIndex endpoint, bool loading) const {
    const Instant poll = later(question_.asked_at, kLoadPoll);
    wait(decision, loading ? poll : std::min(poll, limit_));
    decision.to_load_ = endpoint;
  }

  static void deny(Decision& decision, ErrorCode code) {
    decision.outcome_ = Outcome::kDeny;
    decision.denial_ = code;
  }

  fleet::Timeouts timeouts_for(EndpointIndex index) const {
    constexpr fleet::Timeouts kDefault;
    const fleet::Endpoint& endpoint = fleet_.endpoints[index.value];
    const fleet::EndpointConditions& now = conditions_of(world_, index);
    const bool engine = endpoint.kind == fleet::EndpointKind::kEngine;
    fleet::Timeouts timeouts = endpoint.timeouts;
    timeouts.connect = or_else(timeouts.connect, kDefault.connect);
    timeouts.gap = or_else(timeouts.gap, engine ? kEngineGap : kDefault.gap);
    timeouts.whole = or_else(timeouts.whole, kDefault.whole);
    timeouts.total = or_else(timeouts.total, Duration::zero());
    if (timeouts.first_token <= Duration::zero()) {
      timeouts.first_token =
          engine ? serving::first_token_limit(question_.estimated_input_tokens, now.prefill_tokens_per_second,
                                              now.running, kEngineFirstTokenFloor)
                 : kDefault.first_token;
    }
    return timeouts;
  }

  static std::uint64_t hash(const Decision& decision) {
    std::uint64_t h = mix64(kPlaceVersion, static_cast<std::uint64_t>(decision.outcome_));
    h = mix(h, decision.target_);
    h = mix64(h, static_cast<std::uint64_t>(decision.obligations_.output_cap) << 1 |
                     static_cast<std::uint64_t>(decision.obligations_.no_storage));
    h = mix(h, decision.timeouts_.connect);
    h = mix(h, decision.timeouts_.first_token);
    h = mix(h, decision.timeouts_.gap);
    h = mix(h, decision.timeouts_.whole);
    h = mix(h, decision.timeouts_.total);
    h = mix(h, decision.wait_);
    h = mix64(h, decision.to_load_.value);
    h = mix64(h, static_cast<std::uint64_t>(decision.denial_));
    h = mix64(h, decision.request_.high);
    h = mix64(h, decision.request_.low);
    h = mix64(h, decision.attempt_);
    h = mix64(h, decision.fleet_number_);
    h = mix64(h, decision.policy_number_);
    h = mix64(h, decision.conditions_number_);
    h = mix(h, decision.asked_at_.time_since_epoch());
    h = mix64(h, decision.verdicts_.size());
    for (const Verdict& verdict : decision.verdicts_) h = mix(h, verdict);
    return h;
  }

  static constexpr std::size_t kWordsPerEndpoint = fleet::kMaxModelsPerEndpoint / 64;

  const Question& question_;
  const World& world_;
  const fleet::Fleet& fleet_;
  std::vector<Verdict>& verdicts_;
  std::vector<std::uint64_t>& seen_;
  std::vector<std::uint16_t>& by_model_;  // rules that name models, and apply if the candidate's is among them
  const policy::Asked asked_;
  fleet::EndpointSet permitted_;
  Obligations obligations_;
  const Capabilities needs_;
  const Instant limit_;
  std::array<bool, kPasses.size()> passes_{};  // that have something to consider
  bool issuer_unknown_ = false;
};

std::string_view name_of(Outcome outcome) {
  static constexpr std::array<std::string_view, 3> kNames = {"run", "wait", "deny"};
  static_assert(static_cast<std::size_t>(Outcome::kDeny) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(outcome)];
}

std::string_view name_of(Rejection rejection) {
  static constexpr std::array<std::string_view, 13> kNames = {
      "none",        "not_the_probed", "lacks_capability", "not_carried", "issuer_unknown", "context_too_small",
      "forbidden",   "down",           "not_loaded",       "full",        "tried_before",   "silent_before",
      "unfit_before"};
  static_assert(static_cast<std::size_t>(Rejection::kUnfitBefore) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(rejection)];
}

bool Decision::rejects_as(Rejection rejection) const {
  return std::ranges::find(verdicts_, rejection, &Verdict::rejection) != verdicts_.end();
}

Scratch::Scratch() {
  verdicts_.reserve(fleet::kMaxTargetsPerModel);
  by_model_.reserve(policy::kMaxRules);
}

Capabilities capabilities_of(const World& world, Target target) {
  const fleet::EndpointModel& configured = world.fleet->at(target);
  const fleet::ModelConditions& now = conditions_of(world, target);
  return configured.capabilities.without(configured.asked)
      .without(now.told)
      .joined(now.told.without(now.told.without(now.has)));
}

std::uint32_t context_tokens_of(const World& world, Target target) {
  const std::uint32_t told = conditions_of(world, target).context_tokens;
  return told != 0 ? told : world.fleet->at(target).context_tokens;
}

Decision place(const Question& question, const World& world, Scratch& scratch) {
  return Placer(question, world, scratch).decide();
}

}  // namespace thalweg::placement
