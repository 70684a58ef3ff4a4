#include "decide/policy/rules.h"

#include <gtest/gtest.h>

#include <set>

#include "decide/policy/policy.h"

namespace thalweg::policy {
namespace {

using inference::Surface;
using inference::Use;

class Rules : public testing::Test {
 protected:
  Rules() {
    fleet_.places = {{.name = "ward",
                      .kind = fleet::PlaceKind::kEdge,
                      .country = "DE",
                      .operator_name = "clinic",
                      .attestations = {"ISO27001"}},
                     {.name = "virginia", .kind = fleet::PlaceKind::kCloud, .country = "US", .operator_name = "acme"},
                     {.name = "somewhere", .kind = fleet::PlaceKind::kCloud}};
    fleet_.endpoints = {
        {.name = "local", .place = {0}, .kind = fleet::EndpointKind::kEngine, .on_this_machine = true},
        {.name = "acme", .place = {1}, .zero_retention = true},
        {.name = "unknown", .place = {2}},
    };
  }

  Breach at(std::uint16_t endpoint) const { return breach_of(rule_, fleet_, {endpoint}); }

  fleet::Fleet fleet_;
  Rule rule_{.name = "r"};
};

TEST_F(Rules, OneThatAsksForNothingAllowsEverything) {
  for (std::uint16_t endpoint = 0; endpoint < 3; ++endpoint) EXPECT_EQ(at(endpoint), Breach::kNone);
}

TEST_F(Rules, OnlyAsksForWhatIsKnownToHold) {
  rule_.only.countries = {"DE", "FR"};
  EXPECT_EQ(at(0), Breach::kNone);
  EXPECT_EQ(at(1), Breach::kCountry);
  EXPECT_EQ(at(2), Breach::kCountryUnknown);
  rule_.only = {.operators = {"clinic"}};
  EXPECT_EQ(at(0), Breach::kNone);
  EXPECT_EQ(at(1), Breach::kOperator);
  EXPECT_EQ(at(2), Breach::kOperatorUnknown);
  rule_.only = {.attestations = {"ISO27001", "C5"}};
  EXPECT_EQ(at(0), Breach::kAttestation) << "it has one of two";
  rule_.only = {.attestations = {"ISO27001"}};
  EXPECT_EQ(at(0), Breach::kNone);
  EXPECT_EQ(at(2), Breach::kAttestation);
  rule_.only = {.kinds = {fleet::PlaceKind::kEdge}};
  EXPECT_EQ(at(0), Breach::kNone);
  EXPECT_EQ(at(1), Breach::kPlaceKind);
  rule_.only = {.names = {"ward"}};
  EXPECT_EQ(at(0), Breach::kNone);
  EXPECT_EQ(at(1), Breach::kPlace);
}

TEST_F(Rules, NeverRulesOutWhatHoldsAndWhatMight) {
  rule_.never.countries = {"US"};
  EXPECT_EQ(at(0), Breach::kNone);
  EXPECT_EQ(at(1), Breach::kCountry);
  EXPECT_EQ(at(2), Breach::kCountryUnknown);
  rule_.never = {.operators = {"acme"}};
  EXPECT_EQ(at(0), Breach::kNone);
  EXPECT_EQ(at(1), Breach::kOperator);
  EXPECT_EQ(at(2), Breach::kOperatorUnknown);
  rule_.never = {.attestations = {"ISO27001", "C5"}};
  EXPECT_EQ(at(0), Breach::kAttestation) << "one is enough";
  EXPECT_EQ(at(2), Breach::kNone) << "a place that lists none has none";
  rule_.never = {.names = {"ward"}};
  EXPECT_EQ(at(0), Breach::kPlace);
}

TEST_F(Rules, NameEndpointsThemselves) {
  rule_.names_endpoints = true;
  rule_.only_endpoints.add({0});
  EXPECT_EQ(at(0), Breach::kNone);
  EXPECT_EQ(at(1), Breach::kEndpoint);
  rule_.names_endpoints = false;
  rule_.never_endpoints.add({0});
  EXPECT_EQ(at(0), Breach::kEndpoint);
  EXPECT_EQ(at(1), Breach::kNone);
}

TEST_F(Rules, AskForThisMachineAndForNothingKept) {
  rule_.local_only = true;
  EXPECT_EQ(at(0), Breach::kNone);
  EXPECT_EQ(at(1), Breach::kElsewhere);
  rule_.local_only = false;
  rule_.zero_retention = true;
  EXPECT_EQ(at(0), Breach::kNone) << "an engine of ours keeps nothing";
  EXPECT_EQ(at(1), Breach::kNone);
  EXPECT_EQ(at(2), Breach::kRetention);
}

TEST_F(Rules, ApplyWhereAllOfTheirConditionsHold) {
  const Key key{.id = "k", .secret_sha256 = {}, .tenant = "clinic", .models = {}};
  const Subject subject{&key, key.tenant};
  const Subject nobody;
  const Asked asked{subject, Surface::kOpenAiChat, "large", {Use::kImages}};
  EXPECT_TRUE(rule_.applies(asked));
  rule_.when.tenants = {"bank", "clinic"};
  EXPECT_TRUE(rule_.applies(asked));
  EXPECT_FALSE(rule_.applies({nobody, Surface::kOpenAiChat, "large", {}}));
  rule_.when.keys = {"k"};
  EXPECT_TRUE(rule_.applies(asked));
  rule_.when.keys = {"j"};
  EXPECT_FALSE(rule_.applies(asked));
  rule_.when = {.keys = {""}};
  EXPECT_FALSE(rule_.applies({nobody, Surface::kOpenAiChat, "large", {}})) << "who has no key has no key's name";
  rule_.when = {.surfaces = {Surface::kRerank}};
  EXPECT_FALSE(rule_.applies(asked));
  rule_.when = {.uses = {Use::kAudio, Use::kImages}};
  EXPECT_TRUE(rule_.applies(asked));
  rule_.when = {.uses = {Use::kAudio}};
  EXPECT_FALSE(rule_.applies(asked));
  EXPECT_TRUE(rule_.applies({subject, Surface::kOpenAiChat, "large", {Use::kOther}})) << "it may use it";
}

TEST_F(Rules, CoverAModelByEitherName) {
  const Subject nobody;
  rule_.when.models = {"large"};
  EXPECT_TRUE(rule_.covers({nobody, Surface::kOpenAiChat, "large", {}}, "gpt"));
  EXPECT_TRUE(rule_.covers({nobody, Surface::kOpenAiChat, "auto", {}}, "large"));
  EXPECT_FALSE(rule_.covers({nobody, Surface::kOpenAiChat, "auto", {}}, "gpt"));
}

TEST_F(Rules, ForbidWhatLeavesByOtherDoors) {
  Policy policy;
  const auto forbidden = [&](Rule rule) {
    policy.rules = {std::move(rule)};
    seal(policy, fleet_);
    return policy.rules.front().forbidden;
  };
  const inference::Uses leaves = {Use::kHostedTools, Use::kStore, Use::kRemoteUrls, Use::kFileIds};
  EXPECT_EQ(forbidden({.name = "r", .local_only = true}), leaves.joined({Use::kOther}));
  EXPECT_EQ(forbidden({.name = "r", .zero_retention = true}), leaves.joined({Use::kOther}));
  EXPECT_EQ(forbidden({.name = "r", .zero_retention = true, .allowed_uses = {Use::kStore, Use::kOther}}),
            leaves.without({Use::kStore}));
  EXPECT_EQ(forbidden({.name = "r", .zero_retention = true, .allowed_uses = leaves}), inference::Uses{});
  EXPECT_EQ(forbidden({.name = "r", .never_uses = {Use::kImages}}), (inference::Uses{Use::kImages, Use::kOther}))
      << "what is not known may hold images";
  EXPECT_EQ(forbidden({.name = "r", .output_cap = 5}), inference::Uses{});
}

TEST_F(Rules, WhatIsNotReadCanMeetNoObligation) {
  const Subject nobody;
  const Asked unread{nobody, Surface::kPassthrough, "files", inference::kAllUses};
  EXPECT_FALSE(rule_.forbids(unread));
  rule_.output_cap = 10;
  EXPECT_TRUE(rule_.forbids(unread));
  EXPECT_FALSE(rule_.forbids({nobody, Surface::kOpenAiChat, "m", {}}));
  rule_.output_cap = 0;
  rule_.zero_retention = true;
  EXPECT_TRUE(rule_.forbids(unread));
}

TEST_F(Rules, EveryBreachSaysWhatItIsAbout) {
  std::set<std::string> said;
  for (int i = 1; i <= static_cast<int>(Breach::kRetention); ++i)
    said.insert(describe(static_cast<Breach>(i), fleet_, {0}));
  EXPECT_EQ(said.size(), static_cast<std::size_t>(Breach::kRetention)) << "no two alike";
  EXPECT_EQ(describe(Breach::kCountry, fleet_, {1}), "stands in US");
  EXPECT_EQ(describe(Breach::kAttestation, fleet_, {1}), "stands at virginia, whose attestations are none");
}

// Counts from europa.eu and efta.int, 2026-11.
TEST(Groups, HaveTheirMembers) {
  EXPECT_EQ(built_in_group("EU").size(), 27U);
  EXPECT_EQ(built_in_group("EEA").size(), 30U);
  EXPECT_EQ(built_in_group("EFTA").size(), 4U);
  EXPECT_TRUE(built_in_group("DE").empty());
  const auto& eu = built_in_group("EU");
  EXPECT_EQ(std::set<std::string>(eu.begin(), eu.end()).size(), 27U);
  EXPECT_EQ(std::ranges::find(eu, "GB"), eu.end());
  EXPECT_EQ(std::ranges::find(eu, "CH"), eu.end());
}

TEST(SealPolicy, SeesEveryFieldOfARule) {
  fleet::Fleet fleet;
  fleet.places.resize(1);
  fleet.endpoints = {{.name = "a", .place = {0}}, {.name = "b", .place = {0}}};
  fleet::seal(fleet);
  const auto hash_of = [&](auto change) {
    Policy policy;
    policy.rules = {Rule{.name = "r"}};
    change(policy.rules.front());
    seal(policy, fleet);
    return to_hex(policy.hash);
  };
  const std::string before = hash_of([](Rule&) {});
  std::set<std::string> hashes = {before};
  const auto differs = [&](auto change) { return hashes.insert(hash_of(change)).second; };
  EXPECT_TRUE(differs([](Rule& r) { r.name = "s"; }));
  EXPECT_TRUE(differs([](Rule& r) { r.when.tenants = {"t"}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.when.keys = {"t"}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.when.models = {"t"}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.when.surfaces = {Surface::kRerank}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.when.uses = {Use::kAudio}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.only.names = {"t"}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.only.kinds = {fleet::PlaceKind::kEdge}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.only.countries = {"DE"}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.only.operators = {"DE"}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.only.attestations = {"DE"}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.never.countries = {"DE"}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.names_endpoints = true; }));
  EXPECT_TRUE(differs([](Rule& r) { r.never_endpoints.add({1}); }));
  EXPECT_TRUE(differs([](Rule& r) { r.local_only = true; }));
  EXPECT_TRUE(differs([](Rule& r) { r.zero_retention = true; }));
  EXPECT_TRUE(differs([](Rule& r) { r.never_uses = {Use::kAudio}; }));
  EXPECT_TRUE(differs([](Rule& r) { r.output_cap = 1; }));
}

}  // namespace
}  // namespace thalweg::policy
