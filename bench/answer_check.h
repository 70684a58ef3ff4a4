// Is this the answer that the upstream gave? Every answer of every run is compared byte by byte but for the model's
// name, which a gateway may set. A proxy that is fast because it drops, cuts or changes something is not fast.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/conversation.h"

namespace thalweg::bench {

/// What every answer of a run must be.
class Expected {
 public:
  enum class Kind { kWhole, kStream, kEngine, kMessage, kMessageStream };
  static Expected whole(std::size_t answer_bytes);
  static Expected embeddings(std::size_t answer_bytes);
  static Expected stream(std::size_t content_frames);
  // The same answers as messages: every word, the stop reason and the usage.
  static Expected message(std::size_t answer_bytes);
  static Expected message_stream(std::size_t content_frames);
  static Expected engine();  // any stream with text, finish reason, usage and terminator

  Kind kind() const { return kind_; }
  bool streams() const { return kind_ != Kind::kWhole && kind_ != Kind::kMessage; }

 private:
  friend class AnswerCheck;
  Kind kind_ = Kind::kWhole;
  AroundModel answer_;
  std::vector<AroundModel> frames_;
  std::vector<std::string> texts_;  // of a message: `"text":"..."`
  Usage usage_;
};

/// Follows one answer's body.
class AnswerCheck {
 public:
  explicit AnswerCheck(const Expected& expected) : expected_(&expected) {}
  void restart();

  /// Takes a piece of the body.
  void take(std::string_view piece);
  /// After the last piece: empty when all is right, else what is wrong.
  std::string_view finish();

  /// A text of a stream has come, not only its role.
  bool has_spoken() const { return frames_ > (expected_->kind() == Expected::Kind::kStream ? 1 : 0); }
  std::uint64_t frames() const { return frames_; }   // events so far, "[DONE]" included
  Usage usage() const { return usage_; }             // what the answer said; after a good finish()
  std::string_view unread() const { return held_; }  // what was no part of the expected answer: an error's body

 private:
  void take_whole(std::string_view body);
  void take_event(std::string_view event);
  void take_message(std::string_view body);
  void take_message_event(std::string_view event);
  void take_engine_frame(std::string_view json);
  void blame(std::string_view why) {
    if (fault_.empty()) fault_ = why;
  }

  const Expected* expected_;
  std::string held_;  // an answer or event in pieces
  std::string_view fault_;
  std::uint64_t frames_ = 0;
  Usage usage_;
  bool complete_ = false;  // the whole answer was seen, or "[DONE]"
  bool finish_reason_ = false;
};

}  // namespace thalweg::bench
