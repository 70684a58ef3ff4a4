#include "carry/gateway/control.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <unordered_map>

#include "carry/dialect/openai.h"

namespace thalweg::gateway {

namespace {

/// gen_ai.provider.name in OpenTelemetry's words.
std::string_view provider_of(const config::EndpointSettings& endpoint) {
  if (!endpoint.remote) return "llama_cpp";
  switch (endpoint.remote->api) {
    case config::Api::kOpenAi:
      return "openai";
    case config::Api::kAnthropic:
      return "anthropic";
    case config::Api::kAzure:
      return "azure.ai.openai";
  }
  return {};
}

upstream::Credentials credentials_of(config::Api api) {
  switch (api) {
    case config::Api::kOpenAi:
      return upstream::Credentials::kBearer;
    case config::Api::kAnthropic:
      return upstream::Credentials::kAnthropic;
    case config::Api::kAzure:
      return upstream::Credentials::kApiKey;
  }
  return {};
}

enum TimerTag : std::uint32_t { kPublishTimer, kReloadTimer };
constexpr Duration kSettleAfterChange = 20ms;  // editors write a file in several steps
constexpr std::uint32_t kControlShard = 1'000'000;
constexpr std::uint32_t kFileEvents = IN_CLOSE_WRITE | IN_MOVED_TO;

// The names hold no line feeds.
std::string key_of(const SeriesName& name) {
  return fmt::format("{}\n{}\n{}\n{}\n{}", name.endpoint, name.place, name.model, name.provider, name.operation);
}

std::optional<ModelFile> file_of(const std::filesystem::path& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return std::nullopt;
  return ModelFile{static_cast<std::uint64_t>(about.st_size),
                   UtcTime(std::chrono::seconds(about.st_mtim.tv_sec) + Duration(about.st_mtim.tv_nsec))};
}

EndpointIndex index_of(const Snapshot& snapshot, std::string_view endpoint) {
  const auto& endpoints = snapshot.fleet().endpoints;
  const auto found = std::ranges::find(endpoints, endpoint, &fleet::Endpoint::name);
  if (found == endpoints.end()) return {};
  return {static_cast<std::uint16_t>(found - endpoints.begin())};
}

sigset_t our_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGHUP, SIGTERM, SIGINT}) sigaddset(&signals, number);
  return signals;
}

}  // namespace

void hold_signals() {
  const sigset_t ours = our_signals();
  pthread_sigmask(SIG_BLOCK, &ours, nullptr);
}

Control::Control(Common& common, std::vector<Worker*> workers, std::filesystem::path file, Hooks hooks)
    : common_(common),
      workers_(std::move(workers)),
      file_(std::move(file)),
      hooks_(std::move(hooks)),
      shard_(kControlShard),
      door_(shard_) {
  mark_ = mark_of_file();
}

Control::~Control() {
  stop();
}

void Control::stop() {
  shard_.stop();
  watched_.clear();
  engines_.clear();
  retired_.clear();
  endings_.clear();
}

// ---- What is in force ----

