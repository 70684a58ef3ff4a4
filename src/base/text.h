// Small facts about text: nearest names for "did you mean", UTF-8, trimming.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace thalweg {

/// The candidate nearest to `word` by edit distance (insert, delete, replace, swap of neighbours), if it is near enough
/// to be a slip of the pen: at most a third of the word's length, at least 1.
std::optional<std::string_view> did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

/// `; did you mean "x"?` or nothing, to be put at the end of an error sentence.
std::string suggestion(std::string_view word, std::span<const std::string_view> candidates);

bool is_valid_utf8(std::string_view bytes);

/// The 16 hexadecimal digits of a value.
void write_hex(std::uint64_t value, char* out);

std::string_view trim(std::string_view text);
/// The case of ASCII letters, whatever the locale.
bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace thalweg
