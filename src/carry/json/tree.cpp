#include "carry/json/tree.h"

#include <string>

#include "carry/http/message.h"
#include "carry/json/walk.h"

namespace thalweg::json {

std::optional<nlohmann::ordered_json> read_tree(std::string_view text) {
  std::string padded;
  padded.reserve(text.size() + http::kPadding);
  padded = text;
  padded.append(http::kPadding, '\0');
  const std::string_view view = std::string_view(padded).substr(0, text.size());
  Walk walk;
  // The caller's rules: equal names and lone surrogates would make the tree say something else than the text.
  if (!walk.start(view, Walk::Rules::kCaller) || !walk.skip() || !walk.end()) return std::nullopt;
  nlohmann::ordered_json tree = nlohmann::ordered_json::parse(view, nullptr, false);
  if (tree.is_discarded()) return std::nullopt;
  return tree;
}

}  // namespace thalweg::json
