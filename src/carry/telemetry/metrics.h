// Metrics: counters and histograms, one set a shard, written by that shard alone and summed when somebody asks. Names
// follow the OpenTelemetry semantic conventions for generative AI where they have one (gen_ai.*, version 1.37,
// 2025-08).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace thalweg::telemetry {

/// A counter with one writer: no lock prefix on the hot path.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Seconds in fixed buckets (the GenAI conventions' advice for client.operation.duration and time_to_first_token).
class Histogram {
 public:
  static constexpr std::array<double, 14> kBounds = {0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                                     1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
  void record(Duration d);
  std::array<Counter, kBounds.size() + 1> buckets;
  Counter sum_nanoseconds;
};

/// Tokens of single answers, and their sum. The buckets are the powers of four up to 4^13 (the conventions' advice for
/// gen_ai.client.token.usage).
class TokenHistogram {
 public:
  static constexpr std::size_t kBounds = 14;
  void record(std::uint64_t tokens);
  std::array<Counter, kBounds + 1> buckets;
  Counter sum;
};

/// What is counted for one (endpoint, model, operation): made when a configuration is published, so that the hot path
/// only indexes.
struct ModelSeries {
  std::string endpoint, place, model;
  std::string provider;   // gen_ai.provider.name: "openai" or "llama_cpp"
  std::string operation;  // gen_ai.operation.name: "chat" or "text_completion"
  Counter requests;       // attempts that ended well
  Counter failures;       // attempts that did not
  TokenHistogram input_tokens, output_tokens;
  Counter cached_input_tokens;
  Counter unreported_usage;               // answers without usage: their tokens are unknown, not zero
  Counter request_bytes, response_bytes;  // of bodies that go through as they are
  Histogram duration;                     // gen_ai.server.request.duration
  Histogram time_to_first_token;
};

/// One shard's numbers.
struct ShardMetrics {
  Counter connections_opened, connections_closed;
  Counter requests_started, requests_finished;
  std::array<Counter, 6> responses_by_class;  // [2] = 2xx ...; [0] = client gone before a status
  Counter failovers, waits, denials, truncated, cancelled, overloaded, slow_clients, tls_failures;
  Counter log_lines, bytes_in, bytes_out;
  std::vector<std::unique_ptr<ModelSeries>>
      models;  // append only, index given by the gateway; guarded by publish order
  std::atomic<std::uint32_t> models_published{0};
};

/// Numbers of the whole process at the time of asking.
struct ProcessFigures {
  std::uint64_t held_bytes = 0, held_bytes_limit = 0;
  std::uint64_t config_reloads = 0, config_reload_failures = 0, fleet_number = 0;
  struct EndpointFigure {
    std::string name, place, health;
    std::uint32_t running = 0, slots = 0;
    std::uint64_t engine_restarts = 0;
    std::uint64_t engine_loads = 0;
  };
  std::vector<EndpointFigure> endpoints;
  std::string version;
  Duration uptime{};
};

/// The Prometheus text format 0.0.4, sums over all shards.
std::string render_prometheus(std::span<ShardMetrics* const> shards, const ProcessFigures& process);

}  // namespace thalweg::telemetry
