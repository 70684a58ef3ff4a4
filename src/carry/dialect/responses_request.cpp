// One walk judges the whole body and finds the fields; then each field is walked once more and written as a chat
// completion has it. Texts, ids, schemas and numbers are copied as the JSON they are.
#include "carry/dialect/responses_request.h"

#include <fmt/format.h>

#include <array>

#include "carry/dialect/read_body.h"
#include "carry/http/message.h"
#include "carry/json/text.h"

namespace thalweg::dialect {
namespace {

// It is written once for each of its tools. Names of functions have at most 64 bytes in the API.
constexpr std::size_t kLongestNamespace = 64;

}  // namespace

Result<void> ResponsesRequest::translate(std::string_view body) {
  static constexpr json::NameTable<Found Fields::*, 30> kFields{
      {{{"model", &Fields::model},
        {"input", &Fields::input},
        {"instructions", &Fields::instructions},
        {"stream", &Fields::stream},
        {"stream_options", &Fields::stream_options},
        {"temperature", &Fields::temperature},
        {"top_p", &Fields::top_p},
        {"max_output_tokens", &Fields::max_output_tokens},
        {"parallel_tool_calls", &Fields::parallel_tool_calls},
        {"user", &Fields::user},
        {"safety_identifier", &Fields::safety_identifier},
        {"prompt_cache_key", &Fields::prompt_cache_key},
        {"prompt_cache_retention", &Fields::prompt_cache_retention},
        {"prompt_cache_options", &Fields::prompt_cache_options},
        {"service_tier", &Fields::service_tier},
        {"tools", &Fields::tools},
        {"tool_choice", &Fields::tool_choice},
        {"max_tool_calls", &Fields::max_tool_calls},
        {"text", &Fields::text},
        {"reasoning", &Fields::reasoning},
        {"include", &Fields::include},
        {"top_logprobs", &Fields::top_logprobs},
        {"metadata", &Fields::metadata},
        {"client_metadata", &Fields::client_metadata},
        {"truncation", &Fields::truncation},
        {"store", &Fields::store},
        {"background", &Fields::background},
        {"previous_response_id", &Fields::previous_response_id},
        {"conversation", &Fields::conversation},
        {"prompt", &Fields::prompt}}}};
  begin(body);
  bound_ = false;
  echo_.clear();
  namespaced_.clear();
  Fields fields;
  const auto read = read_body(walk_, body, [&](const json::Member& member) {
    const json::Kind kind = walk_.next();
    Found Fields::* const field = kFields.find(member.name, nullptr);
    if (field == nullptr && kind != json::Kind::kNull) refuse(std::string(member.name));
    const std::size_t begin = walk_.offset();
    if (!walk_.skip()) return false;
    if (field != nullptr) fields.*field = {kind, body.substr(begin, walk_.offset() - begin)};
    return true;
  });
  if (!read) return read;

  judge_unsaid(fields);
  out_ += '{';
  if (fields.model.kind != json::Kind::kNone) write_member("model", fields.model.raw);
  write_messages(fields);
  write_settings(fields);
  write_logprobs(fields);
  write_tools(fields.tools);
  write_tool_choice(fields.tool_choice);
  write_text(fields.text);
  write_reasoning(fields.reasoning);
  out_ += '}';
  write_echo(fields);
  return end();
}

void ResponsesRequest::forget() {
  Translation::forget();
  constexpr std::size_t kKeptCapacity = 16 * 1024;
  for (std::string* text : {&echo_, &parts_, &only_text_, &assistant_text_, &assistant_refusal_, &calls_}) {
    if (text->capacity() > kKeptCapacity) std::string().swap(*text);
  }
  namespaced_ = {};
}

ResponsesRequest::Found ResponsesRequest::type_of(std::string_view object) {
  Found type;
  members(object, [&](std::string_view name, const Found& value) {
    if (name == "type") type = value;
  });
  return type;
}

// What is stored at a provider is read there or nowhere.
void ResponsesRequest::bind(std::string parameter) {
  bound_ = true;
  refuse(std::move(parameter));
}

// What is not written, and whether it had to be.
void ResponsesRequest::judge_unsaid(const Fields& fields) {
  if (fields.previous_response_id.present()) {
    bound_ = true;
    leave_out("previous_response_id",
              "previous_response_id: responses are not stored here; send the conversation in input");
  }
  if (fields.conversation.present()) bind("conversation");
  if (fields.prompt.present()) bind("prompt");
  if (fields.background.present() && fields.background.kind != json::Kind::kFalse) refuse("background");
  if (fields.truncation.present() && !is(fields.truncation, "disabled")) refuse("truncation");
  if (fields.store.kind == json::Kind::kTrue) drop("store");
  if (fields.prompt_cache_options.present()) drop("prompt_cache_options");
  if (fields.client_metadata.present()) drop("client_metadata");
  if (fields.metadata.present()) expect(fields.metadata, json::Kind::kObject, "metadata", "an object");
  if (!fields.stream_options.present() ||
      !expect(fields.stream_options, json::Kind::kObject, "stream_options", "an object"))
    return;
  Found obfuscation;
  read(fields.stream_options.raw, "stream_options", {{"include_obfuscation", &obfuscation}});
  if (obfuscation.kind == json::Kind::kTrue) drop("stream_options.include_obfuscation");
}

void ResponsesRequest::write_settings(const Fields& fields) {
  if (const Found& most = fields.max_output_tokens; most.present()) {
    if (most.kind == json::Kind::kNumber && json::integer_of(most.raw).value_or(0) >= 1) {
      write_member("max_tokens", most.raw);
    } else {
      blame("max_output_tokens", "max_output_tokens: expected an integer of at least 1");
    }
  }
  if (const json::Kind kind = fields.parallel_tool_calls.kind; kind == json::Kind::kTrue || kind == json::Kind::kFalse)
    write_member("parallel_tool_calls", fields.parallel_tool_calls.raw);
  else if (fields.parallel_tool_calls.present())
    blame("parallel_tool_calls", "parallel_tool_calls: expected a boolean");
  static constexpr std::array<std::pair<std::string_view, Found Fields::*>, 8> kCopied = {
      {{"temperature", &Fields::temperature},
       {"top_p", &Fields::top_p},
       {"user", &Fields::user},
       {"safety_identifier", &Fields::safety_identifier},
       {"prompt_cache_key", &Fields::prompt_cache_key},
       {"prompt_cache_retention", &Fields::prompt_cache_retention},
       {"service_tier", &Fields::service_tier},
       {"stream", &Fields::stream}}};
  for (const auto& [name, field] : kCopied) {
    if ((fields.*field).present()) write_member(name, (fields.*field).raw);
  }
  // The counts close the response.
  if (fields.stream.kind == json::Kind::kTrue) write_member("stream_options", R"({"include_usage":true})");
}

void ResponsesRequest::write_logprobs(const Fields& fields) {
  bool wanted = false;
  if (fields.include.present() && expect(fields.include, json::Kind::kArray, "include", "an array of strings")) {
    std::size_t index = 0;
    elements(fields.include.raw, [&](const Found& wish) {
      const std::size_t at = index++;
      if (is(wish, "message.output_text.logprobs")) {
        wanted = true;
      } else if (is(wish, "reasoning.encrypted_content")) {
        drop("reasoning.encrypted_content");
      } else {
        refuse(fmt::format("include[{}]", at));
      }
    });
  }
  const Found& top = fields.top_logprobs;
  if (top.present() && !expect(top, json::Kind::kNumber, "top_logprobs", "an integer")) return;
  const bool several = top.present() && json::integer_of(top.raw).value_or(1) != 0;
  if (wanted || several) write_member("logprobs", "true");
  if (several) write_member("top_logprobs", top.raw);
}

// ---- Tools ----

void ResponsesRequest::write_tools(const Found& tools) {
  if (!tools.present() || !expect(tools, json::Kind::kArray, "tools", "an array of tools")) return;
  const std::size_t before = out_.size();
  write_member("tools", "[");
  std::size_t index = 0;
  elements(tools.raw, [&](const Found& tool) { write_tool(tool, fmt::format("tools[{}]", index++), {}); });
  const bool none = out_.back() == '[';
  out_ += ']';
  if (none) out_.resize(before);
  judge_names(tools);
}

void ResponsesRequest::write_tool(const Found& tool, const std::string& path, std::string_view space) {
  const Found type = tool.kind == json::Kind::kObject ? type_of(tool.raw) : Found();
  if (is(type, "namespace") && space.empty()) return write_namespace(tool.raw, path);
  if (out_.back() != '[') out_ += ',';
  out_ += R"({"type":)";
  if (expect(tool, json::Kind::kObject, path, "an object")) {
    if (is(type, "function")) {
      write_function_tool(tool.raw, path, space);
    } else if (is(type, "custom")) {
      write_custom_tool(tool.raw, path, space);
    } else if (expect(type, json::Kind::kString, path + ".type", "a string")) {  // it alone tells what it needs
      leave_out(path + ".type",
                fmt::format("{}.type: tools that a provider runs cannot be carried to another one", path));
      out_ += type.raw;
    } else {
      out_ += "\"\"";
    }
  } else {
    out_ += "\"\"";
  }
  out_ += '}';
}

void ResponsesRequest::write_namespace(std::string_view tool, const std::string& path) {
  Found name, description, tools;
  read(tool, path,
       {{"type", nullptr, Use::kNothing}, {"name", &name}, {"description", &description}, {"tools", &tools}});
  if (description.present()) drop("tools.description");
  if (!expect(name, json::Kind::kString, path + ".name", "a string") ||
      !expect(tools, json::Kind::kArray, path + ".tools", "an array of tools"))
    return;
  if (name.raw.size() > kLongestNamespace + 2)
    return blame(path + ".name", fmt::format("{}.name: expected at most {} bytes", path, kLongestNamespace));
  std::size_t index = 0;
  elements(tools.raw,
           [&](const Found& inner) { write_tool(inner, fmt::format("{}.tools[{}]", path, index++), name.raw); });
}

void ResponsesRequest::write_tool_name(const Found& name, const std::string& path, std::string_view space) {
  if (!expect(name, json::Kind::kString, path + ".name", "a string")) return;
  if (space.empty()) return write_member("name", name.raw);
  write_member("name", NamespacedTools::join(space, name.raw));
  namespaced_.add(space, name.raw);
}

// A call must tell which tool it is for: no two may have one name when they are joined.
void ResponsesRequest::judge_names(const Found& tools) {
  if (namespaced_.empty()) return;
  bool unique = namespaced_.sort();
  elements(tools.raw, [&](const Found& tool) {
    if (tool.kind != json::Kind::kObject) return;
    Found type, name;
    members(tool.raw, [&](std::string_view member, const Found& value) {
      if (member == "type") type = value;
      if (member == "name") name = value;
    });
    if (is(type, "namespace") || name.kind != json::Kind::kString) return;
    unique = unique && namespaced_.find(name.raw) == nullptr;
  });
  if (!unique) leave_out("tools", "tools: two of them would have one name in a chat completion; rename one");
}

void ResponsesRequest::write_function_tool(std::string_view tool, const std::string& path, std::string_view space) {
  Found name, description, parameters, strict, deferred;
  read(tool, path,
       {{"type", nullptr, Use::kNothing},
        {"name", &name},
        {"description", &description},
        {"parameters", &parameters},
        {"strict", &strict},
        {"defer_loading", &deferred}});
  if (deferred.kind == json::Kind::kTrue) refuse(path + ".defer_loading");
  out_ += R"("function","function":{)";
  write_tool_name(name, path, space);
  if (description.present()) write_member("description", description.raw);
  if (parameters.present() && expect(parameters, json::Kind::kObject, path + ".parameters", "an object"))
    write_member("parameters", parameters.raw);
  if (strict.present()) write_member("strict", strict.raw);
  out_ += '}';
}

void ResponsesRequest::write_custom_tool(std::string_view tool, const std::string& path, std::string_view space) {
  Found name, description, format, deferred;
  read(tool, path,
       {{"type", nullptr, Use::kNothing},
        {"name", &name},
        {"description", &description},
        {"format", &format},
        {"defer_loading", &deferred}});
  if (deferred.kind == json::Kind::kTrue) refuse(path + ".defer_loading");
  out_ += R"("custom","custom":{)";
  write_tool_name(name, path, space);
  if (description.present()) write_member("description", description.raw);
  if (format.present()) write_custom_format(format, path + ".format");
  out_ += '}';
}

// Chat completions have a grammar's members one level deeper.
void ResponsesRequest::write_custom_format(const Found& format, const std::string& path) {
  if (!expect(format, json::Kind::kObject, path, "an object")) return;
  Found type, syntax, definition;
  read(format.raw, path, {{"type", &type}, {"syntax", &syntax}, {"definition", &definition}});
  if (is(type, "text")) return write_member("format", R"({"type":"text"})");
  if (!is(type, "grammar")) return refuse(path + ".type");
  if (!expect(syntax, json::Kind::kString, path + ".syntax", "a string") ||
      !expect(definition, json::Kind::kString, path + ".definition", "a string"))
    return;
  write_member("format", R"({"type":"grammar","grammar":{)");
  write_member("syntax", syntax.raw);
  write_member("definition", definition.raw);
  out_ += "}}";
}

void ResponsesRequest::write_tool_choice(const Found& choice) {
  if (!choice.present()) return;
  if (is(choice, "auto") || is(choice, "none") || is(choice, "required"))
    return write_member("tool_choice", choice.raw);
  const Found type = choice.kind == json::Kind::kObject ? type_of(choice.raw) : Found();
  for (const std::string_view kind : {"function", "custom"}) {
    if (!is(type, kind)) continue;
    Found name;
    read(choice.raw, "tool_choice", {{"type", nullptr, Use::kNothing}, {"name", &name}});
    if (!expect(name, json::Kind::kString, "tool_choice.name", "a string")) return;
    return write_member("tool_choice", fmt::format(R"({{"type":"{0}","{0}":{{"name":{1}}}}})", kind, name.raw));
  }
  leave_out("tool_choice", "tool_choice: expected auto, none, required, or the type function or custom with a name");
}

// ---- What the answer is like ----

void ResponsesRequest::write_text(const Found& text) {
  if (!text.present() || !expect(text, json::Kind::kObject, "text", "an object")) return;
  Found format, verbosity;
  read(text.raw, "text", {{"format", &format}, {"verbosity", &verbosity}});
  if (verbosity.present()) write_member("verbosity", verbosity.raw);
  if (format.present() && expect(format, json::Kind::kObject, "text.format", "an object")) write_text_format(format);
}

void ResponsesRequest::write_text_format(const Found& format) {
  Found type, name, description, schema, strict;
  read(format.raw, "text.format",
       {{"type", &type}, {"name", &name}, {"description", &description}, {"schema", &schema}, {"strict", &strict}});
  if (is(type, "text")) return;
  if (is(type, "json_object")) return write_member("response_format", R"({"type":"json_object"})");
  if (!is(type, "json_schema")) return refuse("text.format.type");
  write_member("response_format", R"({"type":"json_schema","json_schema":{)");
  if (expect(name, json::Kind::kString, "text.format.name", "a string")) write_member("name", name.raw);
  if (description.present()) write_member("description", description.raw);
  if (expect(schema, json::Kind::kObject, "text.format.schema", "an object")) write_member("schema", schema.raw);
  if (strict.present()) write_member("strict", strict.raw);
  out_ += "}}";
}

void ResponsesRequest::write_reasoning(const Found& reasoning) {
  if (!reasoning.present() || !expect(reasoning, json::Kind::kObject, "reasoning", "an object")) return;
  Found effort, summary, generate_summary, context, mode;
  read(reasoning.raw, "reasoning",
       {{"effort", &effort},
        {"summary", &summary},
        {"generate_summary", &generate_summary},
        {"context", &context},
        {"mode", &mode}});
  if (effort.present()) write_member("reasoning_effort", effort.raw);
  if (summary.present()) drop("reasoning.summary");
  if (generate_summary.present()) drop("reasoning.generate_summary");
  if (context.present() && !is(context, "auto")) refuse("reasoning.context");
  if (mode.present() && !is(mode, "standard")) refuse("reasoning.mode");
}

void ResponsesRequest::write_echo(const Fields& fields) {
  struct Said {
    std::string_view name;
    Found Fields::* field;
    std::string_view otherwise;  // empty: left out
  };
  static constexpr std::array<Said, 15> kSaid = {{{"instructions", &Fields::instructions, "null"},
                                                  {"max_output_tokens", &Fields::max_output_tokens, "null"},
                                                  {"max_tool_calls", &Fields::max_tool_calls, "null"},
                                                  {"metadata", &Fields::metadata, "{}"},
                                                  {"parallel_tool_calls", &Fields::parallel_tool_calls, "true"},
                                                  {"prompt_cache_key", &Fields::prompt_cache_key, ""},
                                                  {"reasoning", &Fields::reasoning, "null"},
                                                  {"safety_identifier", &Fields::safety_identifier, ""},
                                                  {"temperature", &Fields::temperature, "null"},
                                                  {"text", &Fields::text, R"({"format":{"type":"text"}})"},
                                                  {"tool_choice", &Fields::tool_choice, "\"auto\""},
                                                  {"tools", &Fields::tools, "[]"},
                                                  {"top_logprobs", &Fields::top_logprobs, ""},
                                                  {"top_p", &Fields::top_p, "null"},
                                                  {"user", &Fields::user, ""}}};
  for (const auto& [name, field, otherwise] : kSaid) {
    const Found& value = fields.*field;
    if (!value.present() && otherwise.empty()) continue;
    echo_ += '"';
    echo_ += name;
    echo_ += "\":";
    json::append_on_one_line(echo_, value.present() ? value.raw : otherwise);
    echo_ += ',';
  }
  echo_ += R"("background":false,"previous_response_id":null,"store":false,"truncation":"disabled")";
}

}  // namespace thalweg::dialect