Result<Control::Prepared> Control::prepare(config::Settings settings) {
  Prepared prepared{std::make_shared<Snapshot>(), {}};
  Snapshot& snapshot = *prepared.snapshot;
  const std::uint64_t number = snapshot_ ? snapshot_->fleet().number + 1 : 1;
  settings.fleet.number = number;
  settings.policy.number = number;
  if (snapshot_) snapshot.series = snapshot_->series;
  std::unordered_map<std::string, std::uint32_t> indices;
  for (const SeriesName& name : snapshot.series) {
    indices.emplace(key_of(name), static_cast<std::uint32_t>(indices.size()));
  }
  for (std::size_t i = 0; i < settings.fleet.endpoints.size(); ++i) {
    const fleet::Endpoint& endpoint = settings.fleet.endpoints[i];
    const config::EndpointSettings& own = settings.endpoints[i];
    EndpointRuntime runtime;
    const EndpointIndex old = index_of(endpoint.name);
    if (own.engine) {
      auto engine = prepare_engine(endpoint, *own.engine);
      if (!engine) return std::unexpected(engine.error());
      runtime.destination.address.path = (*engine)->supervisor->socket_path();
      runtime.destination.host_header = "localhost";
      runtime.destination.base_path = "/v1";
      runtime.engine = (*engine)->figures;
      runtime.file = file_of(own.engine->model_file);
      prepared.engines[endpoint.name] = std::move(*engine);
    } else {
      const config::RemoteSettings& remote = *own.remote;
      runtime.destination.address = {
          .host = remote.host, .port = remote.port, .path = {}, .tls = remote.tls, .proxy = remote.proxy};
      runtime.destination.host_header = remote.host_header;
      runtime.destination.base_path = remote.base_path;
      runtime.destination.key = remote.key;
      runtime.destination.key_command = remote.key_command.arguments;
      runtime.destination.forwarded = remote.forward_headers;
      runtime.destination.credentials = credentials_of(remote.api);
      if (!remote.api_version.empty()) runtime.destination.query = "?api-version=" + remote.api_version;
      runtime.destination.deployments = remote.base_path == "/openai" && remote.api == config::Api::kAzure;
      runtime.destination.authorities = remote.authorities;
      runtime.destination.identity = remote.identity;
    }
    // The same endpoint keeps its slots: what runs there goes on counting.
    if (old && snapshot_->endpoints[old.value].destination == runtime.destination) {
      runtime.slots = snapshot_->endpoints[old.value].slots;
    } else {
      runtime.slots = std::make_shared<fleet::SlotCounter>();
    }
    for (const fleet::EndpointModel& model : endpoint.models) {
      auto& of_model = runtime.series.emplace_back();
      for (std::size_t operation = 0; operation < kOperations.size(); ++operation) {
        SeriesName name{endpoint.name, settings.fleet.places[endpoint.place.value].name, model.name,
                        std::string(provider_of(own)), std::string(kOperations[operation])};
        const auto next = static_cast<std::uint32_t>(snapshot.series.size());
        const auto [known, fresh] = indices.emplace(key_of(name), next);
        of_model[operation] = known->second;
        if (!fresh) continue;
        if (next == kMaxSeries) {
          return fail(ErrorCode::kConfig,
                      fmt::format("this process has seen {} pairs of endpoint and model; restart it to "
                                  "begin anew",
                                  kMaxPairs));
        }
        snapshot.series.push_back(std::move(name));
      }
    }
    snapshot.endpoints.push_back(std::move(runtime));
  }
  snapshot.settings = std::move(settings);
  return prepared;
}

Result<void> Control::put_in_force(config::Settings settings) {
  auto prepared = prepare(std::move(settings));
  if (!prepared) return std::unexpected(prepared.error());
  const std::shared_ptr<const Snapshot> snapshot = prepared->snapshot;
  std::vector<upstream::Destination> destinations;
  for (const EndpointRuntime& endpoint : snapshot->endpoints) destinations.push_back(endpoint.destination);
  if (auto published = door_.publish(snapshot->fleet().number, std::move(destinations)); !published) return published;

  // From here on nothing fails.
  for (const auto& [name, engine] : engines_) {
    const auto kept = prepared->engines.find(name);
    if (kept != prepared->engines.end() && kept->second == engine) continue;
    const EndpointIndex old = index_of(name);
    retired_.push_back(
        {engine->supervisor, old ? snapshot_->endpoints[old.value].slots : std::make_shared<fleet::SlotCounter>()});
  }
  engines_ = std::move(prepared->engines);
  for (std::size_t i = 0; i < snapshot->endpoints.size(); ++i) {  // of engines adopt_engines() has the last word
    if (snapshot->endpoints[i].engine == nullptr)
      snapshot->endpoints[i].slots->limit.store(snapshot->fleet().endpoints[i].slots, std::memory_order_relaxed);
  }
  const auto before = snapshot_;
  snapshot_ = snapshot;
  if (!learner_) {
    learner_ = std::make_unique<placement::Learner>(snapshot->fleet());
  } else {
    std::vector<bool> moved;
    for (std::size_t i = 0; i < snapshot->endpoints.size(); ++i) {
      const EndpointIndex old = gateway::index_of(*before, snapshot->fleet().endpoints[i].name);
      moved.push_back(!old || before->endpoints[old.value].destination != snapshot->endpoints[i].destination);
    }
    learner_->adopt(before->fleet(), snapshot->fleet(), moved);
  }
  std::vector<Watched> watched(snapshot->fleet().endpoints.size());
  for (std::size_t i = 0; i < watched.size(); ++i) {
    watched[i].probe =
        std::make_unique<Probe>(shard_, door_, [this](EndpointIndex index, ProbeKind kind, Probe::Finding finding) {
          on_finding(index, kind, std::move(finding));
        });
  }
  watched_ = std::move(watched);
  adopt_engines();
  common_.bytes.set_limit(snapshot->settings.limits.held_bytes);
  for (Worker* worker : workers_) worker->adopt(snapshot);
  adopt_keys();
  (void)learner_->publish(MonotonicClock::now(), conditions_);
  const auto conditions =
      std::make_shared<const PublishedConditions>(PublishedConditions{snapshot->fleet().number, conditions_});
  for (Worker* worker : workers_) worker->adopt(conditions);
  return {};
}

