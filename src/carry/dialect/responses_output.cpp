// Writes a response: its items as they open, grow and close, the events that tell of it, and the response itself. What
// closes tells all of it once more, so what was written is kept, as the JSON it was.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "carry/dialect/openai.h"
#include "carry/dialect/responses_answer.h"
#include "carry/json/text.h"
#include "carry/json/tree.h"

namespace thalweg::dialect {
namespace {

void append_number(std::string& out, std::uint64_t number) {
  const fmt::format_int text(number);
  out.append(text.data(), text.size());
}

}  // namespace

// ---- Items ----

void ResponsesAnswer::add_text(Part kind, std::string_view raw, std::string_view logprobs) {
  const Open item = kind == Part::kReasoning ? Open::kReasoning : Open::kMessage;
  if (open_ != item) {
    close_item(Ending::kWhole);
    open_item(item);
  }
  if (open_part_ != kind) {
    close_part();
    open_part(kind);
  }
  text_ += raw;
  const std::size_t before = logprobs_.size();
  if (!logprobs.empty()) {
    if (before != 0) logprobs_ += ',';
    json::append_on_one_line(logprobs_, logprobs);
  }
  if (!streams_) return;
  begin_part_event(kind == Part::kText      ? "response.output_text.delta"
                   : kind == Part::kRefusal ? "response.refusal.delta"
                                            : "response.reasoning_text.delta");
  *out_ += ",\"delta\":\"";
  *out_ += raw;
  *out_ += '"';
  if (kind == Part::kText) {
    *out_ += ",\"logprobs\":[";
    *out_ += std::string_view(logprobs_).substr(before == 0 ? 0 : std::min(before + 1, logprobs_.size()));
    *out_ += ']';
  }
  end_event();
}

void ResponsesAnswer::open_item(Open kind) {
  open_ = kind;
  part_ = 0;
  text_.clear();
  parts_.clear();
  if (!streams_) return;
  begin_event("response.output_item.added");
  *out_ += ",\"output_index\":";
  append_number(*out_, item_);
  *out_ += ",\"item\":";
  write_item("in_progress", {}, *out_);
  end_event();
}

void ResponsesAnswer::open_part(Part kind) {
  open_part_ = kind;
  text_.clear();
  logprobs_.clear();
  if (!streams_) return;
  begin_part_event("response.content_part.added");
  *out_ += ",\"part\":";
  write_part({}, {}, *out_);
  end_event();
}

void ResponsesAnswer::close_part() {
  if (open_part_ == Part::kNone) return;
  if (streams_) {
    const bool refusal = open_part_ == Part::kRefusal;
    begin_part_event(open_part_ == Part::kText ? "response.output_text.done"
                     : refusal                 ? "response.refusal.done"
                                               : "response.reasoning_text.done");
    *out_ += refusal ? ",\"refusal\":\"" : ",\"text\":\"";
    *out_ += text_;
    *out_ += '"';
    if (open_part_ == Part::kText) {
      *out_ += ",\"logprobs\":[";
      *out_ += logprobs_;
      *out_ += ']';
    }
    end_event();
    begin_part_event("response.content_part.done");
    *out_ += ",\"part\":";
    write_part(text_, logprobs_, *out_);
    end_event();
  }
  if (!parts_.empty()) parts_ += ',';
  write_part(text_, logprobs_, parts_);
  text_.clear();
  logprobs_.clear();
  ++part_;
  open_part_ = Part::kNone;
}

void ResponsesAnswer::close_item(Ending ending) {
  if (open_ == Open::kNone) return;
  close_part();
  const bool call = open_ == Open::kFunction || open_ == Open::kCustom;
  if (call && streams_) {
    const bool custom = open_ == Open::kCustom;
    begin_item_event(custom ? "response.custom_tool_call_input.done" : "response.function_call_arguments.done");
    *out_ += ",\"name\":";
    *out_ += call_name_;
    *out_ += custom ? ",\"input\":\"" : ",\"arguments\":\"";
    *out_ += text_;
    *out_ += '"';
    end_event();
  }
  if (item_ > 0) output_ += ',';
  const std::size_t begin = output_.size();
  write_item(ending == Ending::kWhole ? "completed" : "incomplete", call ? text_ : parts_, output_);
  if (streams_) {
    begin_event("response.output_item.done");
    *out_ += ",\"output_index\":";
    append_number(*out_, item_);
    *out_ += ",\"item\":";
    *out_ += std::string_view(output_).substr(begin);
    end_event();
  }
  text_.clear();
  parts_.clear();
  ++item_;
  open_ = Open::kNone;
}

// The open item; `body` is its parts, or the text of a call.
void ResponsesAnswer::write_item(std::string_view status, std::string_view body, std::string& out) const {
  const auto head = [&](std::string_view prefix, std::string_view type) {
    fmt::format_to(std::back_inserter(out), R"({{"id":"{}_{}_{}","type":"{}","status":"{}",)", prefix, id_, item_, type,
                   status);
  };
  switch (open_) {
    case Open::kMessage:
      head("msg", "message");
      out += R"("role":"assistant","content":[)";
      out += body;
      out += "]}";
      return;
    case Open::kReasoning:
      head("rs", "reasoning");
      out += R"("summary":[],"content":[)";
      out += body;
      out += "]}";
      return;
    case Open::kFunction:
    case Open::kCustom:
      head(open_ == Open::kCustom ? "ctc" : "fc", open_ == Open::kCustom ? "custom_tool_call" : "function_call");
      out += call_members_;
      out += open_ == Open::kCustom ? ",\"input\":\"" : ",\"arguments\":\"";
      out += body;
      out += "\"}";
      return;
    case Open::kNone:
      return;
  }
}

void ResponsesAnswer::write_part(std::string_view text, std::string_view logprobs, std::string& out) const {
  switch (open_part_) {
    case Part::kText:
      out += R"({"type":"output_text","text":")";
      out += text;
      out += R"(","annotations":[],"logprobs":[)";
      out += logprobs;
      out += "]}";
      return;
    case Part::kRefusal:
      out += R"({"type":"refusal","refusal":")";
      break;
    case Part::kReasoning:
      out += R"({"type":"reasoning_text","text":")";
      break;
    case Part::kNone:
      return;
  }
  out += text;
  out += "\"}";
}

