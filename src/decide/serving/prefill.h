// Prefill: how long an engine needs to read a prompt before its first token, for time-outs that fit the endpoint.
#pragma once

#include <cstdint>

#include "base/units.h"

namespace thalweg::serving {

/// Assumed until an engine's own answers tell: 250 tokens/s for a 135M model on two virtual CPUs was measured
/// (2026-10); a quarter of it leaves room for larger models and prompts that arrive together.
inline constexpr std::uint32_t kAssumedPrefillTokensPerSecond = 60;

/// The longest wait for the first token of a prompt of `tokens` at `tokens_per_second` (0: unknown) with `ahead` other
/// prompts on the device: four times the modelled prefill (rates vary, batches share the device) plus `floor`.
/// Integers only; saturates at one hour.
Duration first_token_limit(std::uint64_t tokens, std::uint32_t tokens_per_second, std::uint32_t ahead, Duration floor);

}  // namespace thalweg::serving
