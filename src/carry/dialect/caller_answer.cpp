#include "carry/dialect/caller_answer.h"

#include <utility>

#include "carry/http/message.h"
#include "carry/json/tree.h"

namespace thalweg::dialect {

using fleet::EndpointKind;
using inference::Surface;

void CallerAnswer::begin(Surface surface, EndpointKind kind, const inference::Request& request,
                         std::string_view shown_model, std::string_view id, std::int64_t created) {
  counts_ = surface == Surface::kAnthropicCountTokens;
  from_anthropic_ = kind == EndpointKind::kAnthropic;
  to_messages_ = !from_anthropic_ && inference::speaks_messages(surface);
  streams_ = request.delivery == inference::Delivery::kStream;
  read_whole_ = false;
  if (from_anthropic_) {
    if (!anthropic_) anthropic_ = std::make_unique<AnthropicAnswer>();
    anthropic_->begin(
        request, shown_model, id, created,
        inference::speaks_messages(surface) ? AnthropicAnswer::Form::kMessages : AnthropicAnswer::Form::kChat);
    return;
  }
  openai_.begin(request, shown_model, !streams_);
  if (!to_messages_) return;
  if (!messages_) messages_ = std::make_unique<MessagesAnswer>();
  messages_->begin(id, shown_model);
}

void CallerAnswer::forget() {
  constexpr std::size_t kKeptCapacity = 16 * 1024;
  openai_.forget();
  if (anthropic_) anthropic_->forget();
  if (written_.capacity() > kKeptCapacity) std::string().swap(written_);
  whole_.clear();
}

Result<ReadFrame> CallerAnswer::read_frame(const http::SseFrame& frame, std::string& out) {
  if (from_anthropic_) return anthropic_->read_frame(frame, out);
  auto read = openai_.read_frame(frame, out);
  if (!to_messages_ || !streams_ || !read || read->withheld || read->facts.error || !frame.has_data) return read;
  out.clear();  // a chat's frame: it becomes events
  if (read->facts.terminator) {
    messages_->finish(openai_.usage(), out);
  } else if (auto written = messages_->add_chunk(frame.data, out); !written) {
    return std::unexpected(std::move(written.error()));
  }
  return read;
}

void CallerAnswer::finish(std::string& out) {
  if (from_anthropic_) return anthropic_->finish(out);
  if (to_messages_) return messages_->finish(openai_.usage(), out);
  out += kEndMark;
}

Result<inference::FrameFacts> CallerAnswer::read_whole(std::string_view body) {
  read_whole_ = true;
  if (counts_) return read_count(body);
  if (from_anthropic_) return anthropic_->read_whole(body);
  auto facts = openai_.read_whole(body);
  if (!facts || facts->error || !to_messages_) return facts;
  if (auto written = write_message(body); !written) return std::unexpected(std::move(written.error()));
  return facts;
}

// {"input_tokens": 12}, passed as it is.
Result<inference::FrameFacts> CallerAnswer::read_count(std::string_view body) {
  const auto tree = json::read_tree(body);
  if (!tree || !tree->is_object() || !tree->contains("input_tokens") || !(*tree)["input_tokens"].is_number_unsigned())
    return fail(ErrorCode::kUpstreamFailed, "the endpoint's answer has no `input_tokens`");
  whole_.clear();
  whole_.add(body);
  return inference::FrameFacts{.finish = true};
}

Result<void> CallerAnswer::write_message(std::string_view answer) {
  std::string message;
  if (auto written = messages_->write_whole(answer, openai_.usage(), message); !written) return written;
  written_ = std::move(message);
  whole_.clear();
  whole_.add(written_);
  return {};
}

Result<const json::SlicedBody*> CallerAnswer::whole() {
  if (counts_) return &whole_;
  if (from_anthropic_) return &anthropic_->whole();
  if (read_whole_) return to_messages_ ? &whole_ : &openai_.whole();
  auto folded = openai_.fold();
  if (!folded) return std::unexpected(std::move(folded.error()));
  if (to_messages_) {
    const std::size_t size = folded->size();
    folded->append(http::kPadding, '\0');
    if (auto written = write_message(std::string_view(*folded).substr(0, size)); !written)
      return std::unexpected(std::move(written.error()));
    return &whole_;
  }
  written_ = std::move(*folded);
  whole_.clear();
  whole_.add(written_);
  return &whole_;
}

const inference::Usage& CallerAnswer::usage() const {
  return from_anthropic_ ? anthropic_->usage() : openai_.usage();
}
std::string_view CallerAnswer::finish_reason() const {
  return from_anthropic_ ? anthropic_->finish_reason() : openai_.finish_reason();
}
std::string_view CallerAnswer::error_message() const {
  return from_anthropic_ ? anthropic_->error_message() : openai_.error_message();
}

}  // namespace thalweg::dialect
