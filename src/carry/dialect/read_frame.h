// What one frame of an endpoint's stream gave, and how it is passed on with edits.
#pragma once

#include <string>

#include "carry/http/sse.h"
#include "carry/json/splices.h"
#include "decide/inference/event.h"

namespace thalweg::dialect {

struct ReadFrame {
  inference::FrameFacts facts;
  bool withheld = false;  // not for the caller: emit nothing
};

/// Appends the frame, `splices` made in its data. Data of several lines becomes one line.
void append_frame(const http::SseFrame& frame, json::Splices& splices, std::string& out);

}  // namespace thalweg::dialect
