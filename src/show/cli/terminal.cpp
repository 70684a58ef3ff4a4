#include "show/cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

namespace thalweg::cli {

std::string without_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // C1 controls are C2 80 to C2 9F.
    if (byte == 0xC2 && i + 1 < text.size() && (static_cast<unsigned char>(text[i + 1]) & 0xE0) == 0x80) {
      ++i;
      continue;
    }
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F) continue;
    out += text[i];
  }
  return out;
}

void show_text(std::FILE* out, std::string_view text) {
  if (::isatty(::fileno(out)) != 0) {
    fmt::print(out, "{}", without_controls(text));
  } else {
    fmt::print(out, "{}", text);
  }
}

}  // namespace thalweg::cli
