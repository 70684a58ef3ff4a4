// What heads cost: one request as a caller's library sends it and one answer as an endpoint does, read whole.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "carry/http/message.h"

namespace thalweg::http {
namespace {

constexpr std::string_view kShortRequest =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
    "Accept: application/json\r\nContent-Length: 2\r\n\r\n{}";
constexpr std::string_view kSdkRequest =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept-Encoding: gzip, deflate\r\n"
    "Connection: keep-alive\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
    "User-Agent: OpenAI/Python 1.99.0\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 1.99.0\r\n"
    "X-Stainless-OS: Linux\r\nX-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\n"
    "X-Stainless-Runtime-Version: 3.12.3\r\nAuthorization: Bearer tw_team_0123456789abcdef0123456789abcdef\r\n"
    "X-Stainless-Async: false\r\nx-stainless-retry-count: 0\r\nx-stainless-read-timeout: 600\r\n"
    "Content-Length: 2\r\n\r\n{}";

void read_request(benchmark::State& state, std::string_view text) {
  std::string buffer(text);
  buffer.append(kPadding, '\0');
  const std::span<char> bytes(buffer.data(), text.size());
  RequestReader reader({});
  for (auto _ : state) {
    bool good = reader.advance(bytes).has_value() && reader.advance(bytes).has_value();
    good = good && reader.head(bytes).content_length == reader.body(bytes).size();
    if (!good) state.SkipWithError("not read");
    reader.reset();
  }
}
BENCHMARK_CAPTURE(read_request, short_head, kShortRequest);
BENCHMARK_CAPTURE(read_request, sdk_head, kSdkRequest);

struct Fields final : ResponseReader::Visitor {
  void on_head(const ResponseHead& head) override {
    found = head.field("retry-after").size() + head.field("x-request-id").size();
  }
  void on_body(std::string_view) override {}
  void on_end() override {}
  std::size_t found = 0;
};

void read_response(benchmark::State& state) {
  constexpr std::string_view kAnswer =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\nContent-Length: 2\r\n\r\n{}";
  ResponseReader reader({});
  Fields fields;
  for (auto _ : state) {
    if (!reader.advance(kAnswer, fields) || !reader.reusable()) state.SkipWithError("not read");
    benchmark::DoNotOptimize(fields.found);
    reader.reset();
  }
}
BENCHMARK(read_response);

}  // namespace
}  // namespace thalweg::http
