#include "decide/serving/energy_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace thalweg::serving {
namespace {

// As EcoLogits 0.9.1 has them (impacts/llm.py).
facts::EnergyModel ecologits() {
  facts::EnergyModel model;
  model.name = "ecologits-0.9.1";
  model.gpu_energy_alpha = 1.1665273170451914e-06;
  model.gpu_energy_beta = -0.011205921025579175;
  model.gpu_energy_gamma = 4.052928146734005e-05;
  model.latency_alpha = 0.0006785088094353663;
  model.latency_beta = 0.0003119310311688259;
  model.latency_gamma = 0.019473717579473387;
  model.batch = 64;
  model.weight_bits = 16;
  model.memory_overhead = 1.2;
  model.gpu_memory_gb = 80;
  model.server_gpus = 8;
  model.server_power_w = 1200;
  model.server_embodied_kg = 5700;
  model.gpu_embodied_kg = 164;
  model.server_lifetime_s = 3.0 * 365 * 24 * 3600;
  model.prefill_mfu = 0.4;
  model.prefill_gpu_tflops = 989;
  model.prefill_gpu_power_w = 700;
  return model;
}

constexpr std::uint64_t kBillion = 1'000'000'000;
constexpr std::uint64_t kPue = 1'200;

PerToken dense(std::uint64_t billions, std::uint64_t pue = kPue) {
  return energy_per_token(ecologits(), billions * kBillion, billions * kBillion, pue);
}

// Published: 0.321, 2.367 and 32.88 J an output token for 8, 70 and 405 billion parameters at PUE 1.2.
TEST(EnergyModel, GivesThePublishedOutputs) {
  EXPECT_NEAR(static_cast<double>(dense(8).output_nj), 0.321e9, 0.0005e9);
  EXPECT_NEAR(static_cast<double>(dense(70).output_nj), 2.367e9, 0.0005e9);
  EXPECT_NEAR(static_cast<double>(dense(405).output_nj), 32.88e9, 0.005e9);
}

// Computed by the package itself (ecologits 0.9.1, compute_llm_impacts_dag, 1 output token, PUE 1.2, no request
// latency), kWh and kg; one token, so nJ = kWh x 3.6e15.
TEST(EnergyModel, GivesWhatThePackageComputes) {
  struct Row {
    std::uint64_t total, active;
    double kwh, embodied_kg;
  };
  for (const Row& row : {
           Row{8'000'000'000, 8'000'000'000, 8.915258455308872e-08, 6.4946444068246855e-09},
           Row{70'000'000'000, 70'000'000'000, 6.575289928335044e-07, 5.03371177554764e-08},
           Row{405'000'000'000, 405'000'000'000, 9.133841732500799e-06, 7.278072415341325e-07},
           Row{30'500'000'000, 3'300'000'000, 8.34496906953492e-08, 6.03301078342777e-09},
           Row{440'000'000'000, 132'000'000'000, 3.833790589818616e-06, 2.987826315346163e-07},
           Row{2'000'000'000'000, 600'000'000'000, 5.1678370194809434e-05, 4.1370135661351465e-06},
           Row{135'000'000, 135'000'000, 7.960933770391396e-08, 5.72214473703389e-09},
       }) {
    const PerToken ours = energy_per_token(ecologits(), row.total, row.active, kPue);
    EXPECT_NEAR(static_cast<double>(ours.output_nj), row.kwh * 3.6e15, 2.0) << row.total;
    EXPECT_NEAR(static_cast<double>(ours.output_embodied_ng), row.embodied_kg * 1e12, 2.0) << row.total;
  }
}

// 2 x 70e9 operations x 700 W / (0.4 x 989e12 operations/s) are 0.247724974... J; at PUE 1.2, 0.297269969... J.
TEST(EnergyModel, AddsThePromptByItsOperations) {
  EXPECT_EQ(dense(70, 1'000).input_nj, 247'724'975U);
  EXPECT_EQ(dense(70).input_nj, 297'269'970U);
}

// Azure's trace of code: 2,048 tokens in and 28 out on the mean; 608.8 J beside 66.3 J.
TEST(EnergyModel, SaysThatLongPromptsCostMoreThanShortAnswers) {
  const PerToken rates = dense(70);
  const auto prompt = static_cast<double>(request_energy_uj(rates, 2'048, 0));
  const auto answer = static_cast<double>(request_energy_uj(rates, 0, 28));
  EXPECT_NEAR(prompt / answer, 9.2, 0.1);
}

TEST(EnergyModel, NamesItsExtension) {
  EXPECT_EQ(name_with_prefill(ecologits()), "ecologits-0.9.1+prefill-1");
}

TEST(EnergyModel, GrowsWithParametersAndPue) {
  PerToken last;
  for (std::uint64_t billions = 1; billions < 3'000; billions = billions * 3 / 2 + 1) {
    const PerToken now = dense(billions);
    EXPECT_GT(now.output_nj, last.output_nj);
    EXPECT_GT(now.input_nj, last.input_nj);
    EXPECT_GT(now.output_embodied_ng, last.output_embodied_ng);
    EXPECT_LT(now.output_nj, dense(billions, kPue + 1).output_nj);
    last = now;
  }
}

TEST(EnergyModel, KeepsRangesInOrder) {
  const auto range =
      energy_per_token(ecologits(), {440 * kBillion, 440 * kBillion}, {44 * kBillion, 132 * kBillion}, {1'090, 1'140});
  EXPECT_EQ(range.least, energy_per_token(ecologits(), 440 * kBillion, 44 * kBillion, 1'090));
  EXPECT_EQ(range.most, energy_per_token(ecologits(), 440 * kBillion, 132 * kBillion, 1'140));
  EXPECT_LT(range.least.output_nj, range.most.output_nj);
}

// 1.2 x 33 x 2 GB fit one GPU of 80 GB, 1.2 x 34 x 2 GB do not; a model of no size still takes one.
TEST(EnergyModel, TakesGpusByTheWeightsAndAtLeastOne) {
  const auto output = [](std::uint64_t total) { return energy_per_token(ecologits(), total, 1, 1'000).output_nj; };
  EXPECT_EQ(output(1), output(33 * kBillion));
  EXPECT_NEAR(static_cast<double>(output(34 * kBillion)), 2.0 * static_cast<double>(output(33 * kBillion)), 2.0);
}

TEST(RequestEnergy, IsRoundedUpOnceAndSaturates) {
  const PerToken rates{.input_nj = 1, .output_nj = 999};
  EXPECT_EQ(request_energy_uj(rates, 0, 0), 0U);
  EXPECT_EQ(request_energy_uj(rates, 1, 0), 1U);
  EXPECT_EQ(request_energy_uj(rates, 1, 1), 1U);
  EXPECT_EQ(request_energy_uj(rates, 2, 1), 2U);
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(request_energy_uj({.input_nj = 1'000'000'000'000}, kMost, kMost), kMost);
}

}  // namespace
}  // namespace thalweg::serving
