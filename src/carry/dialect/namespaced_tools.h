// Chat completions know no namespaces: a tool in one is called by both names, joined. What was joined is kept, since a
// name may have underscores of its own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace thalweg::dialect {

/// The tools of one request that are in a namespace. Reused from request to request.
class NamespacedTools {
 public:
  struct Tool {
    std::string joined;  // unescaped, without quotes
    std::string space;   // raw, with quotes, as the other one
    std::string name;
  };

  /// The joined name of a tool. All three are raw, with quotes.
  static std::string join(std::string_view space, std::string_view name);

  void clear() { tools_.clear(); }
  void add(std::string_view space, std::string_view name);
  /// To be called when all were added. False if two of them have one joined name.
  bool sort();
  bool empty() const { return tools_.empty(); }
  /// The tool of that joined name (raw, with quotes); null for any other name.
  const Tool* find(std::string_view joined) const;

 private:
  std::vector<Tool> tools_;
};

}  // namespace thalweg::dialect
