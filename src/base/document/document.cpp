#include "base/document/document.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <optional>
#include <streambuf>
#include <unordered_map>
#include <utility>

#include "base/text.h"

namespace thalweg::document {
namespace {

constexpr std::string_view kTagRefused = "tags (`!name`) are not read; leave it out";

Position position_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {static_cast<std::uint32_t>(mark.line) + 1, static_cast<std::uint32_t>(mark.column) + 1};
}

// Ends the parser from inside one of its events; caught in parse().
struct Stop {
  Error error;
};

[[noreturn]] void stop(const YAML::Mark& mark, std::string sentence) {
  throw Stop{Error{ErrorCode::kConfig, std::move(sentence), position_of(mark)}};
}

// Builds the tree from the parser's events. Open lists and maps lie on a stack as values and move into their parent
// when they end, so no pointer into a growing vector is ever held.
class Builder final : public YAML::EventHandler {
 public:
  Builder(Errors& errors, const Limits& limits) : errors_(errors), limits_(limits) {}

  Node take() { return std::move(root_); }
  /// Where the last quoted text began.
  Position last_quoted() const { return last_quoted_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { leaf(mark, Node::Kind::kNull, {}); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    stop(mark, "aliases (`*name`) are not read; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    refuse_tag(mark, tag);
    if (tag == "!") last_quoted_ = position_of(mark);
    leaf(mark, Node::Kind::kScalar, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    refuse_tag(mark, tag);
    open(mark, Node::Kind::kList);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    refuse_tag(mark, tag);
    open(mark, Node::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    Node node;
    std::optional<Member> key;  // read, its value not yet
    std::unordered_map<std::string, Position> known_keys;
  };

  // "?" and "!" are what the parser gives to plain and quoted scalars without a tag.
  static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") stop(mark, std::string(kTagRefused));
  }

  void count(const YAML::Mark& mark) {
    if (++nodes_ > limits_.nodes) stop(mark, fmt::format("the document has more than {} values", limits_.nodes));
  }

  bool expects_key() const { return !open_.empty() && open_.back().node.kind == Node::Kind::kMap && !open_.back().key; }

  void leaf(const YAML::Mark& mark, Node::Kind kind, std::string text) {
    count(mark);
    const Position position = position_of(mark);
    if (!expects_key()) {
      Node node;
      node.kind = kind;
      node.position = position;
      node.text = std::move(text);
      place(std::move(node));
      return;
    }
    if (kind == Node::Kind::kNull) stop(mark, "a key is missing here; a key that is called null needs quotes");
    open_.back().key.emplace(std::move(text), position, Node{});
  }

  void open(const YAML::Mark& mark, Node::Kind kind) {
    count(mark);
    if (expects_key()) stop(mark, "a key must be a plain text, not a list or a map");
    if (open_.size() == limits_.depth)
      stop(mark, fmt::format("lists and maps are nested deeper than {}", limits_.depth));
    Open& next = open_.emplace_back();
    next.node.kind = kind;
    next.node.position = position_of(mark);
  }

  void close() {
    Node node = std::move(open_.back().node);
    open_.pop_back();
    place(std::move(node));
  }

  void place(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == Node::Kind::kList) {
      parent.node.items.push_back(std::move(node));
      return;
    }
    Member member = std::move(*parent.key);
    parent.key.reset();
    const auto [known, is_new] = parent.known_keys.emplace(member.key, member.key_position);
    if (!is_new) {
      errors_.add(member.key_position,
                  fmt::format("the key \"{}\" is here a second time; the first is on line {}, column {}",
                              member.key.substr(0, 64), known->second.line, known->second.column));
      return;
    }
    // The parser tells of a missing value only where the next one begins.
    if (node.kind == Node::Kind::kNull) node.position = member.key_position;
    member.value = std::move(node);
    parent.node.members.push_back(std::move(member));
  }

  Errors& errors_;
  const Limits& limits_;
  Node root_;
  std::vector<Open> open_;
  std::size_t nodes_ = 0;
  Position last_quoted_;
};

// A stream over bytes that lie elsewhere.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view bytes) {
    char* const begin = const_cast<char*>(bytes.data());  // only read from
    setg(begin, begin, begin + bytes.size());
  }
};

Position position_at(std::string_view bytes, std::size_t offset) {
  const std::string_view before = bytes.substr(0, offset);
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return {static_cast<std::uint32_t>(std::ranges::count(before, '\n')) + 1,
          static_cast<std::uint32_t>(offset - line_start) + 1};
}

// What the parser would read wrongly in silence: it ends at 0x04, and replaces what is no UTF-8.
Result<void> check_bytes(std::string_view bytes, const Limits& limits) {
  if (bytes.size() > limits.bytes) {
    return fail(ErrorCode::kConfig,
                fmt::format("the document has {} bytes; {} are allowed", bytes.size(), limits.bytes));
  }
  const auto control = std::ranges::find_if(
      bytes, [](unsigned char c) { return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F; });
  if (control != bytes.end()) {
    return fail(ErrorCode::kConfig,
                fmt::format("the control character 0x{:02X} is not allowed", static_cast<unsigned char>(*control)),
                position_at(bytes, static_cast<std::size_t>(control - bytes.begin())));
  }
  if (!is_valid_utf8(bytes)) {
    // The longest well-formed beginning; a line's end is a place at which no sequence is cut.
    std::size_t line = 0;
    for (std::size_t next = 0; (next = bytes.find('\n', line)) != std::string_view::npos; line = next + 1) {
      if (!is_valid_utf8(bytes.substr(line, next - line))) break;
    }
    return fail(ErrorCode::kConfig, "this line is not UTF-8; save the file as UTF-8", position_at(bytes, line));
  }
  return {};
}

// yaml-cpp takes the end of the file for the end of a quoted text: one quote forgotten, and all that follows is part of
// that text in silence. Only the last quoted text can be such a one.
Result<void> check_quote_is_closed(std::string_view bytes, Position begin) {
  if (begin.line == 0) return {};
  std::size_t at = bytes.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  for (std::uint32_t line = 1; line < begin.line; ++line) at = bytes.find('\n', at) + 1;
  at += begin.column - 1;
  const char quote = at < bytes.size() ? bytes[at] : '\0';
  if (quote == '|' || quote == '>') return {};  // a block ends with its lines
  if (quote != '"' && quote != '\'')
    return fail(ErrorCode::kConfig, std::string(kTagRefused), begin);  // a lone `!` before a text
  for (++at; at < bytes.size(); ++at) {
    if (quote == '"' && bytes[at] == '\\') {
      ++at;
    } else if (bytes[at] == quote) {
      const bool doubled = quote == '\'' && bytes.substr(at + 1).starts_with('\'');
      if (!doubled) return {};
      ++at;
    }
  }
  return fail(ErrorCode::kConfig, "this quote is not closed", begin);
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  const auto found = std::ranges::find(members, key, &Member::key);
  return found == members.end() ? nullptr : &found->value;
}

std::string describe(const Node& node) {
  constexpr std::size_t kShown = 40;
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
    case Node::Kind::kScalar:
      break;
  }
  if (node.text.size() <= kShown) return fmt::format("\"{}\"", node.text);
  std::size_t cut = kShown;
  while (cut > 0 && (static_cast<unsigned char>(node.text[cut]) & 0xC0) == 0x80) --cut;  // not inside a UTF-8 sequence
  return fmt::format("\"{}...\"", std::string_view(node.text).substr(0, cut));
}

