#include "carry/dialect/request_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "carry/dialect/plain_fields.h"
#include "carry/dialect/read_body.h"

namespace thalweg::dialect {
namespace {

using inference::Capability;

enum class Field : std::uint8_t {
  kOther,
  kModel,
  kMessages,
  kPrompt,
  kInput,
  kStream,
  kStreamOptions,
  kN,
  kNCmpl,
  kBestOf,
  kMaxTokens,
  kMaxCompletionTokens,
  kNPredict,
  kTools,
  kFunctions,
  kWebSearchOptions,
  kResponseFormat,
  kModalities,
  kAudio,
  kLogprobs,
  kTopLogprobs,
  kStore,
  kPrefill,
};

constexpr json::NameTable<Field, 23> kFields{{{{"model", Field::kModel},
                                               {"messages", Field::kMessages},
                                               {"prompt", Field::kPrompt},
                                               {"input", Field::kInput},
                                               {"stream", Field::kStream},
                                               {"stream_options", Field::kStreamOptions},
                                               {"n", Field::kN},
                                               {"n_cmpl", Field::kNCmpl},
                                               {"best_of", Field::kBestOf},
                                               {"max_tokens", Field::kMaxTokens},
                                               {"max_completion_tokens", Field::kMaxCompletionTokens},
                                               {"n_predict", Field::kNPredict},
                                               {"tools", Field::kTools},
                                               {"functions", Field::kFunctions},
                                               {"web_search_options", Field::kWebSearchOptions},
                                               {"response_format", Field::kResponseFormat},
                                               {"modalities", Field::kModalities},
                                               {"audio", Field::kAudio},
                                               {"logprobs", Field::kLogprobs},
                                               {"top_logprobs", Field::kTopLogprobs},
                                               {"store", Field::kStore},
                                               {"continue_final_message", Field::kPrefill},
                                               {"add_generation_prompt", Field::kPrefill}}}};

}  // namespace

Result<void> RequestBody::read(inference::Surface surface, std::string_view body) {
  surface_ = surface;
  request_ = {};
  request_.surface = surface;
  model = stream = stream_options = include_usage = max_tokens = max_completion_tokens = n_predict = store = {};
  n_value_ = n_cmpl_ = best_of_ = logprobs_ = top_logprobs_ = {};
  stream_options_empty = true;
  sets_prefill = ends_with_assistant = has_messages_ = has_prompt_ = false;
  wants_documents = has_more_members = has_query_ = has_documents_ = false;
  documents.clear();
  beyond_engine.clear();
  prompts_ = 1;
  largest_piece_ = query_bytes_ = documents_ = 0;
  fault_parameter_.clear();
  fault_.clear();

  if (auto read = read_body(walk_, body, [this](const json::Member& member) { return read_member(member); }); !read) {
    fault_parameter_.clear();
    return read;
  }

  finish_features();
  if (!fault_.empty()) return fail(ErrorCode::kInvalidRequest, fault_);
  return {};
}

bool RequestBody::read_member(const json::Member& member) {
  const bool chat = surface_ == inference::Surface::kOpenAiChat;
  const Field field = kFields.find(member.name, Field::kOther);
  if (surface_ == inference::Surface::kRerank) return read_rerank_member(member);
  if (surface_ == inference::Surface::kOpenAiEmbeddings) {
    if (field == Field::kModel) return read_model();
    return field == Field::kInput ? read_prompt() : skip_unread(member);
  }
  switch (field) {
    case Field::kModel:
      return read_model();
    case Field::kMessages:
      return chat ? read_messages() : skip_unread(member);
    case Field::kPrompt:
      return chat ? skip_unread(member) : read_prompt();
    case Field::kInput:
      return skip_unread(member);
    case Field::kStream:
      return read_flag("stream", stream);
    case Field::kStreamOptions:
      return read_stream_options();
    case Field::kN:
      return read_integer("n", n_value_, 1);
    case Field::kNCmpl:
      return read_integer("n_cmpl", n_cmpl_, 1);
    case Field::kBestOf:
      return chat ? walk_.skip() : read_integer("best_of", best_of_, 1);
    case Field::kMaxTokens:
      return read_integer("max_tokens", max_tokens, std::numeric_limits<std::int64_t>::min());
    case Field::kMaxCompletionTokens:
      return read_integer("max_completion_tokens", max_completion_tokens, std::numeric_limits<std::int64_t>::min());
    case Field::kNPredict:
      return read_integer("n_predict", n_predict, std::numeric_limits<std::int64_t>::min());
    case Field::kTools:
      return read_tools();
    case Field::kFunctions:
      return read_functions();
    case Field::kWebSearchOptions:
      return read_need_by_presence("web_search_options", Capability::kHostedTools);
    case Field::kResponseFormat:
      return read_response_format();
    case Field::kModalities:
      return read_modalities();
    case Field::kAudio:
      return read_need_by_presence("audio", Capability::kAudio);
    case Field::kLogprobs:
      return chat ? read_flag("logprobs", logprobs_) : read_completion_logprobs();
    case Field::kTopLogprobs:
      return read_integer("top_logprobs", top_logprobs_, 0);
    case Field::kStore:
      return read_flag("store", store);
    case Field::kPrefill:
      sets_prefill = true;
      return walk_.skip();
    case Field::kOther:
      break;
  }
  return skip_unread(member);
}

bool RequestBody::skip_unread(const json::Member& member) {
  if (!is_plain_field(member.name)) request_.uses.add(inference::Use::kOther);
  return walk_.skip();
}

void RequestBody::finish_features() {
  const bool chat = surface_ == inference::Surface::kOpenAiChat;
  need(inference::need_of(surface_));
  if (!model.present()) blame("model", "you must provide a model parameter");
  if (chat && !has_messages_) blame("messages", missing("messages"));
  if (surface_ == inference::Surface::kRerank) {
    if (!has_query_) blame("query", missing("query"));
    if (!has_documents_) blame("documents", missing("documents"));
    request_.prompt_bytes += query_bytes_ * documents_;  // each document is read with the query before it
    largest_piece_ += query_bytes_;
  } else if (!chat && !has_prompt_) {
    blame(std::string(prompt_name()), missing(prompt_name()));
  }

  if (stream.kind == json::Kind::kTrue) request_.delivery = inference::Delivery::kStream;
  request_.wants_usage_frame =
      request_.delivery == inference::Delivery::kStream && include_usage.kind == json::Kind::kTrue;

  if (surface_ == inference::Surface::kOpenAiEmbeddings) prompts_ = 1;  // a list of inputs is one piece of work
  const auto n = static_cast<std::uint64_t>(std::max<std::int64_t>({1, n_value_.number, n_cmpl_.number}));
  if (n > kMaxChoices || prompts_ > kMaxChoices || n * prompts_ > kMaxChoices) {
    blame(prompts_ > 1 ? "prompt" : "n",
          fmt::format("at most {} choices in one request: 'n' times the number of prompts", kMaxChoices));
  } else {
    request_.choices = static_cast<std::uint32_t>(n * prompts_);
  }
  if (request_.choices > 1 || best_of_.number > 1) need(Capability::kManyChoices);

  const std::int64_t output =
      std::max<std::int64_t>({0, max_tokens.number, max_completion_tokens.number, n_predict.number});
  request_.max_output_tokens =
      static_cast<std::uint32_t>(std::min<std::int64_t>(output, std::numeric_limits<std::uint32_t>::max()));
  if (logprobs_.kind == json::Kind::kTrue || top_logprobs_.number > 0) need(Capability::kLogprobs);
  if (store.kind == json::Kind::kTrue) need(Capability::kStorage);
  request_.estimated_input_tokens = inference::estimate_tokens(request_.prompt_bytes);
  request_.largest_piece_tokens = inference::estimate_tokens(largest_piece_);
}

bool RequestBody::read_model() {
  model = open_value();
  if (model.kind != json::Kind::kString) return skip_wrong_type("model", "a string");
  json::Text text;
  if (!walk_.string(text)) return false;
  model.span.end = walk_.offset();
  request_.model = json::meaning(text, model_storage_);
  if (request_.model.empty()) blame("model", "you must provide a model parameter");
  return true;
}

bool RequestBody::read_flag(std::string_view name, Value& value) {
  value = open_value();
  if (value.kind != json::Kind::kTrue && !is_null_or(json::Kind::kFalse, value.kind)) {
    return skip_wrong_type(std::string(name), "a boolean");
  }
  if (!walk_.skip()) return false;
  value.span.end = walk_.offset();
  return true;
}

bool RequestBody::read_integer(std::string_view name, Value& value, std::int64_t least) {
  value = open_value();
  if (!is_null_or(json::Kind::kNumber, value.kind)) return skip_wrong_type(std::string(name), "an integer");
  if (value.kind == json::Kind::kNull) {
    if (!walk_.skip()) return false;
  } else {
    std::string_view raw;
    if (!walk_.number(raw)) return false;
    const auto integer = json::integer_of(raw);
    if (!integer) {
      blame(std::string(name), fmt::format("Invalid type for '{}': expected an integer, but got {} instead.", name,
                                           json::cut_at(raw, 32)));
    } else if (*integer < least) {
      blame(std::string(name),
            fmt::format("Invalid '{}': expected a value >= {}, but got {} instead.", name, least, *integer));
    }
    value.number = integer.value_or(0);
  }
  value.span.end = walk_.offset();
  return true;
}

bool RequestBody::read_stream_options() {
  stream_options = open_value();
  if (!is_null_or(json::Kind::kObject, stream_options.kind)) return skip_wrong_type("stream_options", "an object");
  const bool read =
      stream_options.kind == json::Kind::kNull ? walk_.skip() : walk_.object([this](const json::Member& member) {
        stream_options_empty = false;
        if (member.name == "include_usage") return read_flag("stream_options.include_usage", include_usage);
        return walk_.skip();
      });
  if (!read) return false;
  stream_options.span.end = walk_.offset();
  return true;
}

bool RequestBody::read_response_format() {
  const json::Kind kind = walk_.next();
  if (!is_null_or(json::Kind::kObject, kind)) return skip_wrong_type("response_format", "an object");
  if (kind == json::Kind::kNull) return walk_.skip();
  return walk_.object([this](const json::Member& member) {
    if (member.name != "type") return walk_.skip();
    if (walk_.next() != json::Kind::kString) return skip_wrong_type("response_format.type", "a string");
    json::Text text;
    if (!walk_.string(text)) return false;
    if (json::meaning(text, storage_) != "text") need(Capability::kJsonSchema);
    return true;
  });
}

bool RequestBody::read_modalities() {
  const json::Kind kind = walk_.next();
  if (!is_null_or(json::Kind::kArray, kind)) return skip_wrong_type("modalities", "an array of strings");
  if (kind == json::Kind::kNull) return walk_.skip();
  return walk_.array([this] {
    if (walk_.next() != json::Kind::kString) return skip_wrong_type("modalities", "an array of strings");
    json::Text text;
    if (!walk_.string(text)) return false;
    const std::string_view modality = json::meaning(text, storage_);
    if (modality != "text") {
      need(modality == "audio" ? Capability::kAudio : modality == "image" ? Capability::kImages : Capability::kFiles);
    }
    return true;
  });
}

// An integer here: even 0 asks for the log probability of the token taken.
bool RequestBody::read_completion_logprobs() {
  if (!read_integer("logprobs", logprobs_, 0)) return false;
  if (logprobs_.kind == json::Kind::kNumber) need(Capability::kLogprobs);
  return true;
}

bool RequestBody::read_need_by_presence(std::string_view name, inference::Capability capability) {
  const json::Kind kind = walk_.next();
  if (!is_null_or(json::Kind::kObject, kind)) return skip_wrong_type(std::string(name), "an object");
  if (kind == json::Kind::kObject) need(capability);
  return walk_.skip();
}

std::string RequestBody::missing(std::string_view parameter) {
  return fmt::format("Missing required parameter: '{}'.", parameter);
}

Value RequestBody::open_value() {
  const json::Kind kind = walk_.next();
  return {.kind = kind, .span = {walk_.offset(), walk_.offset()}, .number = 0};
}

// Reads on, so that a fault of the JSON itself, which comes first for the caller, is still found.
bool RequestBody::skip_wrong_type(std::string parameter, std::string_view expected) {
  const json::Kind kind = walk_.next();
  std::string message =
      fmt::format("Invalid type for '{}': expected {}, but got {} instead.", parameter, expected, name_of(kind));
  blame(std::move(parameter), std::move(message));
  return walk_.skip();
}

void RequestBody::blame(std::string parameter, std::string message) {
  if (!fault_.empty()) return;
  fault_parameter_ = std::move(parameter);
  fault_ = std::move(message);
}

}  // namespace thalweg::dialect
