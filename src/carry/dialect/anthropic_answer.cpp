// One walk reads an event or a whole message for what it says; then it is passed on, or what it says is written as a
// chunk of a chat completion. Texts and pieces of arguments go from one JSON string into another as they stand.
#include "carry/dialect/anthropic_answer.h"

#include <fmt/format.h>

#include <array>

#include "carry/json/text.h"

namespace thalweg::dialect {
namespace {

constexpr std::size_t kMaxMessageBytes = 1024;  // of an endpoint's error sentence

/// The finish reason for a stop reason; what is unknown ended the turn.
std::string_view finish_reason_of(std::string_view stop_reason) {
  if (stop_reason.empty()) return {};
  if (stop_reason == "max_tokens" || stop_reason == "model_context_window_exceeded") return "length";
  if (stop_reason == "tool_use") return "tool_calls";
  if (stop_reason == "refusal") return "content_filter";
  return "stop";
}

void append_number(std::string& out, std::uint64_t number) {
  const fmt::format_int text(number);
  out.append(text.data(), text.size());
}

}  // namespace

void AnthropicAnswer::begin(const inference::Request& request, std::string_view shown_model, std::string_view id,
                            std::int64_t created, Form form) {
  form_ = form;
  wants_usage_ = request.wants_usage_frame;
  id_ = id;
  created_ = created;
  quoted_model_.clear();
  json::append_quoted(quoted_model_, shown_model);
  usage_ = {};
  plain_input_tokens_ = cache_creation_tokens_ = 0;
  stop_reason_.clear();
  error_message_.clear();
  error_frame_.clear();
  open_ = BlockKind::kOther;
  tool_ = -1;
  any_arguments_ = false;
  whole_.clear();
}

void AnthropicAnswer::forget() {
  constexpr std::size_t kKeptCapacity = 16 * 1024;
  whole_.clear();
  for (std::string* text : {&content_, &thinking_, &tool_calls_, &completion_, &storage_}) {
    if (text->capacity() > kKeptCapacity) std::string().swap(*text);
  }
}

std::string_view AnthropicAnswer::finish_reason() const {
  return finish_reason_of(stop_reason_);
}

Result<ReadFrame> AnthropicAnswer::read_frame(const http::SseFrame& frame, std::string& out) {
  ReadFrame read;
  if (!frame.has_data) {
    out += frame.raw;
    return read;
  }
  const bool error_event = frame.event == "error";
  if (auto object = read_object(frame.data); !object) {
    if (!error_event) return std::unexpected(std::move(object.error()));
    error_message_ = json::cut_at(json::without_space(frame.data), kMaxMessageBytes);
    facts_ = {.error = true};
  }
  if (error_event) facts_.error = true;
  read.facts = facts_;
  if (form_ == Form::kMessages) {
    append_frame(frame, splices_, out);
    if (facts_.error) error_frame_ = out;
  } else if (!facts_.error) {
    const std::size_t before = out.size();
    write_chunks(out);
    read.withheld = out.size() == before;
  }
  return read;
}

Result<inference::FrameFacts> AnthropicAnswer::read_whole(std::string_view body) {
  whole_.clear();
  content_.clear();
  thinking_.clear();
  tool_calls_.clear();
  if (auto object = read_object(body); !object) return std::unexpected(std::move(object.error()));
  if (!has_content_ && !facts_.error) {
    return fail(ErrorCode::kUpstreamFailed, "the endpoint's answer has neither `content` nor `error`");
  }
  if (form_ == Form::kMessages) {
    splices_.cut(body, whole_);
  } else if (!facts_.error) {
    write_completion();
    whole_.add(completion_);
  }
  return facts_;
}

// ---- What it says ----

Result<void> AnthropicAnswer::read_object(std::string_view text) {
  text_ = text;
  splices_.clear();
  kind_ = Kind::kOther;
  piece_ = {};
  facts_ = {};
  has_content_ = has_usage_ = false;
  fault_ = nullptr;
  const auto malformed = [&](std::string_view why) {
    return fail(ErrorCode::kUpstreamFailed, fmt::format("the endpoint's answer is not valid: {}", why));
  };
  if (!walk_.start(text, json::Walk::Rules::kEndpoint)) return malformed(walk_.fault());
  if (const json::Kind kind = walk_.next(); kind != json::Kind::kObject) {
    return malformed(kind == json::Kind::kNone ? "no JSON object" : "JSON, but no object");
  }
  if (!walk_.object([this](const json::Member& member) { return read_member(member.name); }) || !walk_.end()) {
    return malformed(fault_ != nullptr ? std::string(fault_) : walk_.fault());
  }
  note_facts();
  return {};
}

bool AnthropicAnswer::read_member(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, Kind>, 9> kTypes = {{
      {"message_start", Kind::kMessageStart},
      {"content_block_start", Kind::kBlockStart},
      {"content_block_delta", Kind::kBlockDelta},
      {"content_block_stop", Kind::kBlockStop},
      {"message_delta", Kind::kMessageDelta},
      {"message_stop", Kind::kMessageStop},
      {"ping", Kind::kPing},
      {"error", Kind::kError},
      {"message", Kind::kMessage},
  }};
  const json::Kind kind = walk_.next();
  if (name == "type" && kind == json::Kind::kString) {
    json::Text text;
    if (!walk_.string(text)) return false;
    const std::string_view type = json::meaning(text, storage_);
    for (const auto& [known, value] : kTypes) {
      if (type == known) kind_ = value;
    }
    return true;
  }
  if (kind == json::Kind::kObject) {
    if (name == "message") return walk_.object([this](const json::Member& m) { return read_message_member(m.name); });
    if (name == "content_block") return read_piece(piece_);
    if (name == "delta") return read_piece(piece_);
    if (name == "error") return read_error();
  }
  return read_message_member(name);
}

// Of a whole message, of the one in `message_start`, or of `message_delta`.
bool AnthropicAnswer::read_message_member(std::string_view name) {
  const json::Kind kind = walk_.next();
  if (name == "model") {
    const std::size_t begin = walk_.offset();
    if (!walk_.skip()) return false;
    splices_.replace({begin, walk_.offset()}) += quoted_model_;
    return true;
  }
  if (name == "content" && kind == json::Kind::kArray) {
    has_content_ = true;
    return walk_.array([this] {
      Piece piece;
      if (walk_.next() != json::Kind::kObject) return refuse("a content block that is no object");
      if (!read_piece(piece)) return false;
      if (form_ == Form::kChat) add_content(piece);
      return true;
    });
  }
  if (name == "stop_reason" && kind == json::Kind::kString) return read_stop_reason();
  if (name == "usage" && kind == json::Kind::kObject) return read_usage();
  return walk_.skip();
}

// A content block, or the piece of one that a delta brings.
bool AnthropicAnswer::read_piece(Piece& piece) {
  return walk_.object([&](const json::Member& member) {
    const std::string_view name = member.name;
    const json::Kind kind = walk_.next();
    if (kind == json::Kind::kString) {
      if (name == "type") {
        json::Text text;
        if (!walk_.string(text)) return false;
        const std::string_view type = json::meaning(text, storage_);
        if (type == "text" || type == "text_delta") piece.kind = BlockKind::kText;
        if (type == "thinking" || type == "thinking_delta") piece.kind = BlockKind::kThinking;
        if (type == "tool_use" || type == "input_json_delta") piece.kind = BlockKind::kTool;
        return true;
      }
      if (name == "text" || name == "thinking") return read_inside(piece.text);
      if (name == "id") return read_inside(piece.id);
      if (name == "name") return read_inside(piece.name);
      if (name == "partial_json") return read_inside(piece.partial_json);
      if (name == "stop_reason") return read_stop_reason();
    }
    if (name == "input" && kind == json::Kind::kObject) {
      const std::size_t begin = walk_.offset();
      if (!walk_.skip()) return false;
      piece.input = text_.substr(begin, walk_.offset() - begin);
      return true;
    }
    return walk_.skip();
  });
}

bool AnthropicAnswer::read_inside(std::string_view& inside) {
  json::Text text;
  if (!walk_.string(text)) return false;
  inside = text.raw;
  return true;
}

bool AnthropicAnswer::read_stop_reason() {
  json::Text text;
  if (!walk_.string(text)) return false;
  stop_reason_ = json::meaning(text, storage_);
  return true;
}

bool AnthropicAnswer::read_usage() {
  has_usage_ = true;
  return walk_.object([this](const json::Member& member) {
    const std::string_view name = member.name;
    const json::Kind kind = walk_.next();
    if (kind == json::Kind::kNumber) {
      if (name == "input_tokens") return read_count(plain_input_tokens_);
      if (name == "cache_creation_input_tokens") return read_count(cache_creation_tokens_);
      if (name == "cache_read_input_tokens") return read_count(usage_.cached_input_tokens);
      if (name == "output_tokens") return read_count(usage_.output_tokens);
    }
    if (name == "output_tokens_details" && kind == json::Kind::kObject) {
      return walk_.object([this](const json::Member& inner) {
        const bool wanted = inner.name == "thinking_tokens" && walk_.next() == json::Kind::kNumber;
        return wanted ? read_count(usage_.reasoning_tokens) : walk_.skip();
      });
    }
    return walk_.skip();
  });
}

bool AnthropicAnswer::read_count(std::uint64_t& count) {
  std::string_view raw;
  if (!walk_.number(raw)) return false;
  const auto integer = json::integer_of(raw);
  if (integer && *integer >= 0) count = static_cast<std::uint64_t>(*integer);
  return true;
}

bool AnthropicAnswer::read_error() {
  facts_.error = true;
  return walk_.object([this](const json::Member& member) {
    if (member.name != "message" || walk_.next() != json::Kind::kString) return walk_.skip();
    json::Text text;
    if (!walk_.string(text)) return false;
    error_message_ = json::cut_at(json::meaning(text, storage_), kMaxMessageBytes);
    return true;
  });
}

void AnthropicAnswer::note_facts() {
  const bool block = kind_ == Kind::kBlockStart || kind_ == Kind::kBlockDelta;
  facts_.text =
      block && (piece_.kind == BlockKind::kText || piece_.kind == BlockKind::kThinking) && !piece_.text.empty();
  facts_.tool = block && piece_.kind == BlockKind::kTool;
  facts_.finish = (kind_ == Kind::kMessageDelta || kind_ == Kind::kMessage) && !stop_reason_.empty();
  facts_.terminator = kind_ == Kind::kMessageStop;
  if (kind_ == Kind::kError) facts_.error = true;
  if (!has_usage_) return;
  // The first counts of a stream know nothing of the output yet.
  usage_.input_tokens = plain_input_tokens_ + cache_creation_tokens_ + usage_.cached_input_tokens;
  usage_.reported = usage_.reported || kind_ != Kind::kMessageStart;
  facts_.usage = kind_ != Kind::kMessageStart;
}

// ---- As chunks of a chat completion ----

void AnthropicAnswer::begin_chunk(std::string& out) const {
  out += R"(data: {"id":"chatcmpl-)";
  out += id_;
  out += R"(","object":"chat.completion.chunk","created":)";
  append_number(out, static_cast<std::uint64_t>(created_));
  out += ",\"model\":";
  out += quoted_model_;
}