void Errors::add(Position position, std::string sentence) {
  errors_.push_back({ErrorCode::kConfig, std::move(sentence), position});
}

std::vector<Error> Errors::take() {
  std::vector<Error> all = std::exchange(errors_, {});
  std::ranges::stable_sort(all, {},
                           [](const Error& error) { return std::pair(error.position.line, error.position.column); });
  if (all.size() > kMaxErrors) {
    const std::size_t more = all.size() - kMaxErrors;
    all.resize(kMaxErrors);
    all.push_back({ErrorCode::kConfig, fmt::format("and {} more", more), {}});
  }
  return all;
}

Result<Node> parse(std::string_view bytes, Errors& errors, const Limits& limits) {
  if (const auto checked = check_bytes(bytes, limits); !checked) return std::unexpected(checked.error());
  Builder builder(errors, limits);
  try {
    ViewBuffer buffer(bytes);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
    if (const auto closed = check_quote_is_closed(bytes, builder.last_quoted()); !closed)
      return std::unexpected(closed.error());
    Node root = builder.take();
    Errors rest;
    Builder second(rest, limits);
    if (parser && parser.HandleNextDocument(second)) {
      return fail(ErrorCode::kConfig, "a second document begins (`---`); one file holds one", second.take().position);
    }
    return root;
  } catch (const Stop& stopped) {
    return std::unexpected(stopped.error);
  } catch (const YAML::Exception& exception) {
    return fail(ErrorCode::kConfig, fmt::format("this is no valid YAML: {}", exception.msg),
                position_of(exception.mark));
  } catch (const std::exception& exception) {
    return fail(ErrorCode::kConfig, fmt::format("this is no valid YAML: {}", exception.what()));
  }
}

}  // namespace thalweg::document
