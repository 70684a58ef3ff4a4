#include "decide/flight/flight_explore_search_test.h"

#include <algorithm>
#include <random>
#include <vector>

namespace thalweg::flight {

namespace {

constexpr std::uint32_t kNone = UINT32_MAX;

// All worlds seen, in the order in which they were found; equal ones once.
class Seen {
 public:
  Seen() : table_(1U << 16, kNone) {}

  struct Place {
    std::uint32_t index;
    bool fresh;
  };
  Place add(const World& world) {
    if (worlds_.size() * 2 >= table_.size()) grow();
    std::uint32_t& entry = find(world);
    if (entry != kNone) return {entry, false};
    entry = static_cast<std::uint32_t>(worlds_.size());
    worlds_.push_back(world);
    return {entry, true};
  }
  std::size_t size() const { return worlds_.size(); }
  const World& operator[](std::size_t i) const { return worlds_[i]; }

 private:
  std::uint32_t& find(const World& world) {
    std::size_t at = world.hash() & (table_.size() - 1);
    while (table_[at] != kNone && worlds_[table_[at]] != world) at = (at + 1) & (table_.size() - 1);
    return table_[at];
  }
  void grow() {
    table_.assign(table_.size() * 2, kNone);
    for (std::uint32_t i = 0; i < worlds_.size(); ++i) {
      std::size_t at = worlds_[i].hash() & (table_.size() - 1);
      while (table_[at] != kNone) at = (at + 1) & (table_.size() - 1);
      table_[at] = i;
    }
  }
  std::vector<World> worlds_;
  std::vector<std::uint32_t> table_;
};

// Where a world was reached from first.
struct Origin {
  std::uint32_t from = kNone;
  Step step;
};

std::vector<Step> way_to(const std::vector<Origin>& origins, std::uint32_t world) {
  std::vector<Step> way;
  for (; origins[world].from != kNone; world = origins[world].from) way.push_back(origins[world].step);
  std::reverse(way.begin(), way.end());
  return way;
}

std::string trace_of(const Bounds& bounds, const std::vector<Step>& way, const Violation& violation, Play play) {
  World world(bounds);
  std::string trace;
  for (const Step& step : way) {
    trace += "  " + world.words_of(bounds, step, play) + "\n";
    if (world.take(bounds, step, play)) break;
  }
  return trace + "  check " + std::to_string(static_cast<int>(violation.check)) + ": " + violation.what + "\n";
}

void count_endings(const World& world, std::size_t flights, Found& found) {
  for (std::size_t i = 0; i < flights; ++i) ++found.endings[static_cast<std::size_t>(world.lane(i).driver.ending)];
}

// Steps that end any flight at any time say nothing of whether it would have got on by itself.
bool gets_on(Step step) {
  return step.kind != Step::Kind::kClientGone &&
         !(step.kind == Step::Kind::kFire && (step.detail == static_cast<std::uint8_t>(Timer::kTotal) ||
                                              step.detail == static_cast<std::uint8_t>(Timer::kDrain)));
}

struct Edge {
  std::uint32_t from;
  std::uint32_t to;
};

// A world from which no end can be reached, or kNone: a search backwards from the ends.
std::uint32_t find_hopeless(const Seen& seen, std::vector<Edge>& edges) {
  std::sort(edges.begin(), edges.end(), [](Edge a, Edge b) { return a.to < b.to; });
  std::vector<bool> hopeful(seen.size(), false);
  std::vector<std::uint32_t> open;
  for (std::uint32_t i = 0; i < seen.size(); ++i) {
    if (!seen[i].over()) continue;
    hopeful[i] = true;
    open.push_back(i);
  }
  while (!open.empty()) {
    const std::uint32_t to = open.back();
    open.pop_back();
    auto edge =
        std::lower_bound(edges.begin(), edges.end(), to, [](Edge e, std::uint32_t value) { return e.to < value; });
    for (; edge != edges.end() && edge->to == to; ++edge) {
      if (hopeful[edge->from]) continue;
      hopeful[edge->from] = true;
      open.push_back(edge->from);
    }
  }
  const auto hopeless = std::find(hopeful.begin(), hopeful.end(), false);
  return hopeless == hopeful.end() ? kNone : static_cast<std::uint32_t>(hopeless - hopeful.begin());
}

}  // namespace

Found explore(const Bounds& bounds, Play play) {
  Found found;
  Seen seen;
  std::vector<Origin> origins;
  std::vector<Edge> edges;
  std::vector<Step> steps;
  const auto report = [&](const std::vector<Step>& way, const Violation& violation) {
    found.violation = violation;
    found.trace = trace_of(bounds, way, violation, play);
  };
  seen.add(World(bounds));
  origins.push_back({});
  for (std::uint32_t at = 0; at < seen.size() && !found.violation; ++at) {
    found.states = seen.size();
    if (const auto violation = seen[at].probe(play)) {
      report(way_to(origins, at), *violation);
      break;
    }
    if (seen[at].over()) count_endings(seen[at], bounds.flights.size(), found);
    seen[at].steps(bounds, steps);
    for (const Step& step : steps) {
      ++found.transitions;
      World next = seen[at];
      if (const auto violation = next.take(bounds, step, play)) {
        std::vector<Step> way = way_to(origins, at);
        way.push_back(step);
        report(way, *violation);
        break;
      }
      const auto [index, fresh] = seen.add(next);
      if (fresh) origins.push_back({at, step});
      // Many frames and failures lead to the same world: one edge is enough.
      const bool told = index == at || (!edges.empty() && edges.back().from == at && edges.back().to == index);
      if (gets_on(step) && !told) edges.push_back({at, index});
    }
  }
  if (found.violation) return found;
  if (const std::uint32_t hopeless = find_hopeless(seen, edges); hopeless != kNone) {
    report(way_to(origins, hopeless), {Check::kSettlesOnce, "no end can be reached from here"});
  }
  return found;
}

Found walk(const Bounds& bounds, std::uint64_t seed, Play play) {
  Found found;
  std::mt19937_64 random(seed);
  std::vector<Step> steps;
  std::vector<Step> way;
  World world(bounds);
  while (true) {
    std::optional<Violation> violation = world.probe(play);
    if (!violation) {
      world.steps(bounds, steps);
      if (steps.empty()) break;
      Step step = steps[random() % steps.size()];
      // Frames and answers come more often than ends, so that walks get long.
      const auto ends_early = [](Step s) {
        return s.kind == Step::Kind::kClientGone || s.kind == Step::Kind::kFire || s.kind == Step::Kind::kBreak ||
               s.kind == Step::Kind::kUpstreamEnd || s.kind == Step::Kind::kDeny || s.kind == Step::Kind::kDrain;
      };
      for (int again = 0; again < 3 && ends_early(step); ++again) step = steps[random() % steps.size()];
      ++found.transitions;
      way.push_back(step);
      violation = world.take(bounds, step, play);
    }
    if (violation) {
      found.violation = violation;
      found.trace = trace_of(bounds, way, *violation, play);
      return found;
    }
  }
  count_endings(world, bounds.flights.size(), found);
  return found;
}

std::string endings_of(const Found& found) {
  std::size_t total = 0;
  for (const std::size_t count : found.endings) total += count;
  std::string words = "endings=" + std::to_string(total) + " (";
  for (std::size_t i = 0; i < found.endings.size(); ++i) {
    words +=
        (i == 0 ? "" : ", ") + std::string(name_of(static_cast<Ending>(i))) + " " + std::to_string(found.endings[i]);
  }
  return words + ")";
}

}  // namespace thalweg::flight
