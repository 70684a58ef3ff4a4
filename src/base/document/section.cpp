#include "base/document/section.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "base/text.h"

namespace thalweg::document {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
// Largest last; show_* takes the largest that divides.
constexpr std::array<Unit, 4> kDurations = {
    {{"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}}};
constexpr std::array<Unit, 4> kSizes = {{{"", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}}};

std::optional<std::uint64_t> read_with_unit(std::string_view text, std::span<const Unit> units, std::uint64_t most) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = read_integer(text.substr(0, end));
  const auto unit = std::ranges::find(units, text.substr(end), &Unit::name);
  if (!number || unit == units.end() || *number > most / unit->factor) return std::nullopt;
  return *number * unit->factor;
}

std::string show_with_unit(std::uint64_t value, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) best = &unit;
  }
  return fmt::format("{}{}", value / best->factor, best->name);
}

}  // namespace

std::optional<std::uint64_t> read_integer(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Duration> read_duration(std::string_view text) {
  const auto count = read_with_unit(text, kDurations, static_cast<std::uint64_t>(Duration::max().count()));
  if (!count) return std::nullopt;
  return Duration(static_cast<std::int64_t>(*count));
}

std::optional<std::uint64_t> read_size(std::string_view text) {
  return read_with_unit(text, kSizes, std::numeric_limits<std::uint64_t>::max());
}

std::string show_duration(Duration duration) {
  if (duration == Duration{}) return "0s";
  return show_with_unit(static_cast<std::uint64_t>(duration.count()), kDurations);
}

std::string show_size(std::uint64_t bytes) {
  return show_with_unit(bytes, kSizes);
}

Section::Section(const Node& node, std::string path, Errors& errors)
    : node_(node), path_(std::move(path)), errors_(errors) {
  if (node.kind == Node::Kind::kMap) return;
  errors_.add(node.position,
              fmt::format("{} must be a map, not {}", path_.empty() ? "the document" : path_, describe(node)));
}

std::string Section::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

Position Section::position_of(std::string_view key) const {
  const auto found = std::ranges::find(node_.members, key, &Member::key);
  return found == node_.members.end() ? node_.position : found->key_position;
}

bool Section::is_text(std::string_view key) const {
  const Node* node = node_.find(key);
  return node != nullptr && node->kind == Node::Kind::kScalar;
}

void Section::error(std::string_view key, std::string sentence) {
  const Node* node = node_.find(key);
  errors_.add(node != nullptr ? node->position : node_.position, fmt::format("{}: {}", path_of(key), sentence));
}

const Node* Section::optional(std::string_view key) {
  const bool first = std::ranges::find(asked_, key) == asked_.end();
  if (first) asked_.push_back(key);
  const Node* node = node_.find(key);
  if (node == nullptr || node->kind != Node::Kind::kNull) return node;
  if (first)
    errors_.add(position_of(key), fmt::format("{} has no value; give it one or leave the key out", path_of(key)));
  return nullptr;
}

const Node* Section::required(std::string_view key, std::string_view why) {
  if (node_.kind == Node::Kind::kMap && node_.find(key) == nullptr) {
    errors_.add(node_.position, fmt::format("{} is missing: {}", path_of(key), why));
  }
  return optional(key);
}

const Node* Section::scalar(std::string_view key) {
  const Node* node = optional(key);
  if (node == nullptr || node->kind == Node::Kind::kScalar) return node;
  error(key, fmt::format("expected one value, not {}", describe(*node)));
  return nullptr;
}

std::string Section::text(std::string_view key, std::string_view absent) {
  const Node* node = scalar(key);
  return node == nullptr ? std::string(absent) : node->text;
}

bool Section::boolean(std::string_view key, bool absent) {
  const Node* node = scalar(key);
  if (node == nullptr) return absent;
  if (node->text == "true") return true;
  if (node->text == "false") return false;
  error(key, fmt::format("expected true or false, not {}", describe(*node)));
  return absent;
}

std::uint64_t Section::integer(std::string_view key, std::uint64_t absent, Range<std::uint64_t> range) {
  const Node* node = scalar(key);
  if (node == nullptr) return absent;
  const auto value = read_integer(node->text);
  if (value && *value >= range.least && *value <= range.most) return *value;
  error(key, fmt::format("expected a whole number from {} to {}, not {}", range.least, range.most, describe(*node)));
  return absent;
}

std::uint64_t Section::size(std::string_view key, std::uint64_t absent, Range<std::uint64_t> range) {
  const Node* node = scalar(key);
  if (node == nullptr) return absent;
  const auto value = read_size(node->text);
  if (!value) {
    error(key, fmt::format("expected a size like 64KiB, 32MiB or 4GiB, not {}", describe(*node)));
  } else if (*value < range.least || *value > range.most) {
    error(key, fmt::format("{} is out of range; it must be from {} to {}", node->text, show_size(range.least),
                           show_size(range.most)));
  } else {
    return *value;
  }
  return absent;
}

Duration Section::duration(std::string_view key, Duration absent, Range<Duration> range) {
  const Node* node = scalar(key);
  if (node == nullptr) return absent;
  const auto value = read_duration(node->text);
  if (!value) {
    error(key, fmt::format("expected a duration like 250ms, 10s, 5m or 2h, not {}", describe(*node)));
  } else if (*value < range.least || *value > range.most) {
    error(key, fmt::format("{} is out of range; it must be from {} to {}", node->text, show_duration(range.least),
                           show_duration(range.most)));
  } else {
    return *value;
  }
  return absent;
}

std::size_t Section::one_of(std::string_view key, std::size_t absent, std::span<const std::string_view> words) {
  const Node* node = scalar(key);
  if (node == nullptr) return absent;
  const auto found = std::ranges::find(words, std::string_view(node->text));
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  error(key, fmt::format("expected one of {}, not {}{}", fmt::join(words, ", "), describe(*node),
                         suggestion(node->text, words)));
  return absent;
}

std::vector<Section::Word> Section::texts(std::string_view key, std::size_t most) {
  const Node* node = optional(key);
  if (node == nullptr) return {};
  if (node->kind != Node::Kind::kList) {
    error(key, fmt::format("expected a list like [a, b], not {}", describe(*node)));
    return {};
  }
  if (node->items.size() > most) error(key, fmt::format("has {} entries; {} are allowed", node->items.size(), most));
  std::vector<Word> words;
  for (const Node& item : node->items) {
    if (words.size() == most) break;
    if (item.kind == Node::Kind::kScalar) {
      words.push_back({item.text, item.position});
    } else {
      errors_.add(item.position, fmt::format("{}: expected a text, not {}", path_of(key), describe(item)));
    }
  }
  return words;
}

void Section::finish() {
  for (const Member& member : node_.members) {
    if (std::ranges::find(asked_, std::string_view(member.key)) != asked_.end()) continue;
    std::string hint = suggestion(member.key, asked_);
    if (hint.empty()) hint = fmt::format("; known here: {}", fmt::join(asked_, ", "));
    errors_.add(member.key_position, fmt::format("unknown key \"{}\"{}{}", member.key.substr(0, 64),
                                                 path_.empty() ? "" : " in " + path_, hint));
  }
}

}  // namespace thalweg::document