// `delta` is an object's members; `finish_reason` empty for null.
void AnthropicAnswer::write_chunk(std::string& out, std::initializer_list<std::string_view> delta,
                                  std::string_view finish_reason) const {
  begin_chunk(out);
  out += R"(,"choices":[{"index":0,"delta":{)";
  for (const std::string_view part : delta) out += part;
  out += "},\"logprobs\":null,\"finish_reason\":";
  if (finish_reason.empty()) {
    out += "null";
  } else {
    out += '"';
    out += finish_reason;
    out += '"';
  }
  out += wants_usage_ ? "}],\"usage\":null}\n\n" : "}]}\n\n";
}

void AnthropicAnswer::write_arguments(std::string& out, std::string_view inside) {
  if (inside.empty()) return;
  any_arguments_ = true;
  const fmt::format_int index(tool_);
  write_chunk(
      out,
      {R"("tool_calls":[{"index":)", {index.data(), index.size()}, R"(,"function":{"arguments":")", inside, "\"}}]"});
}

void AnthropicAnswer::write_chunks(std::string& out) {
  switch (kind_) {
    case Kind::kMessageStart:
      return write_chunk(out, {R"("role":"assistant","content":"")"});
    case Kind::kBlockStart:
      open_ = piece_.kind;
      if (open_ == BlockKind::kTool) {
        ++tool_;
        any_arguments_ = false;
        const fmt::format_int index(tool_);
        write_chunk(out, {R"("tool_calls":[{"index":)",
                          {index.data(), index.size()},
                          R"(,"id":")",
                          piece_.id,
                          R"(","type":"function","function":{"name":")",
                          piece_.name,
                          R"(","arguments":""}}])"});
        if (!piece_.input.empty() && json::without_space(piece_.input.substr(1, piece_.input.size() - 2)) != "") {
          std::string quoted;
          json::append_quoted(quoted, piece_.input);
          write_arguments(out, json::inside_quotes(quoted));
        }
        return;
      }
      [[fallthrough]];
    case Kind::kBlockDelta:
      if (piece_.kind == BlockKind::kTool && open_ == BlockKind::kTool)
        return write_arguments(out, piece_.partial_json);
      if (piece_.text.empty()) return;
      if (piece_.kind == BlockKind::kText) return write_chunk(out, {R"("content":")", piece_.text, "\""});
      if (piece_.kind == BlockKind::kThinking) return write_chunk(out, {R"("reasoning_content":")", piece_.text, "\""});
      return;
    case Kind::kBlockStop:
      // A tool that takes nothing: arguments must be the text of an object.
      if (open_ == BlockKind::kTool && !any_arguments_) write_arguments(out, "{}");
      open_ = BlockKind::kOther;
      return;
    case Kind::kMessageDelta:
      if (facts_.finish) write_chunk(out, {}, finish_reason());
      return;
    case Kind::kMessageStop:
      return finish(out);
    default:
      return;
  }
}

