// The response reader: however the bytes are cut, it must tell the same head, body and end, never anything after the
// end.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "carry/http/message.h"

namespace {

using namespace thalweg::http;

class Telling final : public ResponseReader::Visitor {
 public:
  void on_head(const ResponseHead& head) override {
    if (headed_) std::abort();
    headed_ = true;
    told += "head " + std::to_string(head.status) + (head.keep_alive ? " keep" : "") +
            (head.event_stream ? " sse" : "") + (head.json ? " json" : "");
    for (const Field& field : head.fields) told += ";" + std::string(field.name) + "=" + std::string(field.value);
    told += "|";
  }
  void on_body(std::string_view bytes) override {
    if (!headed_ || ended_) std::abort();
    told += bytes;
  }
  void on_end() override {
    if (!headed_ || ended_) std::abort();
    ended_ = true;
    told += "|end";
  }
  std::string told;

 private:
  bool headed_ = false;
  bool ended_ = false;
};

std::string read_all(std::string_view bytes, std::size_t step, bool head_request) {
  ResponseReader reader({.head_bytes = 2048});
  reader.set_head_request(head_request);
  Telling telling;
  while (!bytes.empty()) {
    const std::string piece(bytes.substr(0, step));  // on its own, so that a view kept too long is seen
    bytes.remove_prefix(piece.size());
    if (const auto read = reader.advance(piece, telling); !read) {
      return telling.told + "|error " + std::string(name_of(read.error().code)) +
             (reader.reusable() ? " reusable" : "");
    }
  }
  const bool reusable = reader.reusable();
  const auto finished = reader.finish(telling);
  return telling.told + (finished ? "|closed" : "|truncated") + (reusable ? " reusable" : "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size > 16 * 1024) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool head_request = (data[0] & 1) != 0;
  const std::string whole = read_all(bytes, size, head_request);
  if (read_all(bytes, 1 + size / 2, head_request) != whole) std::abort();
  if (read_all(bytes, 7, head_request) != whole) std::abort();
  if (size <= 2048 && read_all(bytes, 1, head_request) != whole) std::abort();
  return 0;
}
