// The fleet: places, endpoints and models as the configuration says, in one immutable, numbered, hashed snapshot.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/enum_set.h"
#include "base/hash.h"
#include "base/units.h"
#include "decide/inference/request.h"

namespace thalweg::fleet {

inline constexpr std::size_t kMaxPlaces = 256;
inline constexpr std::size_t kMaxEndpoints = 256;
inline constexpr std::size_t kMaxModelsPerEndpoint = 256;
inline constexpr std::size_t kMaxTargetsPerModel = 64;

enum class PlaceKind : std::uint8_t { kDevice, kEdge, kFactory, kCloud };
inline constexpr std::size_t kPlaceKindCount = 4;
std::string_view name_of(PlaceKind kind);
using PlaceKinds = EnumSet<PlaceKind, std::uint8_t>;

/// Where endpoints stand. Empty strings are unknown facts.
struct Place {
  std::string name;
  PlaceKind kind = PlaceKind::kDevice;
  std::string country;  // ISO 3166-1 alpha-2, upper case
  std::string operator_name;
  std::string grid_zone;
  std::vector<std::string> attestations;
};

enum class EndpointKind : std::uint8_t {
  kEngine,     // a llama-server that Thalweg runs itself
  kOpenAi,     // an OpenAI-compatible server
  kAnthropic,  // a server of Anthropic's Messages API
};
inline constexpr std::size_t kEndpointKindCount = 3;
std::string_view name_of(EndpointKind kind);

using EndpointKinds = EnumSet<EndpointKind, std::uint8_t>;
inline constexpr EndpointKinds kAnyEndpointKind = {EndpointKind::kEngine, EndpointKind::kOpenAi,
                                                   EndpointKind::kAnthropic};

/// A model at an endpoint.
struct EndpointModel {
  std::string name;                      // the configured name: what answers and logs call it
  std::string upstream_name;             // what the endpoint calls it
  std::uint32_t context_tokens = 0;      // 0: unknown
  std::uint32_t output_tokens = 0;       // asked for where the caller set no limit and the API demands one
  inference::Capabilities capabilities;  // as configured
  inference::Capabilities asked;         // capabilities that the endpoint tells itself (Conditions overrule these)
};

/// Time-outs of an attempt. Zero means: none for `total`; for an engine's first_token, "by its prefill rate".
struct Timeouts {
  Duration connect = 5s;
  Duration first_token = 10s;
  Duration gap = 10s;
  Duration whole = 120s;  // of an answer that a server gives whole: it says nothing before its end
  Duration total = 600s;
};

struct Endpoint {
  std::string name;
  PlaceIndex place;
  EndpointKind kind = EndpointKind::kOpenAi;
  bool on_this_machine = false;  // an engine, or a server at a loopback address
  bool zero_retention = false;   // it is said to keep nothing of a request; false: it keeps it, or that is not known
  std::uint16_t issuer = 0;  // endpoints of the same number can read what any of them signed or keeps for the caller
  std::uint32_t slots = 0;   // attempts at a time; an engine's own parallel slots for kEngine
  Timeouts timeouts;
  std::vector<EndpointModel> models;
};

/// A set of endpoints.
class EndpointSet {
 public:
  void add(EndpointIndex endpoint) { words_[endpoint.value / 64U] |= std::uint64_t{1} << endpoint.value % 64U; }
  bool has(EndpointIndex endpoint) const { return (words_[endpoint.value / 64U] >> endpoint.value % 64U & 1U) != 0; }
  bool empty() const {
    return std::ranges::all_of(words_, [](std::uint64_t word) { return word == 0; });
  }
  void clear() { words_ = {}; }
  void fill() { words_.fill(~std::uint64_t{0}); }
  void keep(const EndpointSet& others) {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= others.words_[i];
  }
  friend bool operator==(const EndpointSet&, const EndpointSet&) = default;

 private:
  std::array<std::uint64_t, kMaxEndpoints / 64> words_{};
};

/// The slots that one attempt takes there: an engine computes each choice of an answer in a slot of its own, and
/// several prompts of one request in turn where it has fewer.
constexpr std::uint32_t slots_for(const Endpoint& endpoint, std::uint32_t choices) {
  return endpoint.kind == EndpointKind::kEngine ? std::clamp(choices, 1U, std::max(endpoint.slots, 1U)) : 1U;
}

/// One way to serve a model that callers may ask for.
struct Target {
  EndpointIndex endpoint;
  ModelIndex model;
  friend bool operator==(const Target&, const Target&) = default;
};

/// What callers may ask for, with the targets in order of preference.
struct Model {
  std::string name;
  std::vector<Target> targets;
  EndpointKinds kinds = {};  // of the targets; made by seal()
};

/// The name that means "every chat model that the key may use".
inline constexpr std::string_view kAutoModel = "auto";

struct Fleet {
  std::uint64_t number = 0;
  Sha256 hash{};
  std::vector<Place> places;
  std::vector<Endpoint> endpoints;
  std::vector<Model> models;                  // in the configuration's order; `auto` is not among them
  std::vector<std::uint16_t> models_by_name;  // indices into `models`, sorted by name; made by seal()
  EndpointKinds kinds;                        // of all endpoints; made by seal()

  /// The configured model of that name, or null. Logarithmic; no allocation.
  const Model* find_model(std::string_view name) const;
  /// Of the endpoints that may answer for that name, `auto` included.
  EndpointKinds kinds_for(std::string_view model) const;
  const EndpointModel& at(Target target) const { return endpoints[target.endpoint.value].models[target.model.value]; }
};

/// Sets `hash` from the content (number left out), the index by name and the kinds.
void seal(Fleet& fleet);

}  // namespace thalweg::fleet
