// Names that the configuration gives: their grammar, and how one that points nowhere is reported.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/document/document.h"

namespace thalweg::config {

/// What may be called so. Models may hold '/' (as providers' names do); endpoints and places may not, because a target
/// is written endpoint/model.
enum class NameKind : std::uint8_t { kPlace, kEndpoint, kModel, kTenant, kKey, kRule };

/// Why the text is no name of that kind; empty if it is one.
std::string fault_of_name(NameKind kind, std::string_view name);

/// Reports it at the position if there is a fault, and says whether there was none.
bool check_name(NameKind kind, std::string_view name, Position position, document::Errors& errors);

/// Why the text is no country, as the end of a sentence; empty if it is one.
std::string_view fault_of_country(std::string_view text);

/// `; did you mean "x"?`, else `; there is x, y and z` (the first few), else `; there is none`.
std::string known_instead(std::string_view name, std::span<const std::string_view> known);

}  // namespace thalweg::config
