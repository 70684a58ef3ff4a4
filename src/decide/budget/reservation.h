// A reservation is what a request may spend before it is dispatched. No budgets exist yet, so the empty reservation is
// the only value: it holds nothing and settles nothing.
#pragma once

namespace thalweg::budget {

/// Move-only: an amount is reserved once and settled once.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&&) = default;
  Reservation& operator=(Reservation&&) = default;
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
};

}  // namespace thalweg::budget
