// The part of a Responses request that becomes the prompt: instructions, and items with their parts. Items are flatter
// than messages: the assistant's text and each of its calls are items of their own, gathered here into one message.
#include <fmt/format.h>

#include <utility>

#include "carry/dialect/responses_request.h"
#include "carry/json/text.h"

namespace thalweg::dialect {

void ResponsesRequest::write_messages(const Fields& fields) {
  write_member("messages", "[");
  if (fields.instructions.present() && expect(fields.instructions, json::Kind::kString, "instructions", "a string")) {
    begin_message("system");
    write_member("content", fields.instructions.raw);
    out_ += '}';
  }
  const std::size_t before = out_.size();
  assistant_open_ = assistant_said_ = assistant_texts_ = false;
  const Found& input = fields.input;
  if (input.kind == json::Kind::kString) {
    begin_message("user");
    write_member("content", input.raw);
    out_ += '}';
  } else if (input.kind == json::Kind::kArray) {
    std::size_t index = 0;
    elements(input.raw, [&](const Found& item) { write_item(item, fmt::format("input[{}]", index++)); });
    flush_assistant();
  } else if (input.present() || not_carried().empty()) {  // a stored prompt may stand in its place
    expect(input, json::Kind::kArray, "input", "a string or an array of items");
  }
  if (out_.size() == before) {
    if (not_carried().empty()) blame("input", "input: expected at least one item that the model can read");
    // Without a message nothing of it could be read, not even why it cannot be carried.
    begin_message("user");
    out_ += R"(,"content":""})";
  }
  out_ += ']';
}

void ResponsesRequest::write_item(const Found& item, const std::string& path) {
  if (!expect(item, json::Kind::kObject, path, "an object")) return;
  Found type, role, id, encrypted;
  members(item.raw, [&](std::string_view name, const Found& value) {
    if (name == "type") type = value;
    if (name == "role") role = value;
    if (name == "id") id = value;
    if (name == "encrypted_content") encrypted = value;
  });
  const bool readable_there = encrypted.present() && !is(encrypted, "");
  if (is(type, "message") || (!type.present() && role.present())) return write_message(item.raw, path);
  if (is(type, "function_call")) return add_call(item.raw, path, Call::kFunction);
  if (is(type, "custom_tool_call")) return add_call(item.raw, path, Call::kCustom);
  if (is(type, "function_call_output") || is(type, "custom_tool_call_output")) return write_call_output(item.raw, path);
  if (is(type, "reasoning")) {
    if (!readable_there) return drop("reasoning");
    bound_ = true;
    return leave_out(path + ".encrypted_content",
                     fmt::format("{}.encrypted_content: nobody but the provider that wrote this can read it; leave "
                                 "reasoning items of other providers out",
                                 path));
  }
  if (is(type, "item_reference") || (!type.present() && id.present())) {
    bound_ = true;
    return leave_out(path, fmt::format("{}: items are not stored here; send the item itself", path));
  }
  if (!expect(type, json::Kind::kString, path + ".type", "a string")) return;
  if (readable_there) bound_ = true;
  refuse(path);
}

void ResponsesRequest::write_message(std::string_view item, const std::string& path) {
  Found role, content;
  read(item, path,
       {{"type", nullptr, Use::kNothing},
        {"role", &role},
        {"content", &content},
        {"id", nullptr, Use::kNothing},
        {"status", nullptr, Use::kNothing},
        {"phase", nullptr, Use::kHint}});
  const std::string inner = path + ".content";
  bool empty = content.kind == json::Kind::kArray;
  if (empty) elements(content.raw, [&](const Found&) { empty = false; });
  if (empty || (content.kind != json::Kind::kString && content.kind != json::Kind::kArray))
    return blame(inner, fmt::format("{}: expected a string or an array of at least one part", inner));
  if (is(role, "assistant")) return add_assistant(content, inner);
  for (const std::string_view name : {"user", "system", "developer"}) {
    if (is(role, name)) return write_prompt_message(name, content, inner);
  }
  leave_out(path + ".role", fmt::format("{}.role: expected user, assistant, system or developer", path));
}

void ResponsesRequest::write_prompt_message(std::string_view role, const Found& content, const std::string& path) {
  flush_assistant();
  parts_.clear();
  only_text_.clear();
  part_count_ = 0;
  if (content.kind == json::Kind::kString) {
    only_text_ = content.raw;
  } else {
    std::size_t index = 0;
    elements(content.raw, [&](const Found& part) {
      const std::string at = fmt::format("{}[{}]", path, index++);
      if (expect(part, json::Kind::kObject, at, "an object")) add_part(role, part.raw, at);
    });
  }
  begin_message(role);
  if (!only_text_.empty()) {
    write_member("content", only_text_);
  } else {
    write_member("content", "[");
    out_ += parts_;
    out_ += ']';
  }
  out_ += '}';
}

// ---- The assistant's ----

void ResponsesRequest::add_assistant(const Found& content, const std::string& path) {
  if (assistant_said_) flush_assistant();
  assistant_open_ = assistant_said_ = true;
  if (content.kind == json::Kind::kString) {
    assistant_texts_ = true;
    assistant_text_ += json::inside_quotes(content.raw);
    return;
  }
  std::size_t index = 0;
  elements(content.raw, [&](const Found& part) {
    const std::string at = fmt::format("{}[{}]", path, index++);
    if (expect(part, json::Kind::kObject, at, "an object")) add_assistant_part(part.raw, at);
  });
}

void ResponsesRequest::add_assistant_part(std::string_view part, const std::string& path) {
  const Found type = type_of(part);
  if (is(type, "output_text") || is(type, "input_text")) {
    const Found text = read_text(part, path);
    if (!expect(text, json::Kind::kString, path + ".text", "a string")) return;
    assistant_texts_ = true;
    assistant_text_ += json::inside_quotes(text.raw);
  } else if (is(type, "refusal")) {
    Found refusal;
    read(part, path, {{"type", nullptr, Use::kNothing}, {"refusal", &refusal}});
    if (expect(refusal, json::Kind::kString, path + ".refusal", "a string"))
      assistant_refusal_ += json::inside_quotes(refusal.raw);
  } else {
    refuse(path);
  }
}

void ResponsesRequest::add_call(std::string_view item, const std::string& path, Call kind) {
  const bool function = kind == Call::kFunction;
  const std::string_view body = function ? "arguments" : "input";
  Found call_id, name, space, text;
  read(item, path,
       {{"type", nullptr, Use::kNothing},
        {"call_id", &call_id},
        {"name", &name},
        {"namespace", &space},
        {body, &text},
        {"id", nullptr, Use::kNothing},
        {"status", nullptr, Use::kNothing},
        {"caller", nullptr, Use::kHint}});
  if (!expect(call_id, json::Kind::kString, path + ".call_id", "a string") ||
      !expect(name, json::Kind::kString, path + ".name", "a string") ||
      (space.present() && !expect(space, json::Kind::kString, path + ".namespace", "a string")) ||
      !expect(text, json::Kind::kString, fmt::format("{}.{}", path, body), "a string")) {
    return;
  }
  assistant_open_ = true;
  if (!calls_.empty()) calls_ += ',';
  calls_ += R"({"id":)";
  calls_ += call_id.raw;
  calls_ += function ? R"(,"type":"function","function":{"name":)" : R"(,"type":"custom","custom":{"name":)";
  calls_ += space.present() ? NamespacedTools::join(space.raw, name.raw) : name.raw;
  calls_ += function ? R"(,"arguments":)" : R"(,"input":)";
  calls_ += text.raw;
  calls_ += "}}";
}

void ResponsesRequest::flush_assistant() {
  if (!std::exchange(assistant_open_, false)) return;
  begin_message("assistant");
  if (assistant_texts_) {
    write_member("content", "\"");
    out_ += assistant_text_;
    out_ += '"';
  } else {
    write_member("content", "null");
  }
  if (!assistant_refusal_.empty()) {
    write_member("refusal", "\"");
    out_ += assistant_refusal_;
    out_ += '"';
  }
  if (!calls_.empty()) {
    write_member("tool_calls", "[");
    out_ += calls_;
    out_ += ']';
  }
  out_ += '}';
  assistant_said_ = assistant_texts_ = false;
  for (std::string* text : {&assistant_text_, &assistant_refusal_, &calls_}) text->clear();
}

void ResponsesRequest::write_call_output(std::string_view item, const std::string& path) {
  flush_assistant();
  Found call_id, output;
  read(item, path,
       {{"type", nullptr, Use::kNothing},
        {"call_id", &call_id},
        {"output", &output},
        {"id", nullptr, Use::kNothing},
        {"name", nullptr, Use::kNothing},  // the call has it, and this
        {"namespace", nullptr, Use::kNothing},
        {"status", nullptr, Use::kNothing},
        {"caller", nullptr, Use::kHint}});
  if (!expect(call_id, json::Kind::kString, path + ".call_id", "a string")) return;
  begin_message("tool");
  write_member("tool_call_id", call_id.raw);
  if (output.kind == json::Kind::kString) {
    write_member("content", output.raw);
  } else {
    write_member("content", "\"");
    join_texts(output, path + ".output");
    out_ += '"';
  }
  out_ += '}';
}

// A tool's message has text only, and local servers know it as a string only.
void ResponsesRequest::join_texts(const Found& parts, const std::string& path) {
  if (!expect(parts, json::Kind::kArray, path, "a string or an array of parts")) return;
  std::size_t index = 0;
  bool first = true;
  elements(parts.raw, [&](const Found& part) {
    const std::string at = fmt::format("{}[{}]", path, index++);
    if (!expect(part, json::Kind::kObject, at, "an object")) return;
    if (!is(type_of(part.raw), "input_text")) return refuse(at);
    const Found text = read_text(part.raw, at);
    if (!expect(text, json::Kind::kString, at + ".text", "a string")) return;
    if (!std::exchange(first, false)) out_ += "\\n\\n";
    out_ += json::inside_quotes(text.raw);
  });
}

// ---- Parts ----

void ResponsesRequest::add_part(std::string_view role, std::string_view part, const std::string& path) {
  const Found type = type_of(part);
  if (is(type, "input_text") || is(type, "output_text")) return add_text(part, path);
  if (role != "user") return refuse(path);
  if (is(type, "input_image")) return add_image(part, path);
  if (is(type, "input_file")) return add_file(part, path);
  if (is(type, "input_audio")) return add_audio(part, path);
  refuse(path);
}

ResponsesRequest::Found ResponsesRequest::read_text(std::string_view part, const std::string& path) {
  Found text;
  read(part, path,
       {{"type", nullptr, Use::kNothing},
        {"text", &text},
        {"logprobs", nullptr, Use::kNothing},
        {"annotations", nullptr, Use::kHint},
        {"prompt_cache_breakpoint", nullptr, Use::kHint}});
  return text;
}

void ResponsesRequest::add_text(std::string_view part, const std::string& path) {
  const Found text = read_text(part, path);
  if (!expect(text, json::Kind::kString, path + ".text", "a string")) return;
  const bool only = part_count_ == 0;
  begin_part(R"({"type":"text","text":)");
  if (only) only_text_ = text.raw;
  parts_ += text.raw;
  parts_ += '}';
}

void ResponsesRequest::add_image(std::string_view part, const std::string& path) {
  Found url, file_id, detail;
  read(part, path,
       {{"type", nullptr, Use::kNothing},
        {"image_url", &url},
        {"file_id", &file_id},
        {"detail", &detail},
        {"prompt_cache_breakpoint", nullptr, Use::kHint}});
  begin_part(R"({"type":"image_url","image_url":{"url":)");
  if (file_id.present()) {
    bind(path + ".file_id");
    parts_ += "\"\"";
  } else if (expect(url, json::Kind::kString, path + ".image_url", "a string")) {
    parts_ += url.raw;
  } else {
    parts_ += "\"\"";
  }
  if (is(detail, "original")) {
    drop("detail");
  } else if (detail.present()) {
    parts_ += ",\"detail\":";
    parts_ += detail.raw;
  }
  parts_ += "}}";
}

void ResponsesRequest::add_file(std::string_view part, const std::string& path) {
  Found data, name, file_id, file_url;
  read(part, path,
       {{"type", nullptr, Use::kNothing},
        {"file_data", &data},
        {"filename", &name},
        {"file_id", &file_id},
        {"file_url", &file_url},
        {"detail", nullptr, Use::kHint},
        {"prompt_cache_breakpoint", nullptr, Use::kHint}});
  begin_part(R"({"type":"file","file":{)");
  if (file_id.present()) {
    bind(path + ".file_id");
  } else if (file_url.present()) {
    refuse(path + ".file_url");
  } else if (expect(data, json::Kind::kString, path + ".file_data", "a string")) {
    parts_ += "\"file_data\":";
    parts_ += data.raw;
    if (name.present()) {
      parts_ += ",\"filename\":";
      parts_ += name.raw;
    }
  }
  parts_ += "}}";
}

void ResponsesRequest::add_audio(std::string_view part, const std::string& path) {
  Found audio;
  read(part, path, {{"type", nullptr, Use::kNothing}, {"input_audio", &audio}});
  if (!expect(audio, json::Kind::kObject, path + ".input_audio", "an object")) return;
  begin_part(R"({"type":"input_audio","input_audio":)");
  parts_ += audio.raw;
  parts_ += '}';
}

void ResponsesRequest::begin_part(std::string_view head) {
  only_text_.clear();
  if (part_count_++ > 0) parts_ += ',';
  parts_ += head;
}

}  // namespace thalweg::dialect
