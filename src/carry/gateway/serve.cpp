#include "carry/gateway/serve.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <memory>
#include <mutex>
#include <vector>

#include "carry/dialect/openai.h"
#include "carry/gateway/control.h"
#include "carry/gateway/worker.h"
#include "carry/net/gather.h"
#include "carry/net/listener.h"
#include "carry/telemetry/access_log.h"

namespace thalweg::gateway {

namespace {

std::string render_metrics(Worker& asked, std::span<const std::unique_ptr<Worker>> workers, const std::string& version,
                           Instant started) {
  std::vector<telemetry::ShardMetrics*> shards;
  for (const auto& worker : workers) shards.push_back(&worker->metrics);
  telemetry::ProcessFigures figures;
  figures.held_bytes = asked.common.bytes.held();
  figures.held_bytes_limit = asked.common.bytes.limit();
  figures.config_reloads = asked.common.reloads.load(std::memory_order_relaxed);
  figures.config_reload_failures = asked.common.failed_reloads.load(std::memory_order_relaxed);
  figures.version = version;
  figures.uptime = MonotonicClock::now() - started;
  const auto& snapshot = *asked.snapshot();
  const fleet::Conditions& conditions = *asked.conditions();
  figures.fleet_number = snapshot.fleet().number;
  for (std::size_t i = 0; i < snapshot.fleet().endpoints.size(); ++i) {
    const fleet::Endpoint& endpoint = snapshot.fleet().endpoints[i];
    const EndpointRuntime& runtime = snapshot.endpoints[i];
    figures.endpoints.push_back(
        {.name = endpoint.name,
         .place = snapshot.fleet().places[endpoint.place.value].name,
         .health = std::string(fleet::name_of(conditions.endpoints[i].health)),
         .running = runtime.slots->taken.load(std::memory_order_relaxed),
         .slots = endpoint.slots,
         .engine_restarts = runtime.engine ? runtime.engine->restarts.load(std::memory_order_relaxed) : 0,
         .engine_loads = runtime.engine ? runtime.engine->loads.load(std::memory_order_relaxed) : 0});
  }
  return telemetry::render_prometheus(shards, figures);
}

// Before a byte of it is read: there may be more connections waiting than this process can hold.
void refuse_connection(const net::Socket& socket, Worker& worker, std::uint32_t limit) {
  worker.metrics.overloaded.add();
  if (worker.tls() != nullptr) return;  // without a handshake nothing can be said
  const std::string body = dialect::error_body(
      {ErrorCode::kOverloaded,
       fmt::format("{} connections are open, the most that limits.connections allows; try again shortly", limit),
       {}});
  const std::string head = fmt::format(
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
      "Retry-After: 1\r\nConnection: close\r\n\r\n",
      body.size());
  const std::string_view slices[] = {head, body};
  net::send_gathered(socket.handle(), slices);
  ::shutdown(socket.handle(), SHUT_WR);
}

// Shells and service managers give 1,024 files by default, and far more to who asks. A client's connection may need one
// to an endpoint beside its own: the cap leaves room for both. Engines get their own limit.
std::uint32_t raise_file_limit(std::uint32_t wished_connections) {
  constexpr rlim_t kOwnFiles = 64;  // logs, engines, timers, probes
  constexpr rlim_t kFewestConnections = 16;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return wished_connections;
  files.rlim_cur = files.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &files);
  (void)::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur == RLIM_INFINITY) return wished_connections;
  const rlim_t pairs = files.rlim_cur > kOwnFiles ? (files.rlim_cur - kOwnFiles) / 2 : 0;
  const rlim_t most = std::max(pairs, kFewestConnections);
  if (most >= wished_connections) return wished_connections;
  spdlog::warn(
      "this process may open {} files: {} connections at a time instead of limits.connections = {}; a higher "
      "`ulimit -n` (LimitNOFILE= for a service) allows more",
      files.rlim_cur, most, wished_connections);
  return static_cast<std::uint32_t>(most);
}

}  // namespace

Result<void> check_listen(const config::Settings& settings, bool insecure_listen) {
  if (settings.listen.loopback) return {};
  if (settings.policy.keys.empty()) {
    return fail(ErrorCode::kConfig,
                fmt::format("listening on {} would let anyone on the network in: configure keys first "
                            "(`thalweg key new`), or listen on 127.0.0.1",
                            settings.listen.host));
  }
  if (!settings.tls && !insecure_listen) {
    return fail(ErrorCode::kConfig,
                fmt::format("listening on {} sends keys and prompts over the network in clear; configure `tls:`, "
                            "listen on 127.0.0.1, or accept the risk with --insecure-listen",
                            settings.listen.host));
  }
  return {};
}

