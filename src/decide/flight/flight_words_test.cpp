#include "decide/flight/flight_words_test.h"

namespace thalweg::flight {

namespace {

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

}  // namespace

std::string name_of(Timer timer) {
  static constexpr const char* kNames[kTimerCount] = {"first_token", "gap",          "total", "tail",
                                                      "wait",        "client_write", "drain"};
  return kNames[static_cast<std::size_t>(timer)];
}

std::string words_of(const inference::FrameFacts& facts) {
  std::string words;
  const auto say = [&words](bool fact, const char* name) {
    if (fact) words += (words.empty() ? "" : "+") + std::string(name);
  };
  say(facts.text, "text");
  say(facts.tool, "tool");
  say(facts.finish, "finish");
  say(facts.usage, "usage");
  say(facts.error, "error");
  say(facts.terminator, "terminator");
  return words.empty() ? "other" : words;
}

std::string words_of(const Event& event) {
  const std::string attempt = " " + number(event.attempt);
  switch (event.kind) {
    case Event::Kind::kStart:
      return "start";
    case Event::Kind::kGranted:
      return "granted";
    case Event::Kind::kMustWait:
      return "must wait";
    case Event::Kind::kDenied:
      return "denied " + std::string(name_of(event.error));
    case Event::Kind::kFrame:
      return "frame" + attempt + " slot " + number(event.slot) + " " + words_of(event.facts);
    case Event::Kind::kUpstreamEnd:
      return "upstream end" + attempt;
    case Event::Kind::kUpstreamError:
      return "upstream error" + attempt + " " + std::string(name_of(event.failure));
    case Event::Kind::kTimer:
      return "timer " + name_of(event.timer);
    case Event::Kind::kSlotFree:
      return "slot free";
    case Event::Kind::kClientBlocked:
      return "client blocked";
    case Event::Kind::kClientWritable:
      return "client writable";
    case Event::Kind::kClientGone:
      return "client gone";
    case Event::Kind::kDrain:
      return "drain";
  }
  return "?";
}

std::string words_of(const Action& action) {
  const std::string attempt = " " + number(action.attempt);
  const std::string why = " after " + std::string(name_of(action.failure));
  switch (action.kind) {
    case Action::Kind::kAsk:
      return "ask" + attempt + (action.from_attempt ? why : "");
    case Action::Kind::kDispatch:
      return "dispatch" + attempt;
    case Action::Kind::kCancel:
      return "cancel" + attempt;
    case Action::Kind::kEmit:
      return "emit slot " + number(action.slot);
    case Action::Kind::kDropHeld:
      return "drop held";
    case Action::Kind::kDeliverWhole:
      return "deliver whole";
    case Action::Kind::kComplete:
      return action.slot == Action::kMarkMissing ? "complete without mark" : "complete";
    case Action::Kind::kFail:
      return "fail " + std::string(name_of(action.error)) + (action.from_attempt ? why : "");
    case Action::Kind::kStartTimer:
      return "start " + name_of(action.timer) +
             (action.wait == Duration::zero()
                  ? ""
                  : " " + number(static_cast<std::uint64_t>(to_millis(action.wait))) + "ms");
    case Action::Kind::kStopTimer:
      return "stop " + name_of(action.timer);
    case Action::Kind::kPauseReading:
      return "pause";
    case Action::Kind::kResumeReading:
      return "resume";
    case Action::Kind::kSettle:
      return "settle " + std::string(name_of(action.ending));
  }
  return "?";
}

std::string words_of(const Actions& actions) {
  std::string words;
  for (const Action& action : actions) words += (words.empty() ? "" : "; ") + words_of(action);
  return words.empty() ? "-" : words;
}

}  // namespace thalweg::flight
