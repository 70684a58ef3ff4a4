// The fields of each kind, once: how a file calls them, how many decimals they have and what they may be. Reading,
// hashing and showing go by these tables.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "decide/facts/facts.h"

namespace thalweg::facts {

template <class E>
struct Field {
  std::string_view key;   // `above.input`: `input` in the map `above`
  unsigned decimals = 0;  // the value is held times 10^decimals
  std::uint64_t least = 0;
  std::uint64_t most = 0;
  std::variant<Amount E::*, Spread E::*> member;
};

template <class E>
struct Coefficient {
  std::string_view key;
  double E::* member = nullptr;
};

inline constexpr std::string_view kAbove = "above";
inline constexpr unsigned kPriceDecimals = 6;  // of dollars a million tokens: picodollars a token
inline constexpr std::uint64_t kMaxPicoUsdPerToken = 1'000'000'000'000;  // a dollar a token
inline constexpr std::uint64_t kMaxTokens = 1'000'000'000;

/// Fields that stand one after the other, such as prices, share decimals and range.
inline constexpr auto price_field(std::string_view key, Amount Price::* member) {
  return Field<Price>{key, kPriceDecimals, 0, kMaxPicoUsdPerToken, member};
}

template <class E>
inline constexpr std::array<Field<E>, 0> kFields = {};
template <>
inline constexpr std::array<Field<Price>, 16> kFields<Price> = {{
    price_field("input", &Price::input),
    price_field("output", &Price::output),
    price_field("cached_input", &Price::cached_input),
    price_field("cache_write", &Price::cache_write),
    price_field("cache_write_1h", &Price::cache_write_1h),
    price_field("batch_input", &Price::batch_input),
    price_field("batch_output", &Price::batch_output),
    price_field("reasoning", &Price::reasoning),
    {"above.input_tokens", 0, 1, kMaxTokens, &Price::above_tokens},
    price_field("above.input", &Price::above_input),
    price_field("above.output", &Price::above_output),
    price_field("above.cached_input", &Price::above_cached_input),
    price_field("above.cache_write", &Price::above_cache_write),
    price_field("above.cache_write_1h", &Price::above_cache_write_1h),
    {"max_input_tokens", 0, 1, kMaxTokens, &Price::max_input_tokens},
    {"max_output_tokens", 0, 1, kMaxTokens, &Price::max_output_tokens},
}};
template <>
inline constexpr std::array<Field<ModelSize>, 5> kFields<ModelSize> = {{
    {"total_billion", 9, 1, 1'000'000'000'000'000, &ModelSize::total_parameters},
    {"active_billion", 9, 1, 1'000'000'000'000'000, &ModelSize::active_parameters},
    {"context_tokens", 0, 1, kMaxTokens, &ModelSize::context_tokens},
    {"layers", 0, 1, 10'000, &ModelSize::layers},
    {"kv_bytes_per_token", 0, 1, 1'000'000'000, &ModelSize::kv_bytes_per_token},
}};
template <>
inline constexpr std::array<Field<Hardware>, 6> kFields<Hardware> = {{
    {"memory_bytes", 0, 1, 1ULL << 60, &Hardware::memory_bytes},
    {"bandwidth_gb_s", 3, 1, 1'000'000'000'000, &Hardware::bandwidth_mb_s},
    {"bf16_tflops", 3, 1, 1'000'000'000'000, &Hardware::bf16_gflops},
    {"fp8_tflops", 3, 1, 1'000'000'000'000, &Hardware::fp8_gflops},
    {"fp4_tflops", 3, 1, 1'000'000'000'000, &Hardware::fp4_gflops},
    {"power_w", 3, 1, 1'000'000'000, &Hardware::power_mw},
}};
inline constexpr unsigned kIntensityDecimals = 3;
inline constexpr std::uint64_t kMaxMilligramsPerKwh = 10'000'000;
inline constexpr std::string_view kProfile = "profile_g_per_kwh";
template <>
inline constexpr std::array<Field<Grid>, 1> kFields<Grid> = {{
    {"g_per_kwh", kIntensityDecimals, 0, kMaxMilligramsPerKwh, &Grid::year},
}};
template <>
inline constexpr std::array<Field<Pue>, 2> kFields<Pue> = {{
    {"pue", 3, 1'000, 10'000, &Pue::pue_thousandths},
    {"wue_l_per_kwh", 3, 0, 1'000'000, &Pue::wue_ml_per_kwh},
}};

template <class E>
inline constexpr std::array<Coefficient<E>, 0> kCoefficients = {};
template <>
inline constexpr std::array<Coefficient<EnergyModel>, 18> kCoefficients<EnergyModel> = {{
    {"gpu_energy_alpha", &EnergyModel::gpu_energy_alpha},
    {"gpu_energy_beta", &EnergyModel::gpu_energy_beta},
    {"gpu_energy_gamma", &EnergyModel::gpu_energy_gamma},
    {"latency_alpha", &EnergyModel::latency_alpha},
    {"latency_beta", &EnergyModel::latency_beta},
    {"latency_gamma", &EnergyModel::latency_gamma},
    {"batch", &EnergyModel::batch},
    {"weight_bits", &EnergyModel::weight_bits},
    {"memory_overhead", &EnergyModel::memory_overhead},
    {"gpu_memory_gb", &EnergyModel::gpu_memory_gb},
    {"server_gpus", &EnergyModel::server_gpus},
    {"server_power_w", &EnergyModel::server_power_w},
    {"server_embodied_kg", &EnergyModel::server_embodied_kg},
    {"gpu_embodied_kg", &EnergyModel::gpu_embodied_kg},
    {"server_lifetime_s", &EnergyModel::server_lifetime_s},
    {"prefill_mfu", &EnergyModel::prefill_mfu},
    {"prefill_gpu_tflops", &EnergyModel::prefill_gpu_tflops},
    {"prefill_gpu_power_w", &EnergyModel::prefill_gpu_power_w},
}};

/// A value as files have it: 2500000 with six decimals is "2.5".
std::string show_decimal(std::uint64_t value, unsigned decimals);

/// Calls back with every table of the facts, in the order of the kinds.
template <class FactsOrConst, class Callback>
void for_each_table(FactsOrConst& facts, const Callback& callback) {
  callback(facts.prices);
  callback(facts.models);
  callback(facts.hardware);
  callback(facts.grid);
  callback(facts.pue);
  callback(facts.energy);
}

}  // namespace thalweg::facts
