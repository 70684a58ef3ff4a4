// Bugs put around a flight on purpose: each must be found by the check that is there for it. A check that finds none is
// no check.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <ostream>
#include <string>
#include <utility>

#include "decide/flight/flight_explore_search_test.h"
#include "decide/flight/flight_words_test.h"

namespace thalweg::flight {
namespace {

using inference::Delivery;
using Kind = Action::Kind;

template <class Predicate>
Actions without(const Actions& actions, Predicate drop) {
  Actions kept;
  for (const Action& action : actions) {
    if (!drop(action)) kept.add(action);
  }
  return kept;
}

Actions without(const Actions& actions, Kind kind) {
  return without(actions, [kind](const Action& action) { return action.kind == kind; });
}

template <class Change>
Actions changed(const Actions& actions, Change change) {
  Actions all;
  for (const Action& action : actions) change(all.add(action));
  return all;
}

bool has(const Actions& actions, Kind kind) {
  return std::any_of(actions.begin(), actions.end(), [kind](const Action& action) { return action.kind == kind; });
}

Actions plus(Actions actions, const Action& last) {
  actions.add(last);
  return actions;
}

// Ends the flight by force, so that a bug can say what it likes about the end.
Actions end_with(Flight& flight, std::initializer_list<Action> said) {
  flight.on({.kind = Event::Kind::kClientGone});
  Actions actions;
  for (const Action& action : said) actions.add(action);
  return actions;
}

// A fresh flight that asks, as if the old one had failed over.
Actions ask_anyway(Flight& flight, std::uint8_t attempt) {
  flight = Flight(Delivery::kStream);
  flight.on({.kind = Event::Kind::kStart});
  Actions actions;
  actions.add({.kind = Kind::kAsk, .attempt = attempt});
  return actions;
}

constexpr Action kMarkedComplete{.kind = Kind::kComplete, .slot = Action::kMarkMissing};
constexpr Action kSettleComplete{.kind = Kind::kSettle, .ending = Ending::kComplete};
constexpr Action kSettleFailed{.kind = Kind::kSettle, .ending = Ending::kFailed};

struct Bug {
  const char* name;
  Check finder;
  Play play;
  Delivery delivery = Delivery::kStream;
};

const Bug kBugs[] = {
    {"takes the end of the connection for the end of the answer", Check::kTruncatedIsNotComplete,
     [](Flight& flight, const Event& event) {
       Flight before = flight;
       const Actions right = flight.on(event);
       if (event.kind != Event::Kind::kUpstreamEnd || right.empty() || has(right, Kind::kComplete)) return right;
       return end_with(flight = before, {kMarkedComplete, kSettleComplete});
     }},
    {"takes the end mark for the finish reason", Check::kTruncatedIsNotComplete,
     [](Flight& flight, const Event& event) {
       Event taken = event;
       taken.facts.finish |= taken.facts.terminator;
       return flight.on(taken);
     }},
    {"delivers half of a whole answer", Check::kTruncatedIsNotComplete,
     [](Flight& flight, const Event& event) {
       Flight before = flight;
       const Actions right = flight.on(event);
       if (event.kind != Event::Kind::kUpstreamEnd || right.empty() || has(right, Kind::kDeliverWhole)) return right;
       return end_with(flight = before, {{.kind = Kind::kDeliverWhole}, kSettleComplete});
     },
     Delivery::kWhole},

    {"sends what a failed attempt held", Check::kOneAnswer,
     [](Flight& flight, const Event& event) {
       constexpr std::uint8_t kOutside = 99;
       Flight before = flight;
       Actions wrong;
       for (const Action& action : flight.on(event)) {
         if (action.kind != Kind::kDropHeld) {
           wrong.add(action);
           continue;
         }
         // What would be sent along with the next text is what is held.
         const Event text{.kind = Event::Kind::kFrame,
                          .attempt = before.attempt(),
                          .slot = kOutside,
                          .facts = facts_of(Frame::kText)};
         for (const Action& held : before.on(text)) {
           if (held.kind == Kind::kEmit && held.slot != kOutside) wrong.add(held);
         }
       }
       return wrong;
     }},
    {"keeps the frames of a failed attempt", Check::kOneAnswer,
     [](Flight& flight, const Event& event) { return without(flight.on(event), Kind::kDropHeld); }},
    {"sends held frames in another order", Check::kOneAnswer,
     [](Flight& flight, const Event& event) {
       const Actions right = flight.on(event);
       const Actions emits = without(right, [](const Action& a) { return a.kind != Kind::kEmit; });
       std::size_t next = emits.size();
       return changed(right, [&](Action& a) {
         if (a.kind == Kind::kEmit) a.slot = (emits.begin() + --next)->slot;
       });
     }},
    {"leaves a held frame out", Check::kOneAnswer,
     [](Flight& flight, const Event& event) {
       std::size_t emits = 0;
       const Actions right = flight.on(event);
       for (const Action& action : right) emits += action.kind == Kind::kEmit;
       bool dropped = emits < 2;
       return without(right,
                      [&dropped](const Action& a) { return a.kind == Kind::kEmit && !std::exchange(dropped, true); });
     }},
    {"sends a frame twice", Check::kOneAnswer,
     [](Flight& flight, const Event& event) {
       Actions wrong;
       for (const Action& action : flight.on(event)) {
         wrong.add(action);
         if (action.kind == Kind::kEmit) wrong.add(action);
       }
       return wrong;
     }},
    {"leaves the usage out that follows the finish", Check::kOneAnswer,
     [](Flight& flight, const Event& event) {
       const bool last = flight.saw_finish() && event.facts.usage && !event.facts.text;
       return last ? without(flight.on(event), Kind::kEmit) : flight.on(event);
     }},
    {"forgets the end mark", Check::kOneAnswer,
     [](Flight& flight, const Event& event) {
       return changed(flight.on(event), [](Action& a) { a.slot = a.kind == Kind::kComplete ? 0 : a.slot; });
     }},

    {"counts every attempt as the first", Check::kNothingChargedTwice,
     [](Flight& flight, const Event& event) { return changed(flight.on(event), [](Action& a) { a.attempt = 1; }); }},

    {"sends a frame that comes after the end", Check::kNothingAfterTheEnd,
     [](Flight& flight, const Event& event) {
       const bool late = flight.done() && event.kind == Event::Kind::kFrame;
       return late ? plus({}, {.kind = Kind::kEmit, .slot = event.slot}) : flight.on(event);
     }},
    {"fails after it has completed", Check::kNothingAfterTheEnd,
     [](Flight& flight, const Event& event) {
       Actions wrong;
       for (const Action& action : flight.on(event)) {
         wrong.add(action);
         if (action.kind == Kind::kComplete) wrong.add({.kind = Kind::kFail});
       }
       return wrong;
     }},
    {"settles twice", Check::kSettlesOnce,
     [](Flight& flight, const Event& event) {
       const Actions right = flight.on(event);
       return has(right, Kind::kSettle) ? plus(right, kSettleFailed) : right;
     }},
    {"never settles", Check::kSettlesOnce,
     [](Flight& flight, const Event& event) { return without(flight.on(event), Kind::kSettle); }},
    {"never limits the time to the first token", Check::kSettlesOnce,
     [](Flight& flight, const Event& event) {
       return without(flight.on(event),
                      [](const Action& a) { return a.kind == Kind::kStartTimer && a.timer == Timer::kFirstToken; });
     }},
    {"overlooks that its endpoint has stalled", Check::kSettlesOnce,
     [](Flight& flight, const Event& event) {
       return event.kind == Event::Kind::kTimer && event.timer == Timer::kGap ? Actions{} : flight.on(event);
     }},
    {"waits without a limit", Check::kSettlesOnce,
     [](Flight& flight, const Event& event) {
       return without(flight.on(event),
                      [](const Action& a) { return a.kind == Kind::kStartTimer && a.timer == Timer::kWait; });
     }},
    {"does not ask again after a failure", Check::kSettlesOnce,
     [](Flight& flight, const Event& event) {
       return without(flight.on(event), [](const Action& a) { return a.kind == Kind::kAsk && a.attempt > 1; });
     }},

    {"dispatches without asking", Check::kPermitted,
     [](Flight& flight, const Event& event) {
       return event.kind == Event::Kind::kStart ? plus(flight.on(event), {.kind = Kind::kDispatch, .attempt = 1})
                                                : flight.on(event);
     }},
    {"uses a permit twice", Check::kPermitted,
     [](Flight& flight, const Event& event) {
       const Actions right = flight.on(event);
       return has(right, Kind::kDispatch) ? plus(right, {.kind = Kind::kDispatch, .attempt = 2}) : right;
     }},
    {"asks twice", Check::kPermitted,
     [](Flight& flight, const Event& event) {
       const Actions right = flight.on(event);
       return has(right, Kind::kAsk) ? plus(right, {.kind = Kind::kAsk, .attempt = flight.attempt()}) : right;
     }},
    {"takes a permit and waits", Check::kPermitted,
     [](Flight& flight, const Event& event) {
       Event taken = event;
       if (event.kind == Event::Kind::kGranted) taken.kind = Event::Kind::kMustWait;
       return flight.on(taken);
     }},
    {"lets an attempt run on when the client leaves", Check::kPermitted,
     [](Flight& flight, const Event& event) {
       return event.kind == Event::Kind::kClientGone ? without(flight.on(event), Kind::kCancel) : flight.on(event);
     }},
    {"lets a silent attempt run on beside the next", Check::kPermitted,
     [](Flight& flight, const Event& event) {
       const Actions right = flight.on(event);
       return has(right, Kind::kAsk) ? without(right, Kind::kCancel) : right;
     }},
    {"lets an attempt run on that never says its end mark", Check::kPermitted,
     [](Flight& flight, const Event& event) {
       const bool tail = event.kind == Event::Kind::kTimer && event.timer == Timer::kTail;
       return tail ? without(flight.on(event), Kind::kCancel) : flight.on(event);
     }},

    {"fails over in the middle of an answer", Check::kFailover,
     [](Flight& flight, const Event& event) {
       const bool fails = event.kind == Event::Kind::kUpstreamError && event.attempt == flight.attempt();
       return !flight.done() && flight.committed() && fails ? ask_anyway(flight, 2) : flight.on(event);
     }},
    {"makes one attempt more than is allowed", Check::kFailover,
     [](Flight& flight, const Event& event) {
       const bool last = flight.attempt() == placement::kMaxAttempts && !flight.committed();
       const Actions right = flight.on(event);
       return last && event.kind == Event::Kind::kUpstreamError && !right.empty()
                  ? ask_anyway(flight, placement::kMaxAttempts + 1)
                  : right;
     }},

    {"tries elsewhere what the caller did wrong", Check::kFailover,
     [](Flight& flight, const Event& event) {
       Event taken = event;
       if (event.failure == Failure::kRefused) taken.failure = Failure::kUnfit;
       return flight.on(taken);
     }},

    {"reads on while the client takes nothing", Check::kBackPressure,
     [](Flight& flight, const Event& event) { return without(flight.on(event), Kind::kPauseReading); }},
    {"never reads on", Check::kBackPressure,
     [](Flight& flight, const Event& event) { return without(flight.on(event), Kind::kResumeReading); }},
    {"blames the endpoint for the client's slowness", Check::kBackPressure,
     [](Flight& flight, const Event& event) {
       return event.kind == Event::Kind::kClientBlocked ? without(flight.on(event), Kind::kStopTimer)
                                                        : flight.on(event);
     }},
    {"waits for a blocked client for ever", Check::kBackPressure,
     [](Flight& flight, const Event& event) {
       return without(flight.on(event),
                      [](const Action& a) { return a.kind == Kind::kStartTimer && a.timer == Timer::kClientWrite; });
     }},

    {"ends without a word", Check::kOneEnding,
     [](Flight& flight, const Event& event) { return without(flight.on(event), Kind::kFail); }},
    {"books a client that left as an answer", Check::kOneEnding,
     [](Flight& flight, const Event& event) {
       return changed(flight.on(event),
                      [](Action& a) { a.ending = a.ending == Ending::kClientGone ? Ending::kComplete : a.ending; });
     }},
    {"books a truncated answer as one that never began", Check::kOneEnding,
     [](Flight& flight, const Event& event) {
       return changed(flight.on(event),
                      [](Action& a) { a.ending = a.ending == Ending::kTruncated ? Ending::kFailed : a.ending; });
     }},
    {"streams to a client that wants the whole", Check::kOneEnding,
     [](Flight& flight, const Event& event) {
       return changed(flight.on(event),
                      [](Action& a) { a.kind = a.kind == Kind::kDeliverWhole ? Kind::kComplete : a.kind; });
     },
     Delivery::kWhole},
    {"blames the wrong error on an attempt", Check::kOneEnding,
     [](Flight& flight, const Event& event) {
       return changed(flight.on(event), [](Action& a) { a.error = a.from_attempt ? ErrorCode::kInternal : a.error; });
     }},

    {"throws an answer away that lacks its end mark", Check::kNothingThrownAway,
     [](Flight& flight, const Event& event) {
       const bool tail = !flight.done() && event.kind == Event::Kind::kTimer && event.timer == Timer::kTail;
       if (!tail || !flight.saw_finish()) return flight.on(event);
       return end_with(flight, {{.kind = Kind::kCancel, .attempt = flight.attempt()},
                                {.kind = Kind::kFail},
                                {.kind = Kind::kSettle, .ending = Ending::kTruncated}});
     }},

    {"gives up at the first failure", Check::kNothingThrownAway,
     [](Flight& flight, const Event& event) {
       Event taken = event;
       if (event.failure == Failure::kCut) taken.failure = Failure::kRefused;
       return flight.on(taken);
     }},

    {"listens to an attempt that is over", Check::kLateIsIgnored,
     [](Flight& flight, const Event& event) {
       Event taken = event;
       taken.attempt = flight.attempt();
       return flight.on(taken);
     }},
    {"starts anew when it is told to start again", Check::kLateIsIgnored,
     [](Flight& flight, const Event& event) {
       const bool again = event.kind == Event::Kind::kStart && !flight.done() && flight.attempt() > 0;
       if (again) flight = Flight(Delivery::kStream);
       return again ? Actions{} : flight.on(event);
     }},
};

Bounds bounds_for(Delivery delivery) {
  return {.name = "seeded bug",
          .flights = {delivery},
          .frames = {Frame::kRole, Frame::kText, Frame::kFinish, Frame::kUsage, Frame::kMark, Frame::kError},
          .failures = {Failure::kNotSent, Failure::kCut, Failure::kRefused}};
}

void PrintTo(const Bug& bug, std::ostream* out) {
  *out << bug.name;
}

std::string sentence_of(const testing::TestParamInfo<Bug>& bug) {
  std::string name = bug.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

class SeededBug : public testing::TestWithParam<Bug> {};

TEST_P(SeededBug, IsFoundByItsCheck) {
  const Found found = explore(bounds_for(GetParam().delivery), GetParam().play);
  ASSERT_TRUE(found.violation) << "nobody noticed: " << GetParam().name;
  std::printf("it %s:\n%s", GetParam().name, found.trace.c_str());
  EXPECT_EQ(static_cast<int>(found.violation->check), static_cast<int>(GetParam().finder)) << found.violation->what;
}

INSTANTIATE_TEST_SUITE_P(, SeededBug, testing::ValuesIn(kBugs), sentence_of);

TEST(SeededBugs, EveryCheckFindsOne) {
  for (int check = 1; check <= static_cast<int>(Check::kLateIsIgnored); ++check) {
    EXPECT_TRUE(std::any_of(std::begin(kBugs), std::end(kBugs), [check](const Bug& bug) {
      return static_cast<int>(bug.finder) == check;
    })) << check;
  }
}

// Every action matters: a flight that never gives one kind of them, or never starts one of the timers, is found out.
template <Kind kind>
Actions never(Flight& flight, const Event& event) {
  return without(flight.on(event), kind);
}
template <std::size_t timer>
Actions never_starts(Flight& flight, const Event& event) {
  return without(flight.on(event), [](const Action& action) {
    return action.kind == Kind::kStartTimer && action.timer == static_cast<Timer>(timer);
  });
}

TEST(SeededBugs, NoActionCanBeLeftOut) {
  const auto expect_found = [](Play play, const std::string& what) {
    EXPECT_TRUE(explore(bounds_for(Delivery::kStream), play).violation ||
                explore(bounds_for(Delivery::kWhole), play).violation)
        << "never: " << what;
  };
  [&]<std::size_t... i>(std::index_sequence<i...>) {
    (expect_found(&never<static_cast<Kind>(i)>, words_of(Action{.kind = static_cast<Kind>(i)})), ...);
  }(std::make_index_sequence<static_cast<std::size_t>(Kind::kSettle) + 1>());
  [&]<std::size_t... i>(std::index_sequence<i...>) {
    (expect_found(&never_starts<i>, "start " + name_of(static_cast<Timer>(i))), ...);
  }(std::make_index_sequence<kTimerCount>());
}

TEST(SeededBugs, RepeatsWhatMayNotBeRepeated) {
  Bounds bounds = bounds_for(Delivery::kStream);
  bounds.repetition = Repetition::kUnsafe;
  const Found found = explore(bounds, [](Flight& flight, const Event& event) {
    Event taken = event;
    if (event.failure == Failure::kCut) taken.failure = Failure::kBusy;
    return flight.on(taken);
  });
  ASSERT_TRUE(found.violation);
  EXPECT_EQ(found.violation->check, Check::kFailover);
}

}  // namespace
}  // namespace thalweg::flight
