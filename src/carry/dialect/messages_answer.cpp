// Texts and pieces of arguments go from one JSON string into another as they stand: an escape that a stream cuts in two
// arrives whole.
#include "carry/dialect/messages_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "carry/http/message.h"
#include "carry/json/text.h"

namespace thalweg::dialect {
namespace {

/// The stop reason for a chat's finish reason; what is unknown ended the turn.
std::string_view stop_reason_of(std::string_view finish_reason) {
  if (finish_reason == "length") return "max_tokens";
  if (finish_reason == "tool_calls" || finish_reason == "function_call") return "tool_use";
  if (finish_reason == "content_filter") return "refusal";
  return "end_turn";
}

void begin_event(std::string& out, std::string_view name) {
  out += "event: ";
  out += name;
  out += "\ndata: {\"type\":\"";
  out += name;
  out += '"';
}

void end_event(std::string& out) {
  out += "}\n\n";
}

void append_number(std::string& out, std::uint64_t number) {
  const fmt::format_int text(number);
  out.append(text.data(), text.size());
}

}  // namespace

void MessagesAnswer::begin(std::string_view id, std::string_view shown_model) {
  id_ = id;
  quoted_model_.clear();
  json::append_quoted(quoted_model_, shown_model);
  finish_reason_.clear();
  started_ = refused_ = false;
  open_ = Open::kNone;
  tool_ = -1;
  tool_id_.clear();
  block_ = 0;
  fault_ = nullptr;
}

Result<void> MessagesAnswer::add_chunk(std::string_view chunk, std::string& out) {
  out_ = &out;
  text_ = chunk;
  start(out);
  return read_choices(false);
}

Result<void> MessagesAnswer::write_whole(std::string_view answer, const inference::Usage& usage, std::string& out) {
  out_ = &out;
  out.reserve(out.size() + answer.size() + 256);
  text_ = answer;
  text_raw_ = thinking_raw_ = {};
  out += R"({"id":"msg_)";
  out += id_;
  out += R"(","type":"message","role":"assistant","model":)";
  out += quoted_model_;
  out += R"(,"content":[)";
  if (auto read = read_choices(true); !read) return read;
  out += "],";
  write_stop(out);
  out += ",\"usage\":";
  write_usage(usage, out);
  out += '}';
  return {};
}

Result<void> MessagesAnswer::read_choices(bool whole) {
  fault_ = nullptr;
  const bool read = walk_.start(text_, json::Walk::Rules::kJudged) && walk_.next() == json::Kind::kObject &&
                    walk_.object([&](const json::Member& member) {
                      if (member.name != "choices" || walk_.next() != json::Kind::kArray) return walk_.skip();
                      return walk_.array([&] { return read_choice(whole); });
                    });
  if (read) return {};
  return fail(ErrorCode::kUpstreamFailed,
              fmt::format("the endpoint's answer is no message: {}", fault_ != nullptr ? fault_ : "not valid JSON"));
}

bool MessagesAnswer::read_choice(bool whole) {
  if (walk_.next() != json::Kind::kObject) return walk_.skip();
  return walk_.object([&](const json::Member& member) {
    const json::Kind kind = walk_.next();
    if ((member.name == "delta" || member.name == "message") && kind == json::Kind::kObject) return read_message(whole);
    if (member.name == "finish_reason" && kind == json::Kind::kString) {
      json::Text text;
      if (!walk_.string(text)) return false;
      const std::string_view reason = json::meaning(text, storage_);
      if (!reason.empty()) finish_reason_ = reason;
      return true;
    }
    return walk_.skip();
  });
}

