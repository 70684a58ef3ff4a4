// One walk judges the whole body and finds the fields; then each field is walked once more and written as a chat
// completion has it. Texts, ids, schemas and numbers are copied as the JSON they are.
#include "carry/dialect/messages_request.h"

#include <fmt/format.h>

#include <array>

#include "base/result.h"
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

/// A JSON string without its quotes.
std::string_view inside(std::string_view quoted) {
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

/// What a content block may have.
struct MessagesRequest::Block {
  enum class Type : std::uint8_t {
    kOther,
    kText,
    kImage,
    kDocument,
    kToolUse,
    kToolResult,
    kThinking,
    kRedacted,
  };
  Type type = Type::kOther;
  Found type_name, text, source, id, name, input, tool_use_id, content, is_error, thinking, signature;
};

// Valid JSON by now: these walks cannot fail, and their callbacks say nothing.
template <class OnMember>
void MessagesRequest::members(std::string_view object, OnMember&& on_member) {
  THALWEG_CHECK(level_ < std::size(walks_));
  json::Walk& walk = walks_[level_++];
  if (walk.start(object, json::Walk::Rules::kEndpoint) && walk.next() == json::Kind::kObject) {
    walk.object([&](const json::Member& member) {
      const json::Kind kind = walk.next();
      const std::size_t begin = walk.offset();
      const std::string_view name = member.name;
      if (!walk.skip()) return false;
      on_member(name, Found{kind, object.substr(begin, walk.offset() - begin)});
      return true;
    });
  }
  --level_;
}

template <class OnElement>
void MessagesRequest::elements(std::string_view array, OnElement&& on_element) {
  THALWEG_CHECK(level_ < std::size(walks_));
  json::Walk& walk = walks_[level_++];
  if (walk.start(array, json::Walk::Rules::kEndpoint) && walk.next() == json::Kind::kArray) {
    walk.array([&] {
      const json::Kind kind = walk.next();
      const std::size_t begin = walk.offset();
      if (!walk.skip()) return false;
      on_element(Found{kind, array.substr(begin, walk.offset() - begin)});
      return true;
    });
  }
  --level_;
}

bool MessagesRequest::is(const Found& value, std::string_view word) {
  if (value.kind != json::Kind::kString) return false;
  const std::string_view raw = inside(value.raw);
  if (raw.find('\\') == raw.npos) return raw == word;
  json::unescape(raw, storage_);
  return storage_ == word;
}

Result<void> MessagesRequest::translate(std::string_view body) {
  chat_.clear();
  chat_size_ = 0;
  dropped_.clear();
  fault_.clear();
  fault_parameter_.clear();
  level_ = 0;
  if (body.empty()) return fail(ErrorCode::kInvalidRequest, "the request body is empty: send a JSON object");
  const auto malformed = [&] {
    return fail(ErrorCode::kInvalidRequest, fmt::format("the request body is not valid JSON: {}", walk_.fault()));
  };
  if (!walk_.start(body, json::Walk::Rules::kCaller)) return malformed();
  if (const json::Kind kind = walk_.next(); kind != json::Kind::kObject) {
    if (!walk_.skip() || !walk_.end()) return malformed();
    return fail(ErrorCode::kInvalidRequest,
                fmt::format("the request body must be a JSON object, but it is {}", name_of(kind)));
  }
  std::array<Found, kFieldCount> fields;
  const auto of = [&](Field field) -> Found& { return fields[static_cast<std::size_t>(field)]; };
  const bool read = walk_.object([&](const json::Member& member) {
    const json::Kind kind = walk_.next();
    const Field field = kFields.find(member.name, Field::kOther);
    if (field == Field::kHint && kind != json::Kind::kNull) drop(member.name);
    if (field == Field::kOther && kind != json::Kind::kNull) refuse(std::string(member.name));
    const std::size_t begin = walk_.offset();
    if (!walk_.skip()) return false;
    if (field != Field::kOther && field != Field::kHint) of(field) = {kind, body.substr(begin, walk_.offset() - begin)};
    return true;
  });
  if (!read || !walk_.end()) return malformed();

  chat_ += '{';
  if (of(Field::kModel).kind != json::Kind::kNone) write_member("model", of(Field::kModel).raw);
  write_messages(of(Field::kSystem), of(Field::kMessages));
  if (of(Field::kMaxTokens).present()) {
    write_member("max_tokens", of(Field::kMaxTokens).raw);
  } else {
    blame("max_tokens", "max_tokens: Field required");
  }
  for (const auto& [field, name] : {std::pair{Field::kTemperature, "temperature"}, std::pair{Field::kTopP, "top_p"},
                                    std::pair{Field::kStopSequences, "stop"}}) {
    if (of(field).present()) write_member(name, of(field).raw);
  }
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
  if (of(Field::kContainer).present()) refuse("container");
  chat_ += '}';
  chat_size_ = chat_.size();
  chat_.append(http::kPadding, '\0');
  if (!fault_.empty()) return fail(ErrorCode::kInvalidRequest, fault_);
  return {};
}

void MessagesRequest::write_member(std::string_view name, std::string_view raw) {
  if (chat_.back() != '{') chat_ += ',';
  chat_ += '"';
  chat_ += name;
  chat_ += "\":";
  chat_ += raw;
}

void MessagesRequest::begin_message(std::string_view role) {
  if (chat_.back() != '[') chat_ += ',';
  chat_ += R"({"role":")";
  chat_ += role;
  chat_ += '"';
}

