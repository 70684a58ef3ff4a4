#include "decide/serving/energy_model.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace thalweg::serving {
namespace {

constexpr double kJoulesPerWattHour = 3600;

// Whole units, rounded up: an estimate that is used as a limit must not be below its model. Saturates.
std::uint64_t whole(double value) {
  constexpr double kMost = 9e18;
  return static_cast<std::uint64_t>(std::ceil(std::min(value, kMost)));
}

// The GPUs that hold the weights: a power of two.
double gpu_count(const facts::EnergyModel& model, double total_billion) {
  const double memory_gb = model.memory_overhead * total_billion * model.weight_bits / 8;
  const double needed = std::max(std::ceil(memory_gb / model.gpu_memory_gb), 1.0);
  return std::exp2(std::ceil(std::log2(needed)));
}

}  // namespace

std::string name_with_prefill(const facts::EnergyModel& model) {
  return fmt::format("{}+{}", model.name, kPrefillExtension);
}

PerToken energy_per_token(const facts::EnergyModel& model, std::uint64_t total_parameters,
                          std::uint64_t active_parameters, std::uint64_t pue_thousandths) {
  const double active = static_cast<double>(active_parameters);
  const double active_billion = active / 1e9;
  const double pue = static_cast<double>(pue_thousandths) / 1e3;
  const double gpus = gpu_count(model, static_cast<double>(total_parameters) / 1e9);

  const double gpu_wh =
      model.gpu_energy_alpha * std::exp(model.gpu_energy_beta * model.batch) * active_billion + model.gpu_energy_gamma;
  const double latency_s =
      model.latency_alpha * active_billion + model.latency_beta * model.batch + model.latency_gamma;
  const double server_j = latency_s * model.server_power_w * gpus / model.server_gpus / model.batch;
  const double output_j = pue * (gpus * gpu_wh * kJoulesPerWattHour + server_j);

  const double operations_per_j = model.prefill_mfu * model.prefill_gpu_tflops * 1e12 / model.prefill_gpu_power_w;
  const double input_j = pue * 2 * active / operations_per_j;

  const double made_kg = gpus / model.server_gpus * model.server_embodied_kg + gpus * model.gpu_embodied_kg;
  const double embodied_kg = latency_s * made_kg / (model.server_lifetime_s * model.batch);

  return {.input_nj = whole(input_j * 1e9),
          .output_nj = whole(output_j * 1e9),
          .output_embodied_ng = whole(embodied_kg * 1e12)};
}

PerTokenRange energy_per_token(const facts::EnergyModel& model, facts::Span total_parameters,
                               facts::Span active_parameters, facts::Span pue_thousandths) {
  return {energy_per_token(model, total_parameters.least, active_parameters.least, pue_thousandths.least),
          energy_per_token(model, total_parameters.most, active_parameters.most, pue_thousandths.most)};
}

std::uint64_t request_energy_uj(const PerToken& per_token, std::uint64_t uncached_input_tokens,
                                std::uint64_t output_tokens) {
  using Wide = unsigned __int128;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  // Each product is below 2^126 (a rate is below 9e18 < 2^63), so their sum fits.
  const Wide nanojoules = Wide{per_token.input_nj} * uncached_input_tokens + Wide{per_token.output_nj} * output_tokens;
  const Wide microjoules = (nanojoules + 999) / 1000;
  return microjoules > kMost ? kMost : static_cast<std::uint64_t>(microjoules);
}

}  // namespace thalweg::serving
