#include "carry/dialect/caller_request.h"

namespace thalweg::dialect {

using fleet::EndpointKind;
using inference::Surface;

Result<void> CallerRequest::translate(std::string_view body) {
  if (speaks_messages()) {
    if (!messages_) messages_ = std::make_unique<MessagesRequest>();
    from_caller_ = messages_.get();
    auto done = messages_->translate(body, counts() ? MessagesRequest::For::kCounting : MessagesRequest::For::kAnswer);
    body_ = messages_->chat();
    return done;
  }
  if (speaks_ollama()) {
    if (!ollama_) ollama_ = std::make_unique<OllamaRequest>();
    from_caller_ = ollama_.get();
    auto done = ollama_->translate(body, surface_);
    surface_ = ollama_->surface();
    body_ = ollama_->written();
    return done;
  }
  if (!responses_) responses_ = std::make_unique<ResponsesRequest>();
  from_caller_ = responses_.get();
  auto done = responses_->translate(body);
  body_ = responses_->chat();
  return done;
}

Result<void> CallerRequest::parse(Surface surface, std::string_view body) {
  surface_ = surface;
  body_ = body;
  from_caller_ = nullptr;
  wrote_anthropic_ = false;
  fault_parameter_ = {};
  if (is_written_anew(surface)) {
    if (auto done = translate(body); !done) {
      fault_parameter_ = from_caller_->fault_parameter();
      return done;
    }
  }
  auto parsed = chat_.parse(speaks_ollama()           ? ollama_->written_for()
                            : from_caller_ != nullptr ? Surface::kOpenAiChat
                                                      : surface,
                            body_);
  if (!parsed) fault_parameter_ = chat_.fault_parameter();
  return parsed;
}

void CallerRequest::describe(placement::Question& question, fleet::EndpointKinds kinds) {
  question.take_features(chat_.request());
  question.surface = surface_;
  question.carried_by = {};
  question.bound_elsewhere = (speaks_messages() && messages_->bound()) || (speaks_responses() && responses_->bound());
  // An endpoint of the caller's own API gets what the chat completion does not tell.
  if (from_caller_ != nullptr && from_caller_->holds_unknown()) {
    question.uses.add(inference::Use::kOther);
    if (question.bound_elsewhere) question.uses.add(inference::Use::kFileIds);
  }
  const bool in_chat = from_caller_ == nullptr || from_caller_->not_carried().empty();
  // The engine counts the tokens of a Messages request itself; what it is told is what a chat completion can say.
  const bool beyond_engine = (speaks_ollama() && !ollama_->beyond_engine().empty()) || !chat_.beyond_engine().empty();
  if (in_chat && !beyond_engine) question.carried_by.add(EndpointKind::kEngine);
  if (in_chat && !counts()) question.carried_by.add(EndpointKind::kOpenAi);
  if (speaks_messages()) {
    question.carried_by.add(EndpointKind::kAnthropic);
  } else if (in_chat && chat_.request().surface == Surface::kOpenAiChat && kinds.has(EndpointKind::kAnthropic)) {
    if (!wrote_anthropic_) {
      if (!anthropic_) anthropic_ = std::make_unique<AnthropicRequest>();
      anthropic_->translate(body_);
      wrote_anthropic_ = true;
    }
    if (anthropic_->not_carried().empty()) question.carried_by.add(EndpointKind::kAnthropic);
  }
}

const Translation* CallerRequest::at_fault() const {
  if (from_caller_ != nullptr && !from_caller_->not_carried().empty()) return from_caller_;
  return wrote_anthropic_ ? anthropic_.get() : nullptr;
}

std::string_view CallerRequest::not_carried() const {
  constexpr std::string_view kNoCounting = "count_tokens: an OpenAI-compatible server has nothing that counts tokens";
  if (const Translation* translation = at_fault()) return translation->not_carried();
  if (speaks_ollama() && !ollama_->beyond_engine().empty()) return ollama_->beyond_engine();
  return counts() ? kNoCounting : chat_.beyond_engine();
}

std::string_view CallerRequest::not_carried_parameter() const {
  const Translation* translation = at_fault();
  return translation != nullptr ? translation->not_carried_parameter() : std::string_view();
}

std::size_t CallerRequest::bytes_written() const {
  return (from_caller_ != nullptr ? body_.size() : 0) + (wrote_anthropic_ ? anthropic_->size() : 0);
}

const json::SlicedBody& CallerRequest::body_for(EndpointKind kind, const fleet::EndpointModel& model,
                                                const placement::Obligations& obligations) {
  if (kind != EndpointKind::kAnthropic && !counts())
    return with_more(chat_.body_for(kind, model.upstream_name, obligations), kind);
  if (speaks_messages()) return messages_->body_for(model.upstream_name, obligations);
  THALWEG_CHECK(wrote_anthropic_);  // place() chooses among the kinds that describe() let in
  return with_more(anthropic_->body_for(model.upstream_name, model.output_tokens, obligations), kind);
}

const json::SlicedBody& CallerRequest::with_more(const json::SlicedBody& body, EndpointKind kind) {
  const std::string_view members = speaks_ollama() ? ollama_->members_for(kind) : std::string_view();
  if (members.empty()) return body;
  more_.clear();
  const auto slices = body.slices();
  for (const std::string_view slice : slices.first(slices.size() - 1)) more_.add(slice);
  std::string_view last = slices.back();  // what is written ends with the object's brace
  last.remove_suffix(1);
  more_.add(last);
  more_.add(members);
  more_.add("}");
  return more_;
}

std::string_view CallerRequest::path_for(EndpointKind kind) const {
  if (counts()) return "/messages/count_tokens";
  if (kind == EndpointKind::kAnthropic) return "/messages";
  switch (chat_.request().surface) {
    case Surface::kOpenAiCompletions:
      return "/completions";
    case Surface::kOpenAiEmbeddings:
      return "/embeddings";
    case Surface::kRerank:
      return "/rerank";
    default:
      return "/chat/completions";
  }
}

std::string CallerRequest::dropped(EndpointKind kind) const {
  const bool to_anthropic = kind == EndpointKind::kAnthropic;
  std::string hints;
  if (speaks_ollama()) {
    hints = ollama_->dropped(kind);
  } else if (from_caller_ != nullptr && !counts() && !(to_anthropic && speaks_messages())) {
    hints = from_caller_->dropped();
  } else if (kind == EndpointKind::kEngine) {
    hints = chat_.dropped_by_engine();
  }
  if (!to_anthropic || !wrote_anthropic_ || anthropic_->dropped().empty()) return hints;
  if (!hints.empty()) hints += ", ";
  return hints += anthropic_->dropped();
}

void CallerRequest::forget() {
  if (messages_) messages_->forget();
  if (responses_) responses_->forget();
  if (ollama_) ollama_->forget();
  if (anthropic_) anthropic_->forget();
  from_caller_ = nullptr;
  wrote_anthropic_ = false;
  body_ = fault_parameter_ = {};
}

}  // namespace thalweg::dialect
