#include "carry/dialect/caller_answer.h"

#include <utility>

#include "carry/dialect/caller_errors.h"
#include "carry/http/message.h"
#include "carry/json/tree.h"

namespace thalweg::dialect {

using fleet::EndpointKind;
using inference::Surface;

void CallerAnswer::begin(Surface surface, EndpointKind kind, const inference::Request& request,
                         std::string_view shown_model, std::string_view id, std::int64_t created, std::string_view echo,
                         const NamespacedTools* namespaced) {
  surface_ = surface;
  counts_ = surface == Surface::kAnthropicCountTokens;
  from_anthropic_ = kind == EndpointKind::kAnthropic;
  streams_ = request.delivery == inference::Delivery::kStream;
  read_whole_ = false;
  const bool messages = inference::speaks_messages(surface);
  to_ = surface == Surface::kOpenAiResponses ? To::kResponses
        : inference::speaks_ollama(surface)  ? To::kOllama
        : messages && !from_anthropic_       ? To::kMessages
                                             : To::kAsItIs;
  if (from_anthropic_) {
    if (!anthropic_) anthropic_ = std::make_unique<AnthropicAnswer>();
    anthropic_->begin(request, shown_model, id, created,
                      messages ? AnthropicAnswer::Form::kMessages : AnthropicAnswer::Form::kChat);
  } else {
    openai_.begin(request, shown_model, !streams_);
  }
  if (to_ == To::kMessages) {
    if (!messages_) messages_ = std::make_unique<MessagesAnswer>();
    messages_->begin(id, shown_model);
  } else if (to_ == To::kResponses) {
    if (!responses_) responses_ = std::make_unique<ResponsesAnswer>();
    responses_->begin(id, shown_model, created, echo, namespaced);
  } else if (to_ == To::kOllama) {
    if (!ollama_) ollama_ = std::make_unique<OllamaAnswer>();
    ollama_->begin(surface, shown_model);
  }
}

void CallerAnswer::forget() {
  constexpr std::size_t kKeptCapacity = 16 * 1024;
  openai_.forget();
  if (anthropic_) anthropic_->forget();
  if (responses_) responses_->forget();
  if (ollama_) ollama_->forget();
  for (std::string* text : {&written_, &chunks_}) {
    if (text->capacity() > kKeptCapacity) std::string().swap(*text);
  }
  whole_.clear();
}

Result<ReadFrame> CallerAnswer::read_frame(const http::SseFrame& frame, std::string& out) {
  if (from_anthropic_) return to_ == To::kAsItIs ? anthropic_->read_frame(frame, out) : read_anthropic(frame, out);
  auto read = openai_.read_frame(frame, out);
  if (to_ == To::kAsItIs || !streams_ || !read || read->withheld || read->facts.error) return read;
  if (!frame.has_data) {  // a comment; lines of JSON have none
    read->withheld = to_ == To::kOllama;
    return read;
  }
  out.clear();  // a chat's frame: it becomes events
  if (read->facts.terminator) {
    finish(out);
  } else if (auto written = add_chunk(frame.data, out); !written) {
    return std::unexpected(std::move(written.error()));
  }
  read->withheld = out.empty();
  return read;
}

// Through chat completions: the chunks that an event becomes are read as an endpoint's would be.
Result<ReadFrame> CallerAnswer::read_anthropic(const http::SseFrame& frame, std::string& out) {
  constexpr std::string_view kData = "data: ";
  chunks_.clear();
  auto read = anthropic_->read_frame(frame, chunks_);
  if (!read || read->facts.error) return read;
  if (!frame.has_data) {
    if (to_ != To::kOllama) out += chunks_;
    read->withheld = to_ == To::kOllama;
    return read;
  }
  const std::size_t before = out.size();
  const std::size_t size = chunks_.size();
  chunks_.append(http::kPadding, '\0');
  const std::string_view chunks = std::string_view(chunks_).substr(0, size);
  for (std::size_t at = 0; at < size;) {
    const std::size_t end = chunks.find("\n\n", at);
    const std::string_view data = chunks.substr(at + kData.size(), end - at - kData.size());
    if (data == "[DONE]") {
      finish(out);
    } else if (auto written = add_chunk(data, out); !written) {
      return std::unexpected(std::move(written.error()));
    }
    at = end + 2;
  }
  read->withheld = out.size() == before;
  return read;
}

Result<void> CallerAnswer::add_chunk(std::string_view chunk, std::string& out) {
  if (to_ == To::kOllama) return ollama_->add_chunk(chunk, out);
  return to_ == To::kMessages ? messages_->add_chunk(chunk, out) : responses_->add_chunk(chunk, out);
}

void CallerAnswer::finish(std::string& out) {
  if (to_ == To::kMessages) return messages_->finish(usage(), out);
  if (to_ == To::kResponses) return responses_->finish(usage(), out);
  if (to_ == To::kOllama) return ollama_->finish(usage(), out);
  if (from_anthropic_) return anthropic_->finish(out);
  out += kEndMark;
}

void CallerAnswer::write_error(const Error& error, bool of_endpoint, std::string_view request_id, std::string& out) {
  if (to_ == To::kResponses) return responses_->write_error(error, out);
  if (of_endpoint && from_anthropic_ && to_ != To::kOllama && !anthropic_->error_frame().empty()) {
    out += anthropic_->error_frame();
  } else {
    out += error_frame(surface_, error, request_id);
  }
}

Result<inference::FrameFacts> CallerAnswer::read_whole(std::string_view body) {
  read_whole_ = true;
  if (counts_) return read_count(body);
  auto facts = from_anthropic_ ? anthropic_->read_whole(body) : openai_.read_whole(body);
  if (!facts || facts->error || to_ == To::kAsItIs) return facts;
  Result<void> written;
  if (from_anthropic_) {
    chunks_ = anthropic_->whole().joined();
    const std::size_t size = chunks_.size();
    chunks_.append(http::kPadding, '\0');
    written = write_whole(std::string_view(chunks_).substr(0, size));
  } else {
    written = write_whole(body);
  }
  if (!written) return std::unexpected(std::move(written.error()));
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

Result<void> CallerAnswer::write_whole(std::string_view answer) {
  std::string message;
  auto written = to_ == To::kMessages ? messages_->write_whole(answer, usage(), message)
                 : to_ == To::kOllama ? ollama_->write_whole(answer, usage(), message)
                                      : responses_->write_whole(answer, usage(), message);
  if (!written) return written;
  written_ = std::move(message);
  whole_.clear();
  whole_.add(written_);
  return {};
}

Result<const json::SlicedBody*> CallerAnswer::whole() {
  if (counts_) return &whole_;
  if (from_anthropic_) return to_ == To::kAsItIs ? &anthropic_->whole() : &whole_;
  if (read_whole_) return to_ == To::kAsItIs ? &openai_.whole() : &whole_;
  auto folded = openai_.fold();
  if (!folded) return std::unexpected(std::move(folded.error()));
  if (to_ != To::kAsItIs) {
    const std::size_t size = folded->size();
    folded->append(http::kPadding, '\0');
    if (auto written = write_whole(std::string_view(*folded).substr(0, size)); !written)
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
