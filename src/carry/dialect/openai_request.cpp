// The body for one target: the caller's bytes with the closed list of edits (docs/formats/openai.md) spliced in.
// Members that were absent go right behind `model`, which is always there, so that most bodies leave as three slices.
#include <fmt/format.h>

#include "carry/dialect/openai.h"
#include "carry/dialect/request_body.h"
#include "carry/json/splices.h"
#include "carry/json/text.h"

namespace thalweg::dialect {

struct OpenAiRequest::Impl {
  std::string_view text;
  RequestBody body;
  json::Splices splices;
  json::SlicedBody sliced;
  std::string quoted_model;
  std::string added;  // members that were absent, each with a comma before it

  void ask_for_usage();
  void ask_for_stream();
  void continue_last_message();
  void cap_output(std::uint32_t cap);
  void cap_value(const Value& value, std::uint32_t cap);
  void forbid_storage();
  void write_documents_as_texts();
  void set_true(const Value& value) {
    if (value.kind != json::Kind::kTrue) splices.replace(value.span) += "true";
  }
};

OpenAiRequest::OpenAiRequest() : impl_(std::make_unique<Impl>()) {}
OpenAiRequest::~OpenAiRequest() = default;

Result<void> OpenAiRequest::parse(inference::Surface surface, std::string_view body) {
  impl_->text = body;
  return impl_->body.read(surface, body);
}

const inference::Request& OpenAiRequest::request() const {
  return impl_->body.request();
}

std::string_view OpenAiRequest::fault_parameter() const {
  return impl_->body.fault_parameter();
}

const json::SlicedBody& OpenAiRequest::body_for(fleet::EndpointKind kind, std::string_view upstream_model,
                                                const placement::Obligations& obligations) {
  Impl& impl = *impl_;
  const RequestBody& body = impl.body;
  const inference::Request& request = body.request();
  impl.splices.clear();
  impl.added.clear();

  const bool generates = inference::generates(request.surface);
  const bool engine = kind == fleet::EndpointKind::kEngine && generates;
  if (engine) {
    impl.ask_for_stream();
    if (body.ends_with_assistant && !body.sets_prefill) impl.continue_last_message();
  }
  if (kind == fleet::EndpointKind::kEngine) impl.write_documents_as_texts();
  if (engine || request.delivery == inference::Delivery::kStream) impl.ask_for_usage();
  if (obligations.output_cap != 0 && generates) impl.cap_output(obligations.output_cap);
  if (obligations.no_storage && generates) impl.forbid_storage();

  impl.quoted_model.clear();
  json::append_quoted(impl.quoted_model, upstream_model);
  const json::Span model = body.model.span;
  if (!impl.added.empty() || impl.text.substr(model.begin, model.end - model.begin) != impl.quoted_model) {
    std::string& written = impl.splices.replace(model);
    written += impl.quoted_model;
    written += impl.added;
  }
  impl.splices.cut(impl.text, impl.sliced);
  return impl.sliced;
}

std::string_view OpenAiRequest::beyond_engine() const {
  return impl_->body.beyond_engine;
}

std::string_view OpenAiRequest::dropped_by_engine() const {
  const RequestBody& body = impl_->body;
  if (body.has_more_members) return body.wants_documents ? "documents.*, return_documents" : "documents.*";
  return body.wants_documents ? "return_documents" : "";
}

// llama-server v0.5.0 takes an array of strings only.
void OpenAiRequest::Impl::write_documents_as_texts() {
  for (const RequestBody::Document& document : body.documents) {
    splices.remove({document.object.begin, document.text.begin});
    splices.remove({document.text.end, document.object.end});
  }
}

void OpenAiRequest::Impl::ask_for_stream() {
  if (body.stream.present()) {
    set_true(body.stream);
  } else {
    added += ",\"stream\":true";
  }
}

void OpenAiRequest::Impl::continue_last_message() {
  added += ",\"continue_final_message\":true,\"add_generation_prompt\":false";
}

void OpenAiRequest::Impl::ask_for_usage() {
  if (!body.stream_options.present()) {
    added += ",\"stream_options\":{\"include_usage\":true}";
  } else if (body.include_usage.present()) {
    set_true(body.include_usage);
  } else if (body.stream_options_empty) {  // null, or an object without members
    splices.replace(body.stream_options.span) += "{\"include_usage\":true}";
  } else {
    const std::size_t inside = body.stream_options.span.begin + 1;
    splices.replace({inside, inside}) += "\"include_usage\":true,";
  }
}

void OpenAiRequest::Impl::cap_value(const Value& value, std::uint32_t cap) {
  if (value.kind == json::Kind::kNumber && (value.number < 0 || value.number > cap)) {
    fmt::format_to(std::back_inserter(splices.replace(value.span)), "{}", cap);
  }
}

void OpenAiRequest::Impl::cap_output(std::uint32_t cap) {
  cap_value(body.max_tokens, cap);
  cap_value(body.max_completion_tokens, cap);
  cap_value(body.n_predict, cap);  // llama-server takes it before the others
  const bool chat = body.request().surface == inference::Surface::kOpenAiChat;
  if (body.max_tokens.kind == json::Kind::kNumber) return;
  if (chat && body.max_completion_tokens.kind == json::Kind::kNumber) return;
  if (body.max_tokens.kind == json::Kind::kNull) {
    fmt::format_to(std::back_inserter(splices.replace(body.max_tokens.span)), "{}", cap);
  } else {
    fmt::format_to(std::back_inserter(added), ",\"max_tokens\":{}", cap);
  }
}

void OpenAiRequest::Impl::forbid_storage() {
  if (!body.store.present()) {
    added += ",\"store\":false";
  } else if (body.store.kind != json::Kind::kFalse) {
    splices.replace(body.store.span) += "false";
  }
}

}  // namespace thalweg::dialect
