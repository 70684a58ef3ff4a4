// The request reader: whole, in two pieces, byte by byte and moved to a new buffer before each call, it must read the
// same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "carry/http/message.h"

namespace {

using namespace thalweg::http;

constexpr RequestReader::Limits kLimits{.head_bytes = 2048, .body_bytes = 4096};

// What was read, as text. The messages that follow in the same bytes are read too. `step`: bytes that arrive at a time.
std::string read_all(const std::uint8_t* data, std::size_t size, std::size_t step) {
  std::string told;
  RequestReader reader(kLimits);
  std::size_t begin = 0;
  for (int message = 0; message < 4; ++message) {
    reader.reset();
    std::vector<char> buffer;
    bool head_told = false;
    for (std::size_t arrived = 0;;) {
      arrived = std::min(size - begin, arrived + step);
      // A new buffer with the same beginning, for what chunk decoding moved, then the new bytes.
      std::vector<char> moved(buffer);
      moved.insert(moved.end(), data + begin + buffer.size(), data + begin + arrived);
      buffer.swap(moved);
      auto state = reader.advance(buffer);
      if (state && *state == RequestReader::State::kHeadDone) {
        const RequestHead& head = reader.head(buffer);
        told += "|" + std::string(name_of(head.method)) + " " + std::string(head.path) + " " + std::string(head.host) +
                " " + std::string(head.query) + " " + std::to_string(head.content_length);
        for (const Field& field : head.fields) told += ";" + std::string(field.name) + "=" + std::string(field.value);
        head_told = true;
        state = reader.advance(buffer);
      }
      if (!state) return told + "|error " + std::string(name_of(state.error().code)) + " " + state.error().message;
      if (*state == RequestReader::State::kDone) break;
      if (arrived == size - begin) return told + (head_told ? "|body unfinished" : "|head unfinished");
    }
    if (reader.message_end() > buffer.size() || reader.message_end() == 0) std::abort();
    told += "|body " + std::string(reader.body(buffer));
    begin += reader.message_end();
  }
  return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16 * 1024) return 0;
  const std::string whole = read_all(data, size, size + 1);
  if (read_all(data, size, 1 + size / 2) != whole) std::abort();
  if (size <= 1024 && read_all(data, size, 1) != whole) std::abort();
  return 0;
}
