// Reads chat completions: chunks and whole answers say the same in the same members, and become the same items. Texts
// and pieces of arguments go from one JSON string into another as they stand: an escape that a stream cuts in two
// arrives whole.
#include "carry/dialect/responses_answer.h"

#include <fmt/format.h>

#include "carry/json/text.h"

namespace thalweg::dialect {

void ResponsesAnswer::begin(std::string_view id, std::string_view shown_model, std::int64_t created,
                            std::string_view echoed, const NamespacedTools* namespaced) {
  id_ = id;
  quoted_model_.clear();
  json::append_quoted(quoted_model_, shown_model);
  created_ = created;
  echoed_ = echoed;
  namespaced_ = namespaced;
  begin_reading();
  streams_ = started_ = false;
  sequence_ = item_ = part_ = 0;
  open_ = Open::kNone;
  open_part_ = Part::kNone;
  for (std::string* text : {&text_, &logprobs_, &parts_, &output_}) text->clear();
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
  return read_chunk(chunk, "response");
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
  if (auto read = read_chunk(answer, "response"); !read) return read;
  const std::string_view status = final_status();
  close_item(status == "completed" ? Ending::kWhole : Ending::kCut);
  write_response(status, &usage);
  return {};
}

bool ResponsesAnswer::say(const Said& said) {
  if (!said.reasoning.empty()) add_text(Part::kReasoning, said.reasoning, {});
  if (!said.content.empty()) add_text(Part::kText, said.content, said.logprobs);
  if (!said.refusal.empty()) add_text(Part::kRefusal, said.refusal, {});
  return true;
}

bool ResponsesAnswer::begin_call(const ToolCall& call) {
  close_item(Ending::kWhole);
  call_members_ = "\"call_id\":";
  // Some servers give none; the client sends it back with its result.
  call_members_ += call.id.empty() ? fmt::format("\"call_{}_{}\"", id_, item_) : std::string(call.id);
  const NamespacedTools::Tool* const tool = namespaced_ == nullptr ? nullptr : namespaced_->find(call.name);
  call_name_ = tool == nullptr ? call.name : tool->name;
  call_members_ += ",\"name\":";
  call_members_ += call_name_;
  if (tool != nullptr) {
    call_members_ += ",\"namespace\":";
    call_members_ += tool->space;
  }
  open_item(call.custom ? Open::kCustom : Open::kFunction);
  return true;
}

bool ResponsesAnswer::add_arguments(std::string_view raw) {
  text_ += raw;
  if (!streams_) return true;
  begin_item_event(open_ == Open::kCustom ? "response.custom_tool_call_input.delta"
                                          : "response.function_call_arguments.delta");
  *out_ += ",\"delta\":\"";
  *out_ += raw;
  *out_ += '"';
  end_event();
  return true;
}

}  // namespace thalweg::dialect