Result<void> Control::begin(config::Settings settings) {
  return put_in_force(std::move(settings));
}

EndpointIndex Control::index_of(std::string_view endpoint) const {
  return snapshot_ ? gateway::index_of(*snapshot_, endpoint) : EndpointIndex{};
}

// ---- The thread ----

void Control::run() {
  shard_.post([this] {
    const sigset_t ours = our_signals();
    signals_.source.reset(::signalfd(-1, &ours, SFD_NONBLOCK | SFD_CLOEXEC));
    THALWEG_CHECK(signals_.source && !shard_.loop().watch(signals_.source.handle(), EPOLLIN, signals_));
    watch_file();
    tick();
  });
  shard_.run();
}

void Control::on_timer(std::uint32_t tag) {
  if (tag == kPublishTimer) {
    tick();
  } else {
    reload("the file changed");
  }
}

void Control::tick() {
  const Instant now = MonotonicClock::now();
  tend_engines(now);
  tend_keys(now);
  for (std::size_t i = 0; i < snapshot_->endpoints.size(); ++i) {
    learner_->running({static_cast<std::uint16_t>(i)},
                      snapshot_->endpoints[i].slots->taken.load(std::memory_order_relaxed));
  }
  if (learner_->publish(now, conditions_)) {
    const auto published =
        std::make_shared<const PublishedConditions>(PublishedConditions{snapshot_->fleet().number, conditions_});
    for (Worker* worker : workers_) worker->adopt(published);
  }
  // Ready: an endpoint is known to answer, or to when it is asked; or none is known yet, but no engine is still reading
  // its model either.
  const auto any = [this](fleet::Health health) {
    return std::ranges::any_of(conditions_.endpoints, [health](const fleet::EndpointConditions& endpoint) {
      return endpoint.health == health;
    });
  };
  const bool loading = std::ranges::any_of(
      engines_, [](const auto& each) { return each.second->supervisor->state() == engine::State::kStarting; });
  common_.ready.store(any(fleet::Health::kHealthy) || any(fleet::Health::kUnloaded) || any(fleet::Health::kLoading) ||
                          (!loading && (any(fleet::Health::kUnknown) || any(fleet::Health::kTrial))),
                      std::memory_order_relaxed);
  std::erase_if(endings_, [](const auto& ending) { return ending.wait_for(0s) == std::future_status::ready; });
  std::erase_if(retired_, [this](Retired& retired) {
    if (--retired.ticks_left > 0 || retired.slots->taken.load(std::memory_order_relaxed) != 0) return false;
    endings_.push_back(
        std::async(std::launch::async, [engine = std::move(retired.supervisor)]() mutable { engine.reset(); }));
    return true;
  });
  probe_due(now);
  shard_.timers().start(publish_timer_, kPublishPeriod, *this, kPublishTimer);
}

