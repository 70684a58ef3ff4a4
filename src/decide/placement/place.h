// The one function that decides where a request runs. Live traffic, failover, probes and dry runs all call it.
//
// Pure: integers only, no clock, no I/O, no unordered iteration, no allocation once the Scratch is warm; so every
// compiler and machine gives the same Decision for the same Question and World.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "decide/placement/question.h"

namespace thalweg::placement {

/// Changes whenever the same Question and World may give another Decision.
inline constexpr std::uint32_t kPlaceVersion = 6;

enum class Outcome : std::uint8_t { kRun, kWait, kDeny };
std::string_view name_of(Outcome outcome);

/// Why a target may not serve the question.
enum class Rejection : std::uint8_t {
  kNone,             // it may
  kNotTheProbed,     // the question is bound to another endpoint
  kLacksCapability,  // see Verdict::lacking
  kNotCarried,       // its API cannot say what the request says
  kIssuerUnknown,    // the request is bound to its issuer, and the model has endpoints of several
  kContextTooSmall,
  kForbidden,     // a rule of the policy: see policy::breach_of
  kDown,          // its breaker is open, its engine is not running or its key is missing
  kNotLoaded,     // its engine loads the model when it is needed
  kFull,          // all its slots are taken
  kTriedBefore,   // an earlier attempt of this request failed there; it may be retried from a later instant
  kSilentBefore,  // an earlier attempt met silence there
  kUnfitBefore,   // the same model rejected this very request
};
std::string_view name_of(Rejection rejection);

struct Verdict {
  fleet::Target target;
  Rejection rejection = Rejection::kNone;
  inference::Capabilities lacking;  // for kLacksCapability
};

/// What the body of an attempt must carry out, as the rules of the policy say.
struct Obligations {
  std::uint32_t output_cap = 0;  // 0: none
  bool no_storage = false;
  friend bool operator==(const Obligations&, const Obligations&) = default;
};

/// Backs the Decisions of one shard: a Decision is valid until the Scratch serves the next one.
class Scratch {
 public:
  Scratch();

 private:
  friend class Placer;
  std::vector<Verdict> verdicts_;
  std::vector<std::uint64_t> seen_;  // one bit a target, for `auto`
  std::vector<std::uint16_t> by_model_;
};

/// Made by `place()` alone.
class Decision {
 public:
  Outcome outcome() const { return outcome_; }
  /// For kRun: where.
  fleet::Target target() const { return target_; }
  const Obligations& obligations() const { return obligations_; }
  /// For kRun: time-outs that fit the endpoint, the prompt and the load; none of them zero but `total`, which may be.
  const fleet::Timeouts& timeouts() const { return timeouts_; }
  /// For kWait: how long at most until it is worth asking again (a slot may come free earlier).
  Duration wait() const { return wait_; }
  /// For kWait: whose model is to be loaded meanwhile; mostly none.
  EndpointIndex to_load() const { return to_load_; }
  /// For kDeny: the error code that the caller gets.
  ErrorCode denial() const { return denial_; }
  /// One verdict a target considered, in order of preference.
  std::span<const Verdict> verdicts() const { return verdicts_; }
  bool rejects_as(Rejection rejection) const;
  RequestId request() const { return request_; }
  std::uint8_t attempt() const { return attempt_; }
  std::uint64_t fleet_number() const { return fleet_number_; }
  std::uint64_t policy_number() const { return policy_number_; }
  std::uint64_t conditions_number() const { return conditions_number_; }
  Instant asked_at() const { return asked_at_; }
  /// Hash of the whole Decision, verdicts included.
  std::uint64_t hash() const { return hash_; }

 private:
  friend class Placer;
  Decision() = default;
  Outcome outcome_ = Outcome::kDeny;
  fleet::Target target_;
  Obligations obligations_;
  fleet::Timeouts timeouts_;
  Duration wait_{};
  EndpointIndex to_load_;
  ErrorCode denial_ = ErrorCode::kInternal;
  std::span<const Verdict> verdicts_;
  RequestId request_;
  std::uint8_t attempt_ = 0;
  std::uint64_t fleet_number_ = 0;
  std::uint64_t policy_number_ = 0;
  std::uint64_t conditions_number_ = 0;
  Instant asked_at_{};
  std::uint64_t hash_ = 0;
};

/// What a model at an endpoint can do now: as configured, overruled by what the endpoint told. What it is asked for but
/// has not told yet counts as absent, so that a request with tools never goes where they may be ignored in silence.
inference::Capabilities capabilities_of(const World& world, fleet::Target target);
/// Its context as it told, else as configured; 0: unknown.
std::uint32_t context_tokens_of(const World& world, fleet::Target target);

/// The estimate is four bytes a token. A prompt beyond this many times the context would need more than eight bytes a
/// token to fit, twice the rule of thumb: it is refused here. Nearer than that the endpoint judges, with its own
/// tokenizer, and its rejection comes back as kUnfit.
inline constexpr std::uint64_t kEstimateMargin = 2;
/// A slot freed on another shard is noticed by then; one freed on the same shard wakes the request earlier.
inline constexpr Duration kSlotPoll = 50ms;
/// How often a request that waits for a model to be loaded says so again; the model's readiness wakes it earlier.
inline constexpr Duration kLoadPoll = 250ms;
/// An engine's time-outs where the configuration leaves them to Thalweg: the least wait for a first token, on top of
/// which comes its prefill, and the longest gap between tokens, in which other prompts' prefill may share the device.
inline constexpr Duration kEngineFirstTokenFloor = 10s;
inline constexpr Duration kEngineGap = 30s;

/// Decides. kDeny carries: kModelNotFound (no such model, or the key may not use it), kUnsupported (no target is
/// capable: say what lacks), kContextExceeded (capable but for the context's size), kForbidden (capable, and outside of
/// the policy's rules), kUnavailable (capable but none
/// healthy, or all tried), kRateLimited (all tried, and every one said that it is busy), kOverloaded (waited
/// `wait_limit` for a slot). Prefers targets in the model's order; among equals a healthy or unknown endpoint before
/// one on trial; a full one is passed over, and when only full ones are left the answer is kWait. One whose model is
/// not loaded keeps its rank where the caller named the model, and the request waits for it: as long as it takes once
/// it loads, `wait_limit` for the room to. For `auto` it comes after all that are loaded.
Decision place(const Question& question, const World& world, Scratch& scratch);

}  // namespace thalweg::placement
