#include "decide/placement/learn.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace thalweg::placement {
namespace {

// Weight of the newest answer in the mean of prefill rates: the last ten or so count, so that a device that warms up or
// gets another load is followed within a few answers.
constexpr double kNewestWeight = 0.2;

std::uint32_t as_rate(double tokens_per_second) {
  if (!(tokens_per_second > 0)) return 0;  // unknown
  constexpr double kMost = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::clamp(std::round(tokens_per_second), 1.0, kMost));
}

void learn_rate(double& mean, const Observation& observation) {
  const double seconds = to_seconds(observation.prefill_time);
  if (observation.prefill_tokens == 0 || !(seconds > 0)) return;
  const double rate = static_cast<double>(observation.prefill_tokens) / seconds;
  mean = mean == 0 ? rate : mean + kNewestWeight * (rate - mean);
}

fleet::Conditions nothing_known(const fleet::Fleet& fleet) {
  fleet::Conditions conditions;
  conditions.endpoints.resize(fleet.endpoints.size());
  for (std::size_t i = 0; i < fleet.endpoints.size(); ++i) {
    conditions.endpoints[i].models.resize(fleet.endpoints[i].models.size());
  }
  return conditions;
}

}  // namespace

Learner::Learner(const fleet::Fleet& fleet) : breakers_(fleet.endpoints.size()), current_(nothing_known(fleet)) {}

void Learner::adopt(const fleet::Fleet& before, const fleet::Fleet& after, const std::vector<bool>& moved) {
  THALWEG_CHECK(before.endpoints.size() == breakers_.size() && after.endpoints.size() == moved.size());
  std::vector<Breaker> breakers(after.endpoints.size());
  fleet::Conditions next = nothing_known(after);
  next.number = current_.number;
  for (std::size_t i = 0; i < after.endpoints.size(); ++i) {
    const fleet::Endpoint& now = after.endpoints[i];
    const auto same = std::ranges::find_if(before.endpoints, [&now](const fleet::Endpoint& endpoint) {
      return endpoint.name == now.name && endpoint.kind == now.kind;
    });
    if (same == before.endpoints.end() || moved[i]) continue;
    const auto old = static_cast<std::size_t>(same - before.endpoints.begin());
    breakers[i] = breakers_[old];
    fleet::EndpointConditions& to = next.endpoints[i];
    const fleet::EndpointConditions& from = current_.endpoints[old];
    to.health = from.health;
    to.running = from.running;
    to.prefill_tokens_per_second = from.prefill_tokens_per_second;
    for (std::size_t m = 0; m < now.models.size(); ++m) {
      // Under another upstream name it is another model: what was told of the old one must not vouch for it.
      const auto model =
          std::ranges::find_if(same->models, [&wanted = now.models[m]](const fleet::EndpointModel& known) {
            return known.name == wanted.name && known.upstream_name == wanted.upstream_name;
          });
      if (model != same->models.end()) {
        to.models[m] = from.models[static_cast<std::size_t>(model - same->models.begin())];
      }
    }
  }
  breakers_ = std::move(breakers);
  current_ = std::move(next);
  changed_ = true;
}

void Learner::observe(const Observation& observation, Instant now) {
  if (observation.endpoint.value >= breakers_.size()) return;
  Breaker& breaker = breakers_[observation.endpoint.value];
  const auto close = [&breaker] {
    breaker.failures_in_a_row = 0;
    breaker.open = false;
    breaker.rest = kFirstRest;
    breaker.seen = true;
  };
  switch (observation.sight) {
    case Sight::kKeyRefused:
      close();
      return;
    case Sight::kSuccess:
      close();
      learn_rate(breaker.prefill_rate, observation);
      return;
    case Sight::kBusy:
      return;
    case Sight::kUnusable:
    case Sight::kUnloaded:
    case Sight::kLoading:
      breaker.use = observation.sight;
      return;
    case Sight::kUsable:
      breaker.use = observation.sight;
      close();
      return;
    case Sight::kNotConnected:
    case Sight::kServerError:
    case Sight::kSilence:
    case Sight::kCut:
      break;
  }
  if (!breaker.open) {
    if (++breaker.failures_in_a_row < kFailuresToOpen) return;
    breaker.open = true;
    breaker.rest = kFirstRest;
    breaker.opened_at = now;
  } else if (now - breaker.opened_at >= breaker.rest) {  // a trial failed
    breaker.rest = std::min(breaker.rest * 2, kLongestRest);
    breaker.opened_at = now;
  }
  // Else the rest is not over: an attempt that began before the breaker opened says nothing new.
}

void Learner::told(EndpointIndex endpoint, std::vector<fleet::ModelConditions> models) {
  if (endpoint.value >= current_.endpoints.size()) return;
  std::vector<fleet::ModelConditions>& known = current_.endpoints[endpoint.value].models;
  if (models.size() != known.size() || models == known) return;  // another size: told of an older fleet
  known = std::move(models);
  changed_ = true;
}

void Learner::running(EndpointIndex endpoint, std::uint32_t attempts) {
  if (endpoint.value >= current_.endpoints.size()) return;
  std::uint32_t& known = current_.endpoints[endpoint.value].running;
  changed_ |= known != attempts;
  known = attempts;
}

bool Learner::publish(Instant now, fleet::Conditions& out) {
  const auto health_of = [now](const Breaker& breaker) {
    if (breaker.use == Sight::kUnusable) return fleet::Health::kDown;
    if (breaker.use == Sight::kUnloaded) return fleet::Health::kUnloaded;
    if (breaker.use == Sight::kLoading) return fleet::Health::kLoading;
    if (breaker.open) return now - breaker.opened_at >= breaker.rest ? fleet::Health::kTrial : fleet::Health::kDown;
    return breaker.seen ? fleet::Health::kHealthy : fleet::Health::kUnknown;
  };
  for (std::size_t i = 0; i < breakers_.size(); ++i) {
    fleet::EndpointConditions& endpoint = current_.endpoints[i];
    const fleet::Health health = health_of(breakers_[i]);
    const std::uint32_t rate = as_rate(breakers_[i].prefill_rate);
    changed_ |= health != endpoint.health || rate != endpoint.prefill_tokens_per_second;
    endpoint.health = health;
    endpoint.prefill_tokens_per_second = rate;
  }
  if (!changed_) return false;
  changed_ = false;
  ++current_.number;
  out = current_;
  return true;
}

}  // namespace thalweg::placement
