// An amount is reserved once and settled once.
// must fail: use of deleted function .*Reservation\(const
#include <utility>

#include "decide/budget/reservation.h"

namespace thalweg::budget {
Reservation try_it(Reservation& reservation) {
#ifdef ALLOWED
  return std::move(reservation);
#else
  return reservation;
#endif
}
}  // namespace thalweg::budget