// ---- Events ----

void ResponsesAnswer::start() {
  if (std::exchange(started_, true)) return;
  tell_response("response.created", "in_progress", nullptr);
  tell_response("response.in_progress", "in_progress", nullptr);
}

void ResponsesAnswer::begin_event(std::string_view name) {
  *out_ += "event: ";
  *out_ += name;
  *out_ += "\ndata: {\"type\":\"";
  *out_ += name;
  *out_ += "\",\"sequence_number\":";
  append_number(*out_, sequence_++);
}

void ResponsesAnswer::begin_item_event(std::string_view name) {
  begin_event(name);
  const std::string_view prefix = open_ == Open::kMessage     ? "msg"
                                  : open_ == Open::kReasoning ? "rs"
                                  : open_ == Open::kCustom    ? "ctc"
                                                              : "fc";
  fmt::format_to(std::back_inserter(*out_), R"(,"item_id":"{}_{}_{}","output_index":{})", prefix, id_, item_, item_);
}

void ResponsesAnswer::begin_part_event(std::string_view name) {
  begin_item_event(name);
  *out_ += ",\"content_index\":";
  append_number(*out_, part_);
}

void ResponsesAnswer::end_event() {
  *out_ += "}\n\n";
}

void ResponsesAnswer::write_error(const Error& error, std::string& out) {
  out_ = &out;
  streams_ = true;
  start();
  const std::string body = error_body(error);  // {"error":{...}}
  begin_event("error");
  *out_ += ",\"code\":";
  const auto tree = json::read_tree(body);
  json::append_quoted(*out_, tree ? tree->at("error").at("code").get<std::string>() : std::string());
  *out_ += ",\"message\":";
  json::append_quoted(*out_, error.message);
  *out_ += ",\"param\":null,";
  *out_ += std::string_view(body).substr(1, body.size() - 2);
  end_event();
}

// ---- The response ----

std::string_view ResponsesAnswer::final_status() const {
  return finish_reason() == "length" || finish_reason() == "content_filter" ? "incomplete" : "completed";
}

void ResponsesAnswer::tell_response(std::string_view name, std::string_view status, const inference::Usage* usage) {
  begin_event(name);
  *out_ += ",\"response\":";
  write_response(status, usage);
  end_event();
}

void ResponsesAnswer::write_response(std::string_view status, const inference::Usage* usage) const {
  std::string& out = *out_;
  fmt::format_to(std::back_inserter(out),
                 R"({{"id":"resp_{}","object":"response","created_at":{},"status":"{}","error":null,)", id_, created_,
                 status);
  out += "\"incomplete_details\":";
  out += status != "incomplete"        ? "null"
         : finish_reason() == "length" ? R"({"reason":"max_output_tokens"})"
                                       : R"({"reason":"content_filter"})";
  out += ",\"model\":";
  out += quoted_model_;
  out += ",\"output\":[";
  out += output_;
  out += "],";
  if (!echoed_.empty()) {
    out += echoed_;
    out += ',';
  }
  out += "\"usage\":";
  if (usage == nullptr || !usage->reported) {
    out += "null}";
    return;
  }
  fmt::format_to(std::back_inserter(out),
                 R"({{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{},"cache_write_tokens":0}},)"
                 R"("output_tokens":{},"output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{}}}}})",
                 usage->input_tokens, usage->cached_input_tokens, usage->output_tokens, usage->reasoning_tokens,
                 usage->input_tokens + usage->output_tokens);
}

}  // namespace thalweg::dialect
