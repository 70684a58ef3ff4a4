// The engines: which run, which have their models loaded, and what they tell of themselves.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "base/document/section.h"
#include "carry/dialect/openai.h"
#include "carry/gateway/control.h"

namespace thalweg::gateway {

using engine::Residence;

namespace {

inference::Capabilities told_of_engine() {
  using inference::Capability;
  return {Capability::kTools, Capability::kImages, Capability::kAudio};
}

// Of the whole machine's, where the configuration gives no other bound: the rest is for everything else that runs
// there.
std::uint64_t default_budget() {
  return static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PHYS_PAGES))) *
         static_cast<std::uint64_t>(std::max(0L, sysconf(_SC_PAGESIZE))) / 4 * 3;
}

}  // namespace

// The engine that runs already when nothing about it changed, else a new one, started.
Result<std::shared_ptr<Control::Engine>> Control::prepare_engine(const fleet::Endpoint& endpoint,
                                                                 const config::EngineSettings& wanted) {
  auto program = engine::find_program(wanted.program);
  if (!program) return std::unexpected(program.error());
  engine::Options options;
  options.name = endpoint.name;
  options.program = *program;
  options.model_file = wanted.model_file;
  options.alias = endpoint.models.front().upstream_name;
  options.context_tokens = wanted.context_tokens;
  options.slots = wanted.slots;
  options.threads = wanted.threads;
  options.memory_bytes = wanted.memory_bytes;
  options.start_timeout = wanted.start_timeout;
  options.sandbox = wanted.sandbox == config::Sandbox::kOn;
  options.task = wanted.task;
  options.arguments = wanted.arguments;
  const auto running = engines_.find(endpoint.name);
  if (running != engines_.end() && running->second->options == options) return running->second;
  auto fresh = std::make_shared<Engine>();
  fresh->options = options;
  fresh->generation = next_generation_++;
  auto started = engine::Supervisor::start(
      options,
      [this, name = endpoint.name, generation = fresh->generation](engine::State state, std::string_view detail) {
        shard_.post(
            [this, name, generation, state, text = std::string(detail)] { on_engine(name, generation, state, text); });
      },
      wanted.on_demand ? engine::Supervisor::Begin::kUnloaded : engine::Supervisor::Begin::kLoaded);
  if (!started) return std::unexpected(started.error());
  fresh->supervisor = std::move(*started);
  return fresh;
}

// After the snapshot in force, its learner and its probes.
void Control::adopt_engines() {
  residents_.clear();
  std::vector<engine::Resident> residents;
  const auto& endpoints = snapshot_->fleet().endpoints;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const auto found = engines_.find(endpoints[i].name);
    if (found == engines_.end()) continue;
    const config::EngineSettings& wanted = *snapshot_->settings.endpoints[i].engine;
    residents_.push_back({static_cast<std::uint16_t>(i)});
    residents.push_back({.name = endpoints[i].name,
                         .generation = found->second->generation,
                         .memory = engine::expected_memory(found->second->options),
                         .on_demand = wanted.on_demand,
                         .pinned = wanted.pinned,
                         .unload_after = wanted.unload_after});
  }
  const std::uint64_t wished = snapshot_->settings.engines_memory;
  residency_.adopt(std::move(residents), wished != 0 ? wished : default_budget());
  for (std::size_t i = 0; i < residents_.size(); ++i) show_residence(i);
}

// To those who place, and to those who take slots.
void Control::show_residence(std::size_t resident) {
  const EndpointIndex index = residents_[resident];
  const fleet::Endpoint& endpoint = snapshot_->fleet().endpoints[index.value];
  const bool on_demand = snapshot_->settings.endpoints[index.value].engine->on_demand;
  const auto& supervisor = engines_[endpoint.name]->supervisor;
  const Residence residence = residency_.residence(resident);
  const bool runs = residence == Residence::kLoading || residence == Residence::kLoaded;
  snapshot_->endpoints[index.value].slots->limit.store(runs ? endpoint.slots : 0, std::memory_order_relaxed);
  const auto see = [&](placement::Sight sight) {
    learner_->observe({.endpoint = index, .sight = sight}, MonotonicClock::now());
  };
  switch (residence) {
    case Residence::kUnloaded:
    case Residence::kClosing:
    case Residence::kEnding:
      return see(placement::Sight::kUnloaded);
    case Residence::kResting:
      return see(placement::Sight::kUnusable);
    case Residence::kLoading:
      supervisor->load();
      return see(on_demand ? placement::Sight::kLoading : placement::Sight::kUnusable);
    case Residence::kLoaded:
      if (supervisor->state() != engine::State::kReady) see(placement::Sight::kUnusable);
      return;
  }
}

