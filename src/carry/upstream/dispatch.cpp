#include "carry/upstream/dispatch.h"

#include <fmt/format.h>

#include "carry/upstream/connection.h"

namespace thalweg::upstream {

std::string deployment_path(std::string_view model, std::string_view path) {
  return fmt::format("/deployments/{}{}", model, path);
}

Attempt::Attempt(placement::Permit permit, Body body, Door& door, AttemptSink& sink)
    : permit_(std::move(permit)), body_(body), door_(door), sink_(sink) {}

Attempt::~Attempt() {
  if (connection_) connection_->abandon();
}

void Attempt::pause() {
  paused_ = true;
}

void Attempt::resume() {
  if (!paused_) return;
  paused_ = false;
  if (connection_) connection_->resume();
}

void Attempt::let_finish() {
  if (!connection_) return;
  paused_ = false;
  const auto connection = std::move(connection_);
  connection->let_finish();
}

Door::Door(net::Shard& shard) : shard_(shard), buffer_(new char[kReadBuffer + http::kPadding]) {}
Door::~Door() {
  close();
}

void Door::close() {
  for (const auto& pool : pools_) {
    retire(*pool);
    const auto finishing = std::move(pool->finishing);
    for (const auto& connection : finishing) connection->close();
  }
}

// Connections that still carry an attempt close when it has ended.
void Door::retire(Pool& pool) {
  pool.retired = true;
  const auto idle = std::move(pool.idle);
  for (const auto& connection : idle) connection->close();
}

bool Door::admits(const placement::Permit& permit) const {
  return MonotonicClock::now() <= permit.expires_at() && permit.fleet_number() == fleet_number_;
}

std::string Door::key_field_of(const Pool& pool) {
  if (pool.key.empty() || pool.destination.credentials == Credentials::kAnthropic) return {};
  const bool bearer = pool.destination.credentials == Credentials::kBearer;
  return fmt::format("{}{}\r\n", bearer ? "Authorization: Bearer " : "api-key: ", pool.key);
}

void Door::set_key(std::uint64_t number, EndpointIndex endpoint, std::string key) {
  if (number != fleet_number_ || endpoint.value >= pools_.size()) return;
  Pool& pool = *pools_[endpoint.value];
  pool.key = std::move(key);
  pool.key_field = key_field_of(pool);
}

Result<void> Door::publish(std::uint64_t number, std::vector<Destination> destinations) {
  std::vector<std::shared_ptr<Pool>> pools;
  for (Destination& destination : destinations) {
    std::shared_ptr<Pool> pool;
    for (const auto& old : pools_) {
      if (old->destination == destination) pool = old;
    }
    if (!pool) {
      pool = std::make_shared<Pool>();
      if (destination.address.tls) {
        auto tls = net::TlsContext::make(destination.authorities, destination.identity);
        if (!tls) return std::unexpected(tls.error());
        pool->tls = std::move(*tls);
      }
      pool->destination = std::move(destination);
      pool->key = pool->destination.key;
      pool->fixed_fields = fmt::format("Host: {}\r\nUser-Agent: thalweg\r\n", pool->destination.host_header);
      pool->key_field = key_field_of(*pool);
    }
    pools.push_back(std::move(pool));
  }
  for (const auto& old : pools_) {
    bool kept = false;
    for (const auto& pool : pools) kept = kept || pool == old;
    if (!kept) retire(*old);
  }
  pools_ = std::move(pools);
  fleet_number_ = number;
  return {};
}

void Door::launch(Attempt& attempt, bool fresh) {
  const auto& pool = pools_[attempt.permit_.target().endpoint.value];
  std::shared_ptr<Connection> connection;
  if (!fresh && !pool->idle.empty()) {
    connection = std::move(pool->idle.back());
    pool->idle.pop_back();
  } else {
    connection = std::make_shared<Connection>(shard_, pool, buffer_);
  }
  attempt.connection_ = connection;
  connection->carry(attempt);
}

Result<std::unique_ptr<Attempt>> dispatch(placement::Permit&& permit, Body&& body, Door& door, AttemptSink& sink) {
  if (MonotonicClock::now() > permit.expires_at()) return fail(ErrorCode::kInternal, "the permit has expired");
  if (permit.fleet_number() != door.fleet_number_) {
    return fail(ErrorCode::kInternal, "the permit was made for another configuration than the one in force");
  }
  if (body.target_ != permit.target() || body.obligations_ != permit.obligations()) {
    return fail(ErrorCode::kInternal, "the body was not built under the permit's obligations");
  }
  THALWEG_CHECK(permit.target().endpoint.value < door.pools_.size());
  std::unique_ptr<Attempt> attempt(new Attempt(std::move(permit), body, door, sink));
  door.launch(*attempt, body.passing_ && body.passing_->once);
  return attempt;
}

}  // namespace thalweg::upstream
