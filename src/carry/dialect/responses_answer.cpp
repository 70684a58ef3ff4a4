// Reads chat completions: chunks and whole answers say the same in the same members, and become the same items. Texts
// and pieces of arguments go from one JSON string into another as they stand: an escape that a stream cuts in two
// arrives whole.
#include "carry/dialect/responses_answer.h"

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

void ResponsesAnswer::begin(std::string_view id, std::string_view shown_model, std::int64_t created,
                            std::string_view echoed, const NamespacedTools* namespaced) {
  id_ = id;
  quoted_model_.clear();
  json::append_quoted(quoted_model_, shown_model);
  created_ = created;
  echoed_ = echoed;
  namespaced_ = namespaced;
  finish_reason_.clear();
  streams_ = started_ = false;
  sequence_ = item_ = part_ = 0;
  open_ = Open::kNone;
  open_part_ = Part::kNone;
  tool_ = -1;
  for (std::string* text : {&tool_id_, &text_, &logprobs_, &parts_, &output_}) text->clear();
  fault_ = nullptr;
}

void ResponsesAnswer::forget() {
  constexpr std::size_t kKeptCapacity = 16 * 1024;
  for (std::string* text : {&text_, &logprobs_, &parts_, &output_}) {
    if (text->capacity() > kKeptCapacity) std::string().swap(*text);
  }
  echoed_ = {};
  namespaced_ = nullptr;
}

Result<void> ResponsesAnswer::add_chunk(std::string_view chunk, std::string& out) {
  out_ = &out;
  streams_ = true;
  start();
  return read_chunk(chunk);
}

void ResponsesAnswer::finish(const inference::Usage& usage, std::string& out) {
  out_ = &out;
  streams_ = true;
  start();
  const std::string_view status = final_status();
  close_item(status == "completed" ? Ending::kWhole : Ending::kCut);
  tell_response(status == "completed" ? "response.completed" : "response.incomplete", status, &usage);
}

Result<void> ResponsesAnswer::write_whole(std::string_view answer, const inference::Usage& usage, std::string& out) {
  out_ = &out;
  streams_ = false;
  if (auto read = read_chunk(answer); !read) return read;
  const std::string_view status = final_status();
  close_item(status == "completed" ? Ending::kWhole : Ending::kCut);
  write_response(status, &usage);
  return {};
}

Result<void> ResponsesAnswer::read_chunk(std::string_view chunk) {
  fault_ = nullptr;
  read_ = chunk;
  const bool read = walk_.start(chunk, json::Walk::Rules::kEndpoint) && walk_.next() == json::Kind::kObject &&
                    walk_.object([&](const json::Member& member) {
                      if (member.name != "choices" || walk_.next() != json::Kind::kArray) return walk_.skip();
                      return walk_.array([&] { return read_choice(); });
                    });
  if (read) return {};
  return fail(ErrorCode::kUpstreamFailed,
              fmt::format("the endpoint's answer is no response: {}", fault_ != nullptr ? fault_ : "not valid JSON"));
}

bool ResponsesAnswer::read_choice() {
  if (walk_.next() != json::Kind::kObject) return walk_.skip();
  Said said;
  const bool read = walk_.object([&](const json::Member& member) {
    const json::Kind kind = walk_.next();
    if ((member.name == "delta" || member.name == "message") && kind == json::Kind::kObject) return read_said(said);
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
  return read && add_said(said);
}

bool ResponsesAnswer::read_said(Said& said) {
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
    if (name == "tool_calls" && kind == json::Kind::kArray) said.calls = span(read_, begin, walk_);
    return true;
  });
}

bool ResponsesAnswer::read_logprobs(std::string_view& inside) {
  return walk_.object([&](const json::Member& member) {
    const bool wanted = member.name == "content" && walk_.next() == json::Kind::kArray;
    walk_.next();
    const std::size_t begin = walk_.offset();
    if (!walk_.skip()) return false;
    if (wanted) inside = json::without_space(json::inside_quotes(span(read_, begin, walk_)));
    return true;
  });
}

// The order of the members is the writer's; reasoning comes before the text, and tools after it.
bool ResponsesAnswer::add_said(const Said& said) {
  if (!said.reasoning.empty()) add_text(Part::kReasoning, said.reasoning, {});
  if (!said.content.empty()) add_text(Part::kText, said.content, said.logprobs);
  if (!said.refusal.empty()) add_text(Part::kRefusal, said.refusal, {});
  return said.calls.empty() || read_tool_calls(said.calls);
}

bool ResponsesAnswer::read_tool_calls(std::string_view calls) {
  std::int64_t position = 0;
  return calls_walk_.start(calls, json::Walk::Rules::kEndpoint) && calls_walk_.next() == json::Kind::kArray &&
         calls_walk_.array([&] {
           ToolCall call;
           call.index = position++;
           if (calls_walk_.next() != json::Kind::kObject) return calls_walk_.skip();
           return read_tool_call(calls_walk_, calls, call) && add_tool_call(call);
         });
}

bool ResponsesAnswer::read_tool_call(json::Walk& walk, std::string_view calls, ToolCall& call) {
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

bool ResponsesAnswer::add_tool_call(const ToolCall& call) {
  // Some servers give every call of an answer the same index. An empty id is none.
  const bool named = call.id.size() > 2;
  const bool another = named && !call.name.empty() && call.id != tool_id_;
  const bool is_open = open_ == Open::kFunction || open_ == Open::kCustom;
  if (call.index != tool_ || another) {
    if (call.index < tool_) return refuse("a piece for a tool call that has ended");
    if (call.name.empty()) return refuse("a tool call without a name");
    close_item(Ending::kWhole);
    call_members_ = "\"call_id\":";
    // Some servers give none; the client sends it back with its result.
    call_members_ += named ? std::string(call.id) : fmt::format("\"call_{}_{}\"", id_, item_);
    const NamespacedTools::Tool* const tool = namespaced_ == nullptr ? nullptr : namespaced_->find(call.name);
    call_name_ = tool == nullptr ? call.name : tool->name;
    call_members_ += ",\"name\":";
    call_members_ += call_name_;
    if (tool != nullptr) {
      call_members_ += ",\"namespace\":";
      call_members_ += tool->space;
    }
    open_item(call.custom ? Open::kCustom : Open::kFunction);
    tool_ = call.index;
    tool_id_ = named ? call.id : std::string_view();
  } else if (!is_open) {
    return refuse("a piece for a tool call that has ended");
  }
  if (call.text.empty()) return true;
  text_ += call.text;
  if (!streams_) return true;
  begin_item_event(open_ == Open::kCustom ? "response.custom_tool_call_input.delta"
                                          : "response.function_call_arguments.delta");
  *out_ += ",\"delta\":\"";
  *out_ += call.text;
  *out_ += '"';
  end_event();
  return true;
}

}  // namespace thalweg::dialect