void MessagesRequest::write_messages(const Found& system, const Found& messages) {
  write_member("messages", "[");
  if (system.present()) write_system(system, "system");
  if (messages.kind == json::Kind::kArray) {
    std::size_t index = 0;
    elements(messages.raw, [&](const Found& message) {
      const std::size_t at = index++;
      if (expect(message, json::Kind::kObject, fmt::format("messages.{}", at), "an object"))
        write_message(message.raw, at);
    });
    if (index == 0) blame("messages", "messages: at least one message is required");
  } else {
    blame("messages", messages.present() ? "messages: expected an array of messages" : "messages: Field required");
  }
  chat_ += ']';
}

void MessagesRequest::write_message(std::string_view message, std::size_t index) {
  const std::string path = fmt::format("messages.{}", index);
  Found role, content;
  members(message, [&](std::string_view name, const Found& value) {
    if (name == "role") {
      role = value;
    } else if (name == "content") {
      content = value;
    } else if (name == "cache_control") {
      drop("cache_control");
    } else if (value.present()) {
      refuse(fmt::format("{}.{}", path, name));
    }
  });
  const std::string inner = path + ".content";
  if (!content.present() || (content.kind != json::Kind::kString && content.kind != json::Kind::kArray)) {
    return blame(inner, fmt::format("{}: expected a string or an array of content blocks", inner));
  }
  if (is(role, "user")) return write_user(content, inner);
  if (is(role, "assistant")) return write_assistant(content, inner);
  if (is(role, "system")) return write_system(content, inner);
  blame(path + ".role", fmt::format("{}.role: expected user, assistant or system", path));
}

MessagesRequest::Block MessagesRequest::read_block(std::string_view raw, const std::string& path) {
  Block block;
  const auto keep = [&](Found& field, const Found& value) { field = value; };
  members(raw, [&](std::string_view name, const Found& value) {
    if (name == "type") return keep(block.type_name, value);
    if (name == "text") return keep(block.text, value);
    if (name == "source") return keep(block.source, value);
    if (name == "id") return keep(block.id, value);
    if (name == "name") return keep(block.name, value);
    if (name == "input") return keep(block.input, value);
    if (name == "tool_use_id") return keep(block.tool_use_id, value);
    if (name == "content") return keep(block.content, value);
    if (name == "is_error") return keep(block.is_error, value);
    if (name == "thinking") return keep(block.thinking, value);
    if (name == "signature") return keep(block.signature, value);
    if (!value.present() || name == "data") return;
    if (name == "cache_control" || name == "citations" || name == "title" || name == "context" || name == "caller") {
      drop(name);
    } else {
      refuse(fmt::format("{}.{}", path, name));
    }
  });
  static constexpr std::array<std::pair<std::string_view, Block::Type>, 7> kTypes = {{
      {"text", Block::Type::kText},
      {"image", Block::Type::kImage},
      {"document", Block::Type::kDocument},
      {"tool_use", Block::Type::kToolUse},
      {"tool_result", Block::Type::kToolResult},
      {"thinking", Block::Type::kThinking},
      {"redacted_thinking", Block::Type::kRedacted},
  }};
  for (const auto& [name, type] : kTypes) {
    if (is(block.type_name, name)) block.type = type;
  }
  return block;
}

void MessagesRequest::write_system(const Found& content, const std::string& path) {
  begin_message("system");
  if (content.kind == json::Kind::kString) {
    write_member("content", content.raw);
  } else if (content.kind == json::Kind::kArray) {
    write_member("content", "\"");
    std::size_t count = 0;
    elements(content.raw, [&](const Found& element) {
      const std::string at = fmt::format("{}.{}", path, count);
      const Block block = read_block(element.raw, at);
      if (block.type != Block::Type::kText || block.text.kind != json::Kind::kString) return refuse(at);
      if (count++ > 0) chat_ += "\\n\\n";
      chat_ += inside(block.text.raw);
    });
    chat_ += '"';
  } else {
    blame(path, fmt::format("{}: expected a string or an array of text blocks", path));
  }
  chat_ += '}';
}

