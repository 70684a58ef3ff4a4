// The reader of model files: whatever the bytes, it ends with a shape within its bounds or with a sentence, and takes
// no more memory than its limits allow.
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include "carry/engine/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream stream(std::string(reinterpret_cast<const char*>(data), size));
  const auto shape = thalweg::engine::read_shape(stream);
  if (!shape) {
    if (shape.error().message.empty()) std::abort();
    return 0;
  }
  constexpr std::uint64_t kMost = thalweg::engine::kMaxGgufLayers << 16 << 22;  // layers, heads, bytes of a head
  if (shape->kv_bytes_per_token > kMost || shape->context_tokens > 1ULL << 31) std::abort();
  return 0;
}
