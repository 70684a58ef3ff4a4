// Keys that a program gives: fetched here, and handed to every shard when they change.
#include "carry/gateway/control.h"

namespace thalweg::gateway {

// After the snapshot in force was posted: the shards know its endpoints by then.
void Control::adopt_keys() {
  decltype(keepers_) kept;
  for (std::size_t i = 0; i < snapshot_->endpoints.size(); ++i) {
    const auto& remote = snapshot_->settings.endpoints[i].remote;
    if (!remote || !remote->key_command.given()) continue;
    const std::string& name = snapshot_->fleet().endpoints[i].name;
    auto& keeper = kept[name];
    const auto old = keepers_.find(name);
    if (old != keepers_.end() && old->second->command() == remote->key_command) {
      keeper = std::move(old->second);
    } else {
      keeper = std::make_unique<upstream::KeyKeeper>(name, remote->key_command);
    }
    publish_key({static_cast<std::uint16_t>(i)}, keeper->key());
  }
  keepers_ = std::move(kept);
}

void Control::tend_keys(Instant now) {
  for (const auto& [name, keeper] : keepers_) {
    if (keeper->tick(now)) publish_key(index_of(name), keeper->key());
  }
}

// Without a key nothing is sent there: an answer of 401 would tell the caller nothing that it could mend.
void Control::publish_key(EndpointIndex endpoint, const std::string& key) {
  const std::uint64_t number = snapshot_->fleet().number;
  door_.set_key(number, endpoint, key);
  for (Worker* worker : workers_) worker->adopt_key(number, endpoint, key);
  learner_->observe(
      {.endpoint = endpoint, .sight = key.empty() ? placement::Sight::kUnusable : placement::Sight::kUsable},
      MonotonicClock::now());
}

}  // namespace thalweg::gateway