void Control::probe_due(Instant now) {
  for (std::size_t i = 0; i < watched_.size(); ++i) {
    Watched& watched = watched_[i];
    if (watched.probe->running()) continue;
    const EndpointIndex index{static_cast<std::uint16_t>(i)};
    const fleet::Endpoint& endpoint = snapshot_->fleet().endpoints[i];
    const fleet::Health health = conditions_.endpoints[i].health;
    if (endpoint.kind == fleet::EndpointKind::kEngine) {
      const auto& engine = engines_[endpoint.name];
      engine->figures->restarts.store(engine->supervisor->restarts(), std::memory_order_relaxed);
      if (engine->supervisor->state() != engine::State::kReady) continue;  // its supervisor says when it lives again
    }
    if (const auto keeper = keepers_.find(endpoint.name); keeper != keepers_.end() && keeper->second->key().empty())
      continue;
    if (health != fleet::Health::kTrial && now < watched.next) continue;
    const ProbeKind kind = endpoint.kind != fleet::EndpointKind::kEngine ? ProbeKind::kModels
                           : watched.props_known                         ? ProbeKind::kEngineHealth
                                                                         : ProbeKind::kEngineProps;
    // An engine serves once it told what it can do: until then it is asked again at once.
    const bool started = watched.probe->start(kind, index, *snapshot_, conditions_, ids_.next());
    if (started || kind != ProbeKind::kEngineProps) watched.next = now + snapshot_->settings.probe_interval;
  }
}

void Control::on_finding(EndpointIndex index, ProbeKind kind, Probe::Finding finding) {
  const fleet::Endpoint& endpoint = snapshot_->fleet().endpoints[index.value];
  Watched& watched = watched_[index.value];
  learner_->observe({.endpoint = index, .sight = finding.sight}, MonotonicClock::now());
  if (finding.status == 401 || finding.status == 403) {
    if (!std::exchange(watched.warned, true))
      spdlog::warn("endpoint {}: its server refuses the configured key (status {})", endpoint.name, finding.status);
    if (const auto keeper = keepers_.find(endpoint.name); keeper != keepers_.end())
      keeper->second->refused(MonotonicClock::now());
  }
  if (kind == ProbeKind::kEngineProps) on_props(index, finding);
  if (finding.status != 200) return;
  std::vector<fleet::ModelConditions> told(endpoint.models.size());
  if (kind == ProbeKind::kModels) {
    const auto models = dialect::read_models(finding.body);
    if (!models) return;  // it answers; its list has another shape
    for (std::size_t i = 0; i < told.size(); ++i) {
      const auto listed = std::ranges::find(*models, endpoint.models[i].upstream_name, &dialect::ToldModel::name);
      if (listed != models->end()) {
        told[i].context_tokens = listed->context_tokens;
      } else if (!std::exchange(watched.missed, true)) {
        // No reason to refuse: servers answer to names that they do not list.
        spdlog::warn("endpoint {}: its server does not list the model {}; it is asked for it all the same",
                     endpoint.name, endpoint.models[i].upstream_name);
      }
    }
    learner_->told(index, std::move(told));
  }
}

void Control::observe(std::vector<placement::Observation> observations, std::uint64_t fleet_number) {
  shard_.post([this, observations = std::move(observations), fleet_number] {
    if (fleet_number != snapshot_->fleet().number) return;  // indices of another fleet
    const Instant now = MonotonicClock::now();
    for (const auto& observation : observations) {
      learner_->observe(observation, now);
      const std::string& name = snapshot_->fleet().endpoints[observation.endpoint.value].name;
      if (observation.sight == placement::Sight::kKeyRefused) {
        if (const auto keeper = keepers_.find(name); keeper != keepers_.end()) keeper->second->refused(now);
      }
      if (const std::size_t resident = residency_.find(name); resident != residency_.size())
        residency_.used(resident, now);
    }
  });
}

