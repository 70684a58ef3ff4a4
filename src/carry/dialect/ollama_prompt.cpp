// The part of an Ollama request that is answered: messages, a prompt, the input of embeddings.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "carry/dialect/ollama_request.h"
#include "carry/json/text.h"

namespace thalweg::dialect {

using inference::Surface;

namespace {

/// The media type that base64 data begin with; empty for none of those that endpoints take.
std::string_view media_type_of(std::string_view base64) {
  if (base64.starts_with("iVBORw0KGgo")) return "image/png";  // 89 50 4E 47 0D 0A 1A 0A
  if (base64.starts_with("/9j/")) return "image/jpeg";        // FF D8 FF
  if (base64.starts_with("R0lGOD")) return "image/gif";       // GIF8
  constexpr std::size_t kFormAt = 12;                         // RIFF, its size, then WEBP of which EBP begins a group
  if (base64.starts_with("UklGR") && base64.size() > kFormAt && base64.substr(kFormAt).starts_with("RUJQ"))
    return "image/webp";
  return {};
}

}  // namespace

bool OllamaRequest::is_text(const Found& value, const std::string& parameter) {
  return !value.present() || expect(value, json::Kind::kString, parameter, "a string");
}

// ---- Chat ----

void OllamaRequest::write_chat(const Found& messages) {
  write_member("messages", "[");
  if (load_ != Load::kNo) {
    write_user({}, {}, {});
  } else if (expect(messages, json::Kind::kArray, "messages", "an array of messages")) {
    std::size_t index = 0;
    elements(messages.raw, [&](const Found& message) {
      const std::size_t at = index++;
      if (expect(message, json::Kind::kObject, fmt::format("messages[{}]", at), "an object"))
        write_message(message.raw, at);
    });
  }
  out_ += ']';
}

void OllamaRequest::write_message(std::string_view message, std::size_t index) {
  const std::string path = fmt::format("messages[{}]", index);
  Found role, content, thinking, images, calls, tool_name, call_id;
  read(message, path,
       {{"role", &role},
        {"content", &content},
        {"thinking", &thinking},
        {"images", &images},
        {"tool_calls", &calls},
        {"tool_name", &tool_name},
        {"tool_call_id", &call_id}});
  const bool user = is(role, "user"), assistant = is(role, "assistant"), tool = is(role, "tool");
  if (!is_text(content, path + ".content")) return;
  if (!empty(thinking)) drop("thinking");
  if (!user && !empty(images)) refuse(path + ".images");
  if (!assistant && !empty(calls)) refuse(path + ".tool_calls");
  if (!tool && !empty(tool_name)) refuse(path + ".tool_name");
  if (!tool && !empty(call_id)) refuse(path + ".tool_call_id");
  if (user) return write_user(content, images, path);
  if (tool) return write_tool_result(content, tool_name, call_id, path);
  if (!assistant && !is(role, "system"))
    leave_out(path + ".role", fmt::format("{}.role: expected system, user, assistant or tool", path));
  begin_message(assistant ? "assistant" : "system");
  write_member("content", content.present() ? content.raw : "\"\"");
  if (assistant && !empty(calls)) write_tool_calls(calls, index, path + ".tool_calls");
  out_ += '}';
}

void OllamaRequest::write_user(const Found& content, const Found& images, const std::string& path) {
  begin_message("user");
  const std::string_view text = content.present() ? content.raw : "\"\"";
  if (empty(images)) {
    write_member("content", text);
  } else {
    write_member("content", "[");
    if (!empty(content)) {
      out_ += R"({"type":"text","text":)";
      out_ += text;
      out_ += '}';
    }
    write_images(images, path.empty() ? "images" : path + ".images");
    out_ += ']';
  }
  out_ += '}';
}

void OllamaRequest::write_images(const Found& images, const std::string& path) {
  if (!expect(images, json::Kind::kArray, path, "an array of images in base64")) return;
  std::size_t index = 0;
  elements(images.raw, [&](const Found& image) {
    const std::string at = fmt::format("{}[{}]", path, index++);
    if (!expect(image, json::Kind::kString, at, "an image in base64")) return;
    std::string_view data = json::inside_quotes(image.raw);
    if (data.find('\\') != data.npos) {  // many encoders write \/ for a slash
      storage_.clear();
      json::unescape(data, storage_);
      data = storage_;
    }
    const std::string_view type = media_type_of(data);
    if (type.empty()) leave_out(at, fmt::format("{}: expected a PNG, JPEG, GIF or WebP image in base64", at));
    if (out_.back() != '[') out_ += ',';
    out_ += fmt::format(R"({{"type":"image_url","image_url":{{"url":"data:{};base64,)", type);
    out_ += json::inside_quotes(image.raw);
    out_ += "\"}}";
  });
}

void OllamaRequest::write_tool_calls(const Found& calls, std::size_t message, const std::string& path) {
  if (!expect(calls, json::Kind::kArray, path, "an array of tool calls")) return;
  write_member("tool_calls", "[");
  std::size_t index = 0;
  elements(calls.raw, [&](const Found& call) {
    const std::string at = fmt::format("{}[{}]", path, index);
    if (index > 0) out_ += ',';
    const std::string place = fmt::format("{}_{}", message, index++);
    if (expect(call, json::Kind::kObject, at, "an object")) {
      write_tool_call(call.raw, place, at);
    } else {
      out_ += "{}";
    }
  });
  out_ += ']';
}

// Ollama's own calls had no ids for long; chat completions need them to tell which result answers which call.
void OllamaRequest::write_tool_call(std::string_view call, const std::string& place, const std::string& path) {
  Found id, function, name, arguments;
  read(call, path,
       {{"id", &id}, {"type", nullptr, Use::kNothing}, {"index", nullptr, Use::kNothing}, {"function", &function}});
  const std::string inner = path + ".function";
  if (expect(function, json::Kind::kObject, inner, "an object")) {
    read(function.raw, inner, {{"name", &name}, {"arguments", &arguments}, {"index", nullptr, Use::kNothing}});
    expect(name, json::Kind::kString, inner + ".name", "a string");
    expect(arguments, json::Kind::kObject, inner + ".arguments", "an object");
  }
  OpenCall open;
  open.id = !empty(id) && is_text(id, path + ".id") ? std::string(id.raw) : fmt::format("\"call_{}\"", place);
  out_ += R"({"id":)";
  out_ += open.id;
  out_ += R"(,"type":"function","function":{)";
  if (name.kind == json::Kind::kString) {
    json::unescape(json::inside_quotes(name.raw), open.name);
    write_member("name", name.raw);
  }
  if (arguments.kind == json::Kind::kObject) {
    write_member("arguments", "");
    json::append_quoted(out_, arguments.raw);
  }
  out_ += "}}";
  open_calls_.push_back(std::move(open));
}

void OllamaRequest::write_tool_result(const Found& content, const Found& name, const Found& id,
                                      const std::string& path) {
  if (!is_text(name, path + ".tool_name") || !is_text(id, path + ".tool_call_id")) return;
  const auto answers = [&](const OpenCall& call) {
    if (!empty(id)) return call.id == id.raw;
    return empty(name) || is(name, call.name);
  };
  const auto call = std::ranges::find_if(open_calls_, answers);
  std::string answered = empty(id) ? std::string("\"\"") : std::string(id.raw);
  if (call != open_calls_.end()) {
    answered = std::move(call->id);
    open_calls_.erase(call);
  } else {
    leave_out(path, fmt::format("{}: expected a tool call of the assistant before it, which it answers", path));
  }
  begin_message("tool");
  write_member("tool_call_id", answered);
  write_member("content", content.present() ? content.raw : "\"\"");
  out_ += '}';
}

// ---- Prompts and inputs ----

void OllamaRequest::write_generate(const Fields& fields) {
  if (!is_text(fields.prompt, "prompt") || !is_text(fields.system, "system") || !is_text(fields.suffix, "suffix"))
    return;
  const bool as_it_is = fields.raw.kind == json::Kind::kTrue || !empty(fields.suffix);
  if (as_it_is && load_ == Load::kNo) return write_completion(fields);
  write_member("messages", "[");
  if (!empty(fields.system)) {
    begin_message("system");
    write_member("content", fields.system.raw);
    out_ += '}';
  }
  write_user(fields.prompt, fields.images, {});
  out_ += ']';
}

void OllamaRequest::write_completion(const Fields& fields) {
  surface_ = Surface::kOllamaRaw;
  if (!empty(fields.system)) refuse("system");
  if (!empty(fields.images)) refuse("images");
  write_member("prompt", fields.prompt.present() ? fields.prompt.raw : "\"\"");
  if (empty(fields.suffix)) return;
  write_member("suffix", fields.suffix.raw);
  beyond_engine_ = "suffix: the engine's server does not know it";
}

void OllamaRequest::write_input(const Found& input, std::string_view name) {
  if (load_ != Load::kNo) return write_member("input", "\"\"");
  const std::string parameter(name);
  if (surface_ == Surface::kOllamaEmbed && input.kind == json::Kind::kArray) {
    std::size_t index = 0;
    elements(input.raw, [&](const Found& text) {
      expect(text, json::Kind::kString, fmt::format("{}[{}]", parameter, index++), "a string");
    });
  } else if (!expect(input, json::Kind::kString, parameter,
                     surface_ == Surface::kOllamaEmbed ? "a string or an array of strings" : "a string")) {
    return;
  }
  write_member("input", input.raw);
}

}  // namespace thalweg::dialect
