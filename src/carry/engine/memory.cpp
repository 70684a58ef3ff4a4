#include <fmt/format.h>

#include <fstream>

#include "carry/engine/engine.h"
#include "carry/engine/gguf.h"

namespace thalweg::engine {
namespace {
// Compute buffers, the runtime's own and the cache of prompts: a llama-server with a model of 0.1 GB takes 0.3 GB.
constexpr std::uint64_t kBeside = 256ULL << 20;
// Of a model of 8 billion parameters (see default_memory), where the file does not say.
constexpr std::uint64_t kUnknownBytesPerToken = 128 * 1024;
}  // namespace

std::uint64_t expected_memory(const Options& options) {
  if (options.memory_bytes != 0) return options.memory_bytes;
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(options.model_file, error);
  const auto shape = read_shape(options.model_file);
  const std::uint64_t per_token =
      shape && shape->kv_bytes_per_token != 0 ? shape->kv_bytes_per_token : kUnknownBytesPerToken;
  return (error ? 0 : size) + per_token * options.context_tokens * options.slots + kBeside;
}

std::uint64_t measured_memory(pid_t child) {
  if (child <= 0) return 0;
  std::ifstream status(fmt::format("/proc/{}/status", child));
  for (std::string line; std::getline(status, line);) {
    unsigned long long kilobytes = 0;
    if (std::sscanf(line.c_str(), "VmRSS: %llu kB", &kilobytes) == 1) return kilobytes * 1024;
  }
  return 0;
}

}  // namespace thalweg::engine
