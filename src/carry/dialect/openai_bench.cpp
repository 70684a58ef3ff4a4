// What the dialect costs: a request read and edited, an answer read whole, a frame read. simdjson's DOM over the same
// bytes stands beside as a measure of the machine.
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <string>
#include <string_view>

#include "carry/dialect/openai.h"
#include "carry/http/message.h"

namespace thalweg::dialect {
namespace {

std::string padded(std::string text) {
  text.append(http::kPadding, '\0');
  return text;
}

std::string_view without_padding(const std::string& text) {
  return std::string_view(text).substr(0, text.size() - http::kPadding);
}

// A conversation of about `bytes`, in messages of 400 with an escape now and then.
std::string chat(std::size_t bytes) {
  std::string text = R"({"model":"auto","temperature":0.7,"max_tokens":256,"stream":true,"messages":[)";
  text += R"({"role":"system","content":"You are a helpful assistant. Answer briefly."})";
  while (text.size() + 8 < bytes) {
    text += R"(,{"role":"user","content":")";
    const std::size_t end = std::min(text.size() + 380, bytes - 8);
    while (text.size() < end) text += "The thalweg is the line along a valley that water finds.\\n";
    text += "\"}";
  }
  return padded(text + "]}");
}

std::string answer(std::size_t bytes) {
  std::string text =
      R"({"id":"chatcmpl-123","object":"chat.completion","created":1730000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":")";
  while (text.size() + 200 < bytes) text += "Water finds the lowest line of the valley.\\n";
  text +=
      R"("},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":200,"total_tokens":220,)";
  return padded(text + R"("prompt_tokens_details":{"cached_tokens":0}},"system_fingerprint":"fp_1"})");
}

void parse_request(benchmark::State& state) {
  const std::string body = chat(static_cast<std::size_t>(state.range(0)));
  OpenAiRequest request;
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.parse(inference::Surface::kOpenAiChat, without_padding(body)));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
}
BENCHMARK(parse_request)->Arg(1024)->Arg(16384)->Arg(1 << 20);

void simdjson_dom(benchmark::State& state) {
  const std::string body = chat(static_cast<std::size_t>(state.range(0)));
  simdjson::dom::parser parser;
  for (auto _ : state) {
    benchmark::DoNotOptimize(parser.parse(body.data(), body.size() - http::kPadding, false).error());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
}
BENCHMARK(simdjson_dom)->Arg(1024)->Arg(16384)->Arg(1 << 20);

void edit_request(benchmark::State& state) {
  const std::string body = chat(1024);
  OpenAiRequest request;
  if (!request.parse(inference::Surface::kOpenAiChat, without_padding(body))) state.SkipWithError("not read");
  for (auto _ : state) {
    benchmark::DoNotOptimize(request.body_for(fleet::EndpointKind::kOpenAi, "gpt-4.1-mini", {}).size());
  }
}
BENCHMARK(edit_request);

void read_whole(benchmark::State& state) {
  const std::string body = answer(static_cast<std::size_t>(state.range(0)));
  OpenAiAnswer reader;
  for (auto _ : state) {
    reader.begin({}, "cloud/gpt-4.1-mini", false);
    benchmark::DoNotOptimize(reader.read_whole(without_padding(body)));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
}
BENCHMARK(read_whole)->Arg(1024)->Arg(16384);

void read_frame(benchmark::State& state) {
  const std::string bytes = padded(
      "data: {\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1730000000,\"model\":\"m\","
      "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" "
      "valley\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n");
  http::SseFrame frame;
  frame.raw = without_padding(bytes);
  frame.data = frame.raw.substr(6, frame.raw.size() - 8);
  frame.has_data = frame.single_line = true;
  OpenAiAnswer reader;
  reader.begin({}, "cloud/gpt-4.1-mini", state.range(0) != 0);
  std::string out;
  for (auto _ : state) {
    out.clear();
    benchmark::DoNotOptimize(reader.read_frame(frame, out));
  }
  state.SetLabel(state.range(0) != 0 ? "folded" : "passed on");
}
BENCHMARK(read_frame)->Arg(0)->Arg(1)->Iterations(200000);

}  // namespace
}  // namespace thalweg::dialect
