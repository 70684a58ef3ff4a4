// The energy of a hosted request, where nobody measures it: a published model (EcoLogits) and our extension for
// prompts. Floating point when the facts are loaded; what comes out is whole nanojoules a token, so that decisions and
// receipts multiply integers.
#pragma once

#include <cstdint>
#include <string>

#include "decide/facts/facts.h"

namespace thalweg::serving {

/// The extension's name, beside the model's: "ecologits-0.9.1+prefill-1".
inline constexpr std::string_view kPrefillExtension = "prefill-1";
std::string name_with_prefill(const facts::EnergyModel& model);

/// Nanojoules and nanograms of CO2e, rounded up.
struct PerToken {
  std::uint64_t input_nj = 0;            // a token of a prompt that no cache held
  std::uint64_t output_nj = 0;           // a token of an answer, reasoning included
  std::uint64_t output_embodied_ng = 0;  // of hardware made, over its life; carbon beside the energy's
  friend bool operator==(const PerToken&, const PerToken&) = default;
};

/// Of a model with so many parameters in a data centre of that PUE (in thousandths).
/// Output: EcoLogits 0.9.1, impacts/llm.py. Input: 2 operations a parameter and token (Kaplan et al. 2020, 2.1) at the
/// model's prefill_* share of an accelerator's peak, and its power.
PerToken energy_per_token(const facts::EnergyModel& model, std::uint64_t total_parameters,
                          std::uint64_t active_parameters, std::uint64_t pue_thousandths);

/// A range where size or PUE is one.
struct PerTokenRange {
  PerToken least;
  PerToken most;  // limits are held by it
};
PerTokenRange energy_per_token(const facts::EnergyModel& model, facts::Span total_parameters,
                               facts::Span active_parameters, facts::Span pue_thousandths);

/// Microjoules of a request, rounded up once. Integers only; saturates.
std::uint64_t request_energy_uj(const PerToken& per_token, std::uint64_t uncached_input_tokens,
                                std::uint64_t output_tokens);

}  // namespace thalweg::serving
