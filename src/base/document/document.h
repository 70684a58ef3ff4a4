// Documents: YAML bytes (JSON is YAML) become a tree that knows where everything stood, so that whoever checks it can
// say "line 7, column 3". Scalars stay text: what `8080` or `on` means is asked for by the reader of that key, never
// guessed.
//
// Left out of YAML on purpose: aliases (a page of them can stand for terabytes: "billion laughs"), tags, several
// documents in one file, and keys that are no plain text. Duplicate keys are errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace thalweg::document {

/// What a document may be at most. The defaults hold a configuration of 100,000 keys.
struct Limits {
  std::size_t bytes = 32ULL * 1024 * 1024;
  std::size_t depth = 32;  // of lists and maps in each other
  std::size_t nodes = 2'000'000;
};

inline constexpr std::size_t kMaxErrors = 100;  // more help nobody

struct Member;

struct Node {
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  Position position;
  std::string text;             // of a scalar
  std::vector<Node> items;      // of a list
  std::vector<Member> members;  // of a map, in the order of the source

  /// The member's value, or null.
  const Node* find(std::string_view key) const;
};

struct Member {
  std::string key;
  Position key_position;
  Node value;
};

/// "a map", "a list", `"text"` (cut short)... for error sentences.
std::string describe(const Node& node);

/// The errors of one document, collected: whoever reads goes on after an error and tells all of them.
class Errors {
 public:
  void add(Position position, std::string sentence);
  bool empty() const { return errors_.empty(); }
  /// In the order of the source, the first kMaxErrors of them and then one that counts the rest.
  std::vector<Error> take();

 private:
  std::vector<Error> errors_;
};

/// The tree, or why there is none. A duplicate key is reported to `errors` and its first value kept, so that the rest
/// can still be checked. An empty document is a kNull node.
Result<Node> parse(std::string_view bytes, Errors& errors, const Limits& limits = {});

}  // namespace thalweg::document