// In a whole message the order of the members is the writer's; thinking comes before the text, and tools after it.
bool MessagesAnswer::read_message(bool whole) {
  std::string_view calls;
  const bool read = walk_.object([&](const json::Member& member) {
    const std::string_view name = member.name;
    const json::Kind kind = walk_.next();
    const bool text = name == "content" || name == "refusal";
    if (kind == json::Kind::kString && (text || name == "reasoning_content" || name == "reasoning")) {
      if (name == "refusal") refused_ = true;
      std::string_view raw;
      if (!read_inside(raw)) return false;
      if (raw.empty()) return true;
      if (!whole) {
        add_text(text ? Open::kText : Open::kThinking, raw);
      } else if (text) {
        text_raw_ = raw;
      } else if (thinking_raw_.empty()) {
        thinking_raw_ = raw;
      }
      return true;
    }
    if (name == "tool_calls" && kind == json::Kind::kArray) {
      if (whole) {
        const std::size_t begin = walk_.offset();
        if (!walk_.skip()) return false;
        calls = text_.substr(begin, walk_.offset() - begin);
        return true;
      }
      std::int64_t position = 0;
      return walk_.array([&] { return read_tool_call(position++, false); });
    }
    return walk_.skip();
  });
  if (!read || !whole) return read;
  std::string& out = *out_;
  const auto separate = [&] {
    if (block_++ > 0) out += ',';
  };
  if (!thinking_raw_.empty()) {
    separate();
    out += R"({"type":"thinking","thinking":")";
    out += thinking_raw_;
    out += R"(","signature":""})";
  }
  if (!text_raw_.empty()) {
    separate();
    out += R"({"type":"text","text":")";
    out += text_raw_;
    out += "\"}";
  }
  if (calls.empty()) return true;
  // The calls are read where they stand, by the same walk, which has passed them.
  json::Walk outer = std::move(walk_);
  const std::string_view outer_text = text_;
  text_ = calls;
  std::int64_t position = 0;
  const bool written = walk_.start(calls, json::Walk::Rules::kJudged) && walk_.next() == json::Kind::kArray &&
                       walk_.array([&] { return read_tool_call(position++, true); });
  walk_ = std::move(outer);
  text_ = outer_text;
  return written;
}

bool MessagesAnswer::read_tool_call(std::int64_t position, bool whole) {
  if (walk_.next() != json::Kind::kObject) return walk_.skip();
  ToolCall call;
  call.index = position;
  const bool read = walk_.object([&](const json::Member& member) {
    const json::Kind kind = walk_.next();
    if (member.name == "index" && kind == json::Kind::kNumber) {
      std::string_view raw;
      if (!walk_.number(raw)) return false;
      call.index = json::integer_of(raw).value_or(position);
      return true;
    }
    if (member.name == "id" && kind == json::Kind::kString) return read_raw(call.id);
    if (member.name == "function" && kind == json::Kind::kObject) {
      return walk_.object([&](const json::Member& inner) {
        const json::Kind inner_kind = walk_.next();
        if (inner.name == "name" && inner_kind == json::Kind::kString) return read_raw(call.name);
        if (inner.name == "arguments" && inner_kind == json::Kind::kString) return read_inside(call.arguments);
        if (inner.name == "arguments" && inner_kind == json::Kind::kObject)
          return refuse("the arguments of a tool call are an object, not its text");
        return walk_.skip();
      });
    }
    return walk_.skip();
  });
  return read && (whole ? write_tool_use(call) : add_tool_call(call));
}

bool MessagesAnswer::read_raw(std::string_view& raw) {
  const std::size_t begin = walk_.offset();
  if (!walk_.skip()) return false;
  raw = text_.substr(begin, walk_.offset() - begin);
  return true;
}

bool MessagesAnswer::read_inside(std::string_view& inside) {
  json::Text text;
  if (!walk_.string(text)) return false;
  inside = text.raw;
  return true;
}

// ---- Streamed ----

void MessagesAnswer::start(std::string& out) {
  if (std::exchange(started_, true)) return;
  begin_event(out, "message_start");
  out += R"(,"message":{"id":"msg_)";
  out += id_;
  out += R"(","type":"message","role":"assistant","model":)";
  out += quoted_model_;
  out += R"(,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}})";
  end_event(out);
}

void MessagesAnswer::open_block(Open kind, std::string_view head) {
  close_block();
  begin_event(*out_, "content_block_start");
  *out_ += ",\"index\":";
  append_number(*out_, block_);
  *out_ += ",\"content_block\":";
  *out_ += head;
  end_event(*out_);
  open_ = kind;
}

void MessagesAnswer::close_block() {
  if (open_ == Open::kNone) return;
  begin_event(*out_, "content_block_stop");
  *out_ += ",\"index\":";
  append_number(*out_, block_++);
  end_event(*out_);
  open_ = Open::kNone;
}

