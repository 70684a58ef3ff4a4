// What a decision costs: the aim is less than a microsecond for three targets.
#include <benchmark/benchmark.h>

#include "decide/placement/place.h"

namespace thalweg::placement {
namespace {

struct Bench {
  fleet::Fleet fleet;
  policy::Policy policy;
  facts::Facts facts;
  fleet::Conditions conditions;
  Question question;

  Bench(std::size_t endpoints, std::size_t other_models) {
    fleet::Model model{.name = "small", .targets = {}};
    for (std::uint16_t e = 0; e < endpoints; ++e) {
      fleet::Endpoint endpoint{
          .name = "endpoint-" + std::to_string(e), .place = {}, .slots = 8, .timeouts = {}, .models = {}};
      endpoint.models.push_back({.name = "small",
                                 .upstream_name = "small",
                                 .context_tokens = 8192,
                                 .capabilities = {inference::Capability::kChat, inference::Capability::kTools},
                                 .asked = {}});
      fleet.endpoints.push_back(endpoint);
      model.targets.push_back({EndpointIndex{e}, ModelIndex{0}});
      conditions.endpoints.push_back({.health = fleet::Health::kHealthy, .running = 1, .models = {{}}});
    }
    fleet.models.push_back(model);
    for (std::size_t i = 0; i < other_models; ++i) {
      fleet.models.push_back({.name = "model-" + std::to_string(i), .targets = {model.targets.front()}});
    }
    fleet::seal(fleet);
    question.model = "small";
    question.needs = {inference::Capability::kChat};
    question.estimated_input_tokens = 500;
  }

  void run(benchmark::State& state) {
    const World world{&fleet, &policy, &facts, &conditions};
    Scratch scratch;
    for (auto _ : state) benchmark::DoNotOptimize(place(question, world, scratch).hash());
  }
};

void Place(benchmark::State& state) {
  Bench(static_cast<std::size_t>(state.range(0)), 20).run(state);
}
BENCHMARK(Place)->Arg(1)->Arg(3)->Arg(16)->Arg(64);

void PlaceAfterTwoFailures(benchmark::State& state) {
  Bench bench(3, 20);
  bench.question.attempt = 3;
  bench.question.earlier.add({{EndpointIndex{0}, ModelIndex{0}}, AttemptEnd::kFailed, Instant{}});
  bench.question.earlier.add({{EndpointIndex{1}, ModelIndex{0}}, AttemptEnd::kSilent, Instant{}});
  bench.run(state);
}
BENCHMARK(PlaceAfterTwoFailures);

void PlaceAuto(benchmark::State& state) {
  Bench bench(3, 20);
  bench.question.model = fleet::kAutoModel;
  bench.run(state);
}
BENCHMARK(PlaceAuto);

// Half of the rules apply, every fifth names models, and each rules out a few endpoints.
void PlaceUnderRules(benchmark::State& state) {
  const auto endpoints = static_cast<std::size_t>(state.range(0));
  Bench bench(endpoints, 20);
  for (std::size_t i = 0; i < static_cast<std::size_t>(state.range(1)); ++i) {
    policy::Rule rule{.name = "rule-" + std::to_string(i)};
    rule.when.tenants = {"someone", i % 2 == 0 ? "default" : "else"};
    if (i % 5 == 0) rule.when.models = {"large", "small"};
    if (i % 3 == 0) rule.when.surfaces = {inference::Surface::kOpenAiChat, inference::Surface::kRerank};
    rule.never_endpoints.add({static_cast<std::uint16_t>(i * 7 % endpoints)});
    rule.never_endpoints.add({static_cast<std::uint16_t>(i * 11 % endpoints)});
    if (i % 4 == 0) rule.output_cap = 1000;
    bench.policy.rules.push_back(std::move(rule));
  }
  bench.fleet.places.resize(1);
  for (fleet::Endpoint& endpoint : bench.fleet.endpoints) endpoint.place = {0};
  fleet::seal(bench.fleet);
  policy::seal(bench.policy, bench.fleet);
  bench.run(state);
}
BENCHMARK(PlaceUnderRules)->Args({4, 10})->Args({64, 50})->Args({64, 500})->Args({256, 500});

}  // namespace
}  // namespace thalweg::placement
