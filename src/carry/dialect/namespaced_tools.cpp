#include "carry/dialect/namespaced_tools.h"

#include <algorithm>

#include "carry/json/text.h"

namespace thalweg::dialect {
namespace {

constexpr std::string_view kBetween = "__";  // what names of tools may have at every provider

std::string meant(std::string_view quoted) {
  std::string out;
  json::unescape(json::inside_quotes(quoted), out);
  return out;
}

}  // namespace

std::string NamespacedTools::join(std::string_view space, std::string_view name) {
  std::string out = "\"";
  out += json::inside_quotes(space);
  out += kBetween;
  out += json::inside_quotes(name);
  out += '"';
  return out;
}

void NamespacedTools::add(std::string_view space, std::string_view name) {
  tools_.push_back({meant(join(space, name)), std::string(space), std::string(name)});
}

bool NamespacedTools::sort() {
  std::ranges::sort(tools_, {}, &Tool::joined);
  return std::ranges::adjacent_find(tools_, {}, &Tool::joined) == tools_.end();
}

const NamespacedTools::Tool* NamespacedTools::find(std::string_view joined) const {
  if (tools_.empty()) return nullptr;
  const std::string name = meant(joined);
  const auto found = std::ranges::lower_bound(tools_, name, {}, &Tool::joined);
  return found != tools_.end() && found->joined == name ? &*found : nullptr;
}

}  // namespace thalweg::dialect
