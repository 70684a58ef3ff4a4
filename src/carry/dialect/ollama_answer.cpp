// Texts go from one JSON string into another as they stand: an escape that a stream cuts in two arrives whole. The
// arguments of a tool call are an object here and text there, so they are gathered and unescaped at their end.
#include "carry/dialect/ollama_answer.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>
#include <vector>

#include "carry/dialect/openai.h"
#include "carry/http/message.h"
#include "carry/json/text.h"

namespace thalweg::dialect {

using inference::Surface;

namespace {

// Without the first half of a pair of surrogates at its end, which waits for the other one: each line is a text of its
// own, and clients refuse half a character in it.
std::string_view whole_characters(std::string_view raw) {
  constexpr std::size_t kEscape = 6;  // \ud83d
  if (raw.size() < kEscape) return raw;
  const std::string_view end = raw.substr(raw.size() - kEscape);
  if (!end.starts_with("\\ud") && !end.starts_with("\\uD")) return raw;
  if (std::string_view("89abAB").find(end[3]) == std::string_view::npos) return raw;
  std::size_t backslashes = 0;
  while (backslashes < raw.size() - kEscape && raw[raw.size() - kEscape - 1 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 0 ? raw.substr(0, raw.size() - kEscape) : raw;
}

}  // namespace

void OllamaAnswer::begin(Surface surface, std::string_view shown_model) {
  surface_ = surface;
  times_ = {};
  quoted_model_.clear();
  json::append_quoted(quoted_model_, shown_model);
  begin_reading();
  streams_ = call_open_ = false;
  call_index_ = 0;
  for (std::string* text : {&text_, &thinking_, &logprobs_, &calls_, &arguments_, &vectors_}) text->clear();
}

void OllamaAnswer::forget() {
  constexpr std::size_t kKeptCapacity = 16 * 1024;
  for (std::string* text : {&text_, &thinking_, &logprobs_, &calls_, &arguments_, &object_, &vectors_}) {
    if (text->capacity() > kKeptCapacity) std::string().swap(*text);
  }
}

// ---- Reading ----

Result<void> OllamaAnswer::add_chunk(std::string_view chunk, std::string& out) {
  out_ = &out;
  streams_ = true;
  const bool ended = !finish_reason().empty();
  if (auto read = read_chunk(chunk, "answer of Ollama's API"); !read) return read;
  if (ended || finish_reason().empty()) return {};
  if (!close_call())
    return fail(ErrorCode::kUpstreamFailed, "the arguments of a tool call of the endpoint are no JSON object");
  return {};
}

Result<void> OllamaAnswer::write_whole(std::string_view answer, const inference::Usage& usage, std::string& out) {
  out_ = &out;
  streams_ = false;
  if (inference::need_of(surface_) == inference::Capability::kEmbeddings) {
    if (auto read = read_vectors(answer); !read) return read;
    write_vectors(usage);
    return {};
  }
  if (auto read = read_chunk(answer, "answer of Ollama's API"); !read) return read;
  if (!close_call())
    return fail(ErrorCode::kUpstreamFailed, "the arguments of a tool call of the endpoint are no JSON object");
  begin_object();
  write_said(text_, thinking_, calls_);
  write_logprobs(logprobs_);
  write_end(finish_reason(), &usage);
  return {};
}

void OllamaAnswer::finish(const inference::Usage& usage, std::string& out) {
  out_ = &out;
  begin_object();
  write_said(text_, thinking_, {});
  write_end(finish_reason(), &usage);
  out += '\n';
}

bool OllamaAnswer::say(const Said& said) {
  if (!close_call()) return refuse("the arguments of a tool call are no JSON object");
  thinking_ += said.reasoning;
  text_ += said.content;
  text_ += said.refusal;
  if (!said.logprobs.empty()) {
    if (!logprobs_.empty()) logprobs_ += ',';
    json::append_on_one_line(logprobs_, said.logprobs);
  }
  if (streams_) write_line();
  return true;
}

bool OllamaAnswer::begin_call(const ToolCall& call) {
  if (!close_call()) return refuse("the arguments of a tool call are no JSON object");
  call_open_ = true;
  call_id_ = call.id;
  call_name_ = call.name;
  return true;
}

bool OllamaAnswer::add_arguments(std::string_view raw) {
  arguments_ += raw;
  return true;
}

// A limit ends an answer anywhere, in the middle of a call too.
bool OllamaAnswer::cut_by_limit() const {
  return finish_reason() == "length" || finish_reason() == "content_filter";
}

bool OllamaAnswer::close_call() {
  if (!std::exchange(call_open_, false)) return true;
  object_.clear();
  json::unescape(arguments_, object_);
  arguments_.clear();
  if (json::without_space(object_).empty()) object_ = "{}";
  const std::size_t size = object_.size();
  object_.append(http::kPadding, '\0');
  const std::string_view object = std::string_view(object_).substr(0, size);
  if (!walk_.start(object, json::Walk::Rules::kEndpoint) || walk_.next() != json::Kind::kObject || !walk_.skip() ||
      !walk_.end()) {
    return cut_by_limit();
  }
  if (!calls_.empty()) calls_ += ',';
  calls_ += '{';
  if (!call_id_.empty()) {
    calls_ += "\"id\":";
    calls_ += call_id_;
    calls_ += ',';
  }
  fmt::format_to(std::back_inserter(calls_), R"("function":{{"index":{},"name":{},"arguments":)", call_index_++,
                 call_name_);
  json::append_on_one_line(calls_, json::without_space(object));
  calls_ += "}}";
  if (streams_) write_line();
  return true;
}

// ---- Embeddings ----

// In the order of the inputs, which is that of `index`, whatever order they came in.
Result<void> OllamaAnswer::read_vectors(std::string_view answer) {
  std::vector<std::string_view> vectors;
  const auto read_vector = [&] {
    if (walk_.next() != json::Kind::kObject) return false;
    std::size_t index = vectors.size();
    std::string_view vector;
    const bool read = walk_.object([&](const json::Member& member) {
      const json::Kind kind = walk_.next();
      const std::size_t begin = walk_.offset();
      const bool numbers = member.name == "embedding" && kind == json::Kind::kArray;
      const bool place = member.name == "index" && kind == json::Kind::kNumber;
      if (!walk_.skip()) return false;
      const std::string_view raw = answer.substr(begin, walk_.offset() - begin);
      if (numbers) vector = raw;
      if (place) index = static_cast<std::size_t>(json::integer_of(raw).value_or(-1));
      return true;
    });
    if (!read || vector.empty() || index >= answer.size()) return false;  // more than the answer can hold
    if (vectors.size() <= index) vectors.resize(index + 1);
    vectors[index] = vector;
    return true;
  };
  const bool read = walk_.start(answer, json::Walk::Rules::kEndpoint) && walk_.next() == json::Kind::kObject &&
                    walk_.object([&](const json::Member& member) {
                      if (member.name != "data" || walk_.next() != json::Kind::kArray) return walk_.skip();
                      return walk_.array(read_vector);
                    });
  for (const std::string_view vector : vectors) {
    if (!read || vector.empty()) return fail(ErrorCode::kUpstreamFailed, "the endpoint left out a vector");
    if (!vectors_.empty()) vectors_ += ',';
    vectors_ += vector;
  }
  if (!read) return fail(ErrorCode::kUpstreamFailed, "the endpoint's vectors are no arrays of numbers");
  return {};
}

void OllamaAnswer::write_vectors(const inference::Usage& usage) {
  std::string& out = *out_;
  if (surface_ == Surface::kOllamaEmbeddings) {  // of one text
    out += "{\"embedding\":";
    out += vectors_.empty() ? std::string_view("[]") : std::string_view(vectors_);
    out += '}';
    return;
  }
  out += "{\"model\":";
  out += quoted_model_;
  out += ",\"embeddings\":[";
  out += vectors_;
  out += ']';
  write_duration("total_duration", times_.total);
  write_duration("load_duration", times_.load);
  if (usage.reported) fmt::format_to(std::back_inserter(out), ",\"prompt_eval_count\":{}", usage.input_tokens);
  out += '}';
}

// ---- Lines ----

void OllamaAnswer::begin_object() {
  *out_ += "{\"model\":";
  *out_ += quoted_model_;
  *out_ += ",\"created_at\":\"";
  char now[kTimeLength];
  write_rfc3339(now, times_.now);
  out_->append(now, sizeof now);
  *out_ += '"';
}

void OllamaAnswer::write_said(std::string_view text, std::string_view thinking, std::string_view calls) {
  std::string& out = *out_;
  out += is_chat() ? R"(,"message":{"role":"assistant","content":")" : R"(,"response":")";
  out += text;
  out += '"';
  if (!thinking.empty()) {
    out += ",\"thinking\":\"";
    out += thinking;
    out += '"';
  }
  if (!calls.empty()) {
    out += ",\"tool_calls\":[";
    out += calls;
    out += ']';
  }
  if (is_chat()) out += '}';
}

void OllamaAnswer::write_logprobs(std::string_view logprobs) {
  if (logprobs.empty()) return;
  *out_ += ",\"logprobs\":[";
  *out_ += logprobs;
  *out_ += ']';
}

void OllamaAnswer::write_line() {
  const std::string_view text = whole_characters(text_), thinking = whole_characters(thinking_);
  if (text.empty() && thinking.empty() && calls_.empty() && logprobs_.empty()) return;
  begin_object();
  write_said(text, thinking, calls_);
  write_logprobs(logprobs_);
  *out_ += ",\"done\":false}\n";
  text_.erase(0, text.size());
  thinking_.erase(0, thinking.size());
  logprobs_.clear();
  calls_.clear();
}

void OllamaAnswer::write_end(std::string_view reason, const inference::Usage* usage) {
  std::string& out = *out_;
  out += ",\"done\":true";
  if (reason == "tool_calls" || reason == "function_call") reason = "stop";
  if (!reason.empty()) {
    out += ",\"done_reason\":";
    json::append_quoted(out, reason);
  }
  if (usage != nullptr) {
    write_duration("total_duration", times_.total);
    write_duration("load_duration", times_.load);
    if (usage->reported) fmt::format_to(std::back_inserter(out), ",\"prompt_eval_count\":{}", usage->input_tokens);
    write_duration("prompt_eval_duration", times_.prompt);
    if (usage->reported) fmt::format_to(std::back_inserter(out), ",\"eval_count\":{}", usage->output_tokens);
    write_duration("eval_duration", times_.generation);
  }
  out += '}';
}

void OllamaAnswer::write_duration(std::string_view name, const std::optional<Duration>& duration) {
  if (duration) fmt::format_to(std::back_inserter(*out_), ",\"{}\":{}", name, duration->count());
}

std::string ollama_loaded_body(Surface surface, std::string_view model, OllamaRequest::Load load,
                               const AnswerTimes& times) {
  OllamaAnswer answer;
  std::string out;
  answer.begin(surface, model);
  answer.tell(times);
  answer.out_ = &out;
  if (inference::need_of(surface) == inference::Capability::kEmbeddings) {
    answer.write_vectors({});
    return out;
  }
  answer.begin_object();
  answer.write_said({}, {}, {});
  answer.write_end(load == OllamaRequest::Load::kUnload ? "unload" : "load", nullptr);
  return out;
}

std::string ollama_error_body(std::string_view message) {
  std::string out = "{\"error\":";
  json::append_quoted(out, message);
  out += '}';
  return out;
}

}  // namespace thalweg::dialect
