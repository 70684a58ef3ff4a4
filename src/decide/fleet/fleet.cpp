#include "decide/fleet/fleet.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/canonical.h"
#include "base/result.h"
#include "decide/fleet/conditions.h"

namespace thalweg::fleet {
namespace {

void write(CanonicalBytes& bytes, const Place& place) {
  bytes.text(place.name);
  bytes.number(static_cast<std::uint64_t>(place.kind));
  bytes.text(place.country);
  bytes.text(place.operator_name);
  bytes.text(place.grid_zone);
  bytes.number(place.attestations.size());
  for (const std::string& attestation : place.attestations) bytes.text(attestation);
}

void write(CanonicalBytes& bytes, const EndpointModel& model) {
  bytes.text(model.name);
  bytes.text(model.upstream_name);
  bytes.number(model.context_tokens);
  bytes.number(model.output_tokens);
  bytes.number(model.capabilities.bits());
  bytes.number(model.asked.bits());
}

void write(CanonicalBytes& bytes, const Endpoint& endpoint) {
  bytes.text(endpoint.name);
  bytes.number(endpoint.place.value);
  bytes.number(static_cast<std::uint64_t>(endpoint.kind));
  bytes.number(static_cast<std::uint64_t>(endpoint.on_this_machine) << 1 |
               static_cast<std::uint64_t>(endpoint.zero_retention));
  bytes.number(endpoint.issuer);
  bytes.number(endpoint.slots);
  bytes.duration(endpoint.timeouts.connect);
  bytes.duration(endpoint.timeouts.first_token);
  bytes.duration(endpoint.timeouts.gap);
  bytes.duration(endpoint.timeouts.whole);
  bytes.duration(endpoint.timeouts.total);
  bytes.number(endpoint.models.size());
  for (const EndpointModel& model : endpoint.models) write(bytes, model);
}

void write(CanonicalBytes& bytes, const Model& model) {
  bytes.text(model.name);
  bytes.number(model.targets.size());
  for (const Target& target : model.targets) {
    bytes.number(target.endpoint.value);
    bytes.number(target.model.value);
  }
}

}  // namespace

std::string_view name_of(PlaceKind kind) {
  static constexpr std::array<std::string_view, kPlaceKindCount> kNames = {"device", "edge", "factory", "cloud"};
  static_assert(static_cast<std::size_t>(PlaceKind::kCloud) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(EndpointKind kind) {
  static constexpr std::array<std::string_view, kEndpointKindCount> kNames = {"engine", "openai", "anthropic"};
  static_assert(static_cast<std::size_t>(EndpointKind::kAnthropic) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(Health health) {
  static constexpr std::array<std::string_view, 6> kNames = {"unknown", "healthy",  "trial",
                                                             "down",    "unloaded", "loading"};
  static_assert(static_cast<std::size_t>(Health::kLoading) + 1 == kNames.size());
  return kNames[static_cast<std::size_t>(health)];
}

const Model* Fleet::find_model(std::string_view name) const {
  const auto name_at = [this](std::uint16_t index) -> std::string_view { return models[index].name; };
  const auto found = std::ranges::lower_bound(models_by_name, name, {}, name_at);
  if (found == models_by_name.end() || name_at(*found) != name) return nullptr;
  return &models[*found];
}

EndpointKinds Fleet::kinds_for(std::string_view model) const {
  if (model == kAutoModel) return kinds;
  const Model* found = find_model(model);
  return found == nullptr ? EndpointKinds() : found->kinds;
}

void seal(Fleet& fleet) {
  THALWEG_CHECK(fleet.places.size() <= kMaxPlaces && fleet.endpoints.size() <= kMaxEndpoints);
  THALWEG_CHECK(fleet.models.size() < 0xFFFF);
  CanonicalBytes bytes;
  bytes.text("thalweg fleet 3");
  bytes.number(fleet.places.size());
  for (const Place& place : fleet.places) write(bytes, place);
  bytes.number(fleet.endpoints.size());
  fleet.kinds = {};
  for (const Endpoint& endpoint : fleet.endpoints) {
    THALWEG_CHECK(endpoint.models.size() <= kMaxModelsPerEndpoint);
    write(bytes, endpoint);
    fleet.kinds.add(endpoint.kind);
  }
  bytes.number(fleet.models.size());
  for (Model& model : fleet.models) {
    model.kinds = {};
    // Placement indexes with these on every request: a target that points nowhere must not get into a snapshot.
    for (const Target& target : model.targets) {
      THALWEG_CHECK(target.endpoint.value < fleet.endpoints.size());
      THALWEG_CHECK(target.model.value < fleet.endpoints[target.endpoint.value].models.size());
      model.kinds.add(fleet.endpoints[target.endpoint.value].kind);
    }
    write(bytes, model);
  }
  fleet.hash = bytes.hash();

  fleet.models_by_name.resize(fleet.models.size());
  std::iota(fleet.models_by_name.begin(), fleet.models_by_name.end(), std::uint16_t{0});
  std::ranges::stable_sort(fleet.models_by_name, {},
                           [&fleet](std::uint16_t index) -> const std::string& { return fleet.models[index].name; });
}

}  // namespace thalweg::fleet
