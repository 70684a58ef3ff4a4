// bench_load: asks one server the same chat completion again and again, checks every answer and prints one JSON object.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "bench/conversation.h"
#include "bench/load_driver.h"

namespace {

using namespace thalweg::bench;

constexpr std::string_view kHelp = R"(bench_load: load for a server of OpenAI chat completions, every answer checked

  bench_load --connect 127.0.0.1:8080 --requests 40000                          closed loop, 32 connections
  bench_load --connect 127.0.0.1:8080 --rate 3000 --seconds 5 --connections 64  open loop
  bench_load --connect 127.0.0.1:8080 --stream --frames 200 --connections 128 --requests 128
  bench_load --connect unix:/run/engine.sock --engine --max-tokens 128 --connections 1 --requests 1

  --connect HOST:PORT | unix:PATH   HOST is an IPv4 address
  --model NAME            (bench)     --request-bytes N  (1024)     --answer-bytes N (1024; what bench_upstream was told)
  --connections N         (32)        --requests N | --seconds T
  --rate R                open loop, requests a second
  --stream --frames N     expects streams of N frames of text
  --messages              asks for Anthropic's Messages: the same words come back as a message
  --embeddings            asks for vectors
  --engine --max-tokens N expects any stream with usage, prints tokens a second
  --header 'Name: value'  may be repeated
  --patience T            (10) seconds without a byte until the run is given up
Exit code: 0 when every answer was right, 1 when one was not, 2 for a wrong command.
)";

[[noreturn]] void refuse(std::string_view why) {
  fmt::print(stderr, "bench_load: {}; see bench_load --help\n", why);
  std::exit(2);
}

template <class Number>
Number number(std::string_view name, std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    refuse(fmt::format("{} takes a number, not '{}'", name, text));
  return value;
}

struct Options {
  Plan plan;
  std::string host_field;
  std::string model = "bench";
  std::size_t request_bytes = 1024, answer_bytes = 1024, frames = 200;
  unsigned max_tokens = 128;
  bool stream = false, engine = false, messages = false, embeddings = false;
  bool streams() const { return stream || engine; }
  std::vector<std::string> headers;
};

void set_address(Options& options, std::string_view text) {
  options.host_field = "localhost";
  if (text.starts_with("unix:")) {
    options.plan.unix_path = text.substr(5);
    return;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse("--connect takes HOST:PORT or unix:PATH");
  options.plan.host = text.substr(0, colon);
  options.plan.port = number<std::uint16_t>("--connect", text.substr(colon + 1));
  options.host_field = text;
}

Options read_options(int argc, char** argv) {
  Options options;
  options.plan.patience = std::chrono::seconds(10);
  const auto seconds = [](double s) { return std::chrono::nanoseconds(static_cast<std::int64_t>(s * 1e9)); };
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--help") {
      fmt::print("{}", kHelp);
      std::exit(0);
    }
    if (name == "--stream") {
      options.stream = true;
      continue;
    }
    if (name == "--engine") {
      options.engine = true;
      continue;
    }
    if (name == "--messages" || name == "--embeddings") {
      (name == "--messages" ? options.messages : options.embeddings) = true;
      continue;
    }
    if (i + 1 == argc) refuse(fmt::format("{} needs a value or is unknown", name));
    const std::string_view value = argv[++i];
    if (name == "--connect")
      set_address(options, value);
    else if (name == "--model")
      options.model = value;
    else if (name == "--request-bytes")
      options.request_bytes = number<std::size_t>(name, value);
    else if (name == "--answer-bytes")
      options.answer_bytes = number<std::size_t>(name, value);
    else if (name == "--connections")
      options.plan.connections = number<unsigned>(name, value);
    else if (name == "--requests")
      options.plan.requests = number<std::uint64_t>(name, value);
    else if (name == "--seconds")
      options.plan.duration = seconds(number<double>(name, value));
    else if (name == "--rate")
      options.plan.rate = number<double>(name, value);
    else if (name == "--frames")
      options.frames = number<std::size_t>(name, value);
    else if (name == "--max-tokens")
      options.max_tokens = number<unsigned>(name, value);
    else if (name == "--patience")
      options.plan.patience = seconds(number<double>(name, value));
    else if (name == "--header")
      options.headers.emplace_back(value);
    else
      refuse(fmt::format("unknown option {}", name));
  }
  if (options.plan.port == 0 && options.plan.unix_path.empty()) refuse("--connect is missing");
  if (options.plan.requests == 0 && options.plan.duration.count() == 0) refuse("--requests or --seconds is missing");
  return options;
}

