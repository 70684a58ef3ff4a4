// The inside of World::take, apart from the world so that each file stays readable.
#pragma once

#include "decide/flight/flight_explore_world_test.h"

namespace thalweg::flight {

constexpr std::uint8_t bit_of(Timer timer) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(timer));
}

inline std::optional<Violation> broken(Check check, const char* what) {
  return Violation{check, what};
}

/// One step at work: what happens outside, what the flight makes of it, and whether each of its actions is allowed.
class World::Turn {
 public:
  Turn(World& world, const Bounds& bounds, std::uint8_t lane)
      : world_(world),
        bounds_(bounds),
        lane_(world.lanes_[lane]),
        driver_(lane_.driver),
        delivery_(bounds.flights[lane]) {}

  std::optional<Violation> take(Step step, Play play);
  /// Changes the outside; the event, if the flight is told of it.
  std::optional<Event> begin(Step step);

 private:
  Event begin_frame(Frame frame);
  bool end_attempt();
  void drop_permit();
  std::uint8_t free_slot() const;
  /// What the event says of the attempt, if it fails it.
  std::optional<Failure> failure_told() const;
  std::optional<Violation> perform(const Action& action);
  std::optional<Violation> ask(const Action& action);
  std::optional<Violation> dispatch(const Action& action);
  std::optional<Violation> emit(std::uint8_t slot);
  std::optional<Violation> complete(const Action& action);
  std::optional<Violation> fail(const Action& action);
  std::optional<Violation> settle(Ending ending);

  World& world_;
  const Bounds& bounds_;
  Lane& lane_;
  Lane::Driver& driver_;
  inference::Delivery delivery_;
  Event event_;
  bool charged_twice_ = false;
};

}  // namespace thalweg::flight