void AnthropicAnswer::finish(std::string& out) const {
  if (form_ == Form::kMessages) {
    out += "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    return;
  }
  if (wants_usage_ && usage_.reported) {
    begin_chunk(out);
    out += ",\"choices\":[],\"usage\":";
    write_usage(out);
    out += "}\n\n";
  }
  out += "data: [DONE]\n\n";
}

void AnthropicAnswer::write_usage(std::string& out) const {
  out += "{\"prompt_tokens\":";
  append_number(out, usage_.input_tokens);
  out += ",\"completion_tokens\":";
  append_number(out, usage_.output_tokens);
  out += ",\"total_tokens\":";
  append_number(out, usage_.input_tokens + usage_.output_tokens);
  out += ",\"prompt_tokens_details\":{\"cached_tokens\":";
  append_number(out, usage_.cached_input_tokens);
  out += '}';
  if (usage_.reasoning_tokens != 0) {
    out += ",\"completion_tokens_details\":{\"reasoning_tokens\":";
    append_number(out, usage_.reasoning_tokens);
    out += '}';
  }
  out += '}';
}

// ---- As a whole chat completion ----

void AnthropicAnswer::add_content(const Piece& piece) {
  switch (piece.kind) {
    case BlockKind::kText:
      content_ += piece.text;
      return;
    case BlockKind::kThinking:
      thinking_ += piece.text;
      return;
    case BlockKind::kTool:
      if (!tool_calls_.empty()) tool_calls_ += ',';
      tool_calls_ += R"({"id":")";
      tool_calls_ += piece.id;
      tool_calls_ += R"(","type":"function","function":{"name":")";
      tool_calls_ += piece.name;
      tool_calls_ += R"(","arguments":)";
      json::append_quoted(tool_calls_, piece.input.empty() ? "{}" : piece.input);
      tool_calls_ += "}}";
      return;
    case BlockKind::kOther:
      return;
  }
}

void AnthropicAnswer::write_completion() {
  std::string& out = completion_;
  out = R"({"id":"chatcmpl-)";
  out += id_;
  out += R"(","object":"chat.completion","created":)";
  append_number(out, static_cast<std::uint64_t>(created_));
  out += ",\"model\":";
  out += quoted_model_;
  out += R"(,"choices":[{"index":0,"message":{"role":"assistant","content":)";
  if (content_.empty() && !tool_calls_.empty()) {
    out += "null";
  } else {
    out += '"';
    out += content_;
    out += '"';
  }
  out += ",\"refusal\":null";
  if (!thinking_.empty()) {
    out += ",\"reasoning_content\":\"";
    out += thinking_;
    out += '"';
  }
  if (!tool_calls_.empty()) {
    out += ",\"tool_calls\":[";
    out += tool_calls_;
    out += ']';
  }
  out += "},\"logprobs\":null,\"finish_reason\":\"";
  out += finish_reason();
  out += "\"}]";
  if (usage_.reported) {
    out += ",\"usage\":";
    write_usage(out);
  }
  out += '}';
}

}  // namespace thalweg::dialect