std::string request_body(const Options& options) {
  const Delivery delivery = options.streams() ? Delivery::kStream : Delivery::kWhole;
  if (options.engine) return engine_request(options.model, options.max_tokens);
  if (options.embeddings) return embeddings_request(options.model, options.request_bytes);
  if (options.messages) return messages_request(options.model, options.request_bytes, delivery);
  return chat_request(options.model, options.request_bytes, delivery);
}

Expected expected(const Options& options) {
  if (options.engine) return Expected::engine();
  if (options.embeddings) return Expected::embeddings(options.answer_bytes);
  if (options.messages)
    return options.stream ? Expected::message_stream(options.frames) : Expected::message(options.answer_bytes);
  return options.stream ? Expected::stream(options.frames) : Expected::whole(options.answer_bytes);
}

/// Head and body as one string: the request leaves in one write.
std::string whole_request(const Options& options) {
  const std::string body = request_body(options);
  const std::string_view path = options.messages     ? "/v1/messages"
                                : options.embeddings ? "/v1/embeddings"
                                                     : "/v1/chat/completions";
  std::string out = fmt::format(
      "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: {}\r\n"
      "User-Agent: thalweg-bench\r\nContent-Length: {}\r\n",
      path, options.host_field, options.streams() ? "text/event-stream" : "application/json", body.size());
  if (options.messages) out += "anthropic-version: 2023-06-01\r\n";
  for (const std::string& header : options.headers) out.append(header).append("\r\n");
  return out.append("\r\n").append(body);
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  }
  return out + '"';
}

std::string json(const Latencies& latency) {
  return fmt::format(R"({{"count":{},"p50":{:.1f},"p90":{:.1f},"p99":{:.1f},"p99_9":{:.1f},"max":{:.1f}}})",
                     latency.count(), latency.percentile_us(50), latency.percentile_us(90), latency.percentile_us(99),
                     latency.percentile_us(99.9), latency.greatest_us());
}

void print(const Options& options, const Outcome& outcome) {
  const double cpu = outcome.cpu_user + outcome.cpu_system;
  fmt::print(R"({{"sent":{},"ok":{},"errors":{},"first_error":{},"seconds":{:.6f},"requests_per_second":{:.1f},)",
             outcome.sent, outcome.ok, outcome.errors, json_string(outcome.first_error), outcome.seconds,
             outcome.seconds > 0 ? static_cast<double>(outcome.ok) / outcome.seconds : 0.0);
  fmt::print(R"("input_tokens":{},"output_tokens":{},"connects":{},"reads":{},)", outcome.usage.input_tokens,
             outcome.usage.output_tokens, outcome.connects, outcome.reads);
  fmt::print(R"("cpu_user":{:.6f},"cpu_system":{:.6f},"utilisation":{:.4f},"latency_us":{})", outcome.cpu_user,
             outcome.cpu_system, outcome.seconds > 0 ? cpu / outcome.seconds : 0.0, json(outcome.latency));
  if (options.plan.rate > 0) fmt::print(R"(,"rate":{},"lateness_us":{})", options.plan.rate, json(outcome.lateness));
  if (options.streams()) {
    fmt::print(R"(,"frames":{},"first_token_us":{},"gap_us":{})", outcome.frames, json(outcome.first_token),
               json(outcome.gap));
  }
  if (options.engine) {
    fmt::print(R"(,"tokens_per_second":{:.3f})",
               outcome.seconds > 0 ? static_cast<double>(outcome.usage.output_tokens) / outcome.seconds : 0.0);
  }
  fmt::print("}}\n");
}

}  // namespace

int main(int argc, char** argv) {
  Options options = read_options(argc, argv);
  options.plan.request = whole_request(options);
  options.plan.expected = expected(options);
  const Outcome outcome = drive(options.plan);
  print(options, outcome);
  return outcome.errors == 0 && outcome.ok == outcome.sent && outcome.ok > 0 ? 0 : 1;
}
