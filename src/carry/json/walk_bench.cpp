// What strings cost, by what they hold. Eight texts of a kind take turns, so that no branch predictor knows one by
// heart.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "carry/http/message.h"
#include "carry/json/walk.h"

namespace thalweg::json {
namespace {

constexpr std::array<std::string_view, 2> kPlain = {"abcdefghijklmnopqrstuvwxyz012345",
                                                    "ABCDEFGHIJKLMNOPQRSTUVWXYZ+/6789"};
constexpr std::array<std::string_view, 16> kProse = {
    "the ",   "river ",       "valley ",  "of ",          "water ",  "a ",    "cooling ", "\\n",
    "power ", "\\\"node\\\"", "latency ", "caf\xC3\xA9 ", "budget ", "line ", "place ",   "with energy for the model "};
constexpr std::array<std::string_view, 12> kCode = {
    "\\n        ", "\\n\\t", "if (p == end) ", "return",      " false;", "std::size_t ", "\\\"", "x",
    " = ",         "{",      "}\\n",           "path\\\\name"};
constexpr std::array<std::string_view, 6> kEscaped = {"\\u0440", "\\u0435", "\\u043a",
                                                      "\\u0430", " ",       "\\ud83d\\ude00"};

void walk_strings(benchmark::State& state, std::span<const std::string_view> words) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  std::minstd_rand random(1);
  std::array<std::string, 8> texts;
  for (std::string& text : texts) {
    text = "\"";
    while (text.size() + 2 < bytes) text += words[random() % words.size()];
    text += '"';
    text.append(http::kPadding, '\0');
  }
  Walk walk;
  std::size_t round = 0;
  std::size_t read = 0;
  for (auto _ : state) {
    const std::string& text = texts[round++ % texts.size()];
    Text found;
    bool good = walk.start(std::string_view(text).substr(0, text.size() - http::kPadding), Walk::Rules::kEndpoint);
    good = good && walk.next() == Kind::kString && walk.string(found);
    if (!good) state.SkipWithError("not read");
    benchmark::DoNotOptimize(found.meant_bytes);
    read += text.size();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(read));
}
BENCHMARK_CAPTURE(walk_strings, plain, kPlain)->Arg(64)->Arg(1024)->Arg(16384)->Arg(1 << 20);
BENCHMARK_CAPTURE(walk_strings, prose, kProse)->Arg(1024)->Arg(16384);
BENCHMARK_CAPTURE(walk_strings, code, kCode)->Arg(1024)->Arg(16384);
BENCHMARK_CAPTURE(walk_strings, escaped, kEscaped)->Arg(16384);

}  // namespace
}  // namespace thalweg::json
