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

/// Turns of a question and its answer between `head` and `tail`, `bytes` in all.
std::string conversation(std::string_view head, std::string_view tail, std::size_t bytes) {
  constexpr std::size_t kTurnBytes = 1200;
  constexpr std::string_view kLast = R"({"role":"user","content":")", kLastEnd = R"("})";
  std::string out(head);
  std::uint64_t turn = 0;
  const auto room = [&] { return bytes - out.size() - kLast.size() - kLastEnd.size() - tail.size(); };
  if (bytes < out.size() + kLast.size() + kLastEnd.size() + tail.size() + 64) too_small("a request", bytes);
  while (room() > 3 * kTurnBytes) {  // as long as the last question keeps its share
    for (const std::string_view role : {"user", "assistant"}) {
      out += fmt::format(R"({{"role":"{}","content":"{}"}},)", role, text(kTurnBytes, ++turn));
    }
  }
  const std::string question = text(room(), ++turn);
  return out.append(kLast).append(question).append(kLastEnd).append(tail);
}

std::string text_around(const AroundModel& answer, std::string_view head, std::string_view tail, std::size_t bytes,
                        std::uint64_t seed) {
  const std::size_t fixed = answer.before.size() + kUpstreamModel.size() + head.size() + tail.size();
  if (bytes < fixed + 64) too_small("an answer", bytes);
  return text(bytes - fixed, seed);
}

/// A chat completion's pieces around its model and its text.
struct ChatPieces {
  AroundModel around;
  std::string lead, tail;
};
ChatPieces chat_pieces(std::size_t bytes) {
  ChatPieces out;
  out.around.before = fmt::format(
      R"({{"id":"chatcmpl-bench00000000000000000000","object":"chat.completion","created":{},"model":")", kCreated);
  out.lead = R"(","choices":[{"index":0,"message":{"role":"assistant","content":")";
  out.tail = fmt::format(
      R"(","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],{},"system_fingerprint":"fp_bench"}})",
      usage_object(usage_of_answer(bytes)));
  return out;
}

constexpr std::string_view kChunk =
    R"({{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":{},"model":")";

/// A frame of a stream, made of its delta and finish reason.
AroundModel frame_of(std::string_view delta, std::string_view finish) {
  return {fmt::format(kChunk, kCreated),
          fmt::format(R"(","choices":[{{"index":0,"delta":{},"finish_reason":{}}}]}})", delta, finish)};
}

}  // namespace

std::string AroundModel::with(std::string_view model) const {
  std::string out = before;
  out.append(model).append(after);
  return out;
}

std::string chat_request(std::string_view model, std::size_t bytes, Delivery delivery) {
  return conversation(
      R"({"messages":[{"role":"system","content":"You are a careful assistant. Answer briefly."},)",
      fmt::format(R"(],"model":"{}","max_tokens":512{},"temperature":0.7}})", model,
                  delivery == Delivery::kStream ? R"(,"stream":true,"stream_options":{"include_usage":true})" : ""),
      bytes);
}

std::string messages_request(std::string_view model, std::size_t bytes, Delivery delivery) {
  return conversation(R"({"max_tokens":512,"messages":[)",
                      fmt::format(R"(],"model":"{}",{}"system":"You are a careful assistant. Answer briefly.",)"
                                  R"("temperature":0.7}})",
                                  model, delivery == Delivery::kStream ? R"("stream":true,)" : ""),
                      bytes);
}

std::string embeddings_request(std::string_view model, std::size_t bytes) {
  const std::string head = R"({"input":")";
  const std::string tail = fmt::format(R"(","model":"{}","encoding_format":"float"}})", model);
  if (bytes < head.size() + tail.size() + 64) too_small("a request", bytes);
  return head + text(bytes - head.size() - tail.size(), 1) + tail;
}

std::string engine_request(std::string_view model, unsigned max_tokens) {
  return fmt::format(
      R"({{"messages":[{{"role":"user","content":"Write a long story about a river and the people of its valley, )"
      R"(chapter by chapter, without stopping."}}],"model":"{}","max_tokens":{},"seed":1,"stream":true,)"
      R"("stream_options":{{"include_usage":true}},"temperature":0}})",
      model, max_tokens);
}

AroundModel chat_answer(std::size_t bytes) {
  ChatPieces pieces = chat_pieces(bytes);
  pieces.around.after = pieces.lead + text_of_answer(bytes) + pieces.tail;
  return pieces.around;
}

std::string text_of_answer(std::size_t bytes) {
  const ChatPieces pieces = chat_pieces(bytes);
  return text_around(pieces.around, pieces.lead, pieces.tail, bytes, 7);
}

AroundModel embeddings_answer(std::size_t bytes) {
  constexpr std::string_view kNumber = "-0.01234567,";
  AroundModel out;
  out.before = R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[)";
  const std::string lead = R"(0.5]}],"model":")";
  const std::string tail =
      fmt::format(R"(","usage":{{"prompt_tokens":{},"total_tokens":{}}}}})", kInputTokens, kInputTokens);
  const std::size_t fixed = out.before.size() + lead.size() + kUpstreamModel.size() + tail.size();
  if (bytes < fixed + 64) too_small("an answer", bytes);
  std::size_t room = bytes - fixed;
  for (; room >= 2 * kNumber.size(); room -= kNumber.size()) out.before += kNumber;
  out.before += "0." + std::string(room - 3, '1') + ',';
  out.before += lead;
  out.after = tail;
  return out;
}

Usage usage_of_embeddings() {
  return {kInputTokens, 0};
}

Usage usage_of_answer(std::size_t bytes) {
  return {kInputTokens, bytes / 5};
}

std::vector<std::string> texts_of_stream(std::size_t content_frames) {
  constexpr std::size_t kAround = std::string_view("data: \n\n").size();
  const std::size_t fixed = frame_of(R"({"content":""})", "null").with(kUpstreamModel).size() + kAround;
  std::vector<std::string> out;
  for (std::size_t i = 0; i < content_frames; ++i) {
    const std::string number = fmt::format("{} ", i);
    out.push_back(number + text(kFrameBytes - fixed - number.size(), i));
  }
  return out;
}

std::vector<AroundModel> stream_frames(std::size_t content_frames) {
  std::vector<AroundModel> out;
  out.push_back(frame_of(R"({"role":"assistant","content":""})", "null"));
  for (const std::string& words : texts_of_stream(content_frames))
    out.push_back(frame_of(fmt::format(R"({{"content":"{}"}})", words), "null"));
  out.push_back(frame_of("{}", R"("stop")"));
  out.push_back({fmt::format(kChunk, kCreated),
                 fmt::format(R"(","choices":[],{}}})", usage_object(usage_of_stream(content_frames)))});
  return out;
}

Usage usage_of_stream(std::size_t content_frames) {
  return {kInputTokens, content_frames};
}

}  // namespace thalweg::bench
