#include "carry/dialect/read_frame.h"

#include <algorithm>

namespace thalweg::dialect {

void append_frame(const http::SseFrame& frame, json::Splices& splices, std::string& out) {
  if (frame.single_line) {
    const auto before = static_cast<std::size_t>(frame.data.data() - frame.raw.data());
    out += frame.raw.substr(0, before);
    splices.append_to(frame.data, out);
    out += frame.raw.substr(before + frame.data.size());
    return;
  }
  if (!frame.event.empty()) {
    out += "event: ";
    out += frame.event;
    out += '\n';
  }
  out += "data: ";
  const std::size_t begin = out.size();
  splices.append_to(frame.data, out);
  // A line feed between the lines of JSON is whitespace; inside a string none can stand.
  std::replace(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(), '\n', ' ');
  out += "\n\n";
}

}  // namespace thalweg::dialect