void Control::tend_engines(Instant now) {
  std::vector<bool> busy;
  for (const EndpointIndex index : residents_) {
    const std::uint32_t own = watched_[index.value].probe->running() ? 1 : 0;
    busy.push_back(snapshot_->endpoints[index.value].slots->taken.load(std::memory_order_acquire) > own);
  }
  std::vector<engine::Residency::Order> orders;
  residency_.tick(now, busy, orders);
  for (const auto& order : orders) {
    const std::string& name = snapshot_->fleet().endpoints[residents_[order.engine].value].name;
    Engine& engine = *engines_[name];
    if (order.kind == engine::Residency::Order::Kind::kLoad) {
      spdlog::info("engine {}: loads its model", name);
      if (snapshot_->settings.endpoints[residents_[order.engine].value].engine->on_demand)
        engine.figures->loads.fetch_add(1, std::memory_order_relaxed);
    } else if (order.kind == engine::Residency::Order::Kind::kUnload) {
      spdlog::info("engine {}: unloads its model", name);
      engine.supervisor->unload();
    }
    show_residence(order.engine);
  }
}

void Control::want(EndpointIndex endpoint, std::uint64_t fleet_number) {
  shard_.post([this, endpoint, fleet_number] {
    if (fleet_number != snapshot_->fleet().number) return;  // it asks again under this one
    const std::size_t resident = residency_.find(snapshot_->fleet().endpoints[endpoint.value].name);
    if (resident == residency_.size()) return;
    const Instant now = MonotonicClock::now();
    const bool unloaded = residency_.residence(resident) == Residence::kUnloaded;
    residency_.want(resident, now);
    if (unloaded) tick();  // at once
  });
}

void Control::keep(EndpointIndex endpoint, std::uint64_t fleet_number, Duration idle) {
  shard_.post([this, endpoint, fleet_number, idle] {
    if (fleet_number != snapshot_->fleet().number) return;
    const std::size_t resident = residency_.find(snapshot_->fleet().endpoints[endpoint.value].name);
    if (resident != residency_.size()) residency_.keep(resident, idle);
  });
}

void Control::on_engine(const std::string& name, std::uint64_t generation, engine::State state,
                        const std::string& detail) {
  const auto engine = engines_.find(name);
  if (engine == engines_.end() || engine->second->generation != generation) return;
  const EndpointIndex index = index_of(name);
  const std::size_t resident = residency_.find(name);
  if (!index || resident == residency_.size()) return;
  const Instant now = MonotonicClock::now();
  const auto unusable = [&] { learner_->observe({.endpoint = index, .sight = placement::Sight::kUnusable}, now); };
  switch (state) {
    case engine::State::kReady:  // it serves once it told what it can do: on_props()
      spdlog::info("engine {}: ready", name);
      watched_[index.value].props_known = false;
      watched_[index.value].next = {};
      residency_.loaded(resident, engine::measured_memory(engine->second->supervisor->child()), now);
      break;
    case engine::State::kDown:
      spdlog::warn("engine {}: down: {}", name, detail);
      if (snapshot_->settings.endpoints[index.value].engine->on_demand &&
          residency_.residence(resident) == Residence::kLoading) {
        residency_.failed(resident, now);
        engine->second->supervisor->unload();
      }
      unusable();
      break;
    case engine::State::kStarting:
      if (residency_.residence(resident) == Residence::kLoaded) unusable();
      break;
    case engine::State::kUnloaded:
      residency_.unloaded(resident);
      show_residence(resident);
      break;
    case engine::State::kStopped:
      break;
  }
  tick();
}

void Control::on_props(EndpointIndex index, const Probe::Finding& finding) {
  const fleet::Endpoint& endpoint = snapshot_->fleet().endpoints[index.value];
  if (finding.status == 200) {
    const auto props = dialect::read_engine_props(finding.body);
    if (props) {
      watched_[index.value].props_known = true;
      std::vector<fleet::ModelConditions> told(endpoint.models.size());
      for (fleet::ModelConditions& model : told) {
        model.told = told_of_engine();
        if (props->tools) model.has.add(inference::Capability::kTools);
        if (props->images) model.has.add(inference::Capability::kImages);
        if (props->audio) model.has.add(inference::Capability::kAudio);
        model.context_tokens = props->context_tokens;
      }
      learner_->told(index, std::move(told));
    } else {
      spdlog::warn("endpoint {}: its /props cannot be read: {}", endpoint.name, props.error().message);
    }
  }
  const std::size_t resident = residency_.find(endpoint.name);
  const bool lives = engines_[endpoint.name]->supervisor->state() == engine::State::kReady;
  if (lives && resident != residency_.size() && residency_.residence(resident) == Residence::kLoaded) {
    learner_->observe({.endpoint = index, .sight = placement::Sight::kUsable}, MonotonicClock::now());
    tick();
  }
}

}  // namespace thalweg::gateway
