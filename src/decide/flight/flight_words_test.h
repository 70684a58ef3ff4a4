// Events and actions in words: examples compare them, and traces of explored orders are read by people.
#pragma once

#include <string>

#include "decide/flight/flight.h"

namespace thalweg::flight {

/// "frame 1 slot 0 text+finish", "timer gap", "upstream error 2 cut"...
std::string words_of(const Event& event);
/// "ask 1; start total", in order; nothing: "-".
std::string words_of(const Actions& actions);
std::string words_of(const Action& action);
/// "text+finish"; a frame that says nothing: "other".
std::string words_of(const inference::FrameFacts& facts);
std::string name_of(Timer timer);

}  // namespace thalweg::flight
