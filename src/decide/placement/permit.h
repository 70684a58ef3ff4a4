// No permit, no dispatch: a Permit is the only thing that opens the door to an endpoint, and `grant` is its only
// source.
#pragma once

#include <cstdint>
#include <utility>

#include "base/id.h"
#include "base/units.h"
#include "decide/budget/reservation.h"
#include "decide/fleet/slots.h"
#include "decide/placement/place.h"

namespace thalweg::placement {

inline constexpr Duration kPermitLifetime = 5s;

/// Move-only, used once. Holds the slot and the reservation until the attempt ends. One that was moved from has
/// expired, so `dispatch` refuses it.
class Permit {
 public:
  Permit(Permit&&) = default;
  Permit& operator=(Permit&&) = default;
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;

  RequestId request() const { return request_; }
  std::uint8_t attempt() const { return attempt_; }
  fleet::Target target() const { return target_; }
  const Obligations& obligations() const { return obligations_; }
  const fleet::Timeouts& timeouts() const { return timeouts_; }
  std::uint64_t fleet_number() const { return fleet_number_; }
  Instant expires_at() const { return deadline_.at; }

 private:
  friend Permit grant(const Decision& decision, budget::Reservation&& reservation, fleet::Slot&& slot);

  // Leaves an instant behind that is long past.
  struct Deadline {
    Instant at;
    explicit Deadline(Instant instant) : at(instant) {}
    Deadline(Deadline&& other) noexcept : at(std::exchange(other.at, Instant::min())) {}
    Deadline& operator=(Deadline&& other) noexcept {
      at = std::exchange(other.at, Instant::min());
      return *this;
    }
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;
    ~Deadline() = default;
  };

  Permit(const Decision& decision, budget::Reservation&& reservation, fleet::Slot&& slot);
  RequestId request_;
  std::uint8_t attempt_;
  fleet::Target target_;
  Obligations obligations_;
  fleet::Timeouts timeouts_;
  std::uint64_t fleet_number_;
  Deadline deadline_;
  budget::Reservation reservation_;
  fleet::Slot slot_;
};

/// Turns a kRun decision and what it needs into the right to dispatch. Cannot fail; a decision that is not kRun or a
/// slot of another endpoint is a broken invariant and ends the process.
Permit grant(const Decision& decision, budget::Reservation&& reservation, fleet::Slot&& slot);

}  // namespace thalweg::placement
