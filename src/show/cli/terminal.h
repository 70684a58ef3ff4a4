// What a terminal is shown of text that others wrote: a provider's answer must not move the cursor, set the title or
// type for the user.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace thalweg::cli {

/// UTF-8 without C0 controls but newline and tab, without DEL, and without C1 controls (U+0080 to U+009F, ECMA-48).
std::string without_controls(std::string_view text);

/// Writes the text: without controls to a terminal, as it is to a file or a pipe.
void show_text(std::FILE* out, std::string_view text);

}  // namespace thalweg::cli
