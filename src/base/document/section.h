// Typed reading of a document: one Section a map. Each getter asks for one key; finish() then reports every key that
// nobody asked for, with "did you mean". So what a reader asks for *is* the list of known keys, and cannot differ from
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/document/document.h"
#include "base/units.h"

namespace thalweg::document {

template <class Value>
struct Range {
  Value least;
  Value most;
};

// Readings of one scalar: digits only; no sign, space, point or underscore. Empty where the text is none or does not
// fit.
std::optional<std::uint64_t> read_integer(std::string_view text);
/// Digits and one of ms, s, m, h.
std::optional<Duration> read_duration(std::string_view text);
/// Digits and one of KiB, MiB, GiB, or nothing (bytes).
std::optional<std::uint64_t> read_size(std::string_view text);
/// As a person would write it: "10s", "32MiB".
std::string show_duration(Duration duration);
std::string show_size(std::uint64_t bytes);

class Section {
 public:
  /// `path` is what errors call it ("limits", "endpoints.local"; empty for the whole document). A node that is no map
  /// is reported once, and every getter then gives its default.
  Section(const Node& node, std::string path, Errors& errors);

  /// The value, or null where the key is absent or has no value (which is reported).
  const Node* optional(std::string_view key);
  /// The same, and absence is reported with `why`: "required; ...".
  const Node* required(std::string_view key, std::string_view why);

  std::string text(std::string_view key, std::string_view absent);
  bool boolean(std::string_view key, bool absent);
  std::uint64_t integer(std::string_view key, std::uint64_t absent, Range<std::uint64_t> range);
  std::uint64_t size(std::string_view key, std::uint64_t absent, Range<std::uint64_t> range);
  Duration duration(std::string_view key, Duration absent, Range<Duration> range);
  /// The index of the word that stands there.
  std::size_t one_of(std::string_view key, std::size_t absent, std::span<const std::string_view> words);
  struct Word {
    std::string text;
    Position position;
  };
  std::vector<Word> texts(std::string_view key, std::size_t most);

  /// Whether the key stands there with one value.
  bool is_text(std::string_view key) const;
  /// Where the key stands; the section's own place if it does not.
  Position position_of(std::string_view key) const;
  Position position() const { return node_.position; }
  /// "limits.body".
  std::string path_of(std::string_view key) const;
  void error(std::string_view key, std::string sentence);

  /// Reports the keys that were not asked for. Last.
  void finish();

 private:
  const Node* scalar(std::string_view key);

  const Node& node_;
  std::string path_;
  Errors& errors_;
  std::vector<std::string_view> asked_;
};

}  // namespace thalweg::document
