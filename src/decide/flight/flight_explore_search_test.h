// The search: every order of steps from the start to the end, equal worlds merged, and long random walks where that is
// too much.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "decide/flight/flight_explore_world_test.h"

namespace thalweg::flight {

struct Found {
  std::size_t states = 0;
  std::size_t transitions = 0;
  std::array<std::size_t, 4> endings{};  // of flights in worlds where all have ended, by Ending
  std::optional<Violation> violation;
  std::string trace;  // the shortest way to the violation, a line a step
};

/// Breadth first, so that the first violation has the shortest trace; stops there. Without one, checks at last that
/// every world can still come to an end without the client leaving and without the limits on the whole time.
Found explore(const Bounds& bounds, Play play = play_right);

/// One walk from the start to the end: mostly answers and frames, seldom the end of everything.
Found walk(const Bounds& bounds, std::uint64_t seed, Play play = play_right);

/// "endings=5 (complete 1, failed 2, truncated 1, client_gone 1)".
std::string endings_of(const Found& found);

}  // namespace thalweg::flight
