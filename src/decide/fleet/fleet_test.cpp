#include "decide/fleet/fleet.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "decide/fleet/conditions.h"

namespace thalweg::fleet {
namespace {

using inference::Capability;

Fleet small_fleet() {
  Fleet fleet;
  fleet.places = {{.name = "here",
                   .kind = PlaceKind::kEdge,
                   .country = "DE",
                   .operator_name = "op",
                   .grid_zone = "DE-LU",
                   .attestations = {"iso27001"}}};
  fleet.endpoints = {{.name = "local",
                      .place = PlaceIndex{0},
                      .kind = EndpointKind::kEngine,
                      .slots = 2,
                      .timeouts = {},
                      .models = {{.name = "small",
                                  .upstream_name = "smollm2",
                                  .context_tokens = 2048,
                                  .capabilities = {Capability::kChat, Capability::kTools},
                                  .asked = {Capability::kTools}}}}};
  fleet.models = {{.name = "small", .targets = {{EndpointIndex{0}, ModelIndex{0}}}}};
  return fleet;
}

std::string hash_of(Fleet fleet) {
  seal(fleet);
  return to_hex(fleet.hash);
}

// Computed by an independent program (Python's struct and hashlib) from the same fields: eight-byte little-endian
// numbers, texts and lists after their lengths, in the order of the declarations.
TEST(SealFleet, HashesTheCanonicalBytes) {
  EXPECT_EQ(hash_of({}), "68a9896c6c34629010e1ab8d2ef3cc024fbb32d9461dfc6196f0c2cb04913159");
  EXPECT_EQ(hash_of(small_fleet()), "721f41a4dde946ae252f01b3b59bc0f9d88ba2170ff0296ee9c646995190d8a3");
}

TEST(SealFleet, SeesEveryField) {
  const std::vector<std::pair<std::string, std::function<void(Fleet&)>>> changes = {
      {"nothing", [](Fleet&) {}},
      {"place name", [](Fleet& f) { f.places[0].name = "there"; }},
      {"place kind", [](Fleet& f) { f.places[0].kind = PlaceKind::kCloud; }},
      {"country", [](Fleet& f) { f.places[0].country = "FR"; }},
      {"operator", [](Fleet& f) { f.places[0].operator_name = "OP"; }},
      {"grid zone", [](Fleet& f) { f.places[0].grid_zone = "FR"; }},
      {"attestation", [](Fleet& f) { f.places[0].attestations[0] = "soc2"; }},
      {"another attestation", [](Fleet& f) { f.places[0].attestations.push_back(""); }},
      {"another place", [](Fleet& f) { f.places.emplace_back(); }},
      {"endpoint name", [](Fleet& f) { f.endpoints[0].name = "remote"; }},
      {"endpoint place", [](Fleet& f) { f.endpoints[0].place = {}; }},
      {"endpoint kind", [](Fleet& f) { f.endpoints[0].kind = EndpointKind::kOpenAi; }},
      {"on this machine", [](Fleet& f) { f.endpoints[0].on_this_machine = true; }},
      {"zero retention", [](Fleet& f) { f.endpoints[0].zero_retention = true; }},
      {"issuer", [](Fleet& f) { f.endpoints[0].issuer = 1; }},
      {"slots", [](Fleet& f) { f.endpoints[0].slots = 3; }},
      {"connect", [](Fleet& f) { f.endpoints[0].timeouts.connect += 1ns; }},
      {"first token", [](Fleet& f) { f.endpoints[0].timeouts.first_token += 1ns; }},
      {"whole", [](Fleet& f) { f.endpoints[0].timeouts.whole += 1ns; }},
      {"gap", [](Fleet& f) { f.endpoints[0].timeouts.gap += 1ns; }},
      {"total", [](Fleet& f) { f.endpoints[0].timeouts.total += 1ns; }},
      {"endpoint model", [](Fleet& f) { f.endpoints[0].models[0].name = "large"; }},
      {"upstream name", [](Fleet& f) { f.endpoints[0].models[0].upstream_name = ""; }},
      {"context", [](Fleet& f) { f.endpoints[0].models[0].context_tokens = 0; }},
      {"output", [](Fleet& f) { f.endpoints[0].models[0].output_tokens = 1; }},
      {"capabilities", [](Fleet& f) { f.endpoints[0].models[0].capabilities.add(Capability::kImages); }},
      {"asked", [](Fleet& f) { f.endpoints[0].models[0].asked = {}; }},
      {"another endpoint model", [](Fleet& f) { f.endpoints[0].models.emplace_back(); }},
      {"another endpoint", [](Fleet& f) { f.endpoints.emplace_back(); }},
      {"model name", [](Fleet& f) { f.models[0].name = "large"; }},
      {"no target", [](Fleet& f) { f.models[0].targets.clear(); }},
      {"a target twice", [](Fleet& f) { f.models[0].targets.push_back(f.models[0].targets[0]); }},
      {"another model", [](Fleet& f) { f.models.emplace_back(); }},
  };
  std::map<std::string, std::string> seen;
  for (const auto& [name, change] : changes) {
    Fleet fleet = small_fleet();
    change(fleet);
    const auto [other, fresh] = seen.emplace(hash_of(fleet), name);
    EXPECT_TRUE(fresh) << name << " hashes like " << other->second;
  }
}

TEST(SealFleet, LeavesTheNumberOut) {
  Fleet fleet = small_fleet();
  fleet.number = 17;
  EXPECT_EQ(hash_of(fleet), hash_of(small_fleet()));
}

TEST(SealFleet, SeesTheOrderOfModels) {
  Fleet a;
  a.models = {{.name = "x", .targets = {}}, {.name = "y", .targets = {}}};
  Fleet b;
  b.models = {{.name = "y", .targets = {}}, {.name = "x", .targets = {}}};
  EXPECT_NE(hash_of(a), hash_of(b));
}

TEST(SealFleetDeathTest, RefusesATargetThatPointsNowhere) {
  Fleet fleet = small_fleet();
  fleet.models[0].targets[0].model = ModelIndex{1};
  EXPECT_DEATH(seal(fleet), "target.model.value");
  fleet.models[0].targets[0] = {EndpointIndex{1}, ModelIndex{0}};
  EXPECT_DEATH(seal(fleet), "target.endpoint.value");
}

TEST(FindModel, FindsEachByItsNameAndNothingElse) {
  Fleet fleet;
  for (int i = 0; i < 500; ++i)
    fleet.models.push_back({.name = "model-" + std::to_string(i * 7919 % 500), .targets = {}});
  seal(fleet);
  for (const Model& model : fleet.models) EXPECT_EQ(fleet.find_model(model.name), &model);
  for (const std::string_view name : {"", "model-", "model-500", "model-1 ", "MODEL-1", "auto", "zzz"}) {
    EXPECT_EQ(fleet.find_model(name), nullptr) << name;
  }
}

TEST(FindModel, TakesTheFirstOfTwoWithOneName) {
  Fleet fleet;
  fleet.models = {{.name = "b", .targets = {}}, {.name = "a", .targets = {}}, {.name = "a", .targets = {}}};
  seal(fleet);
  EXPECT_EQ(fleet.find_model("a"), &fleet.models[1]);
}

TEST(Names, AreThoseOfTheConfiguration) {
  EXPECT_EQ(name_of(PlaceKind::kDevice), "device");
  EXPECT_EQ(name_of(PlaceKind::kCloud), "cloud");
  EXPECT_EQ(name_of(EndpointKind::kEngine), "engine");
  EXPECT_EQ(name_of(EndpointKind::kOpenAi), "openai");
  EXPECT_EQ(name_of(Health::kUnknown), "unknown");
  EXPECT_EQ(name_of(Health::kDown), "down");
}

}  // namespace
}  // namespace thalweg::fleet
