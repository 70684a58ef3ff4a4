// What is started: the server's arguments and environment, out of the options. Used in this room only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "carry/engine/engine.h"

namespace thalweg::engine {

struct Command {
  std::filesystem::path program;
  std::vector<std::string> arguments;  // the program's name first
  std::vector<std::string>
      environment;  // all of it: llama-server takes settings from LLAMA_ARG_*, so nothing is inherited unseen
  std::filesystem::path folder;  // to run in: ggml loads back ends from its working folder, so it must be ours
};

Command command_of(const Options& options, const std::filesystem::path& folder, const std::filesystem::path& socket);

/// Memory that a model of that size may need: see the definition for the sum.
std::uint64_t default_memory(std::uint64_t model_bytes, std::uint64_t context_tokens);

/// The first of `arguments` that only Thalweg may give (the socket, the model, its name), or an empty string.
std::string forbidden_argument(const std::vector<std::string>& arguments);

}  // namespace thalweg::engine