int serve(const ServeOptions& options) {
  const Instant started = MonotonicClock::now();
  std::signal(SIGPIPE, SIG_IGN);
  hold_signals();
  spdlog::set_default_logger(spdlog::stderr_color_mt("thalweg"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");

  // The configuration, checked whole.
  auto settings = config::load(options.config);
  if (!settings) {
    fmt::print(stderr, "{}", config::render(settings.error(), options.config));
    return 2;
  }
  if (options.listen) {
    const auto listen = config::parse_listen(*options.listen);
    if (!listen) {
      fmt::print(stderr, "thalweg: --listen: {}\n", listen.error().message);
      return 2;
    }
    settings->listen = *listen;
  }
  if (const auto allowed = check_listen(*settings, options.insecure_listen); !allowed) {
    fmt::print(stderr, "thalweg: {}\n", allowed.error().message);
    return 2;
  }
  spdlog::set_level(spdlog::level::from_str(settings->log.level));
  const config::ListenAddress listen = settings->listen;
  config::Limits limits = settings->limits;
  limits.connections = raise_file_limit(limits.connections);
  const bool secure = settings->tls.has_value();
  const config::LogSettings log = settings->log;

  // Shards with their workers, and the thread that publishes what is in force.
  Common common(limits.held_bytes);
  common.log_on = log.access != config::AccessLog::kOff;
  const std::uint32_t count =
      settings->shards != 0 ? settings->shards : std::max(1U, std::thread::hardware_concurrency() / 2);
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<Worker*> worker_pointers;
  std::vector<net::Shard*> shards;
  std::vector<telemetry::LogRing*> rings;
  for (std::uint32_t i = 0; i < count; ++i) {
    workers.push_back(std::make_unique<Worker>(i, common));
    worker_pointers.push_back(workers.back().get());
    shards.push_back(&workers.back()->shard);
    rings.push_back(&workers.back()->log);
  }

  std::unique_ptr<telemetry::AccessLogWriter> writer;
  if (log.access != config::AccessLog::kOff) {
    auto opened = telemetry::AccessLogWriter::open(log.access == config::AccessLog::kFile
                                                       ? telemetry::AccessLogWriter::Sink::kFile
                                                       : telemetry::AccessLogWriter::Sink::kStderr,
                                                   log.access_file, rings);
    if (!opened) {
      fmt::print(stderr, "thalweg: {}\n", opened.error().message);
      return 1;
    }
    writer = std::move(*opened);
  }

  std::mutex mutex;
  std::condition_variable stopped;
  int stops = 0;
  Control control(common, worker_pointers, options.config,
                  {.accept = [&](const config::Settings& fresh) -> Result<void> {
                     if (fresh.listen.host != listen.host || fresh.listen.port != listen.port) {
                       if (!options.listen) spdlog::warn("`listen` takes effect at the next start");
                     }
                     config::Settings judged;
                     judged.listen = listen;
                     judged.tls = fresh.tls;
                     judged.policy = fresh.policy;
                     return check_listen(judged, options.insecure_listen);
                   },
                   .on_reload =
                       [&] {
                         if (writer) writer->reopen();
                       },
                   .on_stop =
                       [&] {
                         const std::lock_guard lock(mutex);
                         ++stops;
                         stopped.notify_all();
                       }});
  common.observe = [&](std::vector<placement::Observation> observations, std::uint64_t fleet_number) {
    control.observe(std::move(observations), fleet_number);
  };
  common.want = [&](EndpointIndex endpoint, std::uint64_t fleet_number) { control.want(endpoint, fleet_number); };
  common.keep = [&](EndpointIndex endpoint, std::uint64_t fleet_number, Duration idle) {
    control.keep(endpoint, fleet_number, idle);
  };
  common.render_metrics = [&](Worker& asked) { return render_metrics(asked, workers, options.version, started); };
  if (const auto begun = control.begin(std::move(*settings)); !begun) {
    fmt::print(stderr, "thalweg: {}\n", begun.error().message);
    return begun.error().code == ErrorCode::kConfig ? 2 : 1;
  }

  // The door opens.
  auto listener = net::Listener::open(listen.host, listen.port, shards, [&](net::Shard& shard, net::Socket socket) {
    if (common.connections.fetch_add(1, std::memory_order_relaxed) >= limits.connections || common.draining) {
      common.connections.fetch_sub(1, std::memory_order_relaxed);
      shard.connections.fetch_sub(1, std::memory_order_relaxed);
      refuse_connection(socket, *workers[shard.index()], limits.connections);
      return;
    }
    workers[shard.index()]->open(std::move(socket));
  });
  if (!listener) {
    fmt::print(stderr, "thalweg: {}\n", listener.error().message);
    return 1;
  }
  control.run();
  for (const auto& worker : workers) worker->shard.run();
  (*listener)->start();
  const bool v6 = listen.host.find(':') != std::string::npos;
  fmt::print("listening on {}://{}{}{}:{}\n", secure ? "https" : "http", v6 ? "[" : "", listen.host, v6 ? "]" : "",
             (*listener)->port());
  std::fflush(stdout);

  // Until told to stop; then running requests get their time. A second signal ends it at once.
  {
    std::unique_lock lock(mutex);
    stopped.wait(lock, [&] { return stops > 0; });
  }
  spdlog::info("stopping: running requests have {} s", limits.drain / 1s);
  (*listener)->close();
  common.draining = true;
  for (const auto& worker : workers) worker->drain(limits.drain);
  {
    constexpr Duration kGrace = 2s;  // for the last bytes after the drain limit has cut what was left
    std::unique_lock lock(mutex);
    const Instant deadline = MonotonicClock::now() + limits.drain + kGrace;
    while (stops < 2 && common.connections.load() != 0 && MonotonicClock::now() < deadline) {
      stopped.wait_for(lock, std::chrono::milliseconds(20));
    }
  }
  for (const auto& worker : workers) worker->shut();
  for (const auto& worker : workers) {
    std::unique_lock lock(mutex);
    bool done = false;
    worker->shard.post([&] {
      const std::lock_guard inner(mutex);
      done = true;
      stopped.notify_all();
    });
    stopped.wait(lock, [&] { return done; });
    lock.unlock();
    worker->shard.stop();
  }
  control.stop();
  writer.reset();
  spdlog::info("stopped");
  return 0;
}

}  // namespace thalweg::gateway
