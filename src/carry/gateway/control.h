// Control: the one thread that learns, probes, runs engines, watches the configuration and publishes what is in force.
// Shards get immutable snapshots posted; nothing here is on a request's way.
#pragma once

#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "carry/engine/engine.h"
#include "carry/engine/residency.h"
#include "carry/gateway/probe.h"
#include "carry/gateway/snapshot.h"
#include "carry/gateway/worker.h"
#include "carry/upstream/key_command.h"

namespace thalweg::gateway {

inline constexpr Duration kPublishPeriod = 100ms;

/// From here on SIGHUP, SIGTERM and SIGINT wait for the control thread. Before any thread is started: they inherit it.
void hold_signals();

class Control final : private net::TimerOwner {
 public:
  /// `accept` says whether new settings may come into force beside those at the start (listening, keys); its error
  /// refuses the reload. `on_reload` is called after one has come into force.
  struct Hooks {
    std::function<Result<void>(const config::Settings&)> accept;
    std::function<void()> on_reload;
    std::function<void()> on_stop;  // SIGTERM or SIGINT
  };

  Control(Common& common, std::vector<Worker*> workers, std::filesystem::path file, Hooks hooks);
  ~Control();

  /// Brings the first settings into force and starts what they need. kIo when an engine cannot be started.
  Result<void> begin(config::Settings settings);
  /// Starts the thread: probes, learning, signals and the watch on the file.
  void run();
  void stop();
  /// From any thread.
  void observe(std::vector<placement::Observation> observations, std::uint64_t fleet_number);
  void want(EndpointIndex endpoint, std::uint64_t fleet_number);
  void keep(EndpointIndex endpoint, std::uint64_t fleet_number, Duration idle);

 private:
  struct Engine {
    std::shared_ptr<engine::Supervisor> supervisor;
    engine::Options options;
    std::uint64_t generation = 0;
    std::shared_ptr<EngineFigures> figures = std::make_shared<EngineFigures>();
  };
  using Engines = std::map<std::string, std::shared_ptr<Engine>, std::less<>>;
  // An engine that no configuration names any more: it stops once nothing runs there and every shard knows.
  struct Retired {
    std::shared_ptr<engine::Supervisor> supervisor;
    std::shared_ptr<fleet::SlotCounter> slots;
    int ticks_left = 5;
  };
  // What would come into force; nothing in force is touched until all of it is there.
  struct Prepared {
    std::shared_ptr<Snapshot> snapshot;
    Engines engines;
  };
  // Calls one of our functions when a descriptor has something to read.
  struct Ear final : net::Loop::Watcher {
    using Heard = void (Control::*)();
    Ear(Control& its_control, Heard what) : control(its_control), heard(what) {}
    void on_events(std::uint32_t) override { (control.*heard)(); }
    Control& control;
    Heard heard;
    net::Socket source;
  };
  // Tells two contents of the file apart, whatever the way by which one replaced the other.
  struct FileMark {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t changed_s = 0, changed_ns = 0;
    friend bool operator==(const FileMark&, const FileMark&) = default;
  };
  FileMark mark_of_file() const;
  struct Watched {  // an endpoint's probing
    std::unique_ptr<Probe> probe;
    Instant next{};
    bool props_known = false;
    bool warned = false;  // of a refused key
    bool missed = false;  // of a model that is not listed
  };

  void on_timer(std::uint32_t tag) override;
  Result<Prepared> prepare(config::Settings settings);
  Result<std::shared_ptr<Engine>> prepare_engine(const fleet::Endpoint& endpoint, const config::EngineSettings& wanted);
  Result<void> put_in_force(config::Settings settings);
  void tick();
  // control_engines.cpp
  void adopt_engines();
  void tend_engines(Instant now);
  void show_residence(std::size_t resident);
  // control_keys.cpp
  void adopt_keys();
  void tend_keys(Instant now);
  void publish_key(EndpointIndex endpoint, const std::string& key);
  void probe_due(Instant now);
  void on_finding(EndpointIndex endpoint, ProbeKind kind, Probe::Finding finding);
  void on_props(EndpointIndex endpoint, const Probe::Finding& finding);
  void on_engine(const std::string& name, std::uint64_t generation, engine::State state, const std::string& detail);
  void reload(std::string_view why);
  void watch_file();
  void follow_links();
  void on_file_event();
  void on_signal();
  EndpointIndex index_of(std::string_view endpoint) const;

  Common& common_;
  std::vector<Worker*> workers_;
  std::filesystem::path file_;
  FileMark mark_;                        // of what was read last
  std::filesystem::path linked_folder_;  // where the file lies, when it is reached through a link
  Hooks hooks_;
  net::Shard shard_;
  upstream::Door door_;
  RequestIds ids_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::unique_ptr<placement::Learner> learner_;
  fleet::Conditions conditions_;
  std::vector<Watched> watched_;
  Engines engines_;
  engine::Residency residency_;
  std::vector<EndpointIndex> residents_;  // the endpoint of each engine there
  std::map<std::string, std::unique_ptr<upstream::KeyKeeper>, std::less<>> keepers_;  // by endpoint
  std::vector<Retired> retired_;
  std::vector<std::future<void>> endings_;  // of engines: each takes its time
  std::uint64_t next_generation_ = 1;
  net::Timer publish_timer_;
  net::Timer reload_timer_;
  Ear signals_{*this, &Control::on_signal};
  Ear file_events_{*this, &Control::on_file_event};
};

}  // namespace thalweg::gateway