void MessagesAnswer::add_text(Open kind, std::string_view raw) {
  if (open_ != kind) {
    open_block(kind, kind == Open::kText ? R"({"type":"text","text":""})"
                                         : R"({"type":"thinking","thinking":"","signature":""})");
  }
  begin_event(*out_, "content_block_delta");
  *out_ += ",\"index\":";
  append_number(*out_, block_);
  *out_ += kind == Open::kText ? R"(,"delta":{"type":"text_delta","text":")"
                               : R"(,"delta":{"type":"thinking_delta","thinking":")";
  *out_ += raw;
  *out_ += "\"}";
  end_event(*out_);
}

bool MessagesAnswer::add_tool_call(const ToolCall& call) {
  // Some servers give every call of an answer the same index.
  const bool another = !call.id.empty() && !call.name.empty() && call.id != tool_id_;
  if (call.index != tool_ || another) {
    if (call.index < tool_) return refuse("a piece for a tool call that has ended");
    if (call.name.empty()) return refuse("a tool call without a name");
    std::string head = R"({"type":"tool_use","id":)";
    if (call.id.empty()) {  // some servers give none; the client sends it back with its result
      head += fmt::format("\"toolu_{}{}\"", id_, call.index);
    } else {
      head += call.id;
    }
    head += ",\"name\":";
    head += call.name;
    head += ",\"input\":{}}";
    open_block(Open::kTool, head);
    tool_ = call.index;
    tool_id_ = call.id;
  } else if (open_ != Open::kTool) {
    return refuse("a piece for a tool call that has ended");
  }
  if (call.arguments.empty()) return true;
  begin_event(*out_, "content_block_delta");
  *out_ += ",\"index\":";
  append_number(*out_, block_);
  *out_ += R"(,"delta":{"type":"input_json_delta","partial_json":")";
  *out_ += call.arguments;
  *out_ += "\"}";
  end_event(*out_);
  return true;
}

void MessagesAnswer::finish(const inference::Usage& usage, std::string& out) {
  out_ = &out;
  start(out);
  close_block();
  begin_event(out, "message_delta");
  out += ",\"delta\":{";
  write_stop(out);
  out += "},\"usage\":";
  write_usage(usage, out);
  end_event(out);
  begin_event(out, "message_stop");
  end_event(out);
}

// ---- Both ----

bool MessagesAnswer::write_tool_use(const ToolCall& call) {
  if (call.name.empty()) return refuse("a tool call without a name");
  std::string& out = *out_;
  if (block_++ > 0) out += ',';
  out += R"({"type":"tool_use","id":)";
  if (call.id.empty()) {
    out += fmt::format("\"toolu_{}{}\"", id_, call.index);
  } else {
    out += call.id;
  }
  out += ",\"name\":";
  out += call.name;
  out += ",\"input\":";
  json::unescape(call.arguments, storage_);
  if (json::without_space(storage_).empty()) storage_ = "{}";
  const std::size_t size = storage_.size();
  storage_.append(http::kPadding, '\0');
  const std::string_view object = std::string_view(storage_).substr(0, size);
  if (!arguments_.start(object, json::Walk::Rules::kEndpoint) || arguments_.next() != json::Kind::kObject ||
      !arguments_.skip() || !arguments_.end()) {
    return refuse("the arguments of a tool call are no JSON object");
  }
  out += json::without_space(object);
  out += '}';
  return true;
}

void MessagesAnswer::write_stop(std::string& out) const {
  out += "\"stop_reason\":\"";
  out += refused_ ? std::string_view("refusal") : stop_reason_of(finish_reason_);
  out += "\",\"stop_sequence\":null";
}

// Anthropic counts the cached tokens apart. What the endpoint did not report cannot be left out: clients need numbers.
void MessagesAnswer::write_usage(const inference::Usage& usage, std::string& out) {
  const std::uint64_t cached = std::min(usage.cached_input_tokens, usage.input_tokens);
  out += "{\"input_tokens\":";
  append_number(out, usage.input_tokens - cached);
  out += ",\"cache_read_input_tokens\":";
  append_number(out, cached);
  out += ",\"output_tokens\":";
  append_number(out, usage.output_tokens);
  out += '}';
}

}  // namespace thalweg::dialect
