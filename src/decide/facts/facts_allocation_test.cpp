// Counts what the whole test program allocates, so it stands in a file of its own.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/count_allocations_test.h"
#include "decide/facts/facts.h"

namespace thalweg::facts {
namespace {

TEST(FactsAllocation, CountsAllocationsAtAll) {
  const std::size_t before = allocations;
  EXPECT_NE(std::make_unique<int>(1), nullptr);
  EXPECT_GT(allocations, before);
}

// Names are longer than what a string holds without allocating.
TEST(FactsAllocation, ThereIsNoneInALookup) {
  constexpr std::string_view kSource = "title: T, licence: MIT, class: s, kind: modelled, model: m, as_of: 2026-07-24";
  const auto prices = parse(fmt::format(
      "facts: prices\nunit: USD/Mtok\nsources: {{s: {{{}}}}}\n"
      "entries: {{a-provider-with-a-long-name/and-a-model-with-one: {{input: 1}}, another/model: {{input: 2}}}}",
      kSource));
  const auto grid = parse(fmt::format(
      "facts: grid\nsources: {{s: {{{}, basis: {{signal: average, scope: life-cycle, boundary: production, state: "
      "final}}}}}}\nentries: {{a-zone-with-a-rather-long-name: {{g_per_kwh: 1}}, DE: {{g_per_kwh: 2}}}}",
      kSource));
  ASSERT_TRUE(prices && grid);
  const auto facts = merge(std::vector{*prices, *grid}, {});
  ASSERT_TRUE(facts);

  const std::size_t before = allocations;
  const Price* price = facts->prices.find("a-provider-with-a-long-name", "and-a-model-with-one");
  const Price* same = facts->prices.find("a-provider-with-a-long-name/and-a-model-with-one");
  const Figure input = facts->figure(price, price->input);
  const Intensity zone = facts->ranking_intensity("a-zone-with-a-rather-long-name", "DE", UtcTime());
  const Intensity country = facts->intensity("a-zone-that-is-not-known-at-all", "DE", UtcTime());
  const Price* unknown = facts->prices.find("a-provider-with-a-long-name", "and-a-model-without");
  EXPECT_EQ(allocations, before);

  EXPECT_EQ(price, same);
  EXPECT_EQ(unknown, nullptr);
  EXPECT_EQ(input.value, 1'000'000U);
  EXPECT_EQ(zone.value, 1'000U);
  EXPECT_EQ(country.value, 2'000U);
}

}  // namespace
}  // namespace thalweg::facts
