// Counts what the whole test program allocates, so it stands in a file of its own.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>

#include "decide/placement/place.h"
#include "decide/placement/random_world_test.h"

namespace {
std::atomic<std::size_t> allocations{0};
}  // namespace

// NOLINTBEGIN: replacing the global operators is the point
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // g++ 12 sees through one of the pair only
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
// The standard library's temporary buffers come from this one.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
#pragma GCC diagnostic pop
// NOLINTEND

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
