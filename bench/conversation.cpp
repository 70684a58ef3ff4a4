#include "bench/conversation.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace thalweg::bench {
namespace {

constexpr std::uint64_t kCreated = 1767225600;  // 2026-01-01T00:00:00Z
constexpr std::uint64_t kInputTokens = 211;     // any number: it must only come back unchanged

// Words with what JSON strings hold in practice: escapes, quotes and letters beyond ASCII.
constexpr std::array<std::string_view, 24> kWords = {
    "river", "the",          "valley", "of",      "water", "a",           "cooling", "rack",
    "\\n",   "\\\"node\\\"", "and",    "latency", "to",    "caf\xC3\xA9", "power",   "budget",
    "is",    "line",         "answer", "place",   "with",  "energy",      "for",     "model"};

/// JSON string content of exactly `bytes`.
std::string text(std::size_t bytes, std::uint64_t seed) {
  std::string out;
  out.reserve(bytes);
  std::uint64_t state = seed;
  while (true) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;  // Knuth's MMIX generator
    const std::string_view word = kWords[(state >> 33) % kWords.size()];
    if (out.size() + word.size() + 1 > bytes) break;
    out.append(word);
    out.push_back(' ');
  }
  out.append(bytes - out.size(), '.');
  return out;
}

[[noreturn]] void too_small(std::string_view what, std::size_t bytes) {
  fmt::print(stderr, "{} of {} bytes is too small to hold its fields\n", what, bytes);
  std::exit(2);
}

std::string usage_object(Usage usage) {
  return fmt::format(R"("usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},)"
                     R"("prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}}}})",
                     usage.input_tokens, usage.output_tokens, usage.input_tokens + usage.output_tokens);
}

}  // namespace

std::string AroundModel::with(std::string_view model) const {
  std::string out = before;
  out.append(model).append(after);
  return out;
}

std::string chat_request(std::string_view model, std::size_t bytes, Delivery delivery) {
  constexpr std::size_t kTurnBytes = 1200;
  std::string out = R"({"messages":[{"role":"system","content":"You are a careful assistant. Answer briefly."})";
  const std::string tail =
      fmt::format(R"("}}],"model":"{}","max_tokens":512{},"temperature":0.7}})", model,
                  delivery == Delivery::kStream ? R"(,"stream":true,"stream_options":{"include_usage":true})" : "");
  constexpr std::string_view kLast = R"(,{"role":"user","content":")";
  std::uint64_t turn = 0;
  const auto room = [&] { return bytes - out.size() - kLast.size() - tail.size(); };
  if (bytes < out.size() + kLast.size() + tail.size() + 64) too_small("a request", bytes);
  while (room() > 3 * kTurnBytes) {  // a question and its answer, as long as the last question keeps its share
    for (const std::string_view role : {"user", "assistant"}) {
      out += fmt::format(R"(,{{"role":"{}","content":"{}"}})", role, text(kTurnBytes, ++turn));
    }
  }
  const std::string question = text(room(), ++turn);
  return out.append(kLast).append(question).append(tail);
}

std::string engine_request(std::string_view model, unsigned max_tokens) {
  return fmt::format(
      R"({{"messages":[{{"role":"user","content":"Write a long story about a river and the people of its valley, )"
      R"(chapter by chapter, without stopping."}}],"model":"{}","max_tokens":{},"seed":1,"stream":true,)"
      R"("stream_options":{{"include_usage":true}},"temperature":0}})",
      model, max_tokens);
}

AroundModel chat_answer(std::size_t bytes) {
  AroundModel out;
  out.before = fmt::format(
      R"({{"id":"chatcmpl-bench00000000000000000000","object":"chat.completion","created":{},"model":")", kCreated);
  const std::string lead = R"(","choices":[{"index":0,"message":{"role":"assistant","content":")";
  const std::string tail = fmt::format(
      R"(","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],{},"system_fingerprint":"fp_bench"}})",
      usage_object(usage_of_answer(bytes)));
  const std::size_t fixed = out.before.size() + kUpstreamModel.size() + lead.size() + tail.size();
  if (bytes < fixed + 64) too_small("an answer", bytes);
  out.after = lead + text(bytes - fixed, 7) + tail;
  return out;
}

Usage usage_of_answer(std::size_t bytes) {
  return {kInputTokens, bytes / 5};
}

std::vector<AroundModel> stream_frames(std::size_t content_frames) {
  const std::string before =
      fmt::format(R"({{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":{},"model":")", kCreated);
  const auto frame = [&](std::string_view delta, std::string_view finish) {
    return AroundModel{before,
                       fmt::format(R"(","choices":[{{"index":0,"delta":{},"finish_reason":{}}}]}})", delta, finish)};
  };
  std::vector<AroundModel> out;
  out.push_back(frame(R"({"role":"assistant","content":""})", "null"));
  for (std::size_t i = 0; i < content_frames; ++i) {
    constexpr std::size_t kAround = std::string_view("data: \n\n").size();
    const std::size_t fixed = frame(R"({"content":""})", "null").with(kUpstreamModel).size() + kAround;
    const std::string number = fmt::format("{} ", i);
    const std::size_t room = kFrameBytes - fixed - number.size();
    out.push_back(frame(fmt::format(R"({{"content":"{}{}"}})", number, text(room, i)), "null"));
  }
  out.push_back(frame("{}", R"("stop")"));
  out.push_back({before, fmt::format(R"(","choices":[],{}}})", usage_object(usage_of_stream(content_frames)))});
  return out;
}

Usage usage_of_stream(std::size_t content_frames) {
  return {kInputTokens, content_frames};
}

}  // namespace thalweg::bench
