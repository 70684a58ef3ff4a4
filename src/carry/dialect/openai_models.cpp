// Model lists, ours and theirs, and what llama-server tells of itself.
#include <algorithm>
#include <limits>

#include "carry/dialect/openai.h"
#include "carry/json/text.h"
#include "carry/json/tree.h"

namespace thalweg::dialect {
namespace {

using Json = nlohmann::ordered_json;

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::uint32_t tokens(const Json* value) {
  if (value == nullptr || !value->is_number()) return 0;
  const double number = value->get<double>();
  if (!(number >= 1)) return 0;
  return static_cast<std::uint32_t>(std::min<double>(number, std::numeric_limits<std::uint32_t>::max()));
}

bool is_true(const Json* value) {
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

void append_model(std::string& out, std::string_view name) {
  out += "{\"id\":";
  json::append_quoted(out, name);
  // `created` is required by clients' types; there is no honest date to give.
  out += ",\"object\":\"model\",\"created\":0,\"owned_by\":\"thalweg\"}";
}

// Of one request: what the server was started with goes before what the model was trained with.
std::uint32_t context_of(const Json& model) {
  for (const char* name :
       {"max_model_len", "context_length", "context_window", "max_context_length"}) {       // vLLM and SGLang;
    if (const std::uint32_t found = tokens(member(model, name)); found != 0) return found;  // OpenRouter; Groq; Mistral
  }
  const Json* meta = member(model, "meta");  // llama.cpp
  if (meta == nullptr) return 0;
  const std::uint32_t slot = tokens(member(*meta, "n_ctx"));
  return slot != 0 ? slot : tokens(member(*meta, "n_ctx_train"));
}

}  // namespace

std::string models_body(std::span<const std::string_view> names) {
  std::string out = "{\"object\":\"list\",\"data\":[";
  for (const std::string_view name : names) {
    if (out.back() != '[') out += ',';
    append_model(out, name);
  }
  out += "]}";
  return out;
}

std::string model_body(std::string_view name) {
  std::string out;
  append_model(out, name);
  return out;
}

Result<std::vector<ToldModel>> read_models(std::string_view body) {
  const auto tree = json::read_tree(body);
  if (!tree) return fail(ErrorCode::kUpstreamFailed, "the endpoint's list of models is not JSON");
  const Json* list = tree->is_array() ? &*tree : member(*tree, "data");  // Together sends the bare array
  if (list == nullptr || !list->is_array()) {
    return fail(ErrorCode::kUpstreamFailed, "the endpoint's list of models has no array `data`");
  }
  std::vector<ToldModel> models;
  for (const Json& model : *list) {
    const Json* id = member(model, "id");
    if (id == nullptr || !id->is_string()) continue;
    models.push_back({.name = id->get<std::string>(), .context_tokens = context_of(model)});
  }
  return models;
}

Result<ToldEngine> read_engine_props(std::string_view body) {
  const auto tree = json::read_tree(body);
  if (!tree || !tree->is_object()) return fail(ErrorCode::kUpstreamFailed, "the engine's /props is not a JSON object");
  ToldEngine told;
  if (const Json* caps = member(*tree, "chat_template_caps")) {
    // Both: a template that does not write the tools down, or whose calls the server does not read (v0.5.0,
    // common/chat-auto-parser-generator.cpp), would have them ignored in silence.
    const Json* calls = member(*caps, "supports_tool_calls");
    told.tools = is_true(member(*caps, "supports_tools")) && (calls == nullptr || is_true(calls));
  }
  if (const Json* modalities = member(*tree, "modalities")) {
    told.images = is_true(member(*modalities, "vision"));
    told.audio = is_true(member(*modalities, "audio"));
  }
  if (const Json* settings = member(*tree, "default_generation_settings")) {
    told.context_tokens = tokens(member(*settings, "n_ctx"));
  }
  return told;
}

}  // namespace thalweg::dialect
