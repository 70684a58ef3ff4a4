#include "carry/gateway/worker.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <utility>

#include "carry/gateway/connection.h"
#include "carry/gateway/exchange.h"

namespace thalweg::gateway {

namespace {
// What limits.streams allows never meets the log's bound.
static_assert(config::kMaxStreams <= telemetry::kMaxPromisedLines);
constexpr std::size_t kWokenAtOnce = 8;
constexpr Duration kObservationPeriod = 50ms;  // conditions are published at most every 100 ms
}  // namespace

Worker::Worker(std::uint32_t index, Common& shared) : shard(index), common(shared), door(shard) {
  metrics.models.reserve(kMaxSeries);  // read by others while it grows: never moved
}

Worker::~Worker() {
  shard.stop();
}

void Worker::adopt(const std::shared_ptr<const Snapshot>& snapshot) {
  // A counter of its own: shards do not share the one that every request copies.
  auto own =
      std::shared_ptr<const Snapshot>(std::make_shared<std::shared_ptr<const Snapshot>>(snapshot), snapshot.get());
  shard.post([this, snapshot = std::move(own)]() mutable {
    flush_observations();  // they name endpoints of the fleet before
    std::vector<upstream::Destination> destinations;
    for (const EndpointRuntime& endpoint : snapshot->endpoints) destinations.push_back(endpoint.destination);
    if (const auto published = door.publish(snapshot->fleet().number, std::move(destinations)); !published) {
      // The control thread has opened the same files a moment ago.
      spdlog::error("shard {} keeps the configuration in force: {}", shard.index(), published.error().message);
      return;
    }
    if (!snapshot_ || snapshot_->settings.tls != snapshot->settings.tls) {
      const auto& tls = snapshot->settings.tls;
      // The configuration was checked with the same two texts.
      tls_ = tls ? net::TlsServerContext::make(*tls).value() : nullptr;
    }
    while (metrics.models.size() < snapshot->series.size()) {
      const SeriesName& name = snapshot->series[metrics.models.size()];
      auto series = std::make_unique<telemetry::ModelSeries>();
      series->endpoint = name.endpoint;
      series->place = name.place;
      series->model = name.model;
      series->provider = name.provider;
      series->operation = name.operation;
      metrics.models.push_back(std::move(series));
    }
    metrics.models_published.store(static_cast<std::uint32_t>(metrics.models.size()), std::memory_order_release);
    nothing_known_ = {};
    nothing_known_.endpoints.resize(snapshot->fleet().endpoints.size());
    for (std::size_t i = 0; i < nothing_known_.endpoints.size(); ++i) {
      nothing_known_.endpoints[i].models.resize(snapshot->fleet().endpoints[i].models.size());
    }
    snapshot_ = std::move(snapshot);
    slot_came_free();
  });
}

void Worker::adopt(std::shared_ptr<const PublishedConditions> conditions) {
  shard.post([this, conditions = std::move(conditions)]() mutable {
    conditions_ = std::move(conditions);
    slot_came_free();
  });
}

void Worker::adopt_key(std::uint64_t fleet_number, EndpointIndex endpoint, std::string key) {
  shard.post([this, fleet_number, endpoint, key = std::move(key)]() mutable {
    door.set_key(fleet_number, endpoint, std::move(key));
  });
}

const fleet::Conditions* Worker::conditions() const {
  if (conditions_ && snapshot_ && conditions_->fleet_number == snapshot_->fleet().number)
    return &conditions_->conditions;
  return &nothing_known_;
}

void Worker::open(net::Socket socket) {
  if (!snapshot_) {  // its first configuration could not be adopted; the log says why
    common.connections.fetch_sub(1, std::memory_order_relaxed);
    shard.connections.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  metrics.connections_opened.add();
  const auto connection = std::make_shared<Connection>(*this);
  connections_.push_front(connection);
  connection->start(std::move(socket), connections_.begin());
}

void Worker::closed(Connection& connection) {
  metrics.connections_closed.add();
  common.connections.fetch_sub(1, std::memory_order_relaxed);
  shard.connections.fetch_sub(1, std::memory_order_relaxed);
  connections_.erase(connection.where());
}

void Worker::drain(Duration limit) {
  shard.post([this, limit] {
    draining = true;
    drain_deadline = MonotonicClock::now() + limit;
    const auto all = connections_;
    for (const auto& connection : all) connection->drain(limit);
  });
}

void Worker::shut() {
  shard.post([this] {
    const auto all = connections_;
    for (const auto& connection : all) connection->close();
    door.close();
    observation_timer_.stop();
  });
}

void Worker::observe(const placement::Observation& observation, std::uint64_t fleet_number) {
  if (fleet_number != snapshot_->fleet().number) return;  // indices of another fleet
  observations_.push_back(observation);
  if (observation.sight != placement::Sight::kSuccess) {  // rare, and the sooner others know the better
    flush_observations();
    return;
  }
  if (!observation_timer_.running()) shard.timers().start(observation_timer_, kObservationPeriod, *this, 0);
}

void Worker::write_line(const telemetry::AccessLine& line) {
  if (!common.log_on) return;
  log.write(line);
  metrics.log_lines.add();
}

void Worker::on_timer(std::uint32_t) {
  flush_observations();
}

void Worker::flush_observations() {
  if (observations_.empty() || !common.observe || !snapshot_) return;
  common.observe(std::move(observations_), snapshot_->fleet().number);
  observations_.clear();
}

void Worker::wait(Exchange& exchange) {
  waiting_.push_back(&exchange);
}
void Worker::stop_waiting(Exchange& exchange) {
  waiting_.remove(&exchange);
}

void Worker::slot_came_free() {
  // The longest waiting are asked first, a few at a time; who still finds nothing keeps its place in the line.
  // One that is woken may end at once and come back here: then another round follows instead of a call inside the call.
  if (waiting_.empty()) return;
  wake_again_ = true;
  if (std::exchange(waking_, true)) return;
  while (std::exchange(wake_again_, false)) {
    std::array<Exchange*, kWokenAtOnce> first{};
    std::size_t count = 0;
    for (Exchange* exchange : waiting_) {
      if (count == first.size()) break;
      first[count++] = exchange;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (std::ranges::find(waiting_, first[i]) != waiting_.end()) first[i]->on_slot_free();
    }
  }
  waking_ = false;
}

}  // namespace thalweg::gateway
