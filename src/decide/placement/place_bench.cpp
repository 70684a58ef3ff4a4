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

}  // namespace
}  // namespace thalweg::placement
