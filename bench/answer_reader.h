// One HTTP/1.1 answer read as it comes in, strictly: a length or chunks, nothing before, between or after. It copies
// nothing but a head that arrives in pieces; body bytes go to the caller where they lie.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace thalweg::bench {

class AnswerReader {
 public:
  enum class Progress { kMore, kDone, kBroken };

  /// Makes ready for the next answer on the same connection.
  void restart();

  /// Takes what was received and calls `on_body(std::string_view)` for each piece of the body.
  template <class OnBody>
  Progress feed(std::string_view in, OnBody&& on_body) {
    while (!in.empty()) {
      switch (state_) {
        case State::kHead:
          in = take_head(in);
          break;
        case State::kLength:
        case State::kChunk: {
          const std::string_view piece = in.substr(0, std::min<std::uint64_t>(left_, in.size()));
          in.remove_prefix(piece.size());
          left_ -= piece.size();
          on_body(piece);
          if (left_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kChunkEnd;
          break;
        }
        case State::kChunkSize:
        case State::kChunkEnd:
        case State::kLastLine:
          in = take_framing(in);
          break;
        case State::kDone:
          break_off("bytes after the answer's end");
          [[fallthrough]];
        case State::kBroken:
          return Progress::kBroken;
      }
    }
    if (state_ == State::kDone) return Progress::kDone;
    return state_ == State::kBroken ? Progress::kBroken : Progress::kMore;
  }

  int status() const { return status_; }
  bool closes() const { return closes_; }  // the server said `Connection: close`
  bool event_stream() const { return event_stream_; }
  std::string_view fault() const { return fault_; }  // why it is broken

 private:
  enum class State { kHead, kLength, kChunkSize, kChunk, kChunkEnd, kLastLine, kDone, kBroken };

  std::string_view take_head(std::string_view in);
  std::string_view take_framing(std::string_view in);
  void parse_head(std::string_view head);
  void break_off(std::string_view why);

  State state_ = State::kHead;
  std::string head_;  // of a head in pieces
  std::string line_;  // of a chunk's framing
  std::uint64_t left_ = 0;
  int status_ = 0;
  bool closes_ = false;
  bool event_stream_ = false;
  std::string_view fault_;
};

}  // namespace thalweg::bench
