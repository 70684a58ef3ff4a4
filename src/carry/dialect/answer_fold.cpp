#include "carry/dialect/answer_fold.h"

#include <fmt/format.h>

#include <algorithm>

#include "carry/dialect/request_body.h"
#include "carry/json/text.h"

namespace thalweg::dialect {
namespace {

void write_member(std::string& out, std::string_view name, std::string_view value) {
  if (out.back() != '{') out += ',';
  json::append_quoted(out, name);
  out += ':';
  out += value;
}

void write_string(std::string& out, std::string_view name, std::string_view raw) {
  if (out.back() != '{') out += ',';
  json::append_quoted(out, name);
  out += ":\"";
  out += raw;
  out += '"';
}

}  // namespace

void AnswerFold::begin(inference::Surface surface, std::string_view quoted_model) {
  surface_ = surface;
  quoted_model_ = quoted_model;
  choices_.clear();
  usage_.clear();
  usage_reports_ = 0;
  timings_.clear();
  others_.clear();
}

void AnswerFold::add(std::string_view frame) {
  frame_ = frame;
  if (!walk_.start(frame, json::Walk::Rules::kJudged) || walk_.next() != json::Kind::kObject) return;
  walk_.object([this](const json::Member& member) { return read_member(member); });
}

bool AnswerFold::read_member(const json::Member& member) {
  const std::string_view name = member.name;
  const json::Kind kind = walk_.next();
  if (name == "choices" && kind == json::Kind::kArray) {
    std::int64_t position = 0;
    return walk_.array([&] { return read_choice(position++); });
  }
  if (name == "usage") {
    if (kind == json::Kind::kObject) ++usage_reports_;
    return keep_last(usage_);
  }
  if (name == "timings") return keep_last(timings_);
  if (name == "model" || name == "object" || name == "choices" || name == "error" || name == "prompt_progress") {
    return walk_.skip();
  }
  const auto known = std::ranges::find(others_, name, &Member::name);
  if (known != others_.end()) return walk_.skip();
  if (kind == json::Kind::kNull) return walk_.skip();
  others_.push_back({std::string(name), {}});
  others_.back().value = take_value();
  return !others_.back().value.empty();
}

bool AnswerFold::read_choice(std::int64_t position) {
  if (walk_.next() != json::Kind::kObject) return walk_.skip();
  const std::int64_t index = index_ahead(position);
  if (index < 0 || index >= static_cast<std::int64_t>(kMaxChoices)) return walk_.skip();
  Choice& choice = choices_[index];
  return walk_.object([&](const json::Member& member) {
    const std::string_view name = member.name;
    if (name == "index") return walk_.skip();
    if (name == "delta" || name == "message") return read_delta(choice);
    if (name == "text") return join(choice.text);
    if (name == "logprobs") return read_logprobs(choice);
    if (name == "finish_reason") return keep_last(choice.finish_reason);
    return keep_last(choice.others, name);
  });
}

// The index of the choice or tool call that comes next: it may stand behind what it is the index of.
std::int64_t AnswerFold::index_ahead(std::int64_t position) {
  std::int64_t index = position;
  ahead_.start(frame_.substr(walk_.offset()), json::Walk::Rules::kJudged);
  ahead_.next();
  ahead_.object([&](const json::Member& member) {
    if (member.name != "index" || ahead_.next() != json::Kind::kNumber) return ahead_.skip();
    std::string_view raw;
    if (!ahead_.number(raw)) return false;
    index = json::integer_of(raw).value_or(position);
    return true;
  });
  return index;
}

bool AnswerFold::read_delta(Choice& choice) {
  if (walk_.next() != json::Kind::kObject) return walk_.skip();
  return walk_.object([&](const json::Member& member) { return read_delta_member(choice, member); });
}

bool AnswerFold::read_delta_member(Choice& choice, const json::Member& member) {
  const std::string_view name = member.name;
  const json::Kind kind = walk_.next();
  if (kind == json::Kind::kNull) return walk_.skip();
  if (name == "role") return keep_first(choice.role);
  if (kind == json::Kind::kString) {
    if (name == "content") return join(choice.content);
    if (name == "refusal") return join(choice.refusal);
    if (name == "reasoning_content") return join(choice.reasoning_content);
    if (name == "reasoning") return join(choice.reasoning);
  }
  if (name == "tool_calls" && kind == json::Kind::kArray) {
    std::int64_t position = 0;
    return walk_.array([&] { return read_tool_call(choice, position++); });
  }
  if (name == "function_call" && kind == json::Kind::kObject) {
    choice.has_function_call = true;
    return read_function(choice.function_call);
  }
  return keep_last(choice.message_others, name);
}

bool AnswerFold::read_tool_call(Choice& choice, std::int64_t position) {
  if (walk_.next() != json::Kind::kObject) return walk_.skip();
  ToolCall& call = choice.tool_calls[index_ahead(position)];
  return walk_.object([&](const json::Member& member) {
    const std::string_view name = member.name;
    if (name == "index") return walk_.skip();
    if (name == "id") return keep_first(call.id);
    if (name == "type") return keep_first(call.type);
    if ((name == "function" || name == "custom") && walk_.next() == json::Kind::kObject) {
      call.kind = name;
      return read_function(call);
    }
    return keep_last(call.others, name);
  });
}

bool AnswerFold::read_function(ToolCall& call) {
  return walk_.object([&](const json::Member& member) {
    const std::string_view name = member.name;
    const json::Kind kind = walk_.next();
    if (name == "name") return keep_first(call.name);
    if ((name == "arguments" || name == "input") && kind == json::Kind::kString) {
      call.matter_name = name;
      return join(call.matter);
    }
    if (name == "arguments" && kind == json::Kind::kObject) {  // some servers send the object itself
      call.matter_name = name;
      call.matter.seen = true;
      std::string quoted;
      json::append_quoted(quoted, take_value());
      call.matter.raw += std::string_view(quoted).substr(1, quoted.size() - 2);
      return true;
    }
    return walk_.skip();
  });
}

bool AnswerFold::read_logprobs(Choice& choice) {
  if (walk_.next() != json::Kind::kObject) return walk_.skip();
  choice.has_logprobs = true;
  return walk_.object([&](const json::Member& member) {
    const std::string name(member.name);
    if (walk_.next() != json::Kind::kArray) return keep_last(choice.logprob_others, name);
    Joined& list = choice.logprob_lists[name];
    list.seen = true;
    return walk_.array([&] {
      if (!list.raw.empty()) list.raw += ',';
      list.raw += take_value();
      return true;
    });
  });
}

bool AnswerFold::join(Joined& joined) {
  if (walk_.next() != json::Kind::kString) return walk_.skip();
  json::Text text;
  if (!walk_.string(text)) return false;
  joined.seen = true;
  joined.raw += text.raw;
  return true;
}

bool AnswerFold::keep_first(std::string& value) {
  if (!value.empty() && value != "\"\"") return walk_.skip();
  return keep_last(value);
}

bool AnswerFold::keep_last(std::string& value) {
  if (walk_.next() == json::Kind::kNull) return walk_.skip();
  const std::string_view taken = take_value();
  if (taken.empty()) return false;
  value = taken;
  return true;
}

bool AnswerFold::keep_last(Members& members, std::string_view name) {
  if (walk_.next() == json::Kind::kNull) return walk_.skip();
  auto known = std::ranges::find(members, name, &Member::name);
  if (known == members.end()) known = members.insert(members.end(), {std::string(name), {}});
  return keep_last(known->value);
}

// The next value's own text; empty after a fault.
std::string_view AnswerFold::take_value() {
  walk_.next();
  const std::size_t begin = walk_.offset();
  if (!walk_.skip()) return {};
  return frame_.substr(begin, walk_.offset() - begin);
}

void AnswerFold::write_tool_call(const ToolCall& call, std::string& out) {
  if (!call.name.empty()) write_member(out, "name", call.name);
  if (call.matter.seen) write_string(out, call.matter_name, call.matter.raw);
}

void AnswerFold::write_message(const Choice& choice, std::string& out) {
  out += '{';
  write_member(out, "role", choice.role.empty() ? "\"assistant\"" : std::string_view(choice.role));
  const bool calls = !choice.tool_calls.empty() || choice.has_function_call;
  if (choice.content.seen) {
    write_string(out, "content", choice.content.raw);
  } else {
    write_member(out, "content", calls || choice.refusal.seen ? "null" : "\"\"");
  }
  if (choice.reasoning_content.seen) write_string(out, "reasoning_content", choice.reasoning_content.raw);
  if (choice.reasoning.seen) write_string(out, "reasoning", choice.reasoning.raw);
  if (choice.refusal.seen) write_string(out, "refusal", choice.refusal.raw);
  if (!choice.tool_calls.empty()) {
    out += ",\"tool_calls\":[";
    bool first = true;
    for (const auto& [index, call] : choice.tool_calls) {
      if (!first) out += ',';
      first = false;
      out += '{';
      if (!call.id.empty()) write_member(out, "id", call.id);
      write_member(out, "type", call.type.empty() ? "\"function\"" : std::string_view(call.type));
      if (!call.kind.empty()) {
        write_member(out, call.kind, "{");
        write_tool_call(call, out);
        out += '}';
      }
      for (const Member& other : call.others) write_member(out, other.name, other.value);
      out += '}';
    }
    out += ']';
  }
  if (choice.has_function_call) {
    out += ",\"function_call\":{";
    write_tool_call(choice.function_call, out);
    out += '}';
  }
  for (const Member& other : choice.message_others) write_member(out, other.name, other.value);
  out += '}';
}

void AnswerFold::write_logprobs(const Choice& choice, std::string& out) {
  out += ",\"logprobs\":";
  if (!choice.has_logprobs) {
    out += "null";
    return;
  }
  out += '{';
  for (const auto& [name, list] : choice.logprob_lists) {
    if (out.back() != '{') out += ',';
    json::append_quoted(out, name);
    out += ":[";
    out += list.raw;
    out += ']';
  }
  for (const Member& other : choice.logprob_others) write_member(out, other.name, other.value);
  out += '}';
}

Result<std::string> AnswerFold::finish(const inference::Usage& total) const {
  if (choices_.empty()) return fail(ErrorCode::kUpstreamFailed, "the endpoint's stream had no choices in it");
  const bool chat = surface_ == inference::Surface::kOpenAiChat;
  std::string out = "{";
  const auto id = std::ranges::find(others_, "id", &Member::name);
  if (id != others_.end()) write_member(out, "id", id->value);
  write_member(out, "object", chat ? "\"chat.completion\"" : "\"text_completion\"");
  for (const Member& other : others_) {
    if (other.name != "id") write_member(out, other.name, other.value);
  }
  write_member(out, "model", quoted_model_);
  out += ",\"choices\":[";
  bool first = true;
  for (const auto& [index, choice] : choices_) {
    if (!first) out += ',';
    first = false;
    out += "{\"index\":";
    out += std::to_string(index);
    if (chat) {
      out += ",\"message\":";
      write_message(choice, out);
    } else {
      write_string(out, "text", choice.text.raw);
    }
    write_logprobs(choice, out);
    write_member(out, "finish_reason", choice.finish_reason.empty() ? "null" : std::string_view(choice.finish_reason));
    for (const Member& other : choice.others) write_member(out, other.name, other.value);
    out += '}';
  }
  out += ']';
  if (usage_reports_ > 1 && total.reported) {
    write_member(out, "usage",
                 fmt::format("{{\"completion_tokens\":{},\"prompt_tokens\":{},\"total_tokens\":{},"
                             "\"prompt_tokens_details\":{{\"cached_tokens\":{}}}}}",
                             total.output_tokens, total.input_tokens, total.input_tokens + total.output_tokens,
                             total.cached_input_tokens));
  } else if (!usage_.empty()) {
    write_member(out, "usage", usage_);
  }
  if (!timings_.empty()) write_member(out, "timings", timings_);
  out += '}';
  return out;
}

}  // namespace thalweg::dialect
