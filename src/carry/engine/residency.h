// Which engines have their models loaded: those that requests want, in the order in which they wanted them, within a
// budget of memory. Decides only; whoever calls it starts and ends the children. Reads no clock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace thalweg::engine {

/// A model stays at least this long once it is loaded, so that those who waited for it come to run.
inline constexpr Duration kLeastStay = 2s;
/// A want is forgotten when nobody repeated it for so long: whoever waited has left.
inline constexpr Duration kWantLasts = 1s;
/// When the oldest want has waited so long for others to be idle, the least recently used takes no more requests and is
/// unloaded when those that run there have ended.
inline constexpr Duration kWaitForIdle = 5s;
/// A model that could not be loaded is not tried again for so long, doubled each time up to the longest.
inline constexpr Duration kFirstLoadRest = 5s;
inline constexpr Duration kLongestLoadRest = 300s;

/// What the configuration says of one engine.
struct Resident {
  std::string name;
  std::uint64_t generation = 0;  // another child's number is another engine
  std::uint64_t memory = 0;      // bytes that it takes when loaded: an estimate, until it was measured
  bool on_demand = false;        // else it is loaded from the start, and never unloaded
  bool pinned = false;           // once loaded, never unloaded
  Duration unload_after = 300s;  // without requests
  friend bool operator==(const Resident&, const Resident&) = default;
};

enum class Residence : std::uint8_t {
  kUnloaded,  // takes no memory
  kLoading,
  kLoaded,
  kClosing,  // takes no new requests; is unloaded once none runs there
  kEnding,   // its child has been told to end
  kResting,  // could not be loaded; takes no memory
};

class Residency {
 public:
  /// What to do, in order.
  struct Order {
    enum class Kind : std::uint8_t { kLoad, kUnload, kChanged };  // kChanged: only its residence is another
    Kind kind = Kind::kChanged;
    std::size_t engine = 0;
    friend bool operator==(const Order&, const Order&) = default;
  };

  /// The engines from now on and the memory for all; those of the same name and generation stay as they are. Engines
  /// that are not loaded on demand count as loading.
  void adopt(std::vector<Resident> residents, std::uint64_t budget);

  // What happened; `engine` is its index in what was adopted last.
  void want(std::size_t engine, Instant now);
  void used(std::size_t engine, Instant now);
  /// How long it shall stay without requests, until it is unloaded: a caller's wish. Zero: not at all. Nothing for one
  /// that never is.
  void keep(std::size_t engine, Duration idle);
  /// It is ready; `memory` bytes were measured, 0: they could not be.
  void loaded(std::size_t engine, std::uint64_t memory, Instant now);
  /// Its child is gone for good.
  void unloaded(std::size_t engine);
  /// It could not be loaded. Its child is told to end.
  void failed(std::size_t engine, Instant now);

  /// `busy[i]`: requests run there now. Orders are appended.
  void tick(Instant now, const std::vector<bool>& busy, std::vector<Order>& orders);

  Residence residence(std::size_t engine) const { return engines_[engine].residence; }
  std::size_t size() const { return engines_.size(); }
  /// Its index, or size().
  std::size_t find(std::string_view name) const;
  /// Of all that are not unloaded.
  std::uint64_t memory_used() const;

 private:
  struct Engine {
    Resident rules;
    Residence residence = Residence::kUnloaded;
    std::uint64_t measured = 0;
    Instant wanted_since{};  // none: the least instant
    Instant wanted_last{};
    Instant loaded_at{};
    Instant used_at{};
    Instant rests_until{};
    Duration rest = kFirstLoadRest;
    std::optional<Duration> kept;  // instead of the rule
    bool wanted = false;
    bool failed = false;
    std::uint64_t memory() const { return measured != 0 ? measured : rules.memory; }
    bool takes_memory() const { return residence != Residence::kUnloaded && residence != Residence::kResting; }
    Duration idle_limit() const {
      return kept == Duration::zero() ? Duration::zero() : std::max(kept.value_or(rules.unload_after), kLeastStay);
    }
    bool may_leave() const { return rules.on_demand && !rules.pinned; }
  };

  void unload_idle(Instant now, const std::vector<bool>& busy, std::vector<Order>& orders);
  void load_wanted(Instant now, const std::vector<bool>& busy, std::vector<Order>& orders);
  /// Closes the least recently used until so many bytes come free, or none where that many cannot.
  void make_room(std::uint64_t bytes, bool busy_too, Instant now, const std::vector<bool>& busy,
                 std::vector<Order>& orders);
  void load(std::size_t engine, std::vector<Order>& orders);
  void close(std::size_t engine, std::vector<Order>& orders);

  std::vector<Engine> engines_;
  std::uint64_t budget_ = 0;
};

}  // namespace thalweg::engine
