// JSON off the hot path: endpoints' refusals, model lists and properties as trees.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

namespace thalweg::json {

/// The text as a tree; empty when it is not JSON. Unlike the walk's, these bytes need no padding behind them. Depth and
/// UTF-8 are checked first, so that the tree can be written again.
std::optional<nlohmann::ordered_json> read_tree(std::string_view text);

}  // namespace thalweg::json
