// The exposition is made when somebody asks: sums over the shards, one family after the other, every family with HELP
// and TYPE. docs/formats/metrics.md lists them.
#include "carry/telemetry/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>

namespace thalweg::telemetry {
namespace {

class Exposition {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  void sample(std::string_view labels, std::uint64_t value) { sample_of("", labels, value); }
  void sample(std::string_view labels, double value) { sample_of("", labels, value); }
  template <class Value>
  void sample_of(std::string_view suffix, std::string_view labels, Value value) {
    if (labels.empty()) {
      fmt::format_to(std::back_inserter(text_), "{}{} {}\n", name_, suffix, value);
    } else {
      fmt::format_to(std::back_inserter(text_), "{}{}{{{}}} {}\n", name_, suffix, labels, value);
    }
  }
  std::string take() { return std::move(text_); }

 private:
  std::string_view name_;
  std::string text_;
};

// `name="value"` with the escapes of the text format: backslash, quote, line feed. Other control characters are left
// out.
void add_label(std::string& labels, std::string_view name, std::string_view value) {
  if (!labels.empty()) labels += ',';
  labels.append(name).append("=\"");
  for (const char c : value) {
    if (c == '\\' || c == '"') {
      labels.append({'\\', c});
    } else if (c == '\n') {
      labels.append("\\n");
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      labels += c;
    }
  }
  labels += '"';
}

std::string labelled(std::initializer_list<std::pair<std::string_view, std::string_view>> pairs) {
  std::string labels;
  for (const auto& [name, value] : pairs) add_label(labels, name, value);
  return labels;
}

// A histogram over all shards.
struct Sum {
  std::array<std::uint64_t, Histogram::kBounds.size() + 1> buckets{};
  std::uint64_t total = 0;  // nanoseconds or tokens
  void add(const Histogram& histogram) { add(histogram.buckets, histogram.sum_nanoseconds); }
  void add(const TokenHistogram& histogram) { add(histogram.buckets, histogram.sum); }

