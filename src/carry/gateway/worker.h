// A worker is what one shard needs to serve: its door to endpoints, its numbers, its view of what is in force. Touched
// by the shard's thread alone, except where said.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/id.h"
#include "carry/gateway/retry_budget.h"
#include "carry/gateway/snapshot.h"
#include "carry/net/byte_budget.h"
#include "carry/net/shard.h"
#include "carry/net/tls.h"
#include "carry/telemetry/access_log.h"
#include "carry/telemetry/metrics.h"
#include "carry/upstream/dispatch.h"
#include "decide/placement/learn.h"
#include "decide/placement/place.h"

namespace thalweg::gateway {

class Connection;
class Exchange;
class Worker;

/// What all shards share. Atomics and things that are safe to call from any thread.
struct Common {
  explicit Common(std::uint64_t byte_limit) : bytes(byte_limit) {}
  net::ByteBudget bytes;
  alignas(64) std::atomic<std::uint32_t> streams{0};  // requests running or waiting
  alignas(64) std::atomic<std::uint32_t> connections{0};
  bool log_on = true;  // set before the shards run
  std::atomic<bool> draining{false};
  std::atomic<bool> ready{false};
  RetryBudget retries;
  std::function<void(std::vector<placement::Observation>, std::uint64_t fleet_number)> observe;
  std::function<void(EndpointIndex, std::uint64_t fleet_number)> want;  // a request waits for its model
  /// How long a caller wants an engine's model to stay; zero: not at all.
  std::function<void(EndpointIndex, std::uint64_t fleet_number, Duration)> keep;
  std::function<std::string(Worker&)> render_metrics;
  std::atomic<std::uint64_t> reloads{0};
  std::atomic<std::uint64_t> failed_reloads{0};
};

class Worker final : private net::TimerOwner {
 public:
  Worker(std::uint32_t index, Common& common);
  ~Worker();

  // From any thread: posted to the shard.
  void adopt(const std::shared_ptr<const Snapshot>& snapshot);
  void adopt(std::shared_ptr<const PublishedConditions> conditions);
  /// The key of an endpoint of that fleet from now on.
  void adopt_key(std::uint64_t fleet_number, EndpointIndex endpoint, std::string key);
  void drain(Duration limit);
  /// Closes what is left.
  void shut();

  // On the shard's thread.
  void open(net::Socket socket);
  void closed(Connection& connection);
  void observe(const placement::Observation& observation, std::uint64_t fleet_number);
  /// Asked at admission, so that settlement never waits for the log.
  bool log_has_room() const { return !common.log_on || log.has_room(promised_lines); }
  void write_line(const telemetry::AccessLine& line);
  void wait(Exchange& exchange);  // into the waiting line
  void stop_waiting(Exchange& exchange);
  void slot_came_free();
  const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
  const fleet::Conditions* conditions() const;
  /// What new connections speak; null: in clear.
  const net::TlsServerContext* tls() const { return tls_.get(); }

  net::Shard shard;
  Common& common;
  upstream::Door door;
  telemetry::ShardMetrics metrics;
  telemetry::LogRing log;
  std::uint32_t promised_lines = 0;
  placement::Scratch scratch;
  RequestIds ids;
  RetryRefill refill;
  bool draining = false;
  Instant drain_deadline{};

 private:
  void on_timer(std::uint32_t tag) override;
  void flush_observations();

  std::shared_ptr<const Snapshot> snapshot_;
  std::unique_ptr<net::TlsServerContext> tls_;
  std::shared_ptr<const PublishedConditions> conditions_;
  fleet::Conditions nothing_known_;  // while conditions of the newest fleet have not come
  std::list<std::shared_ptr<Connection>> connections_;
  std::list<Exchange*> waiting_;
  std::vector<placement::Observation> observations_;
  net::Timer observation_timer_;
  bool waking_ = false;
  bool wake_again_ = false;
};

}  // namespace thalweg::gateway
