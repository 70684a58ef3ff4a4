// Counts what the whole test program allocates, so it stands in a file of its own.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/count_allocations_test.h"
#include "decide/placement/place.h"
#include "decide/placement/random_world_test.h"

namespace thalweg::placement {
namespace {

TEST(PlaceAllocation, CountsAllocationsAtAll) {
  const std::size_t before = allocations;
  EXPECT_NE(std::make_unique<int>(1), nullptr);
  EXPECT_GT(allocations, before);
}

TEST(PlaceAllocation, ThereIsNoneOnceTheScratchIsWarm) {
  Scratch scratch;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const RandomWorld random(seed);
    const World world = random.world();
    place(random.question, world, scratch);
    const std::size_t before = allocations;
    place(random.question, world, scratch);
    ASSERT_EQ(allocations, before) << seed;
  }
}

TEST(PlaceAllocation, ThereIsNoneForAutoOverMoreTargetsThanAModelHas) {
  fleet::Fleet fleet;
  fleet.endpoints.resize(fleet::kMaxEndpoints);
  for (std::uint16_t e = 0; e < fleet.endpoints.size(); ++e) {
    const std::string name = "m" + std::to_string(e);
    fleet.endpoints[e].models.resize(2);
    for (std::uint16_t m = 0; m < 2; ++m) {
      fleet.endpoints[e].models[m].capabilities = {inference::Capability::kChat};
      fleet.models.push_back({name + "-" + std::to_string(m), {{EndpointIndex{e}, ModelIndex{m}}}});
    }
  }
  fleet::seal(fleet);
  const policy::Policy policy;
  const facts::Facts facts;
  const fleet::Conditions conditions;
  Question question;
  question.model = fleet::kAutoModel;
  Scratch scratch;
  const World world{&fleet, &policy, &facts, &conditions};
  EXPECT_EQ(place(question, world, scratch).verdicts().size(), 2 * fleet::kMaxEndpoints);
  const std::size_t before = allocations;
  place(question, world, scratch);
  EXPECT_EQ(allocations, before);
}

TEST(PlaceAllocation, ThereIsNoneAtAllForAModelsOwnTargets) {
  const RandomWorld random(1);
  Question question = random.question;
  question.model = "any";
  Scratch scratch;
  const std::size_t before = allocations;
  place(question, random.world(), scratch);
  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace thalweg::placement