 private:
  void add(std::span<const Counter, Histogram::kBounds.size() + 1> more, const Counter& sum) {
    for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += more[i].value();
    total += sum.value();
  }
};

// One (endpoint, model, operation) over all shards.
struct Series {
  std::string counter_labels, histogram_labels;
  std::uint64_t requests = 0, failures = 0, cached = 0, unreported = 0;
  bool passes = false;
  std::uint64_t request_bytes = 0, response_bytes = 0;
  Sum input, output, duration, first_token;
};

std::vector<Series> sum_models(std::span<ShardMetrics* const> shards) {
  std::vector<Series> all;
  for (const ShardMetrics* shard : shards) {
    const std::size_t published = shard->models_published.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < published; ++i) {
      const ModelSeries& series = *shard->models[i];
      if (i == all.size()) {
        Series& first = all.emplace_back();
        first.counter_labels = labelled({{"gen_ai_operation_name", series.operation},
                                         {"gen_ai_provider_name", series.provider},
                                         {"gen_ai_request_model", series.model},
                                         {"endpoint", series.endpoint},
                                         {"place", series.place}});
        first.histogram_labels = labelled({{"gen_ai_operation_name", series.operation},
                                           {"gen_ai_provider_name", series.provider},
                                           {"gen_ai_response_model", series.model},
                                           {"endpoint", series.endpoint},
                                           {"place", series.place}});
      }
      Series& sum = all[i];
      sum.requests += series.requests.value();
      sum.failures += series.failures.value();
      sum.input.add(series.input_tokens);
      sum.output.add(series.output_tokens);
      sum.cached += series.cached_input_tokens.value();
      sum.unreported += series.unreported_usage.value();
      sum.passes = series.operation == "passthrough";
      sum.request_bytes += series.request_bytes.value();
      sum.response_bytes += series.response_bytes.value();
      sum.duration.add(series.duration);
      sum.first_token.add(series.time_to_first_token);
    }
  }
  return all;
}

// The count is the buckets' sum, so that the two agree even while a shard records.
template <class BoundAt, class Total>
void add_histogram(Exposition& out, const std::string& labels, const Sum& sum, BoundAt bound_at, Total total) {
  std::uint64_t up_to = 0;
  for (std::size_t i = 0; i < sum.buckets.size(); ++i) {
    up_to += sum.buckets[i];
    const std::string bound = i + 1 < sum.buckets.size() ? fmt::format("{}", bound_at(i)) : "+Inf";
    out.sample_of("_bucket", fmt::format("{},le=\"{}\"", labels, bound), up_to);
  }
  out.sample_of("_sum", labels, total);
  out.sample_of("_count", labels, up_to);
}

void add_durations(Exposition& out, const std::vector<Series>& all, Sum Series::* sum) {
  for (const Series& series : all) {
    const Sum& histogram = series.*sum;
    add_histogram(
        out, series.histogram_labels, histogram, [](std::size_t i) { return Histogram::kBounds[i]; },
        static_cast<double>(histogram.total) / 1e9);
  }
}

void add_tokens(Exposition& out, const std::vector<Series>& all) {
  for (const Series& series : all) {
    for (const auto& [type, sum] : {std::pair{"input", &series.input}, {"output", &series.output}}) {
      add_histogram(
          out, fmt::format("{},gen_ai_token_type=\"{}\"", series.histogram_labels, type), *sum,
          [](std::size_t i) { return std::uint64_t{1} << 2 * i; }, sum->total);
    }
  }
}

void add_models(Exposition& out, const std::vector<Series>& all) {
  out.family("thalweg_attempts_total", "counter", "Attempts at an endpoint's model that have ended, by how.");
  for (const Series& series : all) {
    out.sample(series.counter_labels + ",result=\"complete\"", series.requests);
    out.sample(series.counter_labels + ",result=\"failed\"", series.failures);
  }
  out.family("thalweg_tokens_total", "counter",
             "Tokens that endpoints reported, by type; cached_input is the part of input that a prompt cache served.");
  for (const Series& series : all) {
    out.sample(series.counter_labels + ",type=\"input\"", series.input.total);
    out.sample(series.counter_labels + ",type=\"output\"", series.output.total);
    out.sample(series.counter_labels + ",type=\"cached_input\"", series.cached);
  }
  out.family("thalweg_usage_unreported_total", "counter",
             "Answers without usage: their tokens are unknown and not counted.");
  for (const Series& series : all) out.sample(series.counter_labels, series.unreported);
  out.family("thalweg_passthrough_bytes_total", "counter",
             "Bytes of bodies that went through as they were, to the endpoint and from it.");
  for (const Series& series : all) {
    if (!series.passes) continue;
    out.sample(series.counter_labels + ",direction=\"request\"", series.request_bytes);
    out.sample(series.counter_labels + ",direction=\"response\"", series.response_bytes);
  }
  out.family("gen_ai_client_token_usage", "histogram", "Tokens of each answer, as its endpoint reported them.");
  add_tokens(out, all);
  out.family("gen_ai_server_request_duration_seconds", "histogram",
             "From a request's arrival to the end of its answer.");
  add_durations(out, all, &Series::duration);
  out.family("gen_ai_server_time_to_first_token_seconds", "histogram",
             "From a request's arrival to its answer's first token.");
  add_durations(out, all, &Series::first_token);
}

void add_shards(Exposition& out, std::span<ShardMetrics* const> shards) {
  const auto sum = [shards](auto member) {
    std::uint64_t total = 0;
    for (const ShardMetrics* shard : shards) total += (shard->*member).value();
    return total;
  };
  const auto counter = [&](std::string_view name, std::string_view help, Counter ShardMetrics::* member) {
    out.family(name, "counter", help);
    out.sample("", sum(member));
  };
  // What has begun less what has ended. The ends are summed first, so that what ends meanwhile never gives less than
  // nothing.
  const auto open = [&](std::string_view name, std::string_view help, Counter ShardMetrics::* begun,
                        Counter ShardMetrics::* ended) {
    const std::uint64_t ends = sum(ended);
    const std::uint64_t begins = sum(begun);
    out.family(name, "gauge", help);
    out.sample("", begins - std::min(begins, ends));
  };
  open("thalweg_connections_open", "Client connections that are open.", &ShardMetrics::connections_opened,
       &ShardMetrics::connections_closed);
  counter("thalweg_connections_total", "Client connections accepted.", &ShardMetrics::connections_opened);
  open("thalweg_requests_running", "Requests that are running or waiting.", &ShardMetrics::requests_started,
       &ShardMetrics::requests_finished);
  counter("thalweg_requests_total", "Requests for an answer that were admitted.", &ShardMetrics::requests_started);
  out.family("thalweg_responses_total", "counter",
             "Answers by class of status; client_gone: the client left before one was sent.");
  static constexpr std::array<std::string_view, 6> kClasses = {"client_gone", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (std::size_t i = 0; i < kClasses.size(); ++i) {
    std::uint64_t total = 0;
    for (const ShardMetrics* shard : shards) total += shard->responses_by_class[i].value();
    out.sample(labelled({{"class", kClasses[i]}}), total);
  }
  counter("thalweg_failovers_total", "Attempts begun because an earlier one failed.", &ShardMetrics::failovers);
  counter("thalweg_waits_total", "Requests that waited for a free slot.", &ShardMetrics::waits);
  counter("thalweg_denials_total", "Requests that placement denied.", &ShardMetrics::denials);
  counter("thalweg_truncated_total", "Answers that ended before their finish reason.", &ShardMetrics::truncated);
  counter("thalweg_cancelled_total", "Requests whose client left before the end.", &ShardMetrics::cancelled);
  counter("thalweg_overloaded_total", "Requests refused because a limit of this gateway was reached.",
          &ShardMetrics::overloaded);
  counter("thalweg_slow_clients_total", "Clients cut because they were too slow.", &ShardMetrics::slow_clients);
  counter("thalweg_tls_failures_total", "Client connections whose TLS handshake failed.", &ShardMetrics::tls_failures);
  counter("thalweg_access_log_lines_total", "Lines given to the access log.", &ShardMetrics::log_lines);
  counter("thalweg_received_bytes_total", "Bytes received from clients.", &ShardMetrics::bytes_in);
  counter("thalweg_sent_bytes_total", "Bytes sent to clients.", &ShardMetrics::bytes_out);
}

void add_process(Exposition& out, const ProcessFigures& process) {
  out.family("thalweg_build_info", "gauge", "Always 1; the label tells the version.");
  out.sample(labelled({{"version", process.version}}), std::uint64_t{1});
  out.family("thalweg_uptime_seconds", "gauge", "Since the process began.");
  out.sample("", to_seconds(process.uptime));
  out.family("thalweg_held_bytes", "gauge", "Bytes of bodies and answers held by the process.");
  out.sample("", process.held_bytes);
  out.family("thalweg_held_bytes_limit", "gauge", "limits.held of the configuration.");
  out.sample("", process.held_bytes_limit);
  out.family("thalweg_config_reloads_total", "counter", "Reloads of the configuration, by result.");
  out.sample("result=\"ok\"", process.config_reloads);
  out.sample("result=\"failed\"", process.config_reload_failures);
  out.family("thalweg_fleet_number", "gauge", "The number of the configuration in force.");
  out.sample("", process.fleet_number);
}

void add_endpoints(Exposition& out, const std::vector<ProcessFigures::EndpointFigure>& endpoints) {
  const auto labels = [](const ProcessFigures::EndpointFigure& endpoint) {
    return labelled({{"endpoint", endpoint.name}, {"place", endpoint.place}});
  };
  out.family("thalweg_endpoint_health", "gauge", "1 for the state that the endpoint is in, 0 for the others.");
  for (const auto& endpoint : endpoints) {
    for (const std::string_view state : {"unknown", "healthy", "trial", "down", "unloaded", "loading"}) {
      out.sample(labels(endpoint) + fmt::format(",health=\"{}\"", state), std::uint64_t{endpoint.health == state});
    }
  }
  out.family("thalweg_endpoint_running", "gauge", "Attempts that run at the endpoint.");
  for (const auto& endpoint : endpoints) out.sample(labels(endpoint), std::uint64_t{endpoint.running});
  out.family("thalweg_endpoint_slots", "gauge", "Attempts that may run at the endpoint at a time.");
  for (const auto& endpoint : endpoints) out.sample(labels(endpoint), std::uint64_t{endpoint.slots});
  out.family("thalweg_engine_restarts_total", "counter", "How often the endpoint's engine was started again.");
  for (const auto& endpoint : endpoints) out.sample(labels(endpoint), endpoint.engine_restarts);
  out.family("thalweg_engine_loads_total", "counter", "How often the endpoint's model was loaded for a request.");
  for (const auto& endpoint : endpoints) out.sample(labels(endpoint), endpoint.engine_loads);
}

}  // namespace

void Histogram::record(Duration d) {
  const double seconds = to_seconds(d);
  std::size_t bucket = 0;
  while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
  buckets[bucket].add();
  sum_nanoseconds.add(d.count() > 0 ? static_cast<std::uint64_t>(d.count()) : 0);
}

void TokenHistogram::record(std::uint64_t tokens) {
  // The smallest power of four that is not less.
  const auto power = tokens == 0 ? 0 : static_cast<std::size_t>(std::bit_width(tokens - 1) + 1) / 2;
  buckets[std::min(power, kBounds)].add();
  sum.add(tokens);
}

std::string render_prometheus(std::span<ShardMetrics* const> shards, const ProcessFigures& process) {
  Exposition out;
  add_process(out, process);
  add_shards(out, shards);
  add_models(out, sum_models(shards));
  add_endpoints(out, process.endpoints);
  return out.take();
}

}  // namespace thalweg::telemetry