// ---- Reloading ----

void Control::reload(std::string_view why) {
  mark_ = mark_of_file();
  follow_links();
  auto settings = config::load(file_);
  if (!settings) {
    common_.failed_reloads.fetch_add(1, std::memory_order_relaxed);
    spdlog::error("{}: the configuration in force stays; {} cannot be used:\n{}", why, file_.string(),
                  config::render(settings.error(), file_));
    return;
  }
  Result<void> done = hooks_.accept(*settings);
  if (done) done = put_in_force(std::move(*settings));
  if (!done) {
    common_.failed_reloads.fetch_add(1, std::memory_order_relaxed);
    spdlog::error("{}: the configuration in force stays: {}", why, done.error().message);
    return;
  }
  common_.reloads.fetch_add(1, std::memory_order_relaxed);
  spdlog::info("{}: configuration {} is in force", why, snapshot_->fleet().number);
  hooks_.on_reload();
}

Control::FileMark Control::mark_of_file() const {
  struct stat facts{};
  if (::stat(file_.c_str(), &facts) != 0) return {};
  return {.device = facts.st_dev,
          .inode = facts.st_ino,
          .size = static_cast<std::uint64_t>(facts.st_size),
          .changed_s = facts.st_mtim.tv_sec,
          .changed_ns = facts.st_mtim.tv_nsec};
}

// Watches the folder, not the file: editors replace files, and a watch on the old one would see nothing more.
void Control::watch_file() {
  net::Socket source(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const auto folder = std::filesystem::absolute(file_).parent_path();
  if (!source || ::inotify_add_watch(source.handle(), folder.c_str(), kFileEvents | IN_CREATE) < 0 ||
      shard_.loop().watch(source.handle(), EPOLLIN, file_events_)) {
    spdlog::warn("cannot watch {}: send SIGHUP after a change", folder.string());
    return;
  }
  file_events_.source = std::move(source);
  follow_links();
  // Changed since it was read for the start.
  if (mark_of_file() != mark_) shard_.timers().start(reload_timer_, kSettleAfterChange, *this, kReloadTimer);
}

// Behind a link the file is written in another folder, and links on the way may be swapped (Kubernetes does so with its
// `..data`): each look finds out anew where the file lies.
void Control::follow_links() {
  std::error_code error;
  const auto folder = std::filesystem::canonical(file_, error).parent_path();
  if (error || !file_events_.source || folder == linked_folder_) return;
  linked_folder_ = folder;
  if (std::filesystem::equivalent(folder, std::filesystem::absolute(file_).parent_path(), error)) return;
  ::inotify_add_watch(file_events_.source.handle(), folder.c_str(), kFileEvents);
}

void Control::on_file_event() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  const ssize_t bytes = ::read(file_events_.source.handle(), buffer.data(), buffer.size());
  const std::string name = file_.filename();
  bool written = false;
  for (ssize_t at = 0; at + static_cast<ssize_t>(sizeof(inotify_event)) <= bytes;) {
    inotify_event event{};
    std::memcpy(&event, buffer.data() + at, sizeof event);
    const bool ours = event.len != 0 && name == buffer.data() + at + sizeof event;
    written |= ours && (event.mask & kFileEvents) != 0;
    at += static_cast<ssize_t>(sizeof event + event.len);
  }
  // A new file is not yet written; a new link is.
  std::error_code error;
  const bool link = std::filesystem::is_symlink(file_, error);
  if (written || (link && mark_of_file() != mark_)) {
    shard_.timers().start(reload_timer_, kSettleAfterChange, *this, kReloadTimer);
  }
}

void Control::on_signal() {
  signalfd_siginfo signal{};
  if (::read(signals_.source.handle(), &signal, sizeof signal) != sizeof signal) return;
  if (signal.ssi_signo == SIGHUP) {
    reload("SIGHUP");
  } else {
    hooks_.on_stop();
  }
}

}  // namespace thalweg::gateway
