#include "decide/placement/permit.h"

#include "base/result.h"

namespace thalweg::placement {

Permit::Permit(const Decision& decision, budget::Reservation&& reservation, fleet::Slot&& slot)
    : request_(decision.request()),
      attempt_(decision.attempt()),
      target_(decision.target()),
      obligations_(decision.obligations()),
      timeouts_(decision.timeouts()),
      fleet_number_(decision.fleet_number()),
      deadline_(decision.asked_at() + kPermitLifetime),
      reservation_(std::move(reservation)),
      slot_(std::move(slot)) {}

Permit grant(const Decision& decision, budget::Reservation&& reservation, fleet::Slot&& slot) {
  THALWEG_CHECK(decision.outcome() == Outcome::kRun);
  THALWEG_CHECK(slot.holds());
  THALWEG_CHECK(slot.endpoint() == decision.target().endpoint);
  return Permit(decision, std::move(reservation), std::move(slot));
}

}  // namespace thalweg::placement
