// Fields of requests that pass without being read, and of which it is known that they ask for nothing beside the
// answer: sampling, formats, words for accounts and caches. Any other field that is not read may ask for anything.
#pragma once

#include <string_view>

namespace thalweg::dialect {

/// Sources: OpenAI's client library 2.x (types of its parameters), vLLM's ChatCompletionRequest
/// (vllm/entrypoints/openai/protocol.py), llama.cpp v0.5.0 (tools/server), the API references of Mistral, Cohere,
/// SGLang and NVIDIA NIM; read 2026-11.
bool is_plain_field(std::string_view name);

}  // namespace thalweg::dialect
