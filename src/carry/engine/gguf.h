// What a GGUF file says of its model, as far as memory goes. Format: the GGUF specification of ggml, versions 2 and 3
// (docs/gguf.md there, read 2026-11). The file may be anybody's: nothing in it is believed without its bounds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <string>

#include "base/result.h"

namespace thalweg::engine {

inline constexpr std::uint64_t kMaxGgufEntries = 65'536;       // of its metadata; today's have a few dozen
inline constexpr std::uint64_t kMaxGgufElements = 16'777'216;  // of one list; the longest are vocabularies
inline constexpr std::uint64_t kMaxGgufString = 16ULL << 20;   // bytes of one text
inline constexpr std::uint64_t kMaxGgufLayers = 4096;

struct ModelShape {
  std::string architecture;              // "llama"
  std::uint64_t kv_bytes_per_token = 0;  // of a cache of 16-bit values, over all layers; 0: the file does not say
  std::uint64_t context_tokens = 0;      // it was trained for; 0: the file does not say
};

/// kIo: it cannot be read; kConfig: it is no GGUF, or says impossible things, and where.
Result<ModelShape> read_shape(const std::filesystem::path& file);
Result<ModelShape> read_shape(std::istream& stream);

}  // namespace thalweg::engine
