// The event stream reader: however the bytes are cut, the same frames; all raw frames together are the stream.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "carry/http/message.h"
#include "carry/http/sse.h"

namespace {

using namespace thalweg::http;

std::string read_all(std::string_view bytes, std::size_t step) {
  SseReader reader(512);
  std::string told;
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    std::vector<char> padded(piece.begin(), piece.end());
    padded.resize(piece.size() + kPadding, 'x');
    reader.feed({padded.data(), piece.size()});
    for (;;) {
      SseFrame frame;
      const auto next = reader.next(frame);
      if (!next) return told + "|error " + std::string(name_of(next.error().code));
      if (!*next) break;
      if (frame.raw.empty()) std::abort();
      if (frame.single_line && !frame.data.empty() &&
          (frame.data.data() < frame.raw.data() ||
           frame.data.data() + frame.data.size() > frame.raw.data() + frame.raw.size()))
        std::abort();
      char behind[kPadding];  // must be readable
      std::memcpy(behind, frame.data.data() != nullptr ? frame.data.data() + frame.data.size() : padded.data(),
                  kPadding);
      told += "|raw " + std::string(frame.raw) + (frame.has_data ? "data " : "") + std::string(frame.data) + " event " +
              std::string(frame.event) + (frame.single_line ? " single" : "");
    }
  }
  return told + (reader.mid_frame() ? "|mid" : "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16 * 1024) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = read_all(bytes, size + 1);
  for (const std::size_t step : {1 + size / 2, std::size_t{13}, std::size_t{1}}) {
    if (read_all(bytes, step) != whole) std::abort();
  }
  return 0;
}
