#include "carry/dialect/ollama_models.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

#include "carry/json/text.h"
#include "carry/json/tree.h"

namespace thalweg::dialect {

using inference::Capability;

namespace {

void write_time(std::string& out, std::string_view name, UtcTime time) {
  char text[kTimeLength];
  write_rfc3339(text, time);
  fmt::format_to(std::back_inserter(out), ",\"{}\":\"{}\"", name, std::string_view(text, sizeof text));
}

// Clients read all of these; an empty one is what Ollama itself has for what it does not know.
void write_details(std::string& out, const OllamaModel& model) {
  fmt::format_to(std::back_inserter(out),
                 R"("details":{{"parent_model":"","format":"{}","family":"","families":[],"parameter_size":"",)"
                 R"("quantization_level":""}})",
                 model.file_bytes ? "gguf" : "");
}

void begin_model(std::string& out, const OllamaModel& model) {
  if (out.back() != '[') out += ',';
  for (const char* name : {"{\"name\":", ",\"model\":"}) {
    out += name;
    json::append_quoted(out, model.name);
  }
  out += ",\"digest\":\"";
  out += to_hex(model.digest);
  out += "\",";
  write_details(out, model);
}

}  // namespace

std::string ollama_tags_body(std::span<const OllamaModel> models) {
  std::string out = "{\"models\":[";
  for (const OllamaModel& model : models) {
    begin_model(out, model);
    if (model.modified_at) write_time(out, "modified_at", *model.modified_at);
    if (model.file_bytes) fmt::format_to(std::back_inserter(out), ",\"size\":{}", *model.file_bytes);
    out += '}';
  }
  return out += "]}";
}

std::string ollama_ps_body(std::span<const OllamaModel> models) {
  std::string out = "{\"models\":[";
  for (const OllamaModel& model : models) {
    begin_model(out, model);
    if (model.stays) write_time(out, "expires_at", UtcTime::max());
    if (model.context_tokens != 0)
      fmt::format_to(std::back_inserter(out), ",\"context_length\":{}", model.context_tokens);
    out += '}';
  }
  return out += "]}";
}

std::string ollama_show_body(const OllamaModel& model) {
  static constexpr std::array<std::pair<Capability, std::string_view>, 5> kNames = {
      {{Capability::kChat, "completion"},
       {Capability::kTools, "tools"},
       {Capability::kImages, "vision"},
       {Capability::kAudio, "audio"},
       {Capability::kEmbeddings, "embedding"}}};
  std::string out = "{";
  write_details(out, model);
  out += ",\"model_info\":{";
  if (model.context_tokens != 0) {
    fmt::format_to(std::back_inserter(out), R"("general.architecture":"unknown","unknown.context_length":{})",
                   model.context_tokens);
  }
  out += "},\"capabilities\":[";
  for (const auto& [capability, name] : kNames) {
    if (!model.capabilities.has(capability)) continue;
    if (out.back() != '[') out += ',';
    fmt::format_to(std::back_inserter(out), "\"{}\"", name);
  }
  out += ']';
  if (model.modified_at) write_time(out, "modified_at", *model.modified_at);
  return out += '}';
}

std::string ollama_version_body() {
  return fmt::format(R"({{"version":"{}"}})", kOllamaVersion);
}

Result<std::string> read_ollama_show(std::string_view body) {
  const auto tree = json::read_tree(body);
  if (!tree || !tree->is_object()) return fail(ErrorCode::kInvalidRequest, "the request body must be a JSON object");
  for (const char* name : {"model", "name"}) {  // the older name is still sent
    const auto found = tree->find(name);
    if (found != tree->end() && found->is_string() && !found->get_ref<const std::string&>().empty())
      return found->get<std::string>();
  }
  return fail(ErrorCode::kInvalidRequest, "model: expected the name of a model");
}

std::string_view meant_model(const fleet::Fleet& fleet, std::string_view asked) {
  constexpr std::string_view kTag = ":latest";
  if (!asked.ends_with(kTag) || fleet.find_model(asked) != nullptr) return asked;
  return asked.substr(0, asked.size() - kTag.size());
}

}  // namespace thalweg::dialect
