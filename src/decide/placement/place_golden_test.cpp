// The same Question and World give the same Decision on every compiler and machine: these are the hashes of 200 seeded
// decisions, written down once. Checked with g++ 12 and clang++ 19 at -O0 and -O3 (x86-64, 2026-10). If a change of
// `place()` is meant to change decisions, raise kPlaceVersion and take over the table that this test prints.
#include <gtest/gtest.h>

#include <array>
#include <cinttypes>
#include <cstdio>

#include "decide/placement/place.h"
#include "decide/placement/random_world_test.h"

namespace thalweg::placement {
namespace {

constexpr std::array<std::uint64_t, 200> kGolden = {
#include "decide/placement/place_golden.inc"
};

TEST(PlaceGolden, DecidesAsItAlwaysDid) {
  Scratch scratch;
  std::array<std::uint64_t, kGolden.size()> hashes{};
  for (std::size_t seed = 0; seed < hashes.size(); ++seed) {
    const RandomWorld random(seed);
    hashes[seed] = place(random.question, random.world(), scratch).hash();
  }
  EXPECT_TRUE(hashes == kGolden);
  if (hashes == kGolden) return;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    std::printf("0x%016" PRIx64 "%s", hashes[i], i % 5 == 4 ? ",\n" : ", ");
  }
}

}  // namespace
}  // namespace thalweg::placement
