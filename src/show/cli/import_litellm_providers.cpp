// Addresses and variables are those of LiteLLM's own source (litellm_core_utils/get_llm_provider_logic.py and the
// providers' folders, seen 2026-11).
#include <algorithm>
#include <array>

#include "show/cli/import_litellm.h"

namespace thalweg::cli {
namespace {

constexpr std::array<LiteLlmProvider, 28> kProviders = {{
    {"openai", "openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "OpenAI"},
    {"text-completion-openai", "openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "OpenAI"},
    {"anthropic", "anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "Anthropic"},
    {"azure", "azure", "", "AZURE_API_KEY", "Microsoft"},
    {"openai_like", "openai", "", "", ""},
    {"custom_openai", "openai", "", "", ""},
    {"hosted_vllm", "openai", "", "", ""},
    {"lm_studio", "openai", "", "", ""},
    {"llamafile", "openai", "http://127.0.0.1:8080/v1", "", ""},
    {"litellm_proxy", "openai", "", "", ""},
    {"xinference", "openai", "http://127.0.0.1:9997/v1", "", ""},
    {"ollama", "openai", "http://localhost:11434/v1", "", ""},
    {"ollama_chat", "openai", "http://localhost:11434/v1", "", ""},
    {"cerebras", "openai", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", "Cerebras"},
    {"codestral", "openai", "https://codestral.mistral.ai/v1", "CODESTRAL_API_KEY", "Mistral AI"},
    {"dashscope", "openai", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY", "Alibaba"},
    {"deepinfra", "openai", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY", "DeepInfra"},
    {"deepseek", "openai", "https://api.deepseek.com/beta", "DEEPSEEK_API_KEY", "DeepSeek"},
    {"fireworks_ai", "openai", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "Fireworks AI"},
    {"groq", "openai", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "Groq"},
    {"mistral", "openai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "Mistral AI"},
    {"moonshot", "openai", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", "Moonshot AI"},
    {"nvidia_nim", "openai", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY", "NVIDIA"},
    {"openrouter", "openai", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "OpenRouter"},
    {"perplexity", "openai", "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY", "Perplexity"},
    {"sambanova", "openai", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY", "SambaNova"},
    {"together_ai", "openai", "https://api.together.xyz/v1", "TOGETHERAI_API_KEY", "Together AI"},
    {"xai", "openai", "https://api.x.ai/v1", "XAI_API_KEY", "xAI"},
}};

}  // namespace

const LiteLlmProvider* provider_of(std::string_view name) {
  const auto found = std::ranges::find(kProviders, name, &LiteLlmProvider::name);
  return found == kProviders.end() ? nullptr : &*found;
}

std::string_view provider_of_bare(std::string_view model) {
  for (const std::string_view beginning : {"gpt-", "chatgpt-", "o1", "o3", "o4", "text-embedding-"}) {
    if (model.starts_with(beginning)) return "openai";
  }
  return model.starts_with("claude-") ? "anthropic" : "";
}

}  // namespace thalweg::cli
