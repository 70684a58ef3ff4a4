#include "carry/engine/command.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "carry/engine/backoff.h"

namespace thalweg::engine {
namespace {

using namespace std::string_literals;

TEST(Backoff, DoublesFromATenthOfASecondToTenAndForgetsAfterALongLife) {
  Backoff backoff;
  for (const Duration expected : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 10000ms, 10000ms})
    EXPECT_EQ(backoff.after(1s), expected);
  EXPECT_EQ(backoff.after(29s), 10s);
  EXPECT_EQ(backoff.after(30s), 100ms);
  EXPECT_EQ(backoff.after(1s), 200ms);
}

TEST(Command, GivesEachSlotItsContextAndBoundsThePromptCache) {
  Options options;
  options.program = "/opt/llama-server";
  options.model_file = "/models/m.gguf";
  options.alias = "m";
  options.context_tokens = 2048;
  options.slots = 3;
  options.threads = 5;
  options.memory_bytes = 2048ULL << 20;
  options.arguments = {"--flash-attn", "on"};
  const Command command = command_of(options, "/private", "/private/engine.sock");
  const auto after = [&](const char* name) {
    const auto at = std::ranges::find(command.arguments, name);
    return at == command.arguments.end() || at + 1 == command.arguments.end() ? "nothing"s : *(at + 1);
  };
  EXPECT_EQ(command.arguments[0], "llama-server");
  EXPECT_EQ(after("--host"), "/private/engine.sock");
  EXPECT_EQ(after("--model"), "/models/m.gguf");
  EXPECT_EQ(after("--alias"), "m");
  EXPECT_EQ(after("--ctx-size"), "6144");
  EXPECT_EQ(after("--parallel"), "3");
  EXPECT_EQ(after("--threads"), "5");
  EXPECT_EQ(after("--cache-ram"), "128");  // 2048 MiB / 16
  EXPECT_EQ(after("--flash-attn"), "on");
  options.memory_bytes = 64ULL << 30;
  const Command large = command_of(options, "/p", "/p/s");
  EXPECT_NE(std::ranges::find(large.arguments, "256"), large.arguments.end());
}

TEST(Command, StartsAServerForVectorsOrScoresWithBatchesOfAWholeContext) {
  Options options;
  options.program = "/opt/llama-server";
  options.context_tokens = 2048;
  options.arguments = {"--pooling", "mean"};
  const auto tail_of = [&](Task task) {
    options.task = task;
    std::vector<std::string> arguments = command_of(options, "/p", "/p/s").arguments;
    const auto metrics = std::ranges::find(arguments, "--metrics");
    return std::vector<std::string>(metrics + 1, arguments.end());
  };
  const std::vector<std::string> batches = {"--batch-size", "2048", "--ubatch-size", "2048", "--pooling", "mean"};
  EXPECT_EQ(tail_of(Task::kGenerate), (std::vector<std::string>{"--pooling", "mean"}));
  for (const auto& [task, flag] : {std::pair{Task::kEmbed, "--embeddings"}, {Task::kRerank, "--reranking"}}) {
    std::vector<std::string> wanted = batches;
    wanted.insert(wanted.begin(), flag);
    EXPECT_EQ(tail_of(task), wanted);
  }
}

TEST(Command, AllowsTwiceTheWeightsACacheAndTwoGibibytesButNotMoreThanTheMachineHas) {
  // 100 MB of weights and 1,024 tokens: 200,000,000 + 1,024 * 131,072 + 2,147,483,648.
  EXPECT_EQ(default_memory(100'000'000, 1024), 2'481'701'376U);
  const auto machine =
      static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  EXPECT_EQ(default_memory(std::uint64_t{1} << 50, 1), machine);
}

TEST(Command, KnowsWhatOnlyThalwegMayGive) {
  EXPECT_EQ(forbidden_argument({"--flash-attn", "on", "--host", "0.0.0.0"}), "--host");
  EXPECT_EQ(forbidden_argument({"--port=8080"}), "--port");
  EXPECT_EQ(forbidden_argument({"-m", "x"}), "-m");
  EXPECT_EQ(forbidden_argument({"--mlock", "-ngl", "99"}), "");
}

}  // namespace
}  // namespace thalweg::engine
