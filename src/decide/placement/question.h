// What `place()` is asked, and the world it looks at. Features only: no text of a prompt ever stands in a Question.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/id.h"
#include "base/units.h"
#include "decide/facts/facts.h"
#include "decide/fleet/conditions.h"
#include "decide/fleet/fleet.h"
#include "decide/inference/request.h"
#include "decide/policy/policy.h"

namespace thalweg::placement {

/// Attempts of one request over all endpoints, the first one included.
inline constexpr std::size_t kMaxAttempts = 4;

/// How an earlier attempt of the same request ended, as far as placement cares.
enum class AttemptEnd : std::uint8_t {
  kLostRace,  // the slot was gone when it was taken; nothing was sent: full until `forget_lost_races()`
  kNotSent,   // no connection: nothing was sent
  kBusy,      // the endpoint said 429 or 503
  kFailed,    // a 5xx, a cut or a malformed answer, before anything reached the client
  kSilent,    // it let a time-out pass: never asked again for this request
  kUnfit,     // context or content rejected: not resent unchanged to the same model
};

struct EarlierAttempt {
  fleet::Target target;
  AttemptEnd end = AttemptEnd::kFailed;
  Instant retry_at{};  // for kNotSent, kBusy and kFailed: the same endpoint may be asked again from then on
};

/// Attempts and lost races of one request, oldest first. While it is full, `place()` counts every endpoint as full, so
/// that a request that keeps losing races waits instead of spinning. Lost races say nothing of later: forget them after
/// a wait.
struct EarlierAttempts {
  static constexpr std::size_t kCapacity = 12;  // attempts plus lost races
  std::array<EarlierAttempt, kCapacity> entries{};
  std::uint8_t count = 0;
  bool full() const { return count == kCapacity; }
  void add(const EarlierAttempt& attempt) {
    if (!full()) entries[count++] = attempt;
  }
  void forget_lost_races() {
    std::uint8_t kept = 0;
    for (std::uint8_t i = 0; i < count; ++i) {
      if (entries[i].end != AttemptEnd::kLostRace) entries[kept++] = entries[i];
    }
    count = kept;
  }
  std::span<const EarlierAttempt> view() const { return {entries.data(), count}; }
};

struct Question {
  RequestId request;
  std::uint8_t attempt = 1;  // counts from 1
  inference::Surface surface = inference::Surface::kOpenAiChat;
  std::string_view model;  // as asked for
  inference::Capabilities needs;
  inference::Uses uses;  // beyond those that needs tell
  std::uint64_t estimated_input_tokens = 0;
  std::uint64_t largest_piece_tokens = 0;  // of several texts that need a context each; 0: the input is one
  std::uint32_t max_output_tokens = 0;     // 0: none set
  std::uint32_t choices = 1;               // answers wanted at once
  fleet::EndpointKinds carried_by = fleet::kAnyEndpointKind;  // whose API can say all that the request says
  bool bound_elsewhere = false;  // it holds what only its issuer can read (signed thinking, files); see issuer
  policy::Subject subject;
  EndpointIndex only;  // a probe's endpoint: nothing else will do, and health does not bar it
  EarlierAttempts earlier;
  fleet::EndpointSet seen_free;  // full by the published conditions, but the shard saw free slots enough there just now
  Instant asked_at{};            // now
  Instant first_asked_at{};      // when the request was first placed: bounds its waiting
  Duration wait_limit = 30s;
  UtcTime utc{};
  std::uint64_t seed = 0;  // hash of the request id

  /// What the policy's rules read of it. What is not read is taken to use everything.
  policy::Asked asked() const {
    const bool unread = surface == inference::Surface::kPassthrough;
    return {subject, surface, model, unread ? inference::kAllUses : inference::uses_of(needs).joined(uses)};
  }

  /// What the request itself says; its model's name stays where the request points.
  void take_features(const inference::Request& of) {
    surface = of.surface;
    model = of.model;
    needs = of.needs;
    uses = of.uses;
    estimated_input_tokens = of.estimated_input_tokens;
    largest_piece_tokens = of.largest_piece_tokens;
    max_output_tokens = of.max_output_tokens;
    choices = of.choices;
  }
};

/// Immutable snapshots. Pointers are never null and outlive the Decision.
struct World {
  const fleet::Fleet* fleet;
  const policy::Policy* policy;
  const facts::Facts* facts;
  const fleet::Conditions* conditions;
};

}  // namespace thalweg::placement
