#include "carry/dialect/request_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace thalweg::dialect {
namespace {

using inference::Capability;

enum class Field : std::uint8_t {
  kOther,
  kModel,
  kMessages,
  kPrompt,
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

constexpr NameTable<Field, 22> kFields{{{{"model", Field::kModel},
                                         {"messages", Field::kMessages},
                                         {"prompt", Field::kPrompt},
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

enum class MessageField : std::uint8_t { kOther, kRole, kContent, kToolCalls, kFunctionCall, kAudio };

constexpr NameTable<MessageField, 5> kMessageFields{{{{"role", MessageField::kRole},
                                                      {"content", MessageField::kContent},
                                                      {"tool_calls", MessageField::kToolCalls},
                                                      {"function_call", MessageField::kFunctionCall},
                                                      {"audio", MessageField::kAudio}}}};

// What a content part is, by its type and by the member that carries its matter.
enum class Part : std::uint8_t { kText, kImage, kAudio, kFile };

constexpr NameTable<Part, 5> kPartTypes{{{{"text", Part::kText},
                                          {"refusal", Part::kText},
                                          {"image_url", Part::kImage},
                                          {"input_audio", Part::kAudio},
                                          {"file", Part::kFile}}}};

constexpr NameTable<Part, 9> kPartMatter{{{{"image_url", Part::kImage},
                                           {"image", Part::kImage},
                                           {"input_image", Part::kImage},
                                           {"input_audio", Part::kAudio},
                                           {"audio_url", Part::kAudio},
                                           {"file", Part::kFile},
                                           {"input_file", Part::kFile},
                                           {"video_url", Part::kFile},
                                           {"input_video", Part::kFile}}}};

// A token number stands for about four bytes of text, so that bytes and tokens keep their usual ratio (estimate_tokens).
constexpr std::uint64_t kBytesOfToken = 4;

std::string missing(std::string_view parameter) { return fmt::format("Missing required parameter: '{}'.", parameter); }

}  // namespace

Result<void> RequestBody::read(inference::Surface surface, std::string_view body) {
  surface_ = surface;
  request_ = {};
  request_.surface = surface;
  model = stream = stream_options = include_usage = max_tokens = max_completion_tokens = n_predict = store = {};
  n_value_ = n_cmpl_ = best_of_ = logprobs_ = top_logprobs_ = {};
  stream_options_empty = true;
  sets_prefill = ends_with_assistant = has_messages_ = has_prompt_ = false;
  prompts_ = 1;
  fault_parameter_.clear();
  fault_.clear();

  if (body.empty()) return fail(ErrorCode::kInvalidRequest, "the request body is empty: send a JSON object");
  const auto malformed = [&] {
    fault_parameter_.clear();
    return fail(ErrorCode::kInvalidRequest, fmt::format("the request body is not valid JSON: {}", walk_.fault()));
  };
  if (!walk_.start(body, JsonWalk::Rules::kCaller)) return malformed();
  if (const JsonKind kind = walk_.next(); kind != JsonKind::kObject) {
    if (!walk_.skip() || !walk_.end()) return malformed();
    return fail(ErrorCode::kInvalidRequest,
                fmt::format("the request body must be a JSON object, but it is {}", name_of(kind)));
  }
  if (!walk_.object([this](const JsonMember& member) { return read_member(member); }) || !walk_.end()) {
    return malformed();
  }

  finish_features();
  if (!fault_.empty()) return fail(ErrorCode::kInvalidRequest, fault_);
  return {};
}

bool RequestBody::read_member(const JsonMember& member) {
  const bool chat = surface_ == inference::Surface::kOpenAiChat;
  switch (kFields.find(member.name, Field::kOther)) {
    case Field::kModel:
      return read_model();
    case Field::kMessages:
      return chat ? read_messages() : walk_.skip();
    case Field::kPrompt:
      return chat ? walk_.skip() : read_prompt();
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
  return walk_.skip();
}

void RequestBody::finish_features() {
  const bool chat = surface_ == inference::Surface::kOpenAiChat;
  need(chat ? Capability::kChat : Capability::kCompletions);
  if (!model.present()) blame("model", "you must provide a model parameter");
  if (chat && !has_messages_) blame("messages", missing("messages"));
  if (!chat && !has_prompt_) blame("prompt", missing("prompt"));

  if (stream.kind == JsonKind::kTrue) request_.delivery = inference::Delivery::kStream;
  request_.wants_usage_frame =
      request_.delivery == inference::Delivery::kStream && include_usage.kind == JsonKind::kTrue;

  const auto n = static_cast<std::uint64_t>(std::max<std::int64_t>({1, n_value_.number, n_cmpl_.number}));
  if (n > kMaxChoices || prompts_ > kMaxChoices || n * prompts_ > kMaxChoices) {
    blame(prompts_ > 1 ? "prompt" : "n", fmt::format("at most {} choices in one request: 'n' times the number of prompts", kMaxChoices));
  } else {
    request_.choices = static_cast<std::uint32_t>(n * prompts_);
  }
  if (request_.choices > 1 || best_of_.number > 1) need(Capability::kManyChoices);

  const std::int64_t output = std::max<std::int64_t>({0, max_tokens.number, max_completion_tokens.number, n_predict.number});
  request_.max_output_tokens =
      static_cast<std::uint32_t>(std::min<std::int64_t>(output, std::numeric_limits<std::uint32_t>::max()));
  if (logprobs_.kind == JsonKind::kTrue || top_logprobs_.number > 0) need(Capability::kLogprobs);
  if (store.kind == JsonKind::kTrue) need(Capability::kStorage);
  request_.estimated_input_tokens = inference::estimate_tokens(request_.prompt_bytes);
}

bool RequestBody::read_model() {
  model = open_value();
  if (model.kind != JsonKind::kString) return skip_wrong_type("model", "a string");
  JsonText text;
  if (!walk_.string(text)) return false;
  model.span.end = walk_.offset();
  request_.model = meaning(text, model_storage_);
  if (request_.model.empty()) blame("model", "you must provide a model parameter");
  return true;
}

bool RequestBody::read_flag(std::string_view name, Value& value) {
  value = open_value();
  if (value.kind != JsonKind::kTrue && !is_null_or(JsonKind::kFalse, value.kind)) {
    return skip_wrong_type(std::string(name), "a boolean");
  }
  if (!walk_.skip()) return false;
  value.span.end = walk_.offset();
  return true;
}

bool RequestBody::read_integer(std::string_view name, Value& value, std::int64_t least) {
  value = open_value();
  if (!is_null_or(JsonKind::kNumber, value.kind)) return skip_wrong_type(std::string(name), "an integer");
  if (value.kind == JsonKind::kNull) {
    if (!walk_.skip()) return false;
  } else {
    std::string_view raw;
    if (!walk_.number(raw)) return false;
    const auto integer = integer_of(raw);
    if (!integer) {
      blame(std::string(name), fmt::format("Invalid type for '{}': expected an integer, but got {} instead.", name,
                                           cut_at(raw, 32)));
    } else if (*integer < least) {
      blame(std::string(name), fmt::format("Invalid '{}': expected a value >= {}, but got {} instead.", name, least, *integer));
    }
    value.number = integer.value_or(0);
  }
  value.span.end = walk_.offset();
  return true;
}

bool RequestBody::read_stream_options() {
  stream_options = open_value();
  if (!is_null_or(JsonKind::kObject, stream_options.kind)) return skip_wrong_type("stream_options", "an object");
  const bool read = stream_options.kind == JsonKind::kNull ? walk_.skip() : walk_.object([this](const JsonMember& member) {
    stream_options_empty = false;
    if (member.name == "include_usage") return read_flag("stream_options.include_usage", include_usage);
    return walk_.skip();
  });
  if (!read) return false;
  stream_options.span.end = walk_.offset();
  return true;
}

bool RequestBody::read_messages() {
  has_messages_ = true;
  if (walk_.next() != JsonKind::kArray) return skip_wrong_type("messages", "an array of objects");
  std::size_t count = 0;
  if (!walk_.array([&] { return read_message(count++); })) return false;
  if (count == 0) {
    blame("messages", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.");
  }
  return true;
}

bool RequestBody::read_message(std::size_t index) {
  ends_with_assistant = false;
  if (walk_.next() != JsonKind::kObject) return skip_wrong_type(fmt::format("messages[{}]", index), "an object");
  bool has_role = false;
  bool assistant = false;
  bool calls_tools = false;
  const bool read = walk_.object([&](const JsonMember& member) {
    const MessageField field = kMessageFields.find(member.name, MessageField::kOther);
    const JsonKind kind = walk_.next();
    switch (field) {
      case MessageField::kRole:
        has_role = true;
        return read_role(index, assistant);
      case MessageField::kContent:
        return read_content(index);
      case MessageField::kToolCalls: {
        if (!is_null_or(JsonKind::kArray, kind)) {
          return skip_wrong_type(fmt::format("messages[{}].tool_calls", index), "an array of objects");
        }
        if (kind == JsonKind::kNull) return walk_.skip();
        return walk_.array([&] {
          calls_tools = true;
          return count_text();
        });
      }
      case MessageField::kFunctionCall:
        if (kind != JsonKind::kNull) calls_tools = true;
        return count_text();
      case MessageField::kAudio:
        if (kind != JsonKind::kNull) need(Capability::kAudio);
        return walk_.skip();
      case MessageField::kOther:
        break;
    }
    return count_text();
  });
  if (!read) return false;
  if (!has_role) {
    const std::string parameter = fmt::format("messages[{}].role", index);
    blame(parameter, missing(parameter));
  }
  if (calls_tools) need(Capability::kTools);
  ends_with_assistant = assistant && !calls_tools;
  return true;
}

bool RequestBody::read_role(std::size_t index, bool& assistant) {
  if (walk_.next() != JsonKind::kString) return skip_wrong_type(fmt::format("messages[{}].role", index), "a string");
  JsonText text;
  if (!walk_.string(text)) return false;
  request_.prompt_bytes += text.meant_bytes;
  const std::string_view role = meaning(text, storage_);
  assistant = role == "assistant";
  if (role == "tool" || role == "function") need(Capability::kTools);
  return true;
}

bool RequestBody::read_content(std::size_t index) {
  switch (walk_.next()) {
    case JsonKind::kString:
    case JsonKind::kNull:
      return count_text();
    case JsonKind::kArray: {
      std::size_t part = 0;
      return walk_.array([&] { return read_part(index, part++); });
    }
    default:
      return skip_wrong_type(fmt::format("messages[{}].content", index), "a string or an array of objects");
  }
}

bool RequestBody::read_part(std::size_t index, std::size_t part) {
  const auto parameter = [&](std::string_view behind) { return fmt::format("messages[{}].content[{}]{}", index, part, behind); };
  if (walk_.next() != JsonKind::kObject) return skip_wrong_type(parameter(""), "an object");
  const auto need_part = [this](Part kind) {
    if (kind == Part::kImage) need(Capability::kImages);
    if (kind == Part::kAudio) need(Capability::kAudio);
    if (kind == Part::kFile) need(Capability::kFiles);
  };
  bool has_type = false;
  const bool read = walk_.object([&](const JsonMember& member) {
    if (member.name == "type") {
      has_type = true;
      if (walk_.next() != JsonKind::kString) return skip_wrong_type(parameter(".type"), "a string");
      JsonText text;
      if (!walk_.string(text)) return false;
      need_part(kPartTypes.find(meaning(text, storage_), Part::kFile));
      return true;
    }
    const Part matter = kPartMatter.find(member.name, Part::kText);
    if (matter == Part::kText) return count_text();
    if (walk_.next() != JsonKind::kNull) need_part(matter);
    return walk_.skip();
  });
  if (!read) return false;
  if (!has_type) blame(parameter(".type"), missing(parameter(".type")));
  return true;
}

bool RequestBody::read_prompt() {
  has_prompt_ = true;
  switch (walk_.next()) {
    case JsonKind::kString:
      return count_text();
    case JsonKind::kArray:
      return read_prompts();
    default:
      return skip_wrong_type("prompt", "a string, an array of strings or an array of token numbers");
  }
}

// The first element tells what the array is: strings or token lists are prompts each, token numbers are one prompt together.
bool RequestBody::read_prompts() {
  std::uint64_t count = 0;
  JsonKind first = JsonKind::kNone;
  const bool read = walk_.array([&] {
    const JsonKind kind = walk_.next();
    if (count++ == 0) first = kind;
    if (kind == first && kind == JsonKind::kString) return count_text();
    if (kind == first && kind == JsonKind::kArray) return read_token_list();
    if (kind == first && kind == JsonKind::kNumber) {
      request_.prompt_bytes += kBytesOfToken;
      return walk_.skip();
    }
    return skip_wrong_type(fmt::format("prompt[{}]", count - 1), count == 1 ? "a string, a token number or an array of token numbers" : name_of(first));
  });
  if (!read) return false;
  if (count == 0) blame("prompt", "Invalid 'prompt': empty array. Expected an array with minimum length 1, but got an empty array instead.");
  prompts_ = first == JsonKind::kNumber ? 1 : std::max<std::uint64_t>(1, count);
  return true;
}

bool RequestBody::read_token_list() {
  return walk_.array([&] {
    if (walk_.next() != JsonKind::kNumber) return skip_wrong_type("prompt", "token numbers in an array of arrays");
    request_.prompt_bytes += kBytesOfToken;
    return walk_.skip();
  });
}

bool RequestBody::read_tools() {
  const JsonKind kind = walk_.next();
  if (!is_null_or(JsonKind::kArray, kind)) return skip_wrong_type("tools", "an array of objects");
  if (kind == JsonKind::kNull) return walk_.skip();
  const std::size_t begin = walk_.offset();
  std::size_t count = 0;
  const bool read = walk_.array([&] {
    const std::size_t index = count++;
    if (walk_.next() != JsonKind::kObject) return skip_wrong_type(fmt::format("tools[{}]", index), "an object");
    bool has_type = false;
    const bool read_tool = walk_.object([&](const JsonMember& member) {
      if (member.name != "type") return walk_.skip();
      has_type = true;
      if (walk_.next() != JsonKind::kString) return skip_wrong_type(fmt::format("tools[{}].type", index), "a string");
      JsonText text;
      if (!walk_.string(text)) return false;
      const std::string_view type = meaning(text, storage_);
      need(type == "function" || type == "custom" ? Capability::kTools : Capability::kHostedTools);
      return true;
    });
    if (!read_tool) return false;
    if (!has_type) {
      const std::string parameter = fmt::format("tools[{}].type", index);
      blame(parameter, missing(parameter));
    }
    return true;
  });
  if (!read) return false;
  if (count > 0) request_.prompt_bytes += walk_.offset() - begin;
  return true;
}

bool RequestBody::read_functions() {
  const JsonKind kind = walk_.next();
  if (!is_null_or(JsonKind::kArray, kind)) return skip_wrong_type("functions", "an array of objects");
  if (kind == JsonKind::kNull) return walk_.skip();
  const std::size_t begin = walk_.offset();
  bool any = false;
  const bool read = walk_.array([&] {
    any = true;
    return walk_.skip();
  });
  if (!read) return false;
  if (any) {
    need(Capability::kTools);
    request_.prompt_bytes += walk_.offset() - begin;
  }
  return true;
}

bool RequestBody::read_response_format() {
  const JsonKind kind = walk_.next();
  if (!is_null_or(JsonKind::kObject, kind)) return skip_wrong_type("response_format", "an object");
  if (kind == JsonKind::kNull) return walk_.skip();
  return walk_.object([this](const JsonMember& member) {
    if (member.name != "type") return walk_.skip();
    if (walk_.next() != JsonKind::kString) return skip_wrong_type("response_format.type", "a string");
    JsonText text;
    if (!walk_.string(text)) return false;
    if (meaning(text, storage_) != "text") need(Capability::kJsonSchema);
    return true;
  });
}

bool RequestBody::read_modalities() {
  const JsonKind kind = walk_.next();
  if (!is_null_or(JsonKind::kArray, kind)) return skip_wrong_type("modalities", "an array of strings");
  if (kind == JsonKind::kNull) return walk_.skip();
  return walk_.array([this] {
    if (walk_.next() != JsonKind::kString) return skip_wrong_type("modalities", "an array of strings");
    JsonText text;
    if (!walk_.string(text)) return false;
    const std::string_view modality = meaning(text, storage_);
    if (modality != "text") {
      need(modality == "audio" ? Capability::kAudio : modality == "image" ? Capability::kImages : Capability::kFiles);
    }
    return true;
  });
}

// An integer here: even 0 asks for the log probability of the token taken.
bool RequestBody::read_completion_logprobs() {
  if (!read_integer("logprobs", logprobs_, 0)) return false;
  if (logprobs_.kind == JsonKind::kNumber) need(Capability::kLogprobs);
  return true;
}

bool RequestBody::read_need_by_presence(std::string_view name, inference::Capability capability) {
  const JsonKind kind = walk_.next();
  if (!is_null_or(JsonKind::kObject, kind)) return skip_wrong_type(std::string(name), "an object");
  if (kind == JsonKind::kObject) need(capability);
  return walk_.skip();
}

bool RequestBody::count_text() {
  switch (walk_.next()) {
    case JsonKind::kString: {
      JsonText text;
      if (!walk_.string(text)) return false;
      request_.prompt_bytes += text.meant_bytes;
      return true;
    }
    case JsonKind::kObject:
      return walk_.object([this](const JsonMember&) { return count_text(); });
    case JsonKind::kArray:
      return walk_.array([this] { return count_text(); });
    default:
      return walk_.skip();
  }
}

Value RequestBody::open_value() {
  const JsonKind kind = walk_.next();
  return {.kind = kind, .span = {walk_.offset(), walk_.offset()}, .number = 0};
}

// Reads on, so that a fault of the JSON itself, which comes first for the caller, is still found.
bool RequestBody::skip_wrong_type(std::string parameter, std::string_view expected) {
  const JsonKind kind = walk_.next();
  std::string message = fmt::format("Invalid type for '{}': expected {}, but got {} instead.", parameter, expected, name_of(kind));
  blame(std::move(parameter), std::move(message));
  return walk_.skip();
}

void RequestBody::blame(std::string parameter, std::string message) {
  if (!fault_.empty()) return;
  fault_parameter_ = std::move(parameter);
  fault_ = std::move(message);
}

}  // namespace thalweg::dialect
