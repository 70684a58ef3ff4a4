// Learning: what shards and probes saw of the endpoints becomes the next Conditions. Runs on one thread, outside
// `place()`.
#pragma once

#include <cstdint>
#include <vector>

#include "decide/fleet/conditions.h"
#include "decide/fleet/fleet.h"

namespace thalweg::placement {

/// What an attempt or probe saw.
enum class Sight : std::uint8_t {
  kSuccess,       // a complete answer or a good probe
  kNotConnected,  // refused, unreachable, TLS failure or connect time-out
  kServerError,   // 5xx other than 503 with Retry-After
  kBusy,          // 429, or 503 with Retry-After: alive, does not count against its health
  kKeyRefused,    // 401: alive, but our key is not the right one any more
  kSilence,       // a first-token or gap time-out
  kCut,           // closed or malformed before the end
  kUnusable,      // its engine is not running, or there is no key for it: down at once
  kUsable,        // the engine runs again and told what it can do, or the key is there
  kUnloaded,      // the engine has no model loaded, and loads it when asked
  kLoading,       // it has begun to
};

struct Observation {
  EndpointIndex endpoint;
  Sight sight = Sight::kSuccess;
  std::uint64_t prefill_tokens = 0;  // uncached input tokens of a successful engine answer; 0: says nothing of prefill
  Duration prefill_time{};
};

/// The breaker opens after this many failures in a row.
inline constexpr std::uint32_t kFailuresToOpen = 3;
/// How long it stays open the first time; doubled with each failed trial up to the longest.
inline constexpr Duration kFirstRest = 1s;
inline constexpr Duration kLongestRest = 30s;

class Learner {
 public:
  explicit Learner(const fleet::Fleet& fleet);

  /// Carries over what was learned of endpoints of the same name (and kind) and of their models of the same name. Not
  /// of those that `moved` (one for each endpoint of `after`): another server, key or authority, so nothing is known of
  /// it.
  void adopt(const fleet::Fleet& before, const fleet::Fleet& after, const std::vector<bool>& moved);

  void observe(const Observation& observation, Instant now);
  /// What an endpoint told of its models (as many entries as it has models).
  void told(EndpointIndex endpoint, std::vector<fleet::ModelConditions> models);
  void running(EndpointIndex endpoint, std::uint32_t attempts);

  /// The next snapshot if anything changed since the last one (breakers change with time too), numbered upwards.
  /// Returns false and leaves `out` alone when nothing did.
  bool publish(Instant now, fleet::Conditions& out);

 private:
  struct Breaker {
    std::uint32_t failures_in_a_row = 0;
    bool open = false;
    Sight use = Sight::kUsable;  // or kUnusable, kUnloaded, kLoading
    Instant opened_at{};
    Duration rest = kFirstRest;
    double prefill_rate = 0;  // exponential mean of tokens/s; 0: unknown
    bool seen = false;
  };
  std::vector<Breaker> breakers_;
  fleet::Conditions current_;
  bool changed_ = true;
};

}  // namespace thalweg::placement
