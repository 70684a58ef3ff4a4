#include "carry/engine/command.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace thalweg::engine {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

// What drivers, the loader and OpenMP read. Everything else of the gateway's environment (API keys above all) stays
// out.
constexpr std::array kInherited = {"PATH",
                                   "LANG",
                                   "LC_ALL",
                                   "TZ",
                                   "LD_LIBRARY_PATH",
                                   "CUDA_VISIBLE_DEVICES",
                                   "CUDA_DEVICE_ORDER",
                                   "NVIDIA_VISIBLE_DEVICES",
                                   "NVIDIA_DRIVER_CAPABILITIES",
                                   "HIP_VISIBLE_DEVICES",
                                   "ROCR_VISIBLE_DEVICES",
                                   "GGML_VK_VISIBLE_DEVICES",
                                   "VK_ICD_FILENAMES",
                                   "VK_DRIVER_FILES",
                                   "OMP_NUM_THREADS",
                                   "OMP_PROC_BIND"};

constexpr std::array kOurs = {
    "--host",         "--port",         "-m", "--model", "-a", "--alias", "--api-key", "--api-key-file",
    "--ssl-key-file", "--ssl-cert-file"};

}  // namespace

// Weights may be held twice (mapped, and repacked for the processor's vector units); 128 KiB of KV cache a token is a
// model of 8 billion parameters with 16-bit values (Llama 3 8B: 32 layers * 8 heads * 128 * 2 tensors * 2 bytes); 2 GiB
// are for compute buffers, stacks and the prompt cache. Never more than the machine has.
std::uint64_t default_memory(std::uint64_t model_bytes, std::uint64_t context_tokens) {
  const std::uint64_t wanted = 2 * model_bytes + context_tokens * 128 * 1024 + 2048 * kMiB;
  const auto machine = static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PHYS_PAGES))) *
                       static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PAGESIZE)));
  return machine == 0 ? wanted : std::min(wanted, machine);
}

std::string forbidden_argument(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    const std::string_view name = std::string_view(argument).substr(0, argument.find('='));
    if (std::ranges::find(kOurs, name) != kOurs.end()) return std::string(name);
  }
  return {};
}

namespace {

void add_task(const Options& options, std::vector<std::string>& arguments) {
  if (options.task == Task::kGenerate) return;
  // An input is computed in one batch, so that a batch must hold a whole context. `--reranking` also chooses the
  // pooling that gives a score.
  const std::string tokens = std::to_string(options.context_tokens);
  arguments.insert(arguments.end(), {options.task == Task::kEmbed ? "--embeddings" : "--reranking", "--batch-size",
                                     tokens, "--ubatch-size", tokens});
}

}  // namespace

Command command_of(const Options& options, const std::filesystem::path& folder, const std::filesystem::path& socket) {
  Command command;
  command.program = options.program;
  command.folder = folder;
  // The server's own bound for its cache of idle prompts is 8 GiB.
  const std::uint64_t cache_mib = std::min<std::uint64_t>(256, options.memory_bytes / 16 / kMiB);
  command.arguments = {
      options.program.filename().string(),
      "--host",
      socket.string(),
      "--model",
      options.model_file.string(),
      "--alias",
      options.alias,
      "--ctx-size",
      std::to_string(std::uint64_t{options.context_tokens} * options.slots),
      "--parallel",
      std::to_string(options.slots),
      "--threads-http",
      std::to_string(options.slots + 4),  // one a stream, and some for /health and /metrics
      "--cache-ram",
      std::to_string(cache_mib),
      "--log-verbosity",
      "2",  // errors and warnings
      "--log-colors",
      "off",
      "--offline",
      "--no-ui",
      "--metrics",
  };
  if (options.threads != 0)
    command.arguments.insert(command.arguments.end(), {"--threads", std::to_string(options.threads)});
  add_task(options, command.arguments);
  command.arguments.insert(command.arguments.end(), options.arguments.begin(), options.arguments.end());

  for (const char* const name : kInherited) {
    if (const char* const value = std::getenv(name); value != nullptr)
      command.environment.push_back(std::string(name) + "=" + value);
  }
  command.environment.push_back("HOME=" + folder.string());
  command.environment.push_back("TMPDIR=" + folder.string());
  command.environment.push_back("GGML_NO_BACKTRACE=1");  // it would start a debugger
  return command;
}

}  // namespace thalweg::engine
