// One walk judges the whole body and finds the fields; then each field is walked once more and written as OpenAI's API
// has it. Texts, ids, schemas and numbers are copied as the JSON they are. What only some endpoints know (most ways to
// sample) is written aside, for those alone.
#include "carry/dialect/ollama_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "carry/dialect/read_body.h"
#include "carry/http/message.h"
#include "carry/json/text.h"

namespace thalweg::dialect {

using fleet::EndpointKind;
using inference::Surface;

namespace {

// Which requests have a field.
constexpr unsigned kChat = 1, kGenerate = 2, kEmbed = 4, kEmbeddings = 8;
constexpr unsigned kAnswers = kChat | kGenerate, kEvery = 15;

unsigned mask_of(Surface surface) {
  switch (surface) {
    case Surface::kOllamaGenerate:
    case Surface::kOllamaRaw:
      return kGenerate;
    case Surface::kOllamaEmbed:
      return kEmbed;
    case Surface::kOllamaEmbeddings:
      return kEmbeddings;
    default:
      return kChat;
  }
}

enum class Option : std::uint8_t {
  kNone,
  kCopied,   // known to every endpoint by this name
  kStop,     // likewise, a string or several
  kMost,     // num_predict
  kTopK,     // the engine and Anthropic's API
  kSampler,  // the engine alone
  kKept,     // likewise, as n_keep
  kLoading,  // how a model is loaded, or gone from Ollama itself
};

constexpr json::NameTable<Option, 30> kOptions{{{{"temperature", Option::kCopied},
                                                 {"top_p", Option::kCopied},
                                                 {"seed", Option::kCopied},
                                                 {"presence_penalty", Option::kCopied},
                                                 {"frequency_penalty", Option::kCopied},
                                                 {"stop", Option::kStop},
                                                 {"num_predict", Option::kMost},
                                                 {"top_k", Option::kTopK},
                                                 {"min_p", Option::kSampler},
                                                 {"typical_p", Option::kSampler},
                                                 {"repeat_penalty", Option::kSampler},
                                                 {"repeat_last_n", Option::kSampler},
                                                 {"mirostat", Option::kSampler},
                                                 {"mirostat_tau", Option::kSampler},
                                                 {"mirostat_eta", Option::kSampler},
                                                 {"num_keep", Option::kKept},
                                                 {"num_ctx", Option::kLoading},
                                                 {"num_batch", Option::kLoading},
                                                 {"num_gpu", Option::kLoading},
                                                 {"main_gpu", Option::kLoading},
                                                 {"num_thread", Option::kLoading},
                                                 {"numa", Option::kLoading},
                                                 {"low_vram", Option::kLoading},
                                                 {"f16_kv", Option::kLoading},
                                                 {"logits_all", Option::kLoading},
                                                 {"vocab_only", Option::kLoading},
                                                 {"use_mmap", Option::kLoading},
                                                 {"use_mlock", Option::kLoading},
                                                 {"embedding_only", Option::kLoading},
                                                 {"tfs_z", Option::kLoading}}}};
constexpr std::string_view kGoneOption = "penalize_newline";

}  // namespace

Result<void> OllamaRequest::translate(std::string_view body, Surface surface) {
  struct Known {
    Found Fields::* field = nullptr;
    unsigned where = 0;
  };
  static constexpr json::NameTable<Known, 21> kFields{{{{"model", {&Fields::model, kEvery}},
                                                        {"stream", {&Fields::stream, kAnswers}},
                                                        {"messages", {&Fields::messages, kChat}},
                                                        {"prompt", {&Fields::prompt, kGenerate | kEmbeddings}},
                                                        {"input", {&Fields::input, kEmbed}},
                                                        {"system", {&Fields::system, kGenerate}},
                                                        {"images", {&Fields::images, kGenerate}},
                                                        {"tools", {&Fields::tools, kChat}},
                                                        {"format", {&Fields::format, kAnswers}},
                                                        {"think", {&Fields::think, kAnswers}},
                                                        {"options", {&Fields::options, kEvery}},
                                                        {"keep_alive", {&Fields::keep_alive, kEvery}},
                                                        {"logprobs", {&Fields::logprobs, kAnswers}},
                                                        {"top_logprobs", {&Fields::top_logprobs, kAnswers}},
                                                        {"raw", {&Fields::raw, kGenerate}},
                                                        {"suffix", {&Fields::suffix, kGenerate}},
                                                        {"template", {&Fields::template_text, kGenerate}},
                                                        {"context", {&Fields::context, kGenerate}},
                                                        {"truncate", {&Fields::truncate, kAnswers | kEmbed}},
                                                        {"shift", {&Fields::shift, kAnswers}},
                                                        {"dimensions", {&Fields::dimensions, kEmbed}}}}};
  begin(body);
  surface_ = surface;
  load_ = Load::kNo;
  keep_alive_.reset();
  beyond_engine_ = {};
  for (std::string& text : members_) text.clear();
  for (std::string& text : dropped_there_) text.clear();
  open_calls_.clear();
  Fields fields;
  const unsigned mask = mask_of(surface);
  const auto read = read_body(walk_, body, [&](const json::Member& member) {
    const json::Kind kind = walk_.next();
    const Known known = kFields.find(member.name, {});
    const bool expected = (known.where & mask) != 0;
    if (!expected && kind != json::Kind::kNull) refuse(std::string(member.name));
    const std::size_t begin = walk_.offset();
    if (!walk_.skip()) return false;
    if (expected) fields.*known.field = {kind, body.substr(begin, walk_.offset() - begin)};
    return true;
  });
  if (!read) return read;

  read_keep_alive(fields.keep_alive);
  judge_unsaid(fields);
  judge_load(fields);
  out_ += '{';
  if (fields.model.kind != json::Kind::kNone) write_member("model", fields.model.raw);
  if (surface == Surface::kOllamaChat) write_chat(fields.messages);
  if (surface == Surface::kOllamaGenerate) write_generate(fields);
  if (surface == Surface::kOllamaEmbed) write_input(fields.input, "input");
  if (surface == Surface::kOllamaEmbeddings) write_input(fields.prompt, "prompt");
  if (!embeds()) {
    write_stream(fields.stream);
    write_logprobs(fields);
    write_format(fields.format);
    write_think(fields.think);
    write_tools(fields.tools);
  }
  if (fields.dimensions.present() && expect(fields.dimensions, json::Kind::kNumber, "dimensions", "an integer")) {
    write_member("dimensions", fields.dimensions.raw);
    beyond_engine_ = "dimensions: the engine's server does not know it";
  }
  write_options(fields.options);
  out_ += '}';
  return end();
}

Surface OllamaRequest::written_for() const {
  if (embeds()) return Surface::kOpenAiEmbeddings;
  return surface_ == Surface::kOllamaRaw ? Surface::kOpenAiCompletions : Surface::kOpenAiChat;
}

std::string OllamaRequest::dropped(EndpointKind kind) const {
  std::string hints(Translation::dropped());
  const std::string& there = dropped_there_[static_cast<std::size_t>(kind)];
  if (!hints.empty() && !there.empty()) hints += ", ";
  return hints += there;
}

void OllamaRequest::forget() {
  Translation::forget();
  open_calls_.clear();
}

bool OllamaRequest::empty(const Found& value) const {
  if (!value.present() || value.raw == "\"\"") return true;
  return value.kind == json::Kind::kArray && json::without_space(json::inside_quotes(value.raw)).empty();
}

bool OllamaRequest::is_flag(const Found& value, const std::string& parameter) {
  if (value.kind == json::Kind::kTrue) return true;
  if (value.present() && value.kind != json::Kind::kFalse)
    blame(parameter, fmt::format("{}: expected a boolean, but got {}", parameter, name_of(value.kind)));
  return false;
}

void OllamaRequest::add_for(EndpointKind kind, std::string_view name, std::string_view raw) {
  members_[static_cast<std::size_t>(kind)] += fmt::format(",\"{}\":{}", name, raw);
}

void OllamaRequest::drop_but_for(std::string_view hint, fleet::EndpointKinds kinds) {
  for (std::size_t i = 0; i < dropped_there_.size(); ++i) {
    if (kinds.has(static_cast<EndpointKind>(i))) continue;
    if (!dropped_there_[i].empty()) dropped_there_[i] += ", ";
    dropped_there_[i] += hint;
  }
}

// What is asked for without anything to answer. It is written as a prompt without text, for its features.
void OllamaRequest::judge_load(const Fields& fields) {
  const bool nothing = surface_ == Surface::kOllamaChat       ? empty(fields.messages)
                       : surface_ == Surface::kOllamaGenerate ? empty(fields.prompt) && empty(fields.images)
                       : surface_ == Surface::kOllamaEmbed    ? empty(fields.input)
                                                              : empty(fields.prompt);
  if (nothing) load_ = keep_alive_ == Duration::zero() ? Load::kUnload : Load::kLoad;
}

void OllamaRequest::read_keep_alive(const Found& value) {
  if (!value.present()) return;
  drop_but_for("keep_alive", {EndpointKind::kEngine});
  if (value.kind == json::Kind::kNumber) {
    constexpr double kMostSeconds = 9.2e9;  // int64 nanoseconds
    const double seconds = json::double_of(value.raw);
    keep_alive_ = seconds < 0 || seconds > kMostSeconds ? kForEver : Duration(static_cast<std::int64_t>(seconds * 1e9));
    return;
  }
  if (value.kind == json::Kind::kString) {
    storage_.clear();
    json::unescape(json::inside_quotes(value.raw), storage_);
    keep_alive_ = read_go_duration(storage_);
    if (keep_alive_ && *keep_alive_ < Duration::zero()) keep_alive_ = kForEver;
  }
  if (!keep_alive_) blame("keep_alive", "keep_alive: expected seconds, or a duration like \"5m\" or \"1h30m\"");
}

// What is not written, and whether it had to be.
void OllamaRequest::judge_unsaid(const Fields& fields) {
  if (is_flag(fields.truncate, "truncate")) drop("truncate");
  if (is_flag(fields.shift, "shift")) drop("shift");
  const bool raw = is_flag(fields.raw, "raw");
  if (raw && !(empty(fields.system) && empty(fields.template_text) && empty(fields.context)))
    blame("raw", "raw: raw mode does not support template, system, or context");
  if (!empty(fields.template_text)) {
    leave_out("template", "template: the chat template is the endpoint's own; send the prompt as you want it with raw");
  }
  if (!empty(fields.context))
    leave_out("context", "context: tokens of an earlier answer are not kept here; send the conversation to /api/chat");
}

void OllamaRequest::write_stream(const Found& stream) {
  if (load_ != Load::kNo) return;
  if (stream.present() && stream.kind != json::Kind::kTrue) return write_member("stream", stream.raw);
  write_member("stream", "true");
  write_member("stream_options", R"({"include_usage":true})");  // the counts close an answer
}

void OllamaRequest::write_logprobs(const Fields& fields) {
  const bool wanted = is_flag(fields.logprobs, "logprobs");
  const Found& top = fields.top_logprobs;
  if (top.present() && !expect(top, json::Kind::kNumber, "top_logprobs", "an integer")) return;
  const bool several = top.present() && json::integer_of(top.raw).value_or(1) != 0;
  if (!wanted && !several) return;
  if (surface_ == Surface::kOllamaRaw) return refuse(wanted ? "logprobs" : "top_logprobs");
  write_member("logprobs", "true");
  if (several) write_member("top_logprobs", top.raw);
}

void OllamaRequest::write_format(const Found& format) {
  if (empty(format)) return;
  const bool json = is(format, "json");
  if (!json && format.kind != json::Kind::kObject) {
    return blame("format", fmt::format("format: expected \"json\" or a JSON schema, but got {}",
                                       format.kind == json::Kind::kString ? format.raw : name_of(format.kind)));
  }
  if (surface_ == Surface::kOllamaRaw) return refuse("format");
  if (json) return write_member("response_format", R"({"type":"json_object"})");
  bool closed = false;
  members(format.raw, [&](std::string_view name, const Found& value) {
    if (name == "additionalProperties") closed = value.kind == json::Kind::kFalse;
  });
  write_member("response_format", R"({"type":"json_schema","json_schema":{"name":"answer",)");
  if (closed) out_ += R"("strict":true,)";
  out_ += "\"schema\":";
  out_ += format.raw;
  out_ += "}}";
}

void OllamaRequest::write_think(const Found& think) {
  if (empty(think)) return;
  const bool off = think.kind == json::Kind::kFalse;
  const bool most = is(think, "max");
  const bool level = most || is(think, "low") || is(think, "medium") || is(think, "high");
  if (!off && !level && think.kind != json::Kind::kTrue)
    return blame("think", "think: expected a boolean, or \"low\", \"medium\", \"high\" or \"max\"");
  if (surface_ == Surface::kOllamaRaw) return off ? void() : refuse("think");
  if (level) return write_member("reasoning_effort", most ? "\"xhigh\"" : think.raw);
  add_for(EndpointKind::kEngine, "chat_template_kwargs", fmt::format(R"({{"enable_thinking":{}}})", think.raw));
  drop_but_for("think", {EndpointKind::kEngine});
}

// ---- Tools ----

void OllamaRequest::write_tools(const Found& tools) {
  if (empty(tools) || !expect(tools, json::Kind::kArray, "tools", "an array of tools")) return;
  write_member("tools", "[");
  std::size_t index = 0;
  elements(tools.raw, [&](const Found& tool) {
    if (index > 0) out_ += ',';
    write_tool(tool, fmt::format("tools[{}]", index++));
  });
  out_ += ']';
}

void OllamaRequest::write_tool(const Found& tool, const std::string& path) {
  out_ += R"({"type":"function","function":{)";
  Found type, function;
  if (expect(tool, json::Kind::kObject, path, "an object")) {
    read(tool.raw, path, {{"type", &type}, {"function", &function}});
    if (type.present() && !is(type, "function")) refuse(path + ".type");
    if (expect(function, json::Kind::kObject, path + ".function", "an object")) {
      Found name, description, parameters, strict;
      const std::string inner = path + ".function";
      read(function.raw, inner,
           {{"name", &name}, {"description", &description}, {"parameters", &parameters}, {"strict", &strict}});
      if (expect(name, json::Kind::kString, inner + ".name", "a string")) write_member("name", name.raw);
      if (description.present()) write_member("description", description.raw);
      if (parameters.present() && expect(parameters, json::Kind::kObject, inner + ".parameters", "an object"))
        write_member("parameters", parameters.raw);
      if (strict.present()) write_member("strict", strict.raw);
    }
  }
  out_ += "}}";
}

// ---- Options ----

void OllamaRequest::write_options(const Found& options) {
  if (!options.present() || !expect(options, json::Kind::kObject, "options", "an object")) return;
  members(options.raw, [&](std::string_view name, const Found& value) {
    if (value.present()) write_option(name, value);
  });
}

void OllamaRequest::write_option(std::string_view name, const Found& value) {
  const Option option = name == kGoneOption ? Option::kLoading : kOptions.find(name, Option::kNone);
  const std::string parameter = fmt::format("options.{}", name);
  if (option == Option::kNone) return refuse(parameter);
  if (option == Option::kLoading || embeds()) return drop(parameter);
  if (option == Option::kStop) {
    const bool listed = value.kind == json::Kind::kArray;
    if (!listed && !expect(value, json::Kind::kString, parameter, "a string or an array of strings")) return;
    if (listed) {
      elements(value.raw,
               [&](const Found& word) { expect(word, json::Kind::kString, parameter, "an array of strings"); });
    }
    return empty(value) ? void() : write_member("stop", value.raw);
  }
  if (!expect(value, json::Kind::kNumber, parameter, "a number")) return;
  switch (option) {
    case Option::kCopied:
      return write_member(name, value.raw);
    case Option::kMost: {
      const auto most = json::integer_of(value.raw);
      if (!most) return blame(parameter, fmt::format("{}: expected an integer", parameter));
      return *most > 0 ? write_member("max_tokens", value.raw) : void();
    }
    case Option::kTopK:
      add_for(EndpointKind::kEngine, name, value.raw);
      add_for(EndpointKind::kAnthropic, name, value.raw);
      return drop_but_for(parameter, {EndpointKind::kEngine, EndpointKind::kAnthropic});
    default:
      add_for(EndpointKind::kEngine, option == Option::kKept ? "n_keep" : name, value.raw);
      return drop_but_for(parameter, {EndpointKind::kEngine});
  }
}

// ---- Durations ----

std::optional<Duration> read_go_duration(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return Duration::zero();
  if (text.empty()) return std::nullopt;
  struct Unit {
    std::string_view name;
    double nanoseconds;
  };
  static constexpr Unit kUnits[] = {{"ns", 1},   {"us", 1e3}, {"\xC2\xB5s", 1e3}, {"\xCE\xBCs", 1e3},
                                    {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},        {"h", 3600e9}};
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  double sum = 0;
  while (!text.empty()) {
    double number = 0, scale = 1;
    bool fraction = false, any = false;
    while (!text.empty() && (is_digit(text.front()) || (text.front() == '.' && !fraction))) {
      if (text.front() == '.') {
        fraction = true;
      } else {
        any = true;
        number = number * 10 + (text.front() - '0');
        if (fraction) scale *= 10;
      }
      text.remove_prefix(1);
    }
    const auto length = static_cast<std::size_t>(
        std::ranges::find_if(text, [&](char c) { return is_digit(c) || c == '.'; }) - text.begin());
    const auto* const unit = std::ranges::find(kUnits, text.substr(0, length), &Unit::name);
    if (!any || unit == std::end(kUnits)) return std::nullopt;
    sum += number / scale * unit->nanoseconds;
    text.remove_prefix(length);
  }
  constexpr double kMost = 9.2e18;  // int64 nanoseconds
  if (!(sum < kMost)) return negative ? -kForEver : kForEver;
  const auto whole = static_cast<std::int64_t>(sum);
  return Duration(negative ? -whole : whole);
}

}  // namespace thalweg::dialect
