// The neutral stream: what an endpoint's answer says, frame by frame, as facts without bytes.
#pragma once

#include <cstdint>

namespace thalweg::inference {

/// What one frame of an answer carries. One frame may carry several (text with its finish reason and usage).
struct FrameFacts {
  bool text = false;        // generated text (also refusals, reasoning, log probabilities)
  bool tool = false;        // tool-call fragments
  bool finish = false;      // with this frame every choice of the answer has its finish reason
  bool usage = false;       // token counts
  bool error = false;       // an error object instead of an answer
  bool terminator = false;  // the dialect's end mark ([DONE])
  friend bool operator==(const FrameFacts&, const FrameFacts&) = default;
};

/// Token counts as the endpoint reported them; reported is false where it said nothing.
struct Usage {
  bool reported = false;
  std::uint64_t input_tokens = 0;
  std::uint64_t output_tokens = 0;
  std::uint64_t cached_input_tokens = 0;
  std::uint64_t reasoning_tokens = 0;
};

}  // namespace thalweg::inference
