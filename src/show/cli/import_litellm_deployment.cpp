// One entry of LiteLLM's model_list: provider, address, key and numbers become an endpoint, which entries that agree in
// all of them share, and a model of it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/document/section.h"
#include "base/text.h"
#include "carry/config/address.h"
#include "carry/config/names.h"
#include "carry/config/settings.h"
#include "show/cli/import_litellm.h"
#include "show/cli/import_place.h"

namespace thalweg::cli {
namespace {

using document::Member;
using document::Node;

constexpr std::string_view kVariable = "os.environ/";
// Of docs/formats/config.md.
constexpr std::uint64_t kMostTokens = 100'000'000;
constexpr std::uint64_t kMostSlots = 100'000;
constexpr std::size_t kMostOfVersion = 32;
constexpr std::size_t kDate = 10;  // YYYY-MM-DD

// What people write where a server wants no key but the client wants a text.
constexpr std::array<std::string_view, 16> kNoKeys = {
    "none",     "null",  "empty",     "dummy",  "fake",   "fake-key",        "sk-dummy",     "not-needed",
    "anything", "local", "lm-studio", "ollama", "no-key", "no-key-required", "fake-api-key", "sk-no-key-required"};

const Member* member_of(const Node* node, std::string_view key) {
  if (node == nullptr) return nullptr;
  const auto found = std::ranges::find(node->members, key, &Member::key);
  return found == node->members.end() || found->value.kind == Node::Kind::kNull ? nullptr : &*found;
}

bool is_variable(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// NAME of "os.environ/NAME", or nothing.
std::string_view variable_in(std::string_view text) {
  if (!text.starts_with(kVariable)) return {};
  text.remove_prefix(kVariable.size());
  return is_variable(text) ? text : std::string_view();
}

void collect_variables(const Node& node, std::set<std::string>& names) {
  if (const std::string_view name = variable_in(node.text); !name.empty()) names.emplace(name);
  for (const Node& item : node.items) collect_variables(item, names);
  for (const Member& member : node.members) collect_variables(member.value, names);
}

bool cut(std::string& text, std::string_view ending) {
  if (!text.ends_with(ending)) return false;
  text.resize(text.size() - ending.size());
  return true;
}

/// The base of the API as Thalweg wants it, of the base as LiteLLM's users write it.
std::string base_of(std::string url, const LiteLlmProvider& provider) {
  while (url.ends_with('/')) url.pop_back();
  if (provider.api == "azure") {
    url.resize(std::min(url.size(), url.find("/openai")));
    return url;
  }
  cut(url, provider.api == "anthropic" ? "/messages" : "/chat/completions");
  if (provider.api == "anthropic" || provider.name.starts_with("ollama")) {
    cut(url, "/v1");
    url += "/v1";
  }
  return url;
}

}  // namespace

struct LiteLlmDeployments::Deployment {
  const Node* params = nullptr;
  const Node* info = nullptr;        // may be null
  const Node* credential = nullptr;  // may be null
  Position position;
  std::string name;
  const LiteLlmProvider* provider = nullptr;
  bool own_address = false;  // api_base stands there
  std::string plain_key;     // never leaves this class
  std::uint64_t order = 0;
  ImportedPlace place;
  ImportedModel model;
  ImportedEndpoint endpoint;
};

Duration seconds_at(const Node& node, std::string_view key) {
  const std::string text = text_at(node, key);
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc{} || end != text.data() + text.size() || !(seconds >= 0.001) || seconds > 86'400) return {};
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

LiteLlmDeployments::LiteLlmDeployments(const Node& root, const std::filesystem::path& file, Imported& imported)
    : root_(root), file_(file), imported_(imported) {
  collect_variables(root, variables_);
}

void LiteLlmDeployments::note(NoteKind kind, Position position, std::string sentence) {
  imported_.note(kind, file_, position, std::move(sentence));
}

const Member* LiteLlmDeployments::param(const Deployment& deployment, std::string_view key) const {
  const Member* const own = member_of(deployment.params, key);
  return own != nullptr ? own : member_of(deployment.credential, key);
}

void LiteLlmDeployments::add(const Node& entry) {
  Deployment deployment;
  deployment.position = entry.position;
  deployment.name = text_at(entry, "model_name");
  deployment.params = entry.find("litellm_params");
  deployment.info = entry.find("model_info");
  if (deployment.name.empty() || deployment.params == nullptr || deployment.params->kind != Node::Kind::kMap) {
    return note(NoteKind::kNotCarried, entry.position, "an entry of model_list without model_name or litellm_params");
  }
  if (const std::string named = text_at(*deployment.params, "litellm_credential_name"); !named.empty()) {
    if (const Node* const all = root_.find("credential_list"); all != nullptr) {
      for (const Node& one : all->items) {
        if (text_at(one, "credential_name") == named) deployment.credential = one.find("credential_values");
      }
    }
    if (deployment.credential == nullptr) {
      note(NoteKind::kToDo, deployment.position,
           fmt::format("the credential {} stands in no credential_list; give the endpoint its key", named));
    }
  }
  if (!read_model(deployment) || !read_mode(deployment) || !read_address(deployment)) return;
  read_key(deployment);
  read_numbers(deployment);
  note_others(deployment);

  ImportedEndpoint& endpoint = endpoint_for(deployment);
  auto model = std::ranges::find_if(endpoint.models, [&](const ImportedModel& known) {
    ImportedModel same = known;
    same.name = deployment.model.name;
    return same == deployment.model;
  });
  if (model == endpoint.models.end()) {
    const std::string wished = deployment.model.name;
    for (std::size_t i = 2;
         std::ranges::find(endpoint.models, deployment.model.name, &ImportedModel::name) != endpoint.models.end();
         ++i) {
      deployment.model.name = fmt::format("{}-{}", wished, i);
    }
    model = endpoint.models.insert(endpoint.models.end(), deployment.model);
  }
  auto [offered, is_new] = offered_.try_emplace(deployment.name);
  if (is_new) order_of_names_.push_back(deployment.name);
  if (!offered->second.empty() && !told_of_order_) {
    told_of_order_ = true;
    note(NoteKind::kChanged, deployment.position,
         "several entries of one model_name: Thalweg asks them in their order and goes on when one fails; LiteLLM "
         "spreads requests over them");
  }
  offered->second.push_back({deployment.order, fmt::format("{}/{}", endpoint.name, model->name)});
}

bool LiteLlmDeployments::read_model(Deployment& deployment) {
  const Member* const asked = member_of(deployment.params, "model");
  const std::string full = text_at(*deployment.params, "model");
  if (asked == nullptr || full.empty()) {
    note(NoteKind::kNotCarried, deployment.position,
         fmt::format("{}: litellm_params.model is missing", deployment.name));
    return false;
  }
  if (deployment.name.find('*') != std::string::npos || full.find('*') != std::string::npos) {
    note(NoteKind::kNotCarried, asked->key_position,
         fmt::format("{}: Thalweg offers models by name; list each that applications ask for", deployment.name));
    return false;
  }
  if (deployment.name == fleet::kAutoModel) {
    note(NoteKind::kNotCarried, deployment.position,
         "a model called auto: that name is built in and means any chat model");
    return false;
  }
  std::string provider = text_at(*deployment.params, "custom_llm_provider");
  std::string model = full;
  const std::size_t slash = full.find('/');
  if (slash != full.npos && (provider.empty() || full.substr(0, slash) == provider)) {
    provider = full.substr(0, slash);
    model = full.substr(slash + 1);
  } else if (provider.empty()) {
    provider = provider_of_bare(full);
  }
  deployment.provider = provider_of(provider);
  if (deployment.provider == nullptr || model.empty()) {
    note(NoteKind::kNotCarried, asked->key_position,
         fmt::format("{}: {}: {}", deployment.name, full,
                     provider.empty() ? "it names no provider, like openai/NAME"
                                      : "Thalweg has no kind of endpoint for this provider; where it offers an "
                                        "OpenAI-compatible address, configure that by hand"));
    return false;
  }
  constexpr std::string_view kResponses = "responses/";
  if (model.starts_with(kResponses)) {
    model.erase(0, kResponses.size());
    note(NoteKind::kChanged, asked->key_position, fmt::format("{}: it is asked by chat completions", deployment.name));
  }
  const std::string name = as_model_name(deployment.name);
  if (name != deployment.name || !config::fault_of_name(config::NameKind::kModel, name).empty()) {
    if (name.empty()) {
      note(NoteKind::kNotCarried, deployment.position, fmt::format("the name {}", deployment.name));
      return false;
    }
    note(NoteKind::kChanged, deployment.position,
         fmt::format("the model_name {} is {} here: names take letters, digits and ._:/-", deployment.name, name));
    deployment.name = name;
  }
  if (model.size() > config::kMaxUpstreamName ||
      std::ranges::any_of(model, [](unsigned char c) { return c < 0x20 || c == 0x7F; })) {
    note(NoteKind::kNotCarried, asked->key_position,
         fmt::format("{}: the model's name has control characters or more than {} bytes", deployment.name,
                     config::kMaxUpstreamName));
    return false;
  }
  const auto in_path = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  if (deployment.provider->api == "azure" && !std::ranges::all_of(model, in_path)) {
    note(NoteKind::kNotCarried, asked->key_position,
         fmt::format("{}: the name of a deployment has letters, digits, -, _ and . only", deployment.name));
    return false;
  }
  deployment.model.upstream = model;
  deployment.model.name = as_model_name(model);
  if (deployment.model.name.empty() || deployment.model.name == fleet::kAutoModel) deployment.model.name = "model";
  return true;
}

bool LiteLlmDeployments::read_mode(Deployment& deployment) {
  const Member* const said = member_of(deployment.info, "mode");
  std::string mode = said == nullptr ? "" : said->value.text;
  const std::string& model = deployment.model.upstream;
  if (mode.empty()) {
    mode = "chat";
    if (model.find("embed") != model.npos) {
      mode = "embedding";
      note(NoteKind::kChanged, deployment.position,
           fmt::format("{}: taken for a model of embeddings, by its name", deployment.name));
    }
    for (const std::string_view other : {"whisper", "tts-", "dall-e", "gpt-image"}) {
      if (model.starts_with(other)) mode = other;
    }
    if (model.find("rerank") != model.npos) {
      mode = "rerank";
      note(NoteKind::kChanged, deployment.position,
           fmt::format("{}: taken for a model that ranks documents, by its name", deployment.name));
    }
    if (deployment.provider->name == "text-completion-openai") mode = "completion";
  }
  if (mode == "chat" || mode == "responses") return true;
  if (mode == "embedding" || mode == "completion" || mode == "rerank") {
    deployment.model.capability = mode == "embedding" ? "embeddings" : mode == "completion" ? "completions" : "rerank";
    if (deployment.provider->api != "anthropic") return true;
  }
  note(NoteKind::kNotCarried, said == nullptr ? deployment.position : said->key_position,
       fmt::format("{}: Thalweg carries chat, completions, embeddings and reranking; this model does something else",
                   deployment.name));
  return false;
}

bool LiteLlmDeployments::read_address(Deployment& deployment) {
  const LiteLlmProvider& provider = *deployment.provider;
  deployment.endpoint.api = provider.api;
  const Member* base = param(deployment, "api_base");
  if (base == nullptr) base = param(deployment, "base_url");
  deployment.own_address = base != nullptr;
  if (base == nullptr && provider.url.empty()) {
    note(NoteKind::kNotCarried, deployment.position, fmt::format("{}: api_base is missing", deployment.name));
    return false;
  }
  if (const Member* version = param(deployment, "api_version"); version != nullptr && provider.api == "azure") {
    const std::string& text = version->value.text;
    const bool dated =
        text.size() >= kDate && text.size() <= kMostOfVersion && text.starts_with("20") &&
        std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
    if (dated) deployment.endpoint.api_version = text;
    if (!dated && text != "v1" && text != "latest" && text != "preview") {
      note(NoteKind::kChanged, version->key_position,
           fmt::format("{}: api_version is no date here; Azure's /openai/v1 is asked", deployment.name));
    }
  }
  if (base == nullptr) return read_url(deployment, std::string(provider.url), deployment.position);
  if (const std::string_view variable = variable_in(base->value.text); !variable.empty()) {
    const bool needs_v1 = provider.api == "anthropic" || provider.name.starts_with("ollama");
    deployment.endpoint.url = fmt::format("${{{}}}{}", variable, needs_v1 ? "/v1" : "");
    deployment.place = {as_endpoint_name(provider.name), "cloud", std::string(provider.operator_name)};
    note(NoteKind::kToDo, base->key_position,
         fmt::format("{}: the address is in {}, so its place is a guess (cloud){}", deployment.name, variable,
                     needs_v1 ? "; the variable must end before /v1" : ""));
    return true;
  }
  return read_url(deployment, base_of(base->value.text, provider), base->key_position);
}

bool LiteLlmDeployments::read_url(Deployment& deployment, const std::string& url, Position position) {
  const auto parsed = config::parse_url(url);
  if (!parsed) {
    note(NoteKind::kNotCarried, position, fmt::format("{}: {}", deployment.name, parsed.error().message));
    return false;
  }
  const LiteLlmProvider& provider = *deployment.provider;
  if (provider.api == "azure" && !parsed->base_path.empty()) {
    note(NoteKind::kNotCarried, position,
         fmt::format("{}: expected the resource's address, like https://NAME.openai.azure.com", deployment.name));
    return false;
  }
  switch (nearness_of(parsed->host)) {
    case Nearness::kHere:
      deployment.place = {"here", "device", ""};
      break;
    case Nearness::kNear:
      deployment.place = {"near", "edge", ""};
      break;
    case Nearness::kFar: {
      // The provider's own address, or another that speaks its API.
      const bool own = !deployment.own_address || provider.api == "azure" || url == provider.url;
      const std::string name = own ? as_endpoint_name(provider.name) : as_endpoint_name(parsed->host);
      deployment.place = {name, "cloud", own ? std::string(provider.operator_name) : ""};
    }
  }
  deployment.own_address = deployment.own_address && url != provider.url;
  deployment.endpoint.url = without_variables(url);
  return true;
}

void LiteLlmDeployments::read_key(Deployment& deployment) {
  const LiteLlmProvider& provider = *deployment.provider;
  const Member* const key = param(deployment, "api_key");
  if (key == nullptr) {
    if (provider.variable.empty()) return;
    if (!deployment.own_address || provider.api == "azure") {
      deployment.endpoint.key = fmt::format("${{{}}}", provider.variable);
    } else {
      note(NoteKind::kToDo, deployment.position,
           fmt::format("{}: LiteLLM would send {} to this address; write `key: ${{{}}}` if it is meant for it",
                       deployment.name, provider.variable, provider.variable));
    }
    return;
  }
  const std::string& text = key->value.text;
  if (const std::string_view variable = variable_in(text); !variable.empty()) {
    deployment.endpoint.key = fmt::format("${{{}}}", variable);
  } else if (std::ranges::any_of(kNoKeys, [&](std::string_view word) { return equals_ignoring_case(text, word); })) {
    note(NoteKind::kChanged, key->key_position, fmt::format("{}: no key is sent", deployment.name));
  } else {
    deployment.plain_key = text;  // the endpoint's name, and with it the variable's, is known later
  }
}

void LiteLlmDeployments::read_numbers(Deployment& deployment) {
  static const Node kNothing;
  const auto section = [&](std::string_view key) -> const Node& {
    const Node* const found = root_.find(key);
    return found == nullptr ? kNothing : *found;
  };
  const auto first = [](std::initializer_list<Duration> durations) {
    const auto* const found = std::ranges::find_if(durations, [](Duration one) { return one != Duration{}; });
    return found == durations.end() ? Duration{} : *found;
  };
  const Node& params = *deployment.params;
  deployment.endpoint.whole = first({seconds_at(params, "timeout"), seconds_at(section("router_settings"), "timeout"),
                                     seconds_at(section("litellm_settings"), "request_timeout")});
  deployment.endpoint.first_token =
      first({seconds_at(params, "stream_timeout"), seconds_at(section("router_settings"), "stream_timeout"),
             deployment.endpoint.whole});
  deployment.endpoint.slots = number_at(params, "max_parallel_requests", kMostSlots);
  deployment.order = number_at(params, "order", kMostTokens);
  if (deployment.info != nullptr)
    deployment.model.context = number_at(*deployment.info, "max_input_tokens", kMostTokens);
  if (deployment.provider->api == "anthropic") deployment.model.output = number_at(params, "max_tokens", kMostTokens);
}

namespace {

/// Why a key of litellm_params has no counterpart.
std::string_view why_not(std::string_view key) {
  if (key == "rpm" || key == "tpm") return "there are no rate limits yet";
  if (key == "weight") return "targets are asked in their order";
  if (key.find("azure_ad") != key.npos || key == "client_secret" || key == "tenant_id" || key == "client_id")
    return "`key_command` fetches tokens of Entra, see docs/formats/config.md";
  if (key == "timeout" || key == "stream_timeout") return "a time-out is a number of seconds, of 24 hours at most";
  if (key == "max_parallel_requests") return "an endpoint has 1 to 100000 slots";
  return "Thalweg adds nothing to requests, and has no setting like it";
}

}  // namespace

bool LiteLlmDeployments::was_read(const Deployment& deployment, std::string_view key) {
  static constexpr std::array<std::string_view, 6> kAlways = {
      "model", "custom_llm_provider", "api_base", "base_url", "api_key", "litellm_credential_name"};
  if (key == "timeout" || key == "stream_timeout") return seconds_at(*deployment.params, key) != Duration{};
  if (key == "max_parallel_requests") return deployment.endpoint.slots != 0;
  if (key == "order") return deployment.order != 0;
  if (key == "max_tokens") return deployment.model.output != 0;
  if (key == "api_version") return deployment.provider->api == "azure";
  return std::ranges::find(kAlways, key) != kAlways.end();
}

void LiteLlmDeployments::note_others(const Deployment& deployment) {
  for (const Member& member : deployment.params->members) {
    if (was_read(deployment, member.key)) continue;
    note(NoteKind::kNotCarried, member.key_position,
         fmt::format("{}: {}: {}", deployment.name, member.key, why_not(member.key)));
  }
  if (deployment.info == nullptr) return;
  static constexpr std::array<std::string_view, 4> kOfNoUse = {"mode", "id", "base_model", "description"};
  for (const Member& member : deployment.info->members) {
    if (std::ranges::find(kOfNoUse, std::string_view(member.key)) != kOfNoUse.end()) continue;
    if (member.key == "max_input_tokens" && deployment.model.context != 0) continue;
    const bool lacks = member.key.starts_with("supports_") && equals_ignoring_case(member.value.text, "false");
    note(lacks ? NoteKind::kToDo : NoteKind::kNotCarried, member.key_position,
         lacks ? fmt::format("{}: {} is false: list the model's `capabilities` without it", deployment.name, member.key)
               : fmt::format("{}: model_info.{}", deployment.name, member.key));
  }
}

// No provider's usual variable is called so: those may be meant by other entries.
std::string LiteLlmDeployments::variable_for(const std::string& endpoint) {
  std::string middle;
  for (const char c : endpoint) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    middle += letter ? static_cast<char>(c & ~0x20) : c >= '0' && c <= '9' ? c : '_';
  }
  std::string name = fmt::format("THALWEG_{}_KEY", middle);
  for (std::size_t i = 2; !variables_.insert(name).second; ++i) name = fmt::format("THALWEG_{}_KEY_{}", middle, i);
  return name;
}

ImportedEndpoint& LiteLlmDeployments::endpoint_for(Deployment& deployment) {
  const ImportedEndpoint& wanted = deployment.endpoint;
  const std::string identity =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{} {} {}", wanted.api, wanted.url, wanted.key, deployment.plain_key,
                  wanted.api_version, wanted.whole.count(), wanted.first_token.count(), wanted.slots);
  const auto [found, is_new] = endpoints_.try_emplace(identity, imported_.endpoints.size());
  if (!is_new) return imported_.endpoints[found->second];
  ImportedEndpoint endpoint = wanted;
  endpoint.place = deployment.place.name;
  endpoint.name = imported_.free_endpoint_name(deployment.provider->name);
  endpoint.origin = fmt::format("{}, line {}", file_.filename().string(), deployment.position.line);
  if (!deployment.plain_key.empty()) {
    const std::string variable = variable_for(endpoint.name);
    endpoint.key = fmt::format("${{{}}}", variable);
    note(NoteKind::kToDo, param(deployment, "api_key")->key_position,
         fmt::format("the key that stands here is not copied: put it into the environment variable {}", variable));
  }
  imported_.need_place(deployment.place);
  imported_.endpoints.push_back(std::move(endpoint));
  return imported_.endpoints.back();
}

void LiteLlmDeployments::finish() {
  for (const std::string& name : order_of_names_) {
    std::vector<Target>& targets = offered_[name];
    // What LiteLLM's `order` leaves open comes last there, too.
    std::ranges::stable_sort(targets, {}, [](const Target& target) {
      return target.order == 0 ? std::numeric_limits<std::uint64_t>::max() : target.order;
    });
    std::vector<std::string> texts;
    for (const Target& target : targets) texts.push_back(target.target);
    imported_.offer(name, texts);
  }
}

}  // namespace thalweg::cli
