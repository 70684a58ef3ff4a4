#include "carry/dialect/caller_request.h"

namespace thalweg::dialect {

using fleet::EndpointKind;
using inference::Surface;

Result<void> CallerRequest::parse(Surface surface, std::string_view body) {
  surface_ = surface;
  body_ = body;
  wrote_anthropic_ = false;
  fault_parameter_ = {};
  if (speaks_messages()) {
    if (!messages_) messages_ = std::make_unique<MessagesRequest>();
    if (auto translated =
            messages_->translate(body, counts() ? MessagesRequest::For::kCounting : MessagesRequest::For::kAnswer);
        !translated) {
      fault_parameter_ = messages_->fault_parameter();
      return translated;
    }
    body_ = messages_->chat();
  }
  auto parsed = chat_.parse(speaks_messages() ? Surface::kOpenAiChat : surface, body_);
  if (!parsed) fault_parameter_ = chat_.fault_parameter();
  return parsed;
}

void CallerRequest::describe(placement::Question& question, fleet::EndpointKinds kinds) {
  question.take_features(chat_.request());
  question.surface = surface_;
  question.carried_by = {};
  question.bound_elsewhere = speaks_messages() && messages_->bound();
  if (counts()) {
    // The engine reads such a request itself; what it would be told is what a chat completion can say.
    if (messages_->not_carried().empty()) question.carried_by = {EndpointKind::kEngine};
  } else if (!speaks_messages() || messages_->not_carried().empty()) {
    question.carried_by = {EndpointKind::kEngine, EndpointKind::kOpenAi};
  }
  if (speaks_messages()) {
    question.carried_by.add(EndpointKind::kAnthropic);
  } else if (surface_ == Surface::kOpenAiChat && kinds.has(EndpointKind::kAnthropic)) {
    if (!wrote_anthropic_) {
      if (!anthropic_) anthropic_ = std::make_unique<AnthropicRequest>();
      anthropic_->translate(body_);
      wrote_anthropic_ = true;
    }
    if (anthropic_->not_carried().empty()) question.carried_by.add(EndpointKind::kAnthropic);
  }
}

std::string_view CallerRequest::not_carried() const {
  constexpr std::string_view kNoCounting = "count_tokens: an OpenAI-compatible server has nothing that counts tokens";
  if (counts() && messages_->not_carried().empty()) return kNoCounting;
  if (speaks_messages()) return messages_->not_carried();
  return wrote_anthropic_ ? anthropic_->not_carried() : std::string_view();
}

std::string_view CallerRequest::not_carried_parameter() const {
  if (speaks_messages()) return messages_->not_carried_parameter();
  return wrote_anthropic_ ? anthropic_->not_carried_parameter() : std::string_view();
}

std::size_t CallerRequest::bytes_written() const {
  if (speaks_messages()) return messages_->chat().size();
  return wrote_anthropic_ ? anthropic_->size() : 0;
}

const json::SlicedBody& CallerRequest::body_for(EndpointKind kind, const fleet::EndpointModel& model,
                                                const placement::Obligations& obligations) {
  if (kind != EndpointKind::kAnthropic && !counts()) return chat_.body_for(kind, model.upstream_name, obligations);
  if (speaks_messages()) return messages_->body_for(model.upstream_name, obligations);
  THALWEG_CHECK(wrote_anthropic_);  // place() chooses among the kinds that describe() let in
  return anthropic_->body_for(model.upstream_name, model.output_tokens, obligations);
}

std::string_view CallerRequest::path_for(EndpointKind kind) const {
  if (counts()) return "/messages/count_tokens";
  if (kind == EndpointKind::kAnthropic) return "/messages";
  switch (surface_) {
    case Surface::kOpenAiCompletions:
      return "/completions";
    case Surface::kOpenAiEmbeddings:
      return "/embeddings";
    default:
      return "/chat/completions";
  }
}

std::string_view CallerRequest::dropped(EndpointKind kind) const {
  if (speaks_messages())
    return kind == EndpointKind::kAnthropic || counts() ? std::string_view() : messages_->dropped();
  return kind == EndpointKind::kAnthropic && wrote_anthropic_ ? anthropic_->dropped() : std::string_view();
}

void CallerRequest::forget() {
  if (messages_) messages_->forget();
  if (anthropic_) anthropic_->forget();
  wrote_anthropic_ = false;
  body_ = fault_parameter_ = {};
}

}  // namespace thalweg::dialect
