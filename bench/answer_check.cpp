#include "bench/answer_check.h"

#include <charconv>
#include <optional>

namespace thalweg::bench {
namespace {

/// `text` is before + some name + after.
bool fits(const AroundModel& around, std::string_view text) {
  if (text.size() <= around.before.size() + around.after.size()) return false;
  if (!text.starts_with(around.before) || !text.ends_with(around.after)) return false;
  const std::string_view name =
      text.substr(around.before.size(), text.size() - around.before.size() - around.after.size());
  return name.find_first_of("\"\\") == std::string_view::npos;
}

bool same(Usage a, Usage b) {
  return a.input_tokens == b.input_tokens && a.output_tokens == b.output_tokens;
}

std::optional<std::uint64_t> number_after(std::string_view text, std::string_view field) {
  const std::size_t at = text.rfind(field);
  if (at == std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  const char* const from = text.data() + at + field.size();
  if (std::from_chars(from, text.data() + text.size(), value).ec != std::errc{}) return std::nullopt;
  return value;
}

}  // namespace

Expected Expected::whole(std::size_t answer_bytes) {
  Expected out;
  out.answer_ = chat_answer(answer_bytes);
  out.usage_ = usage_of_answer(answer_bytes);
  return out;
}

Expected Expected::stream(std::size_t content_frames) {
  Expected out;
  out.kind_ = Kind::kStream;
  out.frames_ = stream_frames(content_frames);
  out.usage_ = usage_of_stream(content_frames);
  return out;
}

Expected Expected::embeddings(std::size_t answer_bytes) {
  Expected out;
  out.answer_ = embeddings_answer(answer_bytes);
  out.usage_ = usage_of_embeddings();
  return out;
}

Expected Expected::message(std::size_t answer_bytes) {
  Expected out;
  out.kind_ = Kind::kMessage;
  out.texts_ = {"\"text\":\"" + text_of_answer(answer_bytes) + "\""};
  out.usage_ = usage_of_answer(answer_bytes);
  return out;
}

Expected Expected::message_stream(std::size_t content_frames) {
  Expected out;
  out.kind_ = Kind::kMessageStream;
  for (const std::string& text : texts_of_stream(content_frames)) out.texts_.push_back("\"text\":\"" + text + "\"");
  out.usage_ = usage_of_stream(content_frames);
  return out;
}

Expected Expected::engine() {
  Expected out;
  out.kind_ = Kind::kEngine;
  return out;
}

void AnswerCheck::restart() {
  held_.clear();
  fault_ = {};
  frames_ = 0;
  usage_ = {};
  complete_ = false;
  finish_reason_ = false;
}

void AnswerCheck::take(std::string_view piece) {
  if (!expected_->streams()) {
    // Nearly always the whole body lies in one piece, and then nothing is copied.
    if (expected_->kind() == Expected::Kind::kWhole && held_.empty() && fits(expected_->answer_, piece))
      return take_whole(piece);
    held_.append(piece);
    return;
  }
  while (!piece.empty()) {
    const std::size_t before = held_.size();
    std::size_t end = piece.find("\n\n");
    if (before == 0 && end != std::string_view::npos) {
      take_event(piece.substr(0, end));
      piece.remove_prefix(end + 2);
      continue;
    }
    held_.append(piece);
    end = held_.find("\n\n", before == 0 ? 0 : before - 1);
    if (end == std::string::npos) return;
    take_event(std::string_view(held_).substr(0, end));
    piece.remove_prefix(end + 2 - before);
    held_.clear();
  }
}

void AnswerCheck::take_whole(std::string_view body) {
  if (complete_) return blame("two answers in one body");
  if (!fits(expected_->answer_, body)) return blame("the answer's bytes are not the upstream's");
  complete_ = true;
  usage_ = expected_->usage_;  // it stands in the bytes just compared
}

// A message is written by the gateway: its words are compared, and that it says why it ended and what was used.
void AnswerCheck::take_message(std::string_view body) {
  const bool text = body.find(expected_->texts_.front()) != std::string_view::npos;
  if (!body.starts_with("{") || !body.ends_with("}") || !text)
    return blame("the answer's words are not the upstream's");
  finish_reason_ = body.find(R"("stop_reason":"end_turn")") != std::string_view::npos;
  usage_ = {number_after(body, R"("input_tokens":)").value_or(0),
            number_after(body, R"("output_tokens":)").value_or(0)};
  complete_ = true;
}

void AnswerCheck::take_message_event(std::string_view event) {
  if (complete_) return blame("an event after message_stop");
  if (event.starts_with("event: content_block_delta\n")) {
    const std::uint64_t index = frames_++;
    if (index >= expected_->texts_.size()) return blame("a frame too many");
    if (event.find(expected_->texts_[index]) == std::string_view::npos)
      return blame("a frame's words are not the upstream's");
  } else if (event.starts_with("event: message_delta\n")) {
    finish_reason_ =
        frames_ == expected_->texts_.size() && event.find(R"("stop_reason":"end_turn")") != std::string_view::npos;
    usage_ = {number_after(event, R"("input_tokens":)").value_or(0),
              number_after(event, R"("output_tokens":)").value_or(0)};
  } else if (event.starts_with("event: message_stop\n")) {
    complete_ = true;
  } else if (event.starts_with("event: error\n")) {
    blame("an error in the stream");
  }
}

void AnswerCheck::take_event(std::string_view event) {
  if (expected_->kind() == Expected::Kind::kMessageStream) return take_message_event(event);
  if (event.starts_with(':')) return;  // a comment keeps a connection alive
  constexpr std::string_view kData = "data: ";
  if (!event.starts_with(kData)) return blame("an event that is not data");
  const std::string_view json = event.substr(kData.size());
  if (complete_) return blame("an event after [DONE]");
  const std::uint64_t index = frames_++;
  if (json == "[DONE]") {
    complete_ = true;
    return;
  }
  if (expected_->kind() == Expected::Kind::kEngine) return take_engine_frame(json);
  if (index >= expected_->frames_.size()) return blame("a frame too many");
  if (!fits(expected_->frames_[index], json)) return blame("a frame's bytes are not the upstream's");
  if (index + 1 == expected_->frames_.size()) {
    finish_reason_ = true;
    usage_ = expected_->usage_;
  }
}

void AnswerCheck::take_engine_frame(std::string_view json) {
  if (json.find(R"("finish_reason":")") != std::string_view::npos) finish_reason_ = true;
  if (const auto output = number_after(json, R"("completion_tokens":)")) {
    usage_.output_tokens = *output;
    usage_.input_tokens = number_after(json, R"("prompt_tokens":)").value_or(0);
  }
  if (json.starts_with(R"({"error")")) blame("an error in the stream");
}

std::string_view AnswerCheck::finish() {
  if (!expected_->streams()) {
    const bool message = expected_->kind() == Expected::Kind::kMessage;
    if (!held_.empty()) message ? take_message(held_) : take_whole(held_);
    if (!complete_) blame("an empty answer");
    if (message && (!finish_reason_ || !same(usage_, expected_->usage_))) blame("a message without its end or usage");
  } else {
    if (!held_.empty()) blame("half an event at the end");
    if (!complete_) blame("a stream without its end mark");
    if (!finish_reason_) blame("a stream that lacks frames or its finish reason");
    if (usage_.output_tokens == 0) blame("a stream without usage");
  }
  return fault_;
}

}  // namespace thalweg::bench
