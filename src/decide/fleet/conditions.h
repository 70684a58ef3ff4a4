// Conditions: what is known of the endpoints now. Learned outside `place()`, published as an immutable snapshot.
#pragma once

#include <cstdint>
#include <vector>

#include "base/units.h"
#include "decide/inference/request.h"

namespace thalweg::fleet {

enum class Health : std::uint8_t {
  kUnknown,  // nothing seen yet: may be tried
  kHealthy,
  kTrial,     // the breaker is half open: requests try it after all others, the next success closes it
  kDown,      // the breaker is open, the engine is not running, or there is no key for the server
  kUnloaded,  // an engine without its model: it loads when a request needs it
  kLoading,   // it is about to serve
};
std::string_view name_of(Health health);

/// What an endpoint told of one of its models.
struct ModelConditions {
  std::uint32_t context_tokens = 0;  // per request; 0: it did not tell
  inference::Capabilities told;      // capabilities it answered for, yes or no
  inference::Capabilities has;       // of those: the ones it has
  friend bool operator==(const ModelConditions&, const ModelConditions&) = default;
};

struct EndpointConditions {
  Health health = Health::kUnknown;
  std::uint32_t running = 0;                    // slots taken now, over all shards
  std::uint32_t prefill_tokens_per_second = 0;  // measured on its own answers; 0: unknown
  std::vector<ModelConditions> models;          // as many as the endpoint has models
  friend bool operator==(const EndpointConditions&, const EndpointConditions&) = default;
};

struct Conditions {
  std::uint64_t number = 0;
  std::vector<EndpointConditions> endpoints;  // as many as the fleet has
};

}  // namespace thalweg::fleet
