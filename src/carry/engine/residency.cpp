#include "carry/engine/residency.h"

#include <algorithm>
#include <utility>

namespace thalweg::engine {

void Residency::adopt(std::vector<Resident> residents, std::uint64_t budget) {
  std::vector<Engine> engines;
  for (Resident& resident : residents) {
    Engine& engine = engines.emplace_back();
    const std::size_t old = find(resident.name);
    if (old != engines_.size() && engines_[old].rules.generation == resident.generation) {
      engine = engines_[old];
      if (!resident.on_demand && engine.residence == Residence::kClosing) engine.residence = Residence::kLoaded;
    } else if (!resident.on_demand) {
      engine.residence = Residence::kLoading;
    }
    engine.rules = std::move(resident);
  }
  engines_ = std::move(engines);
  budget_ = budget;
}

std::size_t Residency::find(std::string_view name) const {
  const auto found = std::ranges::find_if(engines_, [&](const Engine& engine) { return engine.rules.name == name; });
  return static_cast<std::size_t>(found - engines_.begin());
}

std::uint64_t Residency::memory_used() const {
  std::uint64_t sum = 0;
  for (const Engine& engine : engines_) {
    if (engine.takes_memory()) sum += engine.memory();
  }
  return sum;
}

void Residency::want(std::size_t index, Instant now) {
  Engine& engine = engines_[index];
  if (!std::exchange(engine.wanted, true)) engine.wanted_since = now;
  engine.wanted_last = now;
}

void Residency::used(std::size_t index, Instant now) {
  engines_[index].used_at = now;
}

void Residency::keep(std::size_t index, Duration idle) {
  engines_[index].kept = idle;
}

void Residency::loaded(std::size_t index, std::uint64_t memory, Instant now) {
  Engine& engine = engines_[index];
  engine.measured = memory;
  engine.wanted = engine.failed = false;
  engine.rest = kFirstLoadRest;
  // One that came up again after a crash keeps its place; one that is to end stays so.
  if (engine.residence == Residence::kLoading) {
    engine.residence = Residence::kLoaded;
    engine.loaded_at = engine.used_at = now;
  }
}

void Residency::unloaded(std::size_t index) {
  Engine& engine = engines_[index];
  if (engine.residence != Residence::kEnding) return;
  engine.residence = engine.failed ? Residence::kResting : Residence::kUnloaded;
  engine.kept.reset();
}

void Residency::failed(std::size_t index, Instant now) {
  Engine& engine = engines_[index];
  engine.residence = Residence::kEnding;
  engine.failed = true;
  engine.wanted = false;
  engine.rests_until = now + engine.rest;
  engine.rest = std::min(engine.rest * 2, kLongestLoadRest);
}

void Residency::tick(Instant now, const std::vector<bool>& busy, std::vector<Order>& orders) {
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    Engine& engine = engines_[i];
    if (busy[i]) engine.used_at = now;
    if (engine.wanted && now - engine.wanted_last > kWantLasts) engine.wanted = false;
    if (engine.residence == Residence::kResting && (now >= engine.rests_until || !engine.rules.on_demand)) {
      engine.residence = Residence::kUnloaded;
      engine.failed = false;
      orders.push_back({Order::Kind::kChanged, i});
    }
    if (engine.residence == Residence::kUnloaded && !engine.rules.on_demand) load(i, orders);  // a new rule
    // It was closed a tick ago at least: whoever took a slot before is seen by now.
    if (engine.residence == Residence::kClosing && !busy[i]) {
      engine.residence = Residence::kEnding;
      orders.push_back({Order::Kind::kUnload, i});
    }
  }
  unload_idle(now, busy, orders);
  load_wanted(now, busy, orders);
}

void Residency::load(std::size_t index, std::vector<Order>& orders) {
  engines_[index].residence = Residence::kLoading;
  orders.push_back({Order::Kind::kLoad, index});
}

void Residency::close(std::size_t index, std::vector<Order>& orders) {
  engines_[index].residence = Residence::kClosing;
  orders.push_back({Order::Kind::kChanged, index});
}

void Residency::unload_idle(Instant now, const std::vector<bool>& busy, std::vector<Order>& orders) {
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    const Engine& engine = engines_[i];
    if (engine.residence == Residence::kLoaded && engine.may_leave() && !busy[i] &&
        now - engine.used_at >= engine.idle_limit()) {
      close(i, orders);
    }
  }
}

// One after the other: a large model would never get its room if small ones went before it.
void Residency::load_wanted(Instant now, const std::vector<bool>& busy, std::vector<Order>& orders) {
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    const bool runs = engines_[i].residence == Residence::kLoading || engines_[i].residence == Residence::kLoaded;
    if (engines_[i].wanted && !runs && engines_[i].residence != Residence::kResting) wanted.push_back(i);
  }
  std::ranges::stable_sort(wanted, {}, [this](std::size_t i) { return engines_[i].wanted_since; });
  for (const std::size_t i : wanted) {
    Engine& engine = engines_[i];
    if (engine.takes_memory()) return;  // it is about to end, and comes back then
    const std::uint64_t used = memory_used();
    // What is larger than all the memory is loaded alone.
    if (used != 0 && used + engine.memory() > budget_) {
      make_room(used + engine.memory() - budget_, now - engine.wanted_since >= kWaitForIdle, now, busy, orders);
      return;
    }
    load(i, orders);
  }
}

void Residency::make_room(std::uint64_t bytes, bool busy_too, Instant now, const std::vector<bool>& busy,
                          std::vector<Order>& orders) {
  std::uint64_t coming = 0;  // of those that end already
  std::vector<std::size_t> victims;
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    const Engine& engine = engines_[i];
    if (engine.residence == Residence::kClosing || engine.residence == Residence::kEnding) coming += engine.memory();
    const bool stayed = now - engine.loaded_at >= kLeastStay;
    if (engine.residence == Residence::kLoaded && engine.may_leave() && stayed && (busy_too || !busy[i]))
      victims.push_back(i);
  }
  std::ranges::stable_sort(victims, {}, [&](std::size_t i) { return std::pair(busy[i], engines_[i].used_at); });
  std::uint64_t free = coming;
  std::size_t count = 0;
  while (free < bytes && count < victims.size()) free += engines_[victims[count++]].memory();
  const bool alone = count == victims.size() && memory_used() == free;  // nothing else would be left
  if (free < bytes && !alone) return;
  for (std::size_t i = 0; i < count; ++i) close(victims[i], orders);
}

}  // namespace thalweg::engine
