// The part of a Messages request that becomes the prompt: the system's text, messages and their content blocks.
#include <fmt/format.h>

#include <array>

#include "carry/dialect/messages_request.h"
#include "carry/json/text.h"

namespace thalweg::dialect {

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
  Found type_name, text, source, id, name, input, tool_use_id, content, is_error, thinking, signature, title;
};

namespace {

// A key of an object in `raw` that begins with encrypted_: what a provider's own tools found, for itself to read.
bool holds_encrypted(std::string_view raw) {
  constexpr std::string_view kBegin = "\"encrypted_";
  for (std::size_t at = raw.find(kBegin); at != raw.npos; at = raw.find(kBegin, at + 1)) {
    if (at == 0 || raw[at - 1] != '\\') return true;
  }
  return false;
}

}  // namespace

void MessagesRequest::write_messages(const Found& system, const Found& messages) {
  write_member("messages", "[");
  if (system.present()) write_system(system, "system");
  if (messages.kind == json::Kind::kArray) {
    std::size_t index = 0;
    Found role, content;
    const auto path = [&] { return fmt::format("messages.{}", index); };  // for what is wrong only
    const auto member = [&](std::string_view name, const Found& value) {
      if (name == "role") {
        role = value;
      } else if (name == "content") {
        content = value;
      } else if (name == "cache_control") {
        drop("cache_control");
      } else if (value.present()) {
        refuse(fmt::format("{}.{}", path(), name));
      }
    };
    objects(messages.raw, member, [&](const Found& message) {
      if (message.kind == json::Kind::kObject) {
        write_message(role, content, index);
      } else {
        expect(message, json::Kind::kObject, path(), "an object");
      }
      role = content = {};
      ++index;
    });
    if (index == 0) blame("messages", "messages: at least one message is required");
  } else {
    blame("messages", messages.present() ? "messages: expected an array of messages" : "messages: Field required");
  }
  out_ += ']';
}

void MessagesRequest::write_message(const Found& role, const Found& content, std::size_t index) {
  const auto path = [&](std::string_view name) { return fmt::format("messages.{}.{}", index, name); };
  if (!content.present() || (content.kind != json::Kind::kString && content.kind != json::Kind::kArray)) {
    return blame(path("content"), path("content") + ": expected a string or an array of content blocks");
  }
  bool empty = content.kind == json::Kind::kArray;
  if (empty) elements(content.raw, [&](const Found&) { empty = false; });
  if (empty) return blame(path("content"), path("content") + ": at least one content block is required");
  // A plain text has nothing in it that could be named.
  const std::string inner = content.kind == json::Kind::kArray ? path("content") : std::string();
  if (is(role, "user")) return write_user(content, inner);
  if (is(role, "assistant")) return write_assistant(content, inner);
  if (is(role, "system")) return write_system(content, inner);
  leave_out(path("role"), path("role") + ": expected user, assistant or system");
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
    if (name == "title") return keep(block.title, value);
    if (!value.present() || name == "data") return;
    if (name == "file_id" || (name == "citations" && holds_encrypted(value.raw))) bound_ = true;
    if (name == "cache_control" || name == "citations" || name == "caller") {
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
  if (block.type == Block::Type::kOther && holds_encrypted(raw)) bound_ = true;
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
      if (count++ > 0) out_ += "\\n\\n";
      out_ += json::inside_quotes(block.text.raw);
    });
    out_ += '"';
  } else {
    blame(path, fmt::format("{}: expected a string or an array of text blocks", path));
  }
  out_ += '}';
}

