#include "carry/dialect/chat_reader.h"

#include <fmt/format.h>

#include "carry/json/text.h"

namespace thalweg::dialect {
namespace {

std::string_view span(std::string_view text, std::size_t begin, const json::Walk& walk) {
  return text.substr(begin, walk.offset() - begin);
}

bool read_inside(json::Walk& walk, std::string_view& inside) {
  json::Text text;
  if (!walk.string(text)) return false;
  inside = text.raw;
  return true;
}

}  // namespace

void ChatReader::begin_reading() {
  finish_reason_.clear();
  tool_ = -1;
  tool_id_.clear();
  call_open_ = false;
  fault_ = nullptr;
}

Result<void> ChatReader::read_chunk(std::string_view chunk, std::string_view what) {
  fault_ = nullptr;
  read_ = chunk;
  const bool read = walk_.start(chunk, json::Walk::Rules::kJudged) && walk_.next() == json::Kind::kObject &&
                    walk_.object([&](const json::Member& member) {
                      if (member.name != "choices" || walk_.next() != json::Kind::kArray) return walk_.skip();
                      return walk_.array([&] { return read_choice(); });
                    });
  if (read) return {};
  return fail(ErrorCode::kUpstreamFailed,
              fmt::format("the endpoint's answer is no {}: {}", what, fault_ != nullptr ? fault_ : "not valid JSON"));
}

// The order of the members is the writer's; reasoning comes before the text, and tools after it.
bool ChatReader::read_choice() {
  if (walk_.next() != json::Kind::kObject) return walk_.skip();
  Said said;
  std::string_view calls;
  const bool read = walk_.object([&](const json::Member& member) {
    const json::Kind kind = walk_.next();
    if ((member.name == "delta" || member.name == "message") && kind == json::Kind::kObject)
      return read_said(said, calls);
    if (member.name == "text" && kind == json::Kind::kString) return read_inside(walk_, said.content);
    if (member.name == "logprobs" && kind == json::Kind::kObject) return read_logprobs(said.logprobs);
    if (member.name == "finish_reason" && kind == json::Kind::kString) {
      json::Text text;
      if (!walk_.string(text)) return false;
      const std::string_view reason = json::meaning(text, storage_);
      if (!reason.empty()) finish_reason_ = reason;
      return true;
    }
    return walk_.skip();
  });
  if (!read) return false;
  const bool text = !said.reasoning.empty() || !said.content.empty() || !said.refusal.empty();
  if (text) call_open_ = false;
  if ((text || !said.logprobs.empty()) && !say(said)) return false;
  return calls.empty() || read_tool_calls(calls);
}

bool ChatReader::read_said(Said& said, std::string_view& calls) {
  return walk_.object([&](const json::Member& member) {
    const std::string_view name = member.name;
    const json::Kind kind = walk_.next();
    if (kind == json::Kind::kString) {
      if (name == "content") return read_inside(walk_, said.content);
      if (name == "refusal") return read_inside(walk_, said.refusal);
      if ((name == "reasoning_content" || name == "reasoning") && said.reasoning.empty())
        return read_inside(walk_, said.reasoning);
    }
    const std::size_t begin = walk_.offset();
    if (!walk_.skip()) return false;
    if (name == "tool_calls" && kind == json::Kind::kArray) calls = span(read_, begin, walk_);
    return true;
  });
}

bool ChatReader::read_logprobs(std::string_view& inside) {
  return walk_.object([&](const json::Member& member) {
    const bool wanted = member.name == "content" && walk_.next() == json::Kind::kArray;
    walk_.next();
    const std::size_t begin = walk_.offset();
    if (!walk_.skip()) return false;
    if (wanted) inside = json::without_space(json::inside_quotes(span(read_, begin, walk_)));
    return true;
  });
}

bool ChatReader::read_tool_calls(std::string_view calls) {
  std::int64_t position = 0;
  return calls_walk_.start(calls, json::Walk::Rules::kJudged) && calls_walk_.next() == json::Kind::kArray &&
         calls_walk_.array([&] {
           ToolCall call;
           call.index = position++;
           if (calls_walk_.next() != json::Kind::kObject) return calls_walk_.skip();
           return read_tool_call(calls, call) && take_tool_call(call);
         });
}

bool ChatReader::read_tool_call(std::string_view calls, ToolCall& call) {
  json::Walk& walk = calls_walk_;
  const auto read_raw = [&](std::string_view& raw) {
    const std::size_t begin = walk.offset();
    if (!walk.skip()) return false;
    raw = span(calls, begin, walk);
    return true;
  };
  return walk.object([&](const json::Member& member) {
    const json::Kind kind = walk.next();
    if (member.name == "index" && kind == json::Kind::kNumber) {
      std::string_view raw;
      if (!walk.number(raw)) return false;
      call.index = json::integer_of(raw).value_or(call.index);
      return true;
    }
    if (member.name == "id" && kind == json::Kind::kString) return read_raw(call.id);
    const bool custom = member.name == "custom";
    if (kind != json::Kind::kObject || (!custom && member.name != "function")) return walk.skip();
    call.custom = custom;
    return walk.object([&](const json::Member& inner) {
      const json::Kind inner_kind = walk.next();
      const bool text = inner.name == (custom ? "input" : "arguments");
      if (inner.name == "name" && inner_kind == json::Kind::kString) return read_raw(call.name);
      if (text && inner_kind == json::Kind::kString) return read_inside(walk, call.text);
      if (text && inner_kind == json::Kind::kObject)
        return refuse("the arguments of a tool call are an object, not its text");
      return walk.skip();
    });
  });
}

bool ChatReader::take_tool_call(ToolCall& call) {
  if (call.id == "\"\"") call.id = {};  // an empty id is none
  // Some servers give every call of an answer the same index.
  const bool another = !call.id.empty() && !call.name.empty() && call.id != tool_id_;
  if (call.index != tool_ || another) {
    if (call.index < tool_) return refuse("a piece for a tool call that has ended");
    if (call.name.empty()) return refuse("a tool call without a name");
    if (!begin_call(call)) return false;
    tool_ = call.index;
    tool_id_ = call.id;
    call_open_ = true;
  } else if (!call_open_) {
    return refuse("a piece for a tool call that has ended");
  }
  return call.text.empty() || add_arguments(call.text);
}

}  // namespace thalweg::dialect
