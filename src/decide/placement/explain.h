// A Decision in words and as JSON, for dry runs, errors and logs.
#pragma once

#include <string>

#include "decide/placement/place.h"

namespace thalweg::placement {

/// Several lines: the outcome, then each target with its verdict.
std::string explain(const Decision& decision, const Question& question, const World& world);

/// One JSON object with the same content; numbers and hashes of the snapshots included.
std::string explain_json(const Decision& decision, const Question& question, const World& world);

/// For a denial: one sentence that names its cause and what would work, e.g.
/// `no endpoint can serve "small": local/smollm2-135m lacks tools`. Never names endpoints that the key may not use.
std::string denial_sentence(const Decision& decision, const Question& question, const World& world);

}  // namespace thalweg::placement