void MessagesRequest::write_user(const Found& content, const std::string& path) {
  if (content.kind == json::Kind::kString) {
    begin_message("user");
    write_member("content", content.raw);
    out_ += '}';
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
  if (part_count_ == 0 && not_carried().empty()) return;
  begin_message("user");
  if (!only_text_.empty()) {
    write_member("content", only_text_);
  } else {
    write_member("content", "[");
    out_ += parts_;
    out_ += ']';
  }
  out_ += '}';
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
  begin_part();
  parts_ += R"({"type":"image_url","image_url":{"url":)";
  if (is(type, "base64") && media_type.kind == json::Kind::kString && data.kind == json::Kind::kString) {
    parts_ += fmt::format("\"data:{};base64,", json::inside_quotes(media_type.raw));
    parts_ += json::inside_quotes(data.raw);
    parts_ += '"';
  } else if (is(type, "url") && url.kind == json::Kind::kString) {
    parts_ += url.raw;
  } else {
    if (is(type, "file")) bound_ = true;
    parts_ += "\"\"";
    refuse(path + ".source");
  }
  parts_ += "}}";
}

void MessagesRequest::add_document(const Block& block, const std::string& path) {
  Found type, media_type, data;
  members(block.source.raw, [&](std::string_view name, const Found& value) {
    if (name == "type") type = value;
    if (name == "media_type") media_type = value;
    if (name == "data") data = value;
  });
  begin_part();
  if (is(type, "text") && data.kind == json::Kind::kString) {
    if (block.title.present()) drop("title");
    parts_ += R"({"type":"text","text":)";
    parts_ += data.raw;
    parts_ += '}';
  } else if (is(type, "base64") && media_type.kind == json::Kind::kString && data.kind == json::Kind::kString) {
    parts_ += R"({"type":"file","file":{"filename":)";
    parts_ += block.title.kind == json::Kind::kString ? block.title.raw : R"("document.pdf")";
    parts_ += R"(,"file_data":"data:)";
    parts_ += json::inside_quotes(media_type.raw);
    parts_ += ";base64,";
    parts_ += json::inside_quotes(data.raw);
    parts_ += "\"}}";
  } else {
    if (is(type, "file")) bound_ = true;
    parts_ += R"({"type":"file"})";
    refuse(path + ".source");
  }
}

void MessagesRequest::begin_part() {
  only_text_.clear();
  if (part_count_++ > 0) parts_ += ',';
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
          if (!first) out_ += "\\n\\n";
          first = false;
          out_ += json::inside_quotes(inner.text.raw);
        } else {
          add_part(inner, at);  // a tool's message has text only
        }
      });
    } else if (block.content.present()) {
      blame(path + ".content", fmt::format("{}.content: expected a string or an array of content blocks", path));
    }
    out_ += '"';
  }
  out_ += '}';
}

void MessagesRequest::write_assistant(const Found& content, const std::string& path) {
  begin_message("assistant");
  if (content.kind == json::Kind::kString) {
    write_member("content", content.raw);
    out_ += '}';
    return;
  }
  std::string calls;
  std::size_t index = 0;
  bool any_text = false;
  const std::size_t before = out_.size();
  write_member("content", "\"");
  elements(content.raw, [&](const Found& element) {
    const std::string at = fmt::format("{}.{}", path, index++);
    const Block block = read_block(element.raw, at);
    switch (block.type) {
      case Block::Type::kText:
        if (!expect(block.text, json::Kind::kString, at + ".text", "a string")) return;
        any_text = true;
        out_ += json::inside_quotes(block.text.raw);
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
        if (block.signature.kind != json::Kind::kString || json::inside_quotes(block.signature.raw).empty())
          return drop("thinking");
        [[fallthrough]];
      case Block::Type::kRedacted:
        bound_ = true;
        return leave_out(at, fmt::format("{}: this block was signed by another provider, and nobody else can read it; "
                                         "leave thinking blocks of other providers out",
                                         at));
      default:
        refuse(at);
    }
  });
  out_ += '"';
  if (!calls.empty() && !any_text) {
    out_.resize(before);
    write_member("content", "null");
  }
  if (!calls.empty()) {
    write_member("tool_calls", "[");
    out_ += calls;
    out_ += ']';
  }
  out_ += '}';
}

}  // namespace thalweg::dialect
