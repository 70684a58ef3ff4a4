#include "carry/telemetry/metrics.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

namespace thalweg::telemetry {
namespace {

std::unique_ptr<ModelSeries> series(std::string endpoint, std::string model) {
  auto made = std::make_unique<ModelSeries>();
  made->endpoint = std::move(endpoint);
  made->place = "here";
  made->model = std::move(model);
  made->provider = "openai";
  made->operation = "chat";
  return made;
}

void publish(ShardMetrics& shard, std::unique_ptr<ModelSeries> made) {
  shard.models.push_back(std::move(made));
  shard.models_published.store(static_cast<std::uint32_t>(shard.models.size()), std::memory_order_release);
}

// The value of the sample with exactly that name and labels.
std::string sample(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name + " ");
  if (at == std::string::npos) return "none";
  const std::size_t value = at + name.size() + 2;
  return text.substr(value, text.find('\n', value) - value);
}

TEST(Histogram, CountsInTheBucketWhoseBoundIsNotBelow) {
  Histogram histogram;
  histogram.record(10ms);  // the bound itself belongs to its bucket ("le")
  histogram.record(10ms + 1ns);
  histogram.record(81'920ms);
  histogram.record(82s);
  histogram.record(0s);
  EXPECT_EQ(histogram.buckets[0].value(), 2U);
  EXPECT_EQ(histogram.buckets[1].value(), 1U);
  EXPECT_EQ(histogram.buckets[13].value(), 1U);
  EXPECT_EQ(histogram.buckets[14].value(), 1U);
  EXPECT_EQ(histogram.sum_nanoseconds.value(), 163'940'000'001U);
}

TEST(TokenHistogram, CountsInTheBucketWhoseBoundIsNotBelow) {
  TokenHistogram histogram;
  for (const std::uint64_t tokens : {0, 1, 2, 4, 5, 16, 17, 67'108'864, 67'108'865}) histogram.record(tokens);
  histogram.record(~0ULL);
  const auto expect = [&](std::size_t bucket, std::uint64_t count) {
    EXPECT_EQ(histogram.buckets[bucket].value(), count) << bucket;
  };
  expect(0, 2);
  expect(1, 2);
  expect(2, 2);
  expect(3, 1);
  expect(13, 1);
  expect(14, 2);
}

TEST(Exposition, SumsOverShards) {
  ShardMetrics first, second;
  first.requests_started.add(3);
  second.requests_started.add(4);
  second.requests_finished.add(2);
  first.responses_by_class[2].add(5);
  second.responses_by_class[0].add();
  publish(first, series("local", "m"));
  publish(first, series("local", "n"));
  publish(second, series("local", "m"));
  first.models[0]->input_tokens.record(10);
  second.models[0]->input_tokens.record(5);
  first.models[1]->output_tokens.record(7);
  second.models[0]->duration.record(15ms);
  first.models[0]->duration.record(1500ms);
  ShardMetrics* shards[] = {&first, &second};
  const std::string text = render_prometheus(shards, {});
  EXPECT_EQ(sample(text, "thalweg_requests_total"), "7");
  EXPECT_EQ(sample(text, "thalweg_requests_running"), "5");
  EXPECT_EQ(sample(text, "thalweg_responses_total{class=\"2xx\"}"), "5");
  EXPECT_EQ(sample(text, "thalweg_responses_total{class=\"client_gone\"}"), "1");
  const std::string m =
      "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_request_model=\"m\",endpoint=\"local\","
      "place=\"here\"";
  const std::string n =
      "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_request_model=\"n\",endpoint=\"local\","
      "place=\"here\"";
  EXPECT_EQ(sample(text, "thalweg_tokens_total{" + m + ",type=\"input\"}"), "15");
  EXPECT_EQ(sample(text, "thalweg_tokens_total{" + n + ",type=\"output\"}"), "7");
  const std::string h =
      "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_response_model=\"m\",endpoint=\"local\","
      "place=\"here\"";
  const std::string tokens = "gen_ai_client_token_usage";
  const std::string input = h + ",gen_ai_token_type=\"input\"";
  EXPECT_EQ(sample(text, tokens + "_bucket{" + input + ",le=\"4\"}"), "0");
  EXPECT_EQ(sample(text, tokens + "_bucket{" + input + ",le=\"16\"}"), "2");
  EXPECT_EQ(sample(text, tokens + "_bucket{" + input + ",le=\"+Inf\"}"), "2");
  EXPECT_EQ(sample(text, tokens + "_sum{" + input + "}"), "15");
  EXPECT_EQ(sample(text, tokens + "_count{" + input + "}"), "2");
  EXPECT_EQ(sample(text, tokens + "_count{" + h + ",gen_ai_token_type=\"output\"}"), "0");
  const std::string duration = "gen_ai_server_request_duration_seconds";
  EXPECT_EQ(sample(text, duration + "_bucket{" + h + ",le=\"0.01\"}"), "0");
  EXPECT_EQ(sample(text, duration + "_bucket{" + h + ",le=\"0.02\"}"), "1");
  EXPECT_EQ(sample(text, duration + "_bucket{" + h + ",le=\"2.56\"}"), "2");
  EXPECT_EQ(sample(text, duration + "_bucket{" + h + ",le=\"+Inf\"}"), "2");
  EXPECT_EQ(sample(text, duration + "_sum{" + h + "}"), "1.515");
  EXPECT_EQ(sample(text, duration + "_count{" + h + "}"), "2");
}

TEST(Exposition, ShowsOneHealthAnEndpoint) {
  ProcessFigures process;
  process.version = "1.2.3";
  process.uptime = 1500ms;
  process.held_bytes = 5;
  process.config_reload_failures = 2;
  process.endpoints = {
      {.name = "local", .place = "here", .health = "trial", .running = 1, .slots = 4, .engine_restarts = 3}};
  const std::string text = render_prometheus({}, process);
  EXPECT_EQ(sample(text, "thalweg_endpoint_health{endpoint=\"local\",place=\"here\",health=\"trial\"}"), "1");
  for (const char* other : {"unknown", "healthy", "down"}) {
    EXPECT_EQ(sample(text, std::string("thalweg_endpoint_health{endpoint=\"local\",place=\"here\",health=\"") + other +
                               "\"}"),
              "0");
  }
  EXPECT_EQ(sample(text, "thalweg_endpoint_running{endpoint=\"local\",place=\"here\"}"), "1");
  EXPECT_EQ(sample(text, "thalweg_engine_restarts_total{endpoint=\"local\",place=\"here\"}"), "3");
  EXPECT_EQ(sample(text, "thalweg_build_info{version=\"1.2.3\"}"), "1");
  EXPECT_EQ(sample(text, "thalweg_uptime_seconds"), "1.5");
  EXPECT_EQ(sample(text, "thalweg_held_bytes"), "5");
  EXPECT_EQ(sample(text, "thalweg_config_reloads_total{result=\"failed\"}"), "2");
}

TEST(Exposition, EscapesLabels) {
  ProcessFigures process;
  process.version = "a\"b\\c\nd\x01";
  EXPECT_NE(render_prometheus({}, process).find("thalweg_build_info{version=\"a\\\"b\\\\c\\nd\"} 1\n"),
            std::string::npos);
}

// Prometheus' documentation of the text format, 0.0.4: one HELP and one TYPE a family, before its samples, which stand
// together.
TEST(Exposition, KeepsToTheTextFormat) {
  ShardMetrics shard;
  publish(shard, series("local", "m"));
  shard.models[0]->time_to_first_token.record(30ms);
  ShardMetrics* shards[] = {&shard};
  ProcessFigures process;
  process.endpoints = {{.name = "local", .place = "here", .health = "healthy"}};
  std::istringstream lines(render_prometheus(shards, process));
  const std::regex sample_line(
      R"(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\[\\n"])*"(,[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\[\\n"])*")*\})? [0-9.e+-]+)");
  std::set<std::string> families;
  std::set<std::string> samples;
  std::string family, type;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(family).second) << family;
      continue;
    }
    if (line.starts_with("# TYPE ")) {
      EXPECT_TRUE(line.starts_with("# TYPE " + family + " ")) << line;
      type = line.substr(8 + family.size());
      EXPECT_EQ(family.ends_with("_total"), type == "counter") << line;
      continue;
    }
    std::smatch match;
    ASSERT_TRUE(std::regex_match(line, match, sample_line)) << line;
    const std::string name = match[1];
    EXPECT_TRUE(name == family || (type == "histogram" && (name == family + "_bucket" || name == family + "_sum" ||
                                                           name == family + "_count")))
        << line;
    EXPECT_TRUE(samples.insert(line.substr(0, line.rfind(' '))).second) << line;
  }
  EXPECT_GT(families.size(), 25U);
}

TEST(Exposition, IsDescribedWhole) {
  std::ifstream file(THALWEG_SOURCE_DIR "/docs/formats/metrics.md");
  const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::istringstream lines(render_prometheus({}, {}));
  std::set<std::string> exposed, described;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) exposed.insert(line.substr(7, line.find(' ', 7) - 7));
  }
  const std::regex name("`((thalweg|gen_ai_server|gen_ai_client)_[a-z_]+)`");
  for (std::sregex_iterator at(page.begin(), page.end(), name), end; at != end; ++at) described.insert((*at)[1]);
  EXPECT_EQ(exposed, described);
}

}  // namespace
}  // namespace thalweg::telemetry
