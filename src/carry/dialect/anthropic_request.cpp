// The chat completion is valid by now; what an endpoint of Anthropic's API cannot be told is left out and named. Texts,
// ids, schemas and numbers are copied as the JSON they are.
#include "carry/dialect/anthropic_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "carry/json/text.h"

namespace thalweg::dialect {
namespace {

enum class Field : std::uint8_t {
  kOther,
  kModel,
  kMessages,
  kStream,
  kStreamOptions,
  kTemperature,
  kTopP,
  kTopK,
  kMaxTokens,
  kMaxCompletionTokens,
  kStop,
  kTools,
  kToolChoice,
  kParallelToolCalls,
  kResponseFormat,
  kUser,
  kSafetyIdentifier,
  kHint,
  kCount,
};

constexpr json::NameTable<Field, 24> kFields{{{{"model", Field::kModel},
                                               {"messages", Field::kMessages},
                                               {"stream", Field::kStream},
                                               {"stream_options", Field::kStreamOptions},
                                               {"temperature", Field::kTemperature},
                                               {"top_p", Field::kTopP},
                                               {"top_k", Field::kTopK},
                                               {"max_tokens", Field::kMaxTokens},
                                               {"max_completion_tokens", Field::kMaxCompletionTokens},
                                               {"stop", Field::kStop},
                                               {"tools", Field::kTools},
                                               {"tool_choice", Field::kToolChoice},
                                               {"parallel_tool_calls", Field::kParallelToolCalls},
                                               {"response_format", Field::kResponseFormat},
                                               {"user", Field::kUser},
                                               {"safety_identifier", Field::kSafetyIdentifier},
                                               {"seed", Field::kHint},
                                               {"metadata", Field::kHint},
                                               {"service_tier", Field::kHint},
                                               {"prompt_cache_key", Field::kHint},
                                               {"prompt_cache_retention", Field::kHint},
                                               {"prediction", Field::kHint},
                                               {"reasoning_effort", Field::kHint},
                                               {"verbosity", Field::kHint}}}};

constexpr std::size_t kMaxNamed = 64;  // bytes of a caller's word in a sentence of ours

/// Fields that say nothing at this value.
struct Neutral {
  std::string_view name;
  std::string_view values;  // one of them, each between spaces
};
constexpr std::array<Neutral, 8> kNeutral = {{
    {"n", " 1 "},
    {"store", " false "},
    {"logprobs", " false "},
    {"logit_bias", " {} "},
    {"frequency_penalty", " 0 0.0 "},
    {"presence_penalty", " 0 0.0 "},
    {"top_logprobs", " 0 "},
    {"modalities", R"( ["text"] )"},
}};

// A JSON string of white space alone.
bool is_blank(std::string_view quoted) {
  std::string_view rest = json::inside_quotes(quoted);
  while (!rest.empty()) {
    const bool escaped = rest.size() > 1 && rest[0] == '\\' && std::string_view("nrt").find(rest[1]) != rest.npos;
    if (!escaped && rest[0] != ' ') return false;
    rest.remove_prefix(escaped ? 2 : 1);
  }
  return true;
}

bool says_nothing(std::string_view name, std::string_view raw) {
  const auto found = std::ranges::find(kNeutral, name, &Neutral::name);
  return found != kNeutral.end() && raw.find(' ') == raw.npos &&
         found->values.find(fmt::format(" {} ", raw)) != std::string_view::npos;
}

}  // namespace

struct AnthropicRequest::Message {
  enum class Role : std::uint8_t { kOther, kSystem, kUser, kAssistant, kTool };
  Role role = Role::kOther;
  Found role_name, content, refusal, tool_calls, tool_call_id;
};

bool AnthropicRequest::wants(const Found& value, json::Kind kind, const std::string& parameter) {
  if (value.kind == kind) return true;
  refuse(parameter);
  return false;
}

void AnthropicRequest::translate(std::string_view chat) {
  begin(chat);
  max_tokens_ = 0;
  std::array<Found, static_cast<std::size_t>(Field::kCount)> fields;
  const auto of = [&](Field field) -> Found& { return fields[static_cast<std::size_t>(field)]; };
  members(chat, [&](std::string_view name, const Found& value) {
    if (!value.present()) return;
    const Field field = kFields.find(name, Field::kOther);
    if (field == Field::kHint) return drop(name);
    if (field != Field::kOther) {
      of(field) = value;
    } else if (!says_nothing(name, value.raw)) {
      refuse(std::string(name));
    }
  });
  const Found& limit = of(of(Field::kMaxCompletionTokens).present() ? Field::kMaxCompletionTokens : Field::kMaxTokens);
  if (limit.present()) max_tokens_ = static_cast<std::uint64_t>(json::integer_of(limit.raw).value_or(0));

  // Behind `model` and `max_tokens`, which each target has its own of: see body_for.
  out_ += '{';
  write_messages(of(Field::kMessages));
  for (const auto& [field, name] : {std::pair{Field::kStream, "stream"}, std::pair{Field::kTemperature, "temperature"},
                                    std::pair{Field::kTopP, "top_p"}, std::pair{Field::kTopK, "top_k"}}) {
    if (of(field).present()) write_member(name, of(field).raw);
  }
  constexpr double kMostTemperature = 1;
  if (of(Field::kTemperature).present() && json::double_of(of(Field::kTemperature).raw) > kMostTemperature)
    refuse("temperature");
  write_stop(of(Field::kStop));
  write_tools(of(Field::kTools));
  write_tool_choice(of(Field::kToolChoice), of(Field::kParallelToolCalls).kind == json::Kind::kFalse,
                    of(Field::kTools).present());
  write_response_format(of(Field::kResponseFormat));
  const Found& user = of(of(Field::kSafetyIdentifier).present() ? Field::kSafetyIdentifier : Field::kUser);
  if (user.kind == json::Kind::kString) write_member("metadata", fmt::format(R"({{"user_id":{}}})", user.raw));
  out_ += '}';
  (void)end();  // nothing is blamed here
}

const json::SlicedBody& AnthropicRequest::body_for(std::string_view upstream_model, std::uint32_t default_output,
                                                   const placement::Obligations& obligations) {
  std::uint64_t limit = max_tokens_ != 0 ? max_tokens_ : default_output;
  if (obligations.output_cap != 0) limit = std::min<std::uint64_t>(limit, obligations.output_cap);
  head_ = R"({"model":)";
  json::append_quoted(head_, upstream_model);
  fmt::format_to(std::back_inserter(head_), ",\"max_tokens\":{},", limit);
  sliced_.clear();
  sliced_.add(head_);
  sliced_.add(written().substr(1));  // `messages` is always there
  return sliced_;
}

void AnthropicRequest::write_stop(const Found& stop) {
  if (!stop.present()) return;
  const auto judge = [this](const Found& word) {
    if (word.kind != json::Kind::kString || is_blank(word.raw)) refuse("stop");  // the API refuses white space alone
  };
  if (stop.kind == json::Kind::kArray) {
    elements(stop.raw, judge);
    write_member("stop_sequences", stop.raw);
  } else {
    judge(stop);
    write_member("stop_sequences", fmt::format("[{}]", stop.raw));
  }
}

// ---- Messages ----

void AnthropicRequest::write_messages(const Found& messages) {
  // What stands before the first other message is the system's; later ones keep their place.
  std::string system;
  bool leading = true;
  Message::Role last = Message::Role::kOther;
  std::size_t index = 0;
  write_member("messages", "[");
  const auto close = [&] {
    if (last != Message::Role::kOther) out_ += "]}";
  };
  elements(messages.raw, [&](const Found& element) {
    const std::string path = fmt::format("messages[{}]", index++);
    Message message;
    members(element.raw, [&](std::string_view name, const Found& value) {
      if (name == "role") {
        message.role_name = value;
      } else if (name == "content") {
        message.content = value;
      } else if (name == "refusal") {
        message.refusal = value;
      } else if (name == "tool_calls") {
        message.tool_calls = value;
      } else if (name == "tool_call_id") {
        message.tool_call_id = value;
      } else if (!value.present()) {
        return;
      } else if (name == "name" || name == "reasoning_content" || name == "reasoning" || name == "annotations") {
        if (name != "annotations" || value.raw != "[]") drop(name);
      } else {
        refuse(fmt::format("{}.{}", path, name));
      }
    });
    using Role = Message::Role;
    if (is(message.role_name, "system") || is(message.role_name, "developer")) message.role = Role::kSystem;
    if (is(message.role_name, "user")) message.role = Role::kUser;
    if (is(message.role_name, "assistant")) message.role = Role::kAssistant;
    if (is(message.role_name, "tool")) message.role = Role::kTool;
    if (message.role == Role::kOther) return refuse(path + ".role");
    if (message.role == Role::kSystem && leading) {
      std::swap(out_, system);  // written aside
      if (out_.empty()) out_ += '[';
      write_system_block(message, path);
      std::swap(out_, system);
      return;
    }
    leading = false;
    // Results of tools that follow each other are one message: the API wants all of a turn in it.
    if (message.role != Role::kTool || last != Role::kTool) {
      close();
      if (out_.back() != '[') out_ += ',';
      const std::string_view role = message.role == Role::kAssistant ? "assistant"
                                    : message.role == Role::kSystem  ? "system"
                                                                     : "user";
      out_ += fmt::format(R"({{"role":"{}","content":[)", role);
    }
    last = message.role;
    switch (message.role) {
      case Role::kSystem:
        return write_system_block(message, path);
      case Role::kUser:
        return write_user(message, path);
      case Role::kAssistant:
        return write_assistant(message, path);
      case Role::kTool:
        return write_tool_result(message, path);
      case Role::kOther:
        return;
    }
  });
  close();
  if (last == Message::Role::kOther) refuse("messages");  // the system's words alone ask nothing
  out_ += ']';
  if (system.size() > 1) {
    system += ']';
    write_member("system", system);
  }
}

void AnthropicRequest::begin_block() {
  if (out_.back() != '[') out_ += ',';
}

// The API refuses texts of white space alone, which say nothing.
void AnthropicRequest::write_text_block(std::string_view quoted) {
  if (is_blank(quoted)) return;
  begin_block();
  out_ += R"({"type":"text","text":)";
  out_ += quoted;
  out_ += '}';
}

void AnthropicRequest::write_texts(const Found& content, const std::string& path) {
  if (content.kind == json::Kind::kString) return write_text_block(content.raw);
  std::size_t index = 0;
  if (content.present())
    elements(content.raw, [&](const Found& part) {
      const std::string at = fmt::format("{}[{}]", path, index++);
      Found type, text, refusal;
      members(part.raw, [&](std::string_view name, const Found& value) {
        if (name == "type") type = value;
        if (name == "text") text = value;
        if (name == "refusal") refusal = value;
      });
      if (is(type, "text") && text.kind == json::Kind::kString) return write_text_block(text.raw);
      if (is(type, "refusal") && refusal.kind == json::Kind::kString) return write_text_block(refusal.raw);
      refuse(at);
    });
}

void AnthropicRequest::write_system_block(const Message& message, const std::string& path) {
  write_texts(message.content, path + ".content");
}

void AnthropicRequest::write_user(const Message& message, const std::string& path) {
  const std::string inner = path + ".content";
  if (message.content.kind == json::Kind::kString) {
    if (is_blank(message.content.raw)) return refuse(inner);
    return write_text_block(message.content.raw);
  }
  std::size_t index = 0;
  if (!wants(message.content, json::Kind::kArray, inner)) return;
  const std::size_t before = out_.size();
  elements(message.content.raw, [&](const Found& part) { write_part(part, fmt::format("{}[{}]", inner, index++)); });
  if (out_.size() == before) refuse(inner);
}

void AnthropicRequest::write_part(const Found& part, const std::string& path) {
  Found type, text, image, file;
  members(part.raw, [&](std::string_view name, const Found& value) {
    if (name == "type") type = value;
    if (name == "text") text = value;
    if (name == "image_url") image = value;
    if (name == "file") file = value;
  });
  if (is(type, "text") && text.kind == json::Kind::kString) return write_text_block(text.raw);
  if (is(type, "image_url")) return write_image(image, path + ".image_url");
  if (is(type, "file")) return write_file(file, path + ".file");
  if (type.kind != json::Kind::kString) return refuse(path);
  refuse(fmt::format("{}.{}", path, json::inside_quotes(type.raw).substr(0, kMaxNamed)));
}

namespace {

struct DataUrl {
  std::string_view media_type;
  std::string_view data;
};

// `data:image/png;base64,...` as it stands in a JSON string; parameters of the type are left out.
bool read_data_url(std::string_view raw, DataUrl& url) {
  constexpr std::string_view kScheme = "data:", kCoding = ";base64,";
  if (!raw.starts_with(kScheme)) return false;
  const std::size_t comma = raw.find(',');
  if (comma == raw.npos || !raw.substr(0, comma + 1).ends_with(kCoding)) return false;
  const std::string_view type = raw.substr(kScheme.size(), comma + 1 - kCoding.size() - kScheme.size());
  url = {type.substr(0, type.find(';')), raw.substr(comma + 1)};
  return true;
}

}  // namespace

void AnthropicRequest::write_image(const Found& image, const std::string& path) {
  Found url;
  members(image.raw, [&](std::string_view name, const Found& value) {
    if (name == "url") {
      url = value;
    } else if (name == "detail") {
      if (value.present() && !is(value, "auto")) drop("detail");
    } else if (value.present()) {
      refuse(fmt::format("{}.{}", path, name));
    }
  });
  if (!wants(url, json::Kind::kString, path + ".url")) return;
  storage_.clear();
  json::unescape(json::inside_quotes(url.raw), storage_);  // many encoders write \/ for a slash
  DataUrl data;
  static constexpr std::array<std::string_view, 4> kTypes = {"image/jpeg", "image/png", "image/gif", "image/webp"};
  if (storage_.starts_with("https://")) {
    begin_block();
    out_ += R"({"type":"image","source":{"type":"url","url":)";
    out_ += url.raw;
    out_ += "}}";
  } else if (read_data_url(storage_, data) && std::ranges::find(kTypes, data.media_type) != kTypes.end()) {
    begin_block();
    out_ += R"({"type":"image","source":{"type":"base64","media_type":)";
    json::append_quoted(out_, data.media_type);
    out_ += ",\"data\":";
    json::append_quoted(out_, data.data);
    out_ += "}}";
  } else {
    refuse(path + ".url");
  }
}

void AnthropicRequest::write_file(const Found& file, const std::string& path) {
  Found data, name;
  members(file.raw, [&](std::string_view member, const Found& value) {
    if (member == "file_data") {
      data = value;
    } else if (member == "filename") {
      name = value;
    } else if (value.present()) {
      refuse(fmt::format("{}.{}", path, member));
    }
  });
  if (!wants(data, json::Kind::kString, path + ".file_data")) return;
  storage_.clear();
  json::unescape(json::inside_quotes(data.raw), storage_);
  DataUrl url;
  if (!read_data_url(storage_, url) || url.media_type != "application/pdf") return refuse(path + ".file_data");
  begin_block();
  out_ += R"({"type":"document","source":{"type":"base64","media_type":)";
  json::append_quoted(out_, url.media_type);
  out_ += ",\"data\":";
  json::append_quoted(out_, url.data);
  out_ += '}';
  if (name.kind == json::Kind::kString) write_member("title", name.raw);
  out_ += '}';
}

void AnthropicRequest::write_assistant(const Message& message, const std::string& path) {
  const std::size_t before = out_.size();
  write_texts(message.content, path + ".content");
  if (message.refusal.kind == json::Kind::kString) write_text_block(message.refusal.raw);
  if (message.tool_calls.present()) write_tool_calls(message.tool_calls, path + ".tool_calls");
  // A turn without words: the API takes no empty one, and nothing can be said in its place.
  if (out_.size() == before) refuse(path + ".content");
}

// The API takes letters, digits, _ and - in the id of a call; another provider may have made it of others.
void AnthropicRequest::write_id(std::string_view quoted) {
  out_ += '"';
  for (const char c : json::inside_quotes(quoted)) {
    const bool taken = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    out_ += taken || c == '-' ? c : '_';
  }
  out_ += '"';
}

void AnthropicRequest::write_tool_calls(const Found& calls, const std::string& path) {
  std::size_t index = 0;
  elements(calls.raw, [&](const Found& call) {
    const std::string at = fmt::format("{}[{}]", path, index++);
    Found id, type, function, name, arguments;
    members(call.raw, [&](std::string_view member, const Found& value) {
      if (member == "id") id = value;
      if (member == "type") type = value;
      if (member == "function") function = value;
    });
    if (type.present() && !is(type, "function")) return refuse(at);
    members(function.raw, [&](std::string_view member, const Found& value) {
      if (member == "name") name = value;
      if (member == "arguments") arguments = value;
    });
    if (!wants(id, json::Kind::kString, at + ".id") || !wants(name, json::Kind::kString, at + ".function.name") ||
        !wants(arguments, json::Kind::kString, at + ".function.arguments")) {
      return;
    }
    storage_.clear();
    json::unescape(json::inside_quotes(arguments.raw), storage_);
    if (json::without_space(storage_).empty()) storage_ = "{}";
    const std::size_t size = storage_.size();
    storage_.append(http::kPadding, '\0');
    const std::string_view object = json::without_space(std::string_view(storage_).substr(0, size));
    json::Walk walk;
    if (!walk.start(object, json::Walk::Rules::kCaller) || walk.next() != json::Kind::kObject || !walk.skip() ||
        !walk.end()) {
      return leave_out(at + ".function.arguments",
                       fmt::format("{}.function.arguments: this is not the text of a JSON object, which an endpoint "
                                   "that speaks Anthropic's Messages must be given",
                                   at));
    }
    begin_block();
    out_ += R"({"type":"tool_use","id":)";
    write_id(id.raw);
    out_ += ",\"name\":";
    out_ += name.raw;
    out_ += ",\"input\":";
    out_ += object;
    out_ += '}';
  });
}

void AnthropicRequest::write_tool_result(const Message& message, const std::string& path) {
  if (!wants(message.tool_call_id, json::Kind::kString, path + ".tool_call_id")) return;
  begin_block();
  out_ += R"({"type":"tool_result","tool_use_id":)";
  write_id(message.tool_call_id.raw);
  if (message.content.kind == json::Kind::kString) {
    write_member("content", message.content.raw);
  } else if (message.content.present()) {
    write_member("content", "[");
    write_texts(message.content, path + ".content");
    out_ += ']';
  }
  out_ += '}';
}

// ---- Tools and the answer's form ----

void AnthropicRequest::write_tools(const Found& tools) {
  if (!tools.present()) return;
  write_member("tools", "[");
  std::size_t index = 0;
  elements(tools.raw, [&](const Found& tool) {
    const std::string path = fmt::format("tools[{}]", index++);
    Found type, function, name, description, parameters, strict;
    members(tool.raw, [&](std::string_view member, const Found& value) {
      if (member == "type") {
        type = value;
      } else if (member == "function") {
        function = value;
      } else if (value.present()) {
        refuse(fmt::format("{}.{}", path, member));
      }
    });
    if (!is(type, "function")) return refuse(path);
    members(function.raw, [&](std::string_view member, const Found& value) {
      if (member == "name") {
        name = value;
      } else if (member == "description") {
        description = value;
      } else if (member == "parameters") {
        parameters = value;
      } else if (member == "strict") {
        strict = value;
      } else if (value.present()) {
        refuse(fmt::format("{}.function.{}", path, member));
      }
    });
    if (!wants(name, json::Kind::kString, path + ".function.name")) return;
    begin_block();
    out_ += '{';
    write_member("name", name.raw);
    if (description.present()) write_member("description", description.raw);
    write_schema(parameters);
    if (strict.present()) write_member("strict", strict.raw);
    out_ += '}';
  });
  out_ += ']';
}

// The API demands a schema, and `type: object` in it.
void AnthropicRequest::write_schema(const Found& parameters) {
  bool has_type = false, has_any = false;
  members(parameters.raw, [&](std::string_view name, const Found&) {
    has_any = true;
    has_type = has_type || name == "type";
  });
  if (!has_any) return write_member("input_schema", R"({"type":"object","properties":{}})");
  if (has_type) return write_member("input_schema", parameters.raw);
  write_member("input_schema", R"({"type":"object",)");
  out_ += parameters.raw.substr(1);
}

void AnthropicRequest::write_tool_choice(const Found& choice, bool one_at_a_time, bool has_tools) {
  if (!has_tools) return;  // chat completions allow a choice without tools, Messages do not
  const std::string_view rest = one_at_a_time ? R"(,"disable_parallel_tool_use":true})" : "}";
  if (!choice.present()) {
    if (one_at_a_time) write_member("tool_choice", fmt::format(R"({{"type":"auto"{})", rest));
  } else if (is(choice, "auto")) {
    write_member("tool_choice", fmt::format(R"({{"type":"auto"{})", rest));
  } else if (is(choice, "required")) {
    write_member("tool_choice", fmt::format(R"({{"type":"any"{})", rest));
  } else if (is(choice, "none")) {
    write_member("tool_choice", R"({"type":"none"})");
  } else {
    Found type, function, name;
    members(choice.raw, [&](std::string_view member, const Found& value) {
      if (member == "type") type = value;
      if (member == "function") function = value;
    });
    members(function.raw, [&](std::string_view member, const Found& value) {
      if (member == "name") name = value;
    });
    if (!is(type, "function") || name.kind != json::Kind::kString) return refuse("tool_choice");
    write_member("tool_choice", fmt::format(R"({{"type":"tool","name":{}{})", name.raw, rest));
  }
}

void AnthropicRequest::write_response_format(const Found& format) {
  if (!format.present()) return;
  Found type, described, schema;
  members(format.raw, [&](std::string_view name, const Found& value) {
    if (name == "type") type = value;
    if (name == "json_schema") described = value;
  });
  if (is(type, "text")) return;
  members(described.raw, [&](std::string_view name, const Found& value) {
    if (name == "schema") schema = value;
  });
  if (!is(type, "json_schema") || schema.kind != json::Kind::kObject) return refuse("response_format");
  write_member("output_config", fmt::format(R"({{"format":{{"type":"json_schema","schema":{}}}}})", schema.raw));
}

}  // namespace thalweg::dialect