void MessagesRequest::write_user(const Found& content, const std::string& path) {
  if (content.kind == json::Kind::kString) {
    begin_message("user");
    write_member("content", content.raw);
    chat_ += '}';
    return;
  }
  parts_.clear();
  only_text_.clear();
  part_count_ = 0;
  std::size_t index = 0;
  elements(content.raw, [&](const Found& element) {
    const std::string at = fmt::format("{}.{}", path, index++);
    const Block block = read_block(element.raw, at);
    if (block.type == Block::Type::kToolResult) {
      write_tool_result(block, at);
    } else {
      add_part(block, at);
    }
  });
  if (part_count_ == 0) return;
  begin_message("user");
  if (!only_text_.empty()) {
    write_member("content", only_text_);
  } else {
    write_member("content", "[");
    chat_ += parts_;
    chat_ += ']';
  }
  chat_ += '}';
}

void MessagesRequest::add_part(const Block& block, const std::string& path) {
  switch (block.type) {
    case Block::Type::kText:
      if (!expect(block.text, json::Kind::kString, path + ".text", "a string")) return;
      only_text_ = part_count_ == 0 ? std::string(block.text.raw) : std::string();
      if (part_count_++ > 0) parts_ += ',';
      parts_ += R"({"type":"text","text":)";
      parts_ += block.text.raw;
      parts_ += '}';
      return;
    case Block::Type::kImage:
      return add_image(block.source, path);
    case Block::Type::kDocument:
      return add_document(block, path);
    default:
      refuse(path);
  }
}

void MessagesRequest::add_image(const Found& source, const std::string& path) {
  Found type, media_type, data, url;
  members(source.raw, [&](std::string_view name, const Found& value) {
    if (name == "type") type = value;
    if (name == "media_type") media_type = value;
    if (name == "data") data = value;
    if (name == "url") url = value;
  });
  const auto begin = [&] {
    only_text_.clear();
    if (part_count_++ > 0) parts_ += ',';
    parts_ += R"({"type":"image_url","image_url":{"url":)";
  };
  if (is(type, "base64") && media_type.kind == json::Kind::kString && data.kind == json::Kind::kString) {
    begin();
    parts_ += fmt::format("\"data:{};base64,", inside(media_type.raw));
    parts_ += inside(data.raw);
    parts_ += "\"}}";
  } else if (is(type, "url") && url.kind == json::Kind::kString) {
    begin();
    parts_ += url.raw;
    parts_ += "}}";
  } else {
    refuse(path + ".source");
  }
}

void MessagesRequest::add_document(const Block& block, const std::string& path) {
  Found type, media_type, data;
  members(block.source.raw, [&](std::string_view name, const Found& value) {
    if (name == "type") type = value;
    if (name == "media_type") media_type = value;
    if (name == "data") data = value;
  });
  only_text_.clear();
  if (is(type, "text") && data.kind == json::Kind::kString) {
    if (part_count_++ > 0) parts_ += ',';
    parts_ += R"({"type":"text","text":)";
    parts_ += data.raw;
    parts_ += '}';
  } else if (is(type, "base64") && media_type.kind == json::Kind::kString && data.kind == json::Kind::kString) {
    if (part_count_++ > 0) parts_ += ',';
    parts_ += R"({"type":"file","file":{"filename":"document.pdf","file_data":"data:)";
    parts_ += inside(media_type.raw);
    parts_ += ";base64,";
    parts_ += inside(data.raw);
    parts_ += "\"}}";
  } else {
    refuse(path + ".source");
  }
}

void MessagesRequest::write_tool_result(const Block& block, const std::string& path) {
  if (!expect(block.tool_use_id, json::Kind::kString, path + ".tool_use_id", "a string")) return;
  if (block.is_error.kind == json::Kind::kTrue) drop("is_error");
  begin_message("tool");
  write_member("tool_call_id", block.tool_use_id.raw);
  if (block.content.kind == json::Kind::kString) {
    write_member("content", block.content.raw);
  } else {
    write_member("content", "\"");
    std::size_t index = 0;
    bool first = true;
    if (block.content.kind == json::Kind::kArray) {
      elements(block.content.raw, [&](const Found& element) {
        const std::string at = fmt::format("{}.content.{}", path, index++);
        const Block inner = read_block(element.raw, at);
        if (inner.type == Block::Type::kText && inner.text.kind == json::Kind::kString) {
          if (!first) chat_ += "\\n\\n";
          first = false;
          chat_ += inside(inner.text.raw);
        } else {
          add_part(inner, at);  // a tool's message has text only
        }
      });
    } else if (block.content.present()) {
      blame(path + ".content", fmt::format("{}.content: expected a string or an array of content blocks", path));
    }
    chat_ += '"';
  }
  chat_ += '}';
}

