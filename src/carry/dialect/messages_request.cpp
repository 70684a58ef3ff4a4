// One walk judges the whole body and finds the fields; then each field is walked once more and written as a chat
// completion has it. Texts, ids, schemas and numbers are copied as the JSON they are.
#include "carry/dialect/messages_request.h"

#include <fmt/format.h>

#include <array>

#include "carry/dialect/read_body.h"
#include "carry/http/message.h"
#include "carry/json/text.h"

namespace thalweg::dialect {
namespace {

enum class Field : std::uint8_t {
  kOther,
  kModel,
  kMessages,
  kSystem,
  kMaxTokens,
  kStream,
  kTemperature,
  kTopP,
  kStopSequences,
  kTools,
  kToolChoice,
  kOutputConfig,
  kThinking,
  kContainer,
  kHint,
};
constexpr std::size_t kFieldCount = static_cast<std::size_t>(Field::kHint);

constexpr json::NameTable<Field, 22> kFields{{{{"model", Field::kModel},
                                               {"messages", Field::kMessages},
                                               {"system", Field::kSystem},
                                               {"max_tokens", Field::kMaxTokens},
                                               {"stream", Field::kStream},
                                               {"temperature", Field::kTemperature},
                                               {"top_p", Field::kTopP},
                                               {"stop_sequences", Field::kStopSequences},
                                               {"tools", Field::kTools},
                                               {"tool_choice", Field::kToolChoice},
                                               {"output_config", Field::kOutputConfig},
                                               {"thinking", Field::kThinking},
                                               {"container", Field::kContainer},
                                               {"top_k", Field::kHint},
                                               {"metadata", Field::kHint},
                                               {"service_tier", Field::kHint},
                                               {"speed", Field::kHint},
                                               {"cache_control", Field::kHint},
                                               {"context_management", Field::kHint},
                                               {"diagnostics", Field::kHint},
                                               {"betas", Field::kHint},
                                               {"anthropic_beta", Field::kHint}}}};

}  // namespace

Result<void> MessagesRequest::translate(std::string_view body, For purpose) {
  begin(body);
  body_ = body;
  bound_ = false;
  std::array<Found, kFieldCount> fields;
  const auto of = [&](Field field) -> Found& { return fields[static_cast<std::size_t>(field)]; };
  const auto read = read_body(walk_, body, [&](const json::Member& member) {
    const json::Kind kind = walk_.next();
    const Field field = kFields.find(member.name, Field::kOther);
    if (field == Field::kHint && kind != json::Kind::kNull) drop(member.name);
    if (field == Field::kOther && kind != json::Kind::kNull) refuse(std::string(member.name));
    const std::size_t begin = walk_.offset();
    if (!walk_.skip()) return false;
    if (field != Field::kOther && field != Field::kHint) of(field) = {kind, body.substr(begin, walk_.offset() - begin)};
    return true;
  });
  if (!read) return read;

  out_ += '{';
  if (of(Field::kModel).kind != json::Kind::kNone) write_member("model", of(Field::kModel).raw);
  write_messages(of(Field::kSystem), of(Field::kMessages));
  if (of(Field::kMaxTokens).present()) {
    write_member("max_tokens", of(Field::kMaxTokens).raw);
  } else if (purpose == For::kAnswer) {
    blame("max_tokens", "max_tokens: Field required");
  }
  for (const auto& [field, name] : {std::pair{Field::kTemperature, "temperature"}, std::pair{Field::kTopP, "top_p"},
                                    std::pair{Field::kStopSequences, "stop"}}) {
    if (of(field).present()) write_member(name, of(field).raw);
  }
  if (purpose == For::kCounting) of(Field::kStream) = {};  // a count comes whole
  if (of(Field::kStream).present()) write_member("stream", of(Field::kStream).raw);
  // The counts close the message.
  if (of(Field::kStream).kind == json::Kind::kTrue) write_member("stream_options", R"({"include_usage":true})");
  write_tools(of(Field::kTools));
  write_tool_choice(of(Field::kToolChoice));
  write_output_config(of(Field::kOutputConfig));
  if (const Found& thinking = of(Field::kThinking); thinking.present()) {
    bool disabled = false;
    members(thinking.raw, [&](std::string_view name, const Found& value) {
      if (name == "type") disabled = is(value, "disabled");
    });
    if (!disabled) drop("thinking");
  }
  if (of(Field::kContainer).present()) {
    bound_ = true;
    refuse("container");
  }
  out_ += '}';
  model_ = of(Field::kModel).raw;
  max_tokens_ = of(Field::kMaxTokens).raw;
  return end();
}

json::Span MessagesRequest::span_of(std::string_view raw) const {
  const auto begin = static_cast<std::size_t>(raw.data() - body_.data());
  return {begin, begin + raw.size()};
}

const json::SlicedBody& MessagesRequest::body_for(std::string_view upstream_model,
                                                  const placement::Obligations& obligations) {
  splices_.clear();
  quoted_model_.clear();
  json::append_quoted(quoted_model_, upstream_model);
  if (model_ != quoted_model_) splices_.replace(span_of(model_)) += quoted_model_;
  if (obligations.output_cap != 0 && json::integer_of(max_tokens_).value_or(0) > obligations.output_cap)
    splices_.replace(span_of(max_tokens_)) += fmt::format("{}", obligations.output_cap);
  splices_.cut(body_, sliced_);
  return sliced_;
}

void MessagesRequest::forget() {
  Translation::forget();
  body_ = model_ = max_tokens_ = {};
  sliced_.clear();
  constexpr std::size_t kKeptCapacity = 16 * 1024;
  for (std::string* text : {&parts_, &only_text_}) {
    if (text->capacity() > kKeptCapacity) std::string().swap(*text);
  }
}

void MessagesRequest::write_tools(const Found& tools) {
  if (!tools.present() || !expect(tools, json::Kind::kArray, "tools", "an array of tools")) return;
  std::size_t index = 0;
  const std::size_t before = out_.size();
  write_member("tools", "[");
  elements(tools.raw, [&](const Found& tool) {
    const std::string path = fmt::format("tools.{}", index);
    Found type, name, description, schema, strict;
    members(tool.raw, [&](std::string_view member, const Found& value) {
      if (member == "type") {
        type = value;
      } else if (member == "name") {
        name = value;
      } else if (member == "description") {
        description = value;
      } else if (member == "input_schema") {
        schema = value;
      } else if (member == "strict") {
        strict = value;
      } else if (!value.present() || (member == "defer_loading" && value.kind == json::Kind::kFalse)) {
        return;
      } else if (member == "cache_control" || member == "eager_input_streaming" || member == "input_examples") {
        drop(member);
      } else {
        refuse(fmt::format("{}.{}", path, member));
      }
    });
    if (type.present() && !is(type, "custom")) {  // its type alone tells what it needs
      leave_out(path + ".type",
                fmt::format("{}.type: tools that a provider defines cannot be carried to another one", path));
      if (index++ > 0) out_ += ',';
      out_ += R"({"type":)";
      out_ += type.raw;
      out_ += '}';
      return;
    }
    if (!expect(name, json::Kind::kString, path + ".name", "a string") ||
        !expect(schema, json::Kind::kObject, path + ".input_schema", "an object")) {
      return;
    }
    if (index++ > 0) out_ += ',';
    out_ += R"({"type":"function","function":{)";
    write_member("name", name.raw);
    if (description.present()) write_member("description", description.raw);
    write_member("parameters", schema.raw);
    if (strict.present()) write_member("strict", strict.raw);
    out_ += "}}";
  });
  if (index == 0) {
    out_.resize(before);
  } else {
    out_ += ']';
  }
}

void MessagesRequest::write_tool_choice(const Found& choice) {
  if (!choice.present() || !expect(choice, json::Kind::kObject, "tool_choice", "an object")) return;
  Found type, name, one_at_a_time;
  members(choice.raw, [&](std::string_view member, const Found& value) {
    if (member == "type") {
      type = value;
    } else if (member == "name") {
      name = value;
    } else if (member == "disable_parallel_tool_use") {
      one_at_a_time = value;
    } else if (value.present()) {
      refuse(fmt::format("tool_choice.{}", member));
    }
  });
  if (is(type, "auto")) {
    write_member("tool_choice", "\"auto\"");
  } else if (is(type, "none")) {
    write_member("tool_choice", "\"none\"");
  } else if (is(type, "any")) {
    write_member("tool_choice", "\"required\"");
  } else if (is(type, "tool") && name.kind == json::Kind::kString) {
    write_member("tool_choice", R"({"type":"function","function":{"name":)");
    out_ += name.raw;
    out_ += "}}";
  } else {
    leave_out("tool_choice", "tool_choice: expected the type auto, any, none, or tool with a name");
  }
  if (one_at_a_time.kind == json::Kind::kTrue) write_member("parallel_tool_calls", "false");
}

void MessagesRequest::write_output_config(const Found& config) {
  if (!config.present() || !expect(config, json::Kind::kObject, "output_config", "an object")) return;
  Found format;
  members(config.raw, [&](std::string_view name, const Found& value) {
    if (name == "format") {
      format = value;
    } else if (name == "effort") {
      if (value.present()) drop("output_config.effort");
    } else if (value.present()) {
      refuse(fmt::format("output_config.{}", name));
    }
  });
  if (!format.present()) return;
  Found type, schema;
  members(format.raw, [&](std::string_view name, const Found& value) {
    if (name == "type") type = value;
    if (name == "schema") schema = value;
  });
  if (!is(type, "json_schema") || schema.kind != json::Kind::kObject) {
    return leave_out("output_config.format", "output_config.format: expected the type json_schema with a schema");
  }
  write_member("response_format", R"({"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":)");
  out_ += schema.raw;
  out_ += "}}";
}

}  // namespace thalweg::dialect
