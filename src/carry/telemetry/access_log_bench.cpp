#include <benchmark/benchmark.h>

#include "carry/telemetry/access_log.h"

namespace thalweg::telemetry {
namespace {

AccessLine typical() {
  AccessLine line;
  line.at = UtcTime(1795363571s + 123ms);
  line.request = {0x0011223344556677, 0x8899aabbccddeeff};
  line.method = "POST";
  line.path = "/v1/chat/completions";
  line.status = 200;
  line.outcome = "complete";
  line.key_id = "dev";
  line.tenant = "research";
  line.model_asked = "small";
  line.endpoint = "local";
  line.place = "here";
  line.model = "smollm2-135m";
  line.attempts = 1;
  line.usage_reported = true;
  line.input_tokens = 34;
  line.output_tokens = 12;
  line.bytes_in = 1024;
  line.bytes_out = 3120;
  line.duration = 412'706us;
  line.time_to_first_token = 96'120us;
  line.finish_reason = "stop";
  line.decision_hash = 0x0123456789abcdef;
  return line;
}

void format_one_line(benchmark::State& state) {
  const AccessLine line = typical();
  char out[kMaxLogLine];
  for (auto _ : state) benchmark::DoNotOptimize(format_line(line, out));
}
BENCHMARK(format_one_line);

// The shard's whole share, with the writer emptying the ring beside it.
void write_one_line(benchmark::State& state) {
  const AccessLine line = typical();
  LogRing ring;
  const auto writer = AccessLogWriter::open(AccessLogWriter::Sink::kFile, "/dev/null", {&ring});
  for (auto _ : state) ring.write(line);
}
BENCHMARK(write_one_line);

}  // namespace
}  // namespace thalweg::telemetry
