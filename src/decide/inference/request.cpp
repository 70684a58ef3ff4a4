#include "decide/inference/request.h"

#include <array>

namespace thalweg::inference {

std::string_view name_of(Surface surface) {
  static constexpr std::array<std::string_view, kSurfaceCount> kNames = {
      "openai-chat",      "openai-completions",     "anthropic-messages", "openai-embeddings",
      "openai-responses", "anthropic-count-tokens", "ollama-chat",        "ollama-generate",
      "ollama-raw",       "ollama-embed",           "ollama-embeddings",  "rerank",
      "passthrough"};
  return kNames[static_cast<std::size_t>(surface)];
}

std::string_view name_of(Use use) {
  static constexpr std::array<std::string_view, kUseCount> kNames = {
      "hosted_tools", "store", "images", "audio", "files", "remote_urls", "file_ids", "other"};
  return kNames[static_cast<std::size_t>(use)];
}

std::string_view name_of(Capability capability) {
  static constexpr std::array<std::string_view, kCapabilityCount> kNames = {
      "chat",     "completions", "tools",        "json_schema", "images",     "audio",  "files",
      "logprobs", "n",           "hosted_tools", "store",       "embeddings", "rerank", "passthrough"};
  return kNames[static_cast<std::size_t>(capability)];
}

}  // namespace thalweg::inference
