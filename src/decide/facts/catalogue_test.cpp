// The tables that ship, data/facts: they are read, they do not contradict each other, and they say what is published.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "decide/facts/facts.h"

namespace thalweg::facts {
namespace {

Facts shipped() {
  std::vector<Sheet> sheets;
  for (const auto& entry : std::filesystem::directory_iterator(THALWEG_SOURCE_DIR "/data/facts")) {
    std::ifstream stream(entry.path(), std::ios::binary);
    auto sheet = parse(std::string(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()));
    EXPECT_TRUE(sheet) << entry.path() << ": " << (sheet ? "" : sheet.error().front().message);
    if (!sheet) continue;
    sheet->file = entry.path().filename().string();
    sheets.push_back(std::move(*sheet));
  }
  auto facts = merge(sheets, {});
  EXPECT_TRUE(facts) << (facts ? "" : facts.error().front().message);
  return facts ? std::move(*facts) : Facts{};
}

TEST(Catalogue, IsReadWhole) {
  const Facts facts = shipped();
  EXPECT_GT(facts.prices.entries().size(), 150U);
  EXPECT_GT(facts.models.entries().size(), 300U);
  EXPECT_GT(facts.hardware.entries().size(), 1'000U);
  EXPECT_GT(facts.grid.entries().size(), 200U);
  EXPECT_FALSE(facts.pue.entries().empty());
  EXPECT_EQ(facts.energy.entries().size(), 1U);
}

TEST(Docs, ExamplesOfTheFormatAreAccepted) {
  std::ifstream stream(THALWEG_SOURCE_DIR "/docs/formats/facts.md", std::ios::binary);
  const std::string page{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  std::size_t count = 0;
  for (std::size_t at = 0; (at = page.find("```yaml\n", at)) != std::string::npos; ++count) {
    at += 8;
    const auto sheet = parse(std::string_view(page).substr(at, page.find("```", at) - at));
    EXPECT_TRUE(sheet) << (sheet ? "" : sheet.error().front().message);
  }
  EXPECT_GE(count, 1U);
}

// OpenAI's price list of 2026-07: gpt-4o is 2.50, 1.25 (cached) and 10.00 dollars a million tokens.
TEST(Catalogue, HasPublishedPrices) {
  const Facts facts = shipped();
  const Price* price = facts.prices.find("openai", "gpt-4o");
  ASSERT_NE(price, nullptr);
  EXPECT_EQ(price->input, 2'500'000U);
  EXPECT_EQ(price->cached_input, 1'250'000U);
  EXPECT_EQ(price->output, 10'000'000U);
}

// Model cards: Llama 3.1 8B has 8,030,261,248 parameters, Qwen3-30B-A3B 30,532,122,624. A token of Llama 3.1 8B takes 2
// x 32 layers x 8 heads x 128 x 2 bytes = 128 KiB of cache.
TEST(Catalogue, HasTheSizesOfOpenModels) {
  const Facts facts = shipped();
  const ModelSize* llama = facts.models.find("llama3.1:8b");
  ASSERT_NE(llama, nullptr);
  EXPECT_EQ(llama->total_parameters, (Span{8'030'261'248, 8'030'261'248}));
  EXPECT_EQ(llama->kv_bytes_per_token, 131'072U);
  EXPECT_EQ(facts.models.find("Qwen", "Qwen3-30B-A3B")->total_parameters->most, 30'532'122'624U);
  const ModelSize* closed = facts.models.find("openai", "gpt-4o");
  ASSERT_NE(closed, nullptr);
  EXPECT_EQ(closed->active_parameters, (Span{44'000'000'000, 132'000'000'000}));
  EXPECT_EQ(facts.figure(closed, closed->total_parameters->most).model, "ecologits-0.9.1");
}

// H100 SXM's data sheet: 80 GB, 3.35 TB/s, 989 dense TFLOP/s at 16 bits, 700 W.
TEST(Catalogue, HasTheDataSheetsOfHardware) {
  const Facts facts = shipped();
  const Hardware* h100 = facts.hardware.find("h100-sxm");
  ASSERT_NE(h100, nullptr);
  EXPECT_EQ(h100->bandwidth_mb_s, 3'350'000U);
  EXPECT_EQ(h100->bf16_gflops, 989'000U);
  EXPECT_EQ(h100->power_mw, 700'000U);
}

// Every intensity that ships is on the basis for ranking, so any two places can be compared. The eight zones have a
// profile; the means of 2022 (g/kWh) were computed apart: WA 54.7, CA 256.2, NY 272.8, TX 347, VA 363, GA 423, IL 441,
// AZ 575.
TEST(Catalogue, HasGridsOnOneBasis) {
  const Facts facts = shipped();
  for (const Grid& grid : facts.grid.entries()) EXPECT_TRUE(facts.source_of(grid).basis.ranks()) << grid.name;
  const std::pair<const char*, double> zones[] = {{"US-WA", 54.7}, {"US-CA", 256.2}, {"US-NY", 272.8}, {"US-TX", 347},
                                                  {"US-VA", 363},  {"US-GA", 423},   {"US-IL", 441},   {"US-AZ", 575}};
  for (const auto& [name, mean] : zones) {
    const Grid* grid = facts.grid.find(name);
    ASSERT_NE(grid, nullptr) << name;
    EXPECT_NEAR(static_cast<double>(*grid->year) / 1e3, mean, 0.5) << name;
    ASSERT_EQ(grid->profile.size(), Grid::kMonths * Grid::kHours);
    double sum = 0;
    for (const std::uint32_t cell : grid->profile) sum += cell;
    EXPECT_NEAR(sum / 288e3, mean, 0.02 * mean) << name;  // months differ in length
  }
  EXPECT_EQ(facts.grid.find("DE")->year, 380'950U);
  EXPECT_EQ(facts.grid.find("CF"), nullptr);  // the source says 0, which cannot be
}

}  // namespace
}  // namespace thalweg::facts