void MessagesRequest::write_assistant(const Found& content, const std::string& path) {
  begin_message("assistant");
  if (content.kind == json::Kind::kString) {
    write_member("content", content.raw);
    chat_ += '}';
    return;
  }
  std::string calls;
  std::size_t index = 0;
  bool any_text = false;
  const std::size_t before = chat_.size();
  write_member("content", "\"");
  elements(content.raw, [&](const Found& element) {
    const std::string at = fmt::format("{}.{}", path, index++);
    const Block block = read_block(element.raw, at);
    switch (block.type) {
      case Block::Type::kText:
        if (!expect(block.text, json::Kind::kString, at + ".text", "a string")) return;
        any_text = true;
        chat_ += inside(block.text.raw);
        return;
      case Block::Type::kToolUse: {
        if (!expect(block.id, json::Kind::kString, at + ".id", "a string") ||
            !expect(block.name, json::Kind::kString, at + ".name", "a string") ||
            !expect(block.input, json::Kind::kObject, at + ".input", "an object")) {
          return;
        }
        if (!calls.empty()) calls += ',';
        calls += R"({"id":)";
        calls += block.id.raw;
        calls += R"(,"type":"function","function":{"name":)";
        calls += block.name.raw;
        calls += R"(,"arguments":)";
        json::append_quoted(calls, block.input.raw);
        calls += "}}";
        return;
      }
      case Block::Type::kThinking:
        if (block.signature.kind != json::Kind::kString || inside(block.signature.raw).empty()) return drop("thinking");
        [[fallthrough]];
      case Block::Type::kRedacted:
        return blame(at, fmt::format("{}: this block was signed by another provider, and nobody else can read it; "
                                     "leave thinking blocks of other providers out",
                                     at));
      default:
        refuse(at);
    }
  });
  chat_ += '"';
  if (!calls.empty() && !any_text) {
    chat_.resize(before);
    write_member("content", "null");
  }
  if (!calls.empty()) {
    write_member("tool_calls", "[");
    chat_ += calls;
    chat_ += ']';
  }
  chat_ += '}';
}

void MessagesRequest::write_tools(const Found& tools) {
  if (!tools.present() || !expect(tools, json::Kind::kArray, "tools", "an array of tools")) return;
  std::size_t index = 0;
  const std::size_t before = chat_.size();
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
    if (type.present() && !is(type, "custom")) {
      return blame(path + ".type",
                   fmt::format("{}.type: tools that the provider runs itself cannot be carried to another one", path));
    }
    if (!expect(name, json::Kind::kString, path + ".name", "a string") ||
        !expect(schema, json::Kind::kObject, path + ".input_schema", "an object")) {
      return;
    }
    if (index++ > 0) chat_ += ',';
    chat_ += R"({"type":"function","function":{)";
    write_member("name", name.raw);
    if (description.present()) write_member("description", description.raw);
    write_member("parameters", schema.raw);
    if (strict.present()) write_member("strict", strict.raw);
    chat_ += "}}";
  });
  if (index == 0) {
    chat_.resize(before);
  } else {
    chat_ += ']';
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
    chat_ += name.raw;
    chat_ += "}}";
  } else {
    blame("tool_choice", "tool_choice: expected the type auto, any, none, or tool with a name");
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
    return blame("output_config.format", "output_config.format: expected the type json_schema with a schema");
  }
  write_member("response_format", R"({"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":)");
  chat_ += schema.raw;
  chat_ += "}}";
}

void MessagesRequest::drop(std::string_view hint) {
  const std::string_view known = dropped_;
  for (std::size_t at = known.find(hint); at != known.npos; at = known.find(hint, at + 1)) {
    const std::size_t end = at + hint.size();
    if ((at == 0 || known[at - 1] == ' ') && (end == known.size() || known[end] == ',')) return;
  }
  if (!dropped_.empty()) dropped_ += ", ";
  dropped_ += hint;
}

void MessagesRequest::blame(std::string parameter, std::string message) {
  if (!fault_.empty()) return;
  fault_parameter_ = std::move(parameter);
  fault_ = std::move(message);
}

void MessagesRequest::refuse(std::string parameter) {
  std::string message =
      fmt::format("{}: this cannot be carried to an endpoint that speaks chat completions; leave it out", parameter);
  blame(std::move(parameter), std::move(message));
}

bool MessagesRequest::expect(const Found& value, json::Kind kind, const std::string& parameter,
                             std::string_view expected) {
  if (value.kind == kind) return true;
  blame(parameter, value.present()
                       ? fmt::format("{}: expected {}, but got {}", parameter, expected, name_of(value.kind))
                       : fmt::format("{}: Field required", parameter));
  return false;
}

}  // namespace thalweg::dialect
