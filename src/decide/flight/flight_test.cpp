// Examples: one flight each, event by event, with the actions in words. flight_explore_test.cpp runs every order.
#include "decide/flight/flight.h"

#include <gtest/gtest.h>

#include <string>

#include "decide/flight/flight_words_test.h"

namespace thalweg::flight {
namespace {

using inference::Delivery;
using inference::FrameFacts;

constexpr FrameFacts kOther{};
constexpr FrameFacts kText{.text = true};
constexpr FrameFacts kFinish{.finish = true};
constexpr FrameFacts kUsage{.usage = true};
constexpr FrameFacts kLast{.text = true, .finish = true, .usage = true};
constexpr FrameFacts kError{.error = true};
constexpr FrameFacts kMark{.terminator = true};

// A flight that is told events in short and answers in words.
class Told {
 public:
  explicit Told(Delivery delivery, Repetition repetition = Repetition::kSafe) : flight(delivery, repetition) {}
  std::string tell(const Event& event) { return words_of(flight.on(event)); }
  std::string tell(Event::Kind kind) { return tell(Event{.kind = kind}); }
  std::string frame(const FrameFacts& facts, std::uint8_t slot = 0) {
    return tell({.kind = Event::Kind::kFrame, .attempt = flight.attempt(), .slot = slot, .facts = facts});
  }
  std::string end() { return tell({.kind = Event::Kind::kUpstreamEnd, .attempt = flight.attempt()}); }
  std::string breaks(Failure failure) {
    return tell({.kind = Event::Kind::kUpstreamError, .attempt = flight.attempt(), .failure = failure});
  }
  std::string fires(Timer timer) { return tell({.kind = Event::Kind::kTimer, .timer = timer}); }
  std::string denied(ErrorCode error) { return tell({.kind = Event::Kind::kDenied, .error = error}); }
  std::string must_wait(Duration wait) { return tell({.kind = Event::Kind::kMustWait, .wait = wait}); }
  Told& run() {
    tell(Event::Kind::kStart);
    tell(Event::Kind::kGranted);
    return *this;
  }
  Told& fail_over(Failure failure) {
    breaks(failure);
    tell(Event::Kind::kGranted);
    return *this;
  }
  Flight flight;
};

Told stream() {
  return Told(Delivery::kStream);
}
Told whole() {
  return Told(Delivery::kWhole);
}

TEST(Flight, StreamsAnAnswerFromItsFirstFrameToItsMark) {
  Told told = stream();
  EXPECT_EQ(told.tell(Event::Kind::kStart), "start total; ask 1");
  EXPECT_EQ(told.tell(Event::Kind::kGranted), "dispatch 1; start first_token");
  EXPECT_EQ(told.frame(kOther, 0), "-");
  EXPECT_FALSE(told.flight.committed());
  EXPECT_EQ(told.frame(kText, 1), "emit slot 0; emit slot 1; stop first_token; start gap");
  EXPECT_TRUE(told.flight.committed());
  EXPECT_EQ(told.frame(kText, 0), "emit slot 0; start gap");
  EXPECT_EQ(told.frame(kOther, 0), "emit slot 0") << "a keep-alive is no token";
  EXPECT_EQ(told.frame(kFinish, 0), "emit slot 0; stop gap; start tail 1000ms");
  EXPECT_TRUE(told.flight.saw_finish());
  EXPECT_EQ(told.frame(kUsage, 0), "emit slot 0");
  EXPECT_EQ(told.frame(kMark, 0), "emit slot 0; complete; settle complete");
  EXPECT_TRUE(told.flight.done());
  EXPECT_TRUE(told.flight.saw_finish());
}

TEST(Flight, CompletesInOneFrameThatSaysAll) {
  Told told = stream().run();
  EXPECT_EQ(told.frame({.text = true, .finish = true, .usage = true, .terminator = true}),
            "emit slot 0; complete; settle complete");
}

TEST(Flight, WritesTheMarkThatAnEndpointForgot) {
  Told told = stream().run();
  told.frame(kLast);
  EXPECT_EQ(told.end(), "complete without mark; settle complete");
}

TEST(Flight, DoesNotWaitForTheMarkForEver) {
  Told told = stream().run();
  told.frame(kLast);
  EXPECT_EQ(told.fires(Timer::kTail), "complete without mark; cancel 1; settle complete");
}

TEST(Flight, IsCompleteWhenTheConnectionIsCutAfterTheFinishReason) {
  for (Told told : {stream().run(), whole().run()}) {
    told.frame(kLast);
    EXPECT_TRUE(told.breaks(Failure::kCut).ends_with("settle complete"));
  }
}

TEST(Flight, BelievesAnErrorEvenAfterTheFinishReason) {
  for (const Failure failure : {Failure::kMalformed, Failure::kTooLarge, Failure::kErrorFrame}) {
    Told told = stream().run();
    told.frame(kLast);
    EXPECT_TRUE(told.breaks(failure).ends_with("settle truncated")) << name_of(failure);
  }
}

TEST(Flight, KeepsACompleteAnswerWhenItsTimeIsOver) {
  Told late = stream().run();
  late.frame(kLast);
  EXPECT_EQ(late.fires(Timer::kTotal), "complete without mark; cancel 1; settle complete");
  Told drained = whole().run();
  drained.tell({.kind = Event::Kind::kDrain, .wait = 5s});
  drained.frame(kLast);
  EXPECT_EQ(drained.fires(Timer::kDrain), "deliver whole; cancel 1; settle complete");
}

TEST(Flight, NeverReportsACutAnswerAsComplete) {
  Told ended = stream().run();
  ended.frame(kText);
  EXPECT_EQ(ended.end(), "fail truncated after cut; settle truncated");
  Told marked = stream().run();
  marked.frame(kText);
  EXPECT_EQ(marked.frame(kMark), "cancel 1; fail truncated after cut; settle truncated");
}

TEST(Flight, HoldsFramesWithoutContentUpToItsLimit) {
  Told told = stream().run();
  for (std::uint8_t slot = 0; slot < kMaxHeldFrames; ++slot) EXPECT_EQ(told.frame(kOther, slot), "-");
  Told silent = told;
  EXPECT_EQ(told.frame(kUsage, kMaxHeldFrames), "emit slot 0; emit slot 1; emit slot 2; emit slot 3; emit slot 4");
  EXPECT_TRUE(told.flight.committed());
  EXPECT_EQ(told.frame(kOther, 0), "emit slot 0") << "no content yet: the first-token timer still runs";
  EXPECT_EQ(told.fires(Timer::kFirstToken), "cancel 1; fail upstream_timeout after silent; settle truncated");
  EXPECT_EQ(silent.fires(Timer::kFirstToken), "cancel 1; drop held; ask 2 after silent");
}

TEST(Flight, FailsOverWhileNothingWasSaid) {
  for (const Failure failure :
       {Failure::kNotSent, Failure::kBusy, Failure::kServerError, Failure::kUnfit, Failure::kSilent, Failure::kStalled,
        Failure::kCut, Failure::kMalformed, Failure::kErrorFrame}) {
    Told told = stream().run();
    told.frame(kOther);
    EXPECT_EQ(told.breaks(failure), "drop held; stop first_token; ask 2 after " + std::string(name_of(failure)));
    EXPECT_EQ(told.tell(Event::Kind::kGranted), "dispatch 2; start first_token");
  }
}

TEST(Flight, FreesTheSlotOfAFrameThatFailsItsAttempt) {
  // Nothing is held here, yet the frame itself lies in a slot.
  EXPECT_EQ(stream().run().frame(kError), "cancel 1; drop held; stop first_token; ask 2 after error_frame");
  EXPECT_EQ(stream().run().frame(kMark), "cancel 1; drop held; stop first_token; ask 2 after cut");
}

TEST(Flight, DoesNotFailOverForTheCallersFault) {
  EXPECT_EQ(stream().run().breaks(Failure::kRefused), "drop held; fail upstream_refused after refused; settle failed");
  EXPECT_EQ(whole().run().breaks(Failure::kTooLarge), "drop held; fail upstream_failed after too_large; settle failed");
  EXPECT_EQ(whole().run().breaks(Failure::kNoRoom), "drop held; fail overloaded after no_room; settle failed");
}

TEST(Flight, MakesNoMoreThanItsAttempts) {
  Told told = stream().run();
  for (std::size_t i = 1; i < placement::kMaxAttempts; ++i) told.fail_over(Failure::kServerError);
  EXPECT_EQ(told.flight.attempt(), placement::kMaxAttempts);
  EXPECT_EQ(told.breaks(Failure::kCut), "drop held; fail truncated after cut; settle failed");
}

TEST(Flight, FoldsAWholeAnswerAndMayFailOverToItsEnd) {
  Told told = whole().run();
  EXPECT_EQ(told.frame(kOther), "-");
  EXPECT_EQ(told.frame(kText), "stop first_token; start gap");
  EXPECT_EQ(told.frame(kText), "start gap");
  Told stalled = told;
  EXPECT_EQ(stalled.fires(Timer::kGap), "cancel 1; drop held; ask 2 after stalled");
  EXPECT_EQ(stalled.tell(Event::Kind::kGranted), "dispatch 2; start first_token") << "nothing of this attempt was seen";
  EXPECT_EQ(told.frame(kFinish), "stop gap; start tail 1000ms");
  EXPECT_EQ(told.frame(kUsage), "-");
  EXPECT_FALSE(told.flight.committed());
  EXPECT_EQ(told.frame(kMark), "deliver whole; settle complete");
}

TEST(Flight, DeliversAWholeAnswerThatCameInOnePiece) {
  Told told = whole().run();
  EXPECT_EQ(told.frame(kLast), "stop first_token; start tail 1000ms");
  EXPECT_EQ(told.end(), "deliver whole; settle complete");
}

TEST(Flight, WaitsAndAsksAgainForTheSameAttempt) {
  Told told = stream();
  told.tell(Event::Kind::kStart);
  EXPECT_EQ(told.must_wait(100ms), "start wait 100ms");
  Told woken = told;
  EXPECT_EQ(told.fires(Timer::kWait), "ask 1");
  EXPECT_EQ(woken.tell(Event::Kind::kSlotFree), "stop wait; ask 1");
  EXPECT_EQ(woken.tell(Event::Kind::kSlotFree), "-") << "it is asking already";
}

TEST(Flight, SaysWhyItWasDenied) {
  Told told = stream();
  told.tell(Event::Kind::kStart);
  EXPECT_EQ(told.denied(ErrorCode::kForbidden), "fail forbidden; settle failed");
}

TEST(Flight, SaysHowTheLastAttemptFailedWhenNoOtherIsLeft) {
  Told told = stream().run();
  told.breaks(Failure::kBusy);
  Event denied{.kind = Event::Kind::kDenied, .error = ErrorCode::kUnavailable};
  const Actions actions = told.flight.on(denied);
  EXPECT_EQ(words_of(actions), "fail rate_limited after busy; settle failed");
  EXPECT_EQ(actions.begin()->attempt, 1) << "the attempt whose error is shown";
}

TEST(Flight, StopsReadingForAClientThatTakesNothing) {
  Told told = stream().run();
  EXPECT_EQ(told.tell(Event::Kind::kClientBlocked), "start client_write; pause; stop first_token");
  EXPECT_EQ(told.tell(Event::Kind::kClientBlocked), "-");
  EXPECT_EQ(told.frame(kText), "emit slot 0") << "read before the pause; silence is not limited while we do not read";
  EXPECT_EQ(told.tell(Event::Kind::kClientWritable), "stop client_write; resume; start gap");
  EXPECT_EQ(told.tell(Event::Kind::kClientBlocked), "start client_write; pause; stop gap");
  EXPECT_EQ(told.frame(kFinish), "emit slot 0");
  EXPECT_EQ(told.tell(Event::Kind::kClientWritable), "stop client_write; resume; start tail 1000ms");
  EXPECT_EQ(told.tell(Event::Kind::kClientWritable), "-");
}

TEST(Flight, DispatchesWithReadingPausedWhenTheClientIsBlockedAlready) {
  Told told = stream();
  told.tell(Event::Kind::kStart);
  EXPECT_EQ(told.tell(Event::Kind::kClientBlocked), "start client_write");
  EXPECT_EQ(told.tell(Event::Kind::kGranted), "dispatch 1; pause");
  EXPECT_EQ(told.tell(Event::Kind::kClientWritable), "stop client_write; resume; start first_token");
}

TEST(Flight, CountsAClientThatTakesNothingForTooLongAsGone) {
  Told told = stream().run();
  told.tell(Event::Kind::kClientBlocked);
  EXPECT_EQ(told.fires(Timer::kClientWrite), "cancel 1; settle client_gone");
}

TEST(Flight, CancelsTheAttemptOfAClientThatLeft) {
  EXPECT_EQ(stream().run().tell(Event::Kind::kClientGone), "cancel 1; settle client_gone");
  Told asking = whole();
  asking.tell(Event::Kind::kStart);
  EXPECT_EQ(asking.tell(Event::Kind::kClientGone), "settle client_gone") << "no attempt runs";
}

TEST(Flight, EndsWhenItsWholeTimeIsOver) {
  Told early = stream().run();
  EXPECT_EQ(early.fires(Timer::kTotal), "cancel 1; fail upstream_timeout; settle failed");
  Told late = stream().run();
  late.frame(kText);
  EXPECT_EQ(late.fires(Timer::kTotal), "cancel 1; fail upstream_timeout; settle truncated");
  Told waiting = stream();
  waiting.tell(Event::Kind::kStart);
  waiting.must_wait(1s);
  EXPECT_EQ(waiting.fires(Timer::kTotal), "fail upstream_timeout; settle failed");
}

TEST(Flight, GoesOnWhileTheProcessDrainsAndEndsWhenThatTimeIsOver) {
  Told told = stream().run();
  EXPECT_EQ(told.tell({.kind = Event::Kind::kDrain, .wait = 5s}), "start drain 5000ms");
  EXPECT_EQ(told.tell({.kind = Event::Kind::kDrain, .wait = 9s}), "-");
  EXPECT_EQ(told.frame(kText), "emit slot 0; stop first_token; start gap");
  EXPECT_EQ(told.fires(Timer::kDrain), "cancel 1; fail draining; settle truncated");
}

TEST(Flight, IgnoresWhatComesLate) {
  Told told = stream().run().fail_over(Failure::kServerError);
  EXPECT_EQ(told.tell({.kind = Event::Kind::kFrame, .attempt = 1, .facts = kText}), "-");
  EXPECT_EQ(told.tell({.kind = Event::Kind::kUpstreamEnd, .attempt = 1}), "-");
  EXPECT_EQ(told.tell({.kind = Event::Kind::kUpstreamError, .attempt = 1, .failure = Failure::kRefused}), "-");
  EXPECT_EQ(told.fires(Timer::kGap), "-");
  EXPECT_EQ(told.tell(Event::Kind::kGranted), "-");
  told.tell(Event::Kind::kClientGone);
  EXPECT_EQ(told.frame(kText), "-");
  EXPECT_EQ(told.tell(Event::Kind::kClientGone), "-");
  EXPECT_EQ(told.tell(Event::Kind::kStart), "-");
}

TEST(Flight, TheMostActionsOfOneEventFit) {
  Told told = stream().run();
  for (std::uint8_t slot = 0; slot < kMaxHeldFrames; ++slot) told.frame(kOther, slot);
  EXPECT_EQ(told.flight.on({.kind = Event::Kind::kFrame, .attempt = 1, .slot = 4, .facts = kLast}).size(),
            kMaxHeldFrames + 3);
}

TEST(Flight, EqualFlightsHaveEqualHashesAndTheHeldSlotsCount) {
  Told a = stream().run();
  Told b = stream().run();
  EXPECT_EQ(a.flight, b.flight);
  EXPECT_EQ(a.flight.hash(), b.flight.hash());
  a.frame(kOther, 0);
  b.frame(kOther, 1);
  EXPECT_NE(a.flight, b.flight);
  EXPECT_NE(a.flight.hash(), b.flight.hash());
  a.frame(kText, 2);
  b.frame(kText, 2);
  EXPECT_EQ(a.flight, b.flight) << "what was held does not matter once it is sent";
}

TEST(Flight, EveryFailureHasANameAndAnErrorThatDoesNotBlameTheCallersBody) {
  for (int i = 0; i <= static_cast<int>(Failure::kNoRoom); ++i) {
    const auto failure = static_cast<Failure>(i);
    EXPECT_NE(name_of(failure), "unknown");
    EXPECT_NE(error_for(failure), ErrorCode::kInternal) << name_of(failure);
    EXPECT_NE(error_for(failure), ErrorCode::kTooLarge) << name_of(failure);
  }
}

TEST(Flight, RepeatsWhatIsUnsafeOnlyWhereNothingWasDoneWithIt) {
  for (const Failure failure : {Failure::kNotSent, Failure::kBusy}) {
    Told told{Delivery::kStream, Repetition::kUnsafe};
    EXPECT_NE(told.run().breaks(failure).find("ask 2"), std::string::npos) << name_of(failure);
  }
  for (const Failure failure : {Failure::kServerError, Failure::kUnfit, Failure::kSilent, Failure::kStalled,
                                Failure::kCut, Failure::kMalformed, Failure::kErrorFrame}) {
    Told told{Delivery::kStream, Repetition::kUnsafe};
    const std::string said = told.run().breaks(failure);
    EXPECT_EQ(said.find("ask"), std::string::npos) << said;
    EXPECT_NE(said.find("settle failed"), std::string::npos) << said;
  }
  Told silent{Delivery::kStream, Repetition::kUnsafe};
  EXPECT_EQ(silent.run().fires(Timer::kFirstToken).find("ask"), std::string::npos);
}

}  // namespace
}  // namespace thalweg::flight
