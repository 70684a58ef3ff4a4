// An endpoint is either an engine that Thalweg runs itself (`engine:`) or a server that speaks an API (`api:`). What
// both have goes into the fleet, which placement reads; what only carrying needs (paths, addresses, secrets) into
// EndpointSettings.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/text.h"
#include "carry/config/address.h"
#include "carry/config/names.h"
#include "carry/config/outside.h"
#include "carry/config/sections.h"

namespace thalweg::config {
namespace {

using document::Errors;
using document::Member;
using document::Node;
using document::Section;
using inference::Capabilities;
using inference::Capability;

// What a llama-server of any model can do; what depends on the model it tells itself (see kAsked).
constexpr Capabilities kEngineCapabilities = {Capability::kChat, Capability::kCompletions, Capability::kJsonSchema,
                                              Capability::kLogprobs, Capability::kManyChoices};
constexpr Capabilities kAsked = {Capability::kTools, Capability::kImages, Capability::kAudio};
// What OpenAI's own API offers for its chat models.
constexpr Capabilities kRemoteCapabilities = {Capability::kChat,       Capability::kCompletions, Capability::kTools,
                                              Capability::kJsonSchema, Capability::kImages,      Capability::kLogprobs,
                                              Capability::kManyChoices};

// What Anthropic's own API offers for its models.
constexpr Capabilities kAnthropicCapabilities = {Capability::kChat,   Capability::kTools, Capability::kJsonSchema,
                                                 Capability::kImages, Capability::kFiles, Capability::kHostedTools};

constexpr std::uint32_t kRemoteSlots = 64;
constexpr std::uint32_t kDefaultOutput = 4096;  // tokens, where the caller sets no limit and the API demands one
constexpr std::size_t kMaxIssuer = 64;
constexpr std::size_t kMaxApiVersion = 32;
constexpr std::uint64_t kMostContext = 100'000'000;
constexpr Duration kDay = 24h;

// Flags of llama-server that Thalweg gives itself, or that would open it to others.
constexpr std::array<std::string_view, 26> kOwnFlags = {"-m",
                                                        "--model",
                                                        "-a",
                                                        "--alias",
                                                        "--host",
                                                        "--port",
                                                        "-c",
                                                        "--ctx-size",
                                                        "-np",
                                                        "--parallel",
                                                        "-t",
                                                        "--threads",
                                                        "--api-key",
                                                        "--api-key-file",
                                                        "--ssl-key-file",
                                                        "--ssl-cert-file",
                                                        "--path",
                                                        "-mu",
                                                        "--model-url",
                                                        "-hf",
                                                        "-hfr",
                                                        "--hf-repo",
                                                        "-hff",
                                                        "--hf-file",
                                                        "--log-file",
                                                        "--slot-save-path"};

fleet::Timeouts read_timeouts(Section& parent, fleet::Timeouts timeouts, Errors& errors) {
  const Node* node = parent.optional("timeouts");
  if (node == nullptr) return timeouts;
  Section section(*node, parent.path_of("timeouts"), errors);
  timeouts.connect = section.duration("connect", timeouts.connect, {1ms, 1h});
  // Zero is an engine's "by its measured prefill rate"; a remote server without any limit would hold a request for
  // ever.
  timeouts.first_token = section.duration("first_token", timeouts.first_token,
                                          {timeouts.first_token == Duration{} ? Duration{} : 1ms, kDay});
  timeouts.gap = section.duration("gap", timeouts.gap, {1ms, kDay});
  timeouts.whole = section.duration("whole", timeouts.whole, {1ms, kDay});
  timeouts.total = section.duration("total", timeouts.total, {Duration{}, kDay});
  section.finish();
  return timeouts;
}

Capabilities read_capabilities(Section& section, Capabilities absent, Errors& errors) {
  static const auto kNames = [] {
    std::array<std::string_view, inference::kModelCapabilityCount> names;
    for (std::size_t i = 0; i < names.size(); ++i) names[i] = inference::name_of(static_cast<Capability>(i));
    return names;
  }();
  const Node* node = section.optional("capabilities");
  if (node == nullptr) return absent;
  Capabilities found;
  for (const Section::Word& word : section.texts("capabilities", inference::kModelCapabilityCount)) {
    const auto name = std::ranges::find(kNames, std::string_view(word.text));
    if (name == kNames.end()) {
      errors.add(word.position, fmt::format("{}: there is no capability \"{}\"{}", section.path_of("capabilities"),
                                            word.text.substr(0, 64), known_instead(word.text, kNames)));
    } else {
      found.add(static_cast<Capability>(name - kNames.begin()));
    }
  }
  constexpr Capabilities kAsksFor = {Capability::kChat, Capability::kCompletions, Capability::kEmbeddings,
                                     Capability::kRerank};
  if (node->kind == Node::Kind::kList && found.without(kAsksFor) == found) {
    section.error("capabilities", "needs chat, completions, embeddings or rerank: nothing else could be asked");
  }
  return found;
}

std::string names_of(Capabilities capabilities) {
  std::string names;
  for (std::size_t i = 0; i < inference::kCapabilityCount; ++i) {
    const auto capability = static_cast<Capability>(i);
    if (!capabilities.has(capability)) continue;
    if (!names.empty()) names += ", ";
    names += name_of(capability);
  }
  return names;
}

// The map of an endpoint's models; null when it is none or empty, which is reported.
const Node* models_of(Section& section, std::string_view example) {
  const Node* node = section.required("models", fmt::format("name the model, like `{}`", example));
  if (node == nullptr || (node->kind == Node::Kind::kMap && !node->members.empty())) return node;
  section.error("models", fmt::format("expected a map with at least one model, not {}",
                                      node->kind == Node::Kind::kMap ? "an empty one" : document::describe(*node)));
  return nullptr;
}

void read_arguments(Section& section, EngineSettings& engine, Errors& errors) {
  for (Section::Word& word : section.texts("arguments", kMaxArguments)) {
    const std::string_view flag = std::string_view(word.text).substr(0, word.text.find('='));
    if (std::ranges::find(kOwnFlags, flag) != kOwnFlags.end()) {
      errors.add(word.position,
                 fmt::format("{}: Thalweg sets {} itself; leave it out", section.path_of("arguments"), flag));
    } else if (word.text.empty() || word.text.find('\0') != std::string::npos) {
      errors.add(word.position, fmt::format("{}: an argument must not be empty or hold a NUL character",
                                            section.path_of("arguments")));
    }
    engine.arguments.push_back(std::move(word.text));
  }
}

void read_residency(Section& section, EngineSettings& engine) {
  static constexpr std::array<std::string_view, 2> kLoad = {"start", "demand"};
  engine.on_demand = section.one_of("load", 0, kLoad) == 1;
  engine.pinned = section.boolean("pin", engine.pinned);
  engine.unload_after = section.duration("unload_after", engine.unload_after, {1s, 365 * kDay});
  if (engine.on_demand && !engine.pinned) return;
  if (section.position_of("unload_after") != section.position())
    section.error("unload_after", engine.pinned
                                      ? "a pinned engine is never unloaded; leave one of the two out"
                                      : "an engine that is loaded at the start stays so; `load: demand` lets it go");
  if (engine.pinned && !engine.on_demand)
    section.error("pin", "an engine that is loaded at the start stays so; leave it out, or write `load: demand`");
}

engine::Task read_task(Section& model, Capabilities capabilities) {
  for (const auto& [capability, task] : {std::pair{Capability::kEmbeddings, engine::Task::kEmbed},
                                         std::pair{Capability::kRerank, engine::Task::kRerank}}) {
    if (!capabilities.has(capability)) continue;
    if (capabilities != Capabilities{capability}) {
      model.error("capabilities",
                  fmt::format("an engine that makes {0} does nothing else; give it [{1}] alone",
                              task == engine::Task::kEmbed ? "embeddings" : "scores", name_of(capability)));
    }
    return task;
  }
  return engine::Task::kGenerate;
}

void read_engine(Section& parent, const Node& node, const std::filesystem::path& folder, fleet::Endpoint& endpoint,
                 EndpointSettings& carried, Errors& errors) {
  static constexpr std::array<std::string_view, 2> kSandbox = {"on", "off"};
  EngineSettings& engine = carried.engine.emplace();
  endpoint.kind = fleet::EndpointKind::kEngine;
  endpoint.on_this_machine = true;
  Section section(node, parent.path_of("engine"), errors);
  const Node* models = models_of(section, "{smollm2: {file: smollm2.gguf}}");
  if (section.optional("program") != nullptr) {
    engine.program = taken(resolve_program(section.text("program", ""), folder), section, "program");
  }
  engine.context_tokens =
      static_cast<std::uint32_t>(section.integer("context", engine.context_tokens, {128, 16'777'216}));
  engine.slots = static_cast<std::uint32_t>(section.integer("slots", engine.slots, {1, 256}));
  // llama-server takes the tokens of all slots together as a 32-bit integer.
  if (std::uint64_t{engine.context_tokens} * engine.slots > std::numeric_limits<std::int32_t>::max()) {
    section.error("context",
                  fmt::format("{} tokens in each of {} slots are more than an engine takes ({} in all)",
                              engine.context_tokens, engine.slots, std::numeric_limits<std::int32_t>::max()));
  }
  engine.threads = static_cast<std::uint32_t>(section.integer("threads", engine.threads, {0, 1024}));
  engine.memory_bytes = section.size("memory", engine.memory_bytes, {256ULL << 20, 64ULL << 40});
  engine.start_timeout = section.duration("start_timeout", engine.start_timeout, {100ms, kDay});
  engine.sandbox = section.one_of("sandbox", 0, kSandbox) == 0 ? Sandbox::kOn : Sandbox::kOff;
  read_residency(section, engine);
  read_arguments(section, engine, errors);
  section.finish();
  endpoint.slots = engine.slots;
  if (models == nullptr) return;
  if (models->members.size() > 1) {
    errors.add(models->members[1].key_position,
               fmt::format("{}: an engine serves one model; give the others endpoints of their own, with "
                           "`load: demand` if not all shall be loaded at once",
                           section.path_of("models")));
  }
  const Member& model = models->members.front();
  check_name(NameKind::kModel, model.key, model.key_position, errors);
  Section about(model.value, section.path_of(fmt::format("models.{}", model.key.substr(0, 64))), errors);
  if (about.required("file", "the path of the model's GGUF file") != nullptr) {
    engine.model_file = taken(resolve_file(about.text("file", ""), folder), about, "file");
  }
  const Capabilities capabilities = read_capabilities(about, kEngineCapabilities, errors);
  engine.task = read_task(about, capabilities);
  about.finish();
  engine.model_name = model.key;
  endpoint.models.push_back({.name = model.key,
                             .upstream_name = model.key,
                             .context_tokens = engine.context_tokens,
                             .capabilities = capabilities,
                             .asked = kAsked});
}

bool is_path_word(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

// Azure's addresses: `/openai/v1` for its API of today; dated ones have a path for each deployment.
void read_azure(Section& section, RemoteSettings& remote) {
  constexpr std::string_view kV1 = "/openai/v1";
  remote.api_version = section.text("api_version", "");
  const auto bad = [](char c) { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'; };
  if (remote.api_version.size() > kMaxApiVersion || std::ranges::any_of(remote.api_version, bad))
    section.error("api_version", "expected a date, like 2024-10-21, or preview");
  if (remote.base_path.ends_with(kV1)) return;
  const bool dated = !remote.api_version.empty();
  if (!remote.base_path.empty() && remote.base_path != "/openai") {
    section.error("url", fmt::format("expected the resource's address, like https://NAME.openai.azure.com, or that "
                                     "with {} behind it",
                                     kV1));
  }
  remote.base_path = dated ? "/openai" : kV1;
}

void read_remote(Section& section, const std::filesystem::path& folder, const Settings& settings,
                 fleet::Endpoint& endpoint, EndpointSettings& carried, Errors& errors) {
  static constexpr std::array<std::string_view, 3> kApis = {"openai", "anthropic", "azure"};
  RemoteSettings& remote = carried.remote.emplace();
  remote.api = static_cast<Api>(section.one_of("api", 0, kApis));
  const bool anthropic = remote.api == Api::kAnthropic;
  endpoint.kind = anthropic ? fleet::EndpointKind::kAnthropic : fleet::EndpointKind::kOpenAi;
  if (section.required("url", "the API's base, like https://api.openai.com/v1") != nullptr) {
    if (const auto text = expand(section.text("url", "")); !text) {
      section.error("url", text.error().message);
    } else if (section.is_text("url")) {
      Url url = taken(parse_url(*text), section, "url");
      remote.tls = url.tls;
      remote.host = std::move(url.host);
      remote.port = url.port;
      remote.host_header = std::move(url.host_header);
      remote.base_path = std::move(url.base_path);
    }
  }
  if (remote.api == Api::kAzure) read_azure(section, remote);
  endpoint.on_this_machine = is_loopback(remote.host);
  endpoint.zero_retention = section.boolean("zero_retention", false);
  read_credentials(section, folder, remote, errors);
  read_forwarded(section, remote, errors);
  if (anthropic) {
    remote.issuer = section.text("issuer", "");
    if (remote.issuer.size() > kMaxIssuer) section.error("issuer", fmt::format("has more than {} bytes", kMaxIssuer));
  }
  if (section.optional("ca_file") != nullptr) {
    const auto path = taken(resolve_file(section.text("ca_file", ""), folder), section, "ca_file");
    if (!path.empty()) remote.authorities = taken(read_authorities(path), section, "ca_file");
    if (!remote.tls) section.error("ca_file", "the url is http://, which has no certificates");
  }
  read_proxy(section, settings, remote);
  remote.identity = read_identity(section, "client_certificate", folder, errors);
  if (!remote.tls && !remote.identity.empty())
    section.error("client_certificate", "the url is http://, which has no certificates");
  endpoint.slots = static_cast<std::uint32_t>(section.integer("slots", kRemoteSlots, {1, 100'000}));
  const Node* models = models_of(section, "gpt-4o: {context: 128000}");
  if (models == nullptr) return;
  if (models->members.size() > fleet::kMaxModelsPerEndpoint) {
    return section.error(
        "models", fmt::format("has {} models; {} are allowed", models->members.size(), fleet::kMaxModelsPerEndpoint));
  }
  for (const Member& model : models->members) {
    check_name(NameKind::kModel, model.key, model.key_position, errors);
    Section about(model.value, section.path_of(fmt::format("models.{}", model.key.substr(0, 64))), errors);
    fleet::EndpointModel& added = endpoint.models.emplace_back();
    added.name = model.key;
    added.upstream_name = about.text("name", model.key);
    const auto bad = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
    if (added.upstream_name.empty() || added.upstream_name.size() > kMaxUpstreamName ||
        std::ranges::any_of(added.upstream_name, bad)) {
      about.error("name", fmt::format("expected what the server calls the model, 1 to {} bytes", kMaxUpstreamName));
    }
    if (!remote.api_version.empty() && !is_path_word(added.upstream_name)) {
      about.error("name", "expected a deployment's name: letters, digits, `-`, `_` and `.`; it becomes part of a path");
    }
    added.context_tokens = static_cast<std::uint32_t>(about.integer("context", 0, {1, kMostContext}));
    if (anthropic) {
      added.output_tokens = static_cast<std::uint32_t>(about.integer("output", kDefaultOutput, {1, kMostContext}));
    }
    added.capabilities = read_capabilities(about, anthropic ? kAnthropicCapabilities : kRemoteCapabilities, errors);
    if (anthropic && !added.capabilities.without(kAnthropicCapabilities).empty()) {
      about.error("capabilities", fmt::format("an endpoint of api: anthropic has no {}",
                                              names_of(added.capabilities.without(kAnthropicCapabilities))));
    }
    about.finish();
  }
}

void read_endpoint(const Member& member, const std::filesystem::path& folder, Settings& settings, Errors& errors) {
  fleet::Endpoint endpoint;
  EndpointSettings carried;
  endpoint.name = member.key;
  Section section(member.value, fmt::format("endpoints.{}", member.key.substr(0, 64)), errors);

  if (section.required("place", "the name of one of the places") != nullptr) {
    const std::string place = section.text("place", "");
    const auto& places = settings.fleet.places;
    const auto found = std::ranges::find(places, place, &fleet::Place::name);
    if (found != places.end()) {
      endpoint.place.value = static_cast<std::uint16_t>(found - places.begin());
    } else if (!places.empty()) {
      std::vector<std::string_view> names;
      for (const fleet::Place& known : places) names.push_back(known.name);
      section.error("place",
                    fmt::format("there is no place \"{}\"{}", place.substr(0, 64), known_instead(place, names)));
    }
  }
  const bool is_map = member.value.kind == Node::Kind::kMap;
  const bool has_engine = is_map && member.value.find("engine") != nullptr;
  const bool has_api = is_map && member.value.find("api") != nullptr;
  if (has_engine && has_api) {
    section.error("api", "the endpoint has an engine already; an endpoint has one of the two");
    section.optional("api");
  }
  if (has_engine) {
    endpoint.timeouts = {.connect = 5s, .first_token = Duration{}, .gap = 30s, .total = 600s};
    if (const Node* engine = section.optional("engine"))
      read_engine(section, *engine, folder, endpoint, carried, errors);
  } else if (has_api) {
    read_remote(section, folder, settings, endpoint, carried, errors);
  } else if (is_map) {
    errors.add(
        member.key_position,
        fmt::format("endpoints.{} has neither `engine:` (a model that Thalweg runs) nor `api:` (a server: openai, "
                    "anthropic or azure)",
                    member.key.substr(0, 64)));
    // Of the keys of both kinds none is unknown; what is left may be a misspelt `engine` or `api`.
    for (const std::string_view key :
         {"engine", "api", "url", "key", "key_file", "key_command", "forward_headers", "ca_file", "client_certificate",
          "api_version", "issuer", "slots", "timeouts", "models"})
      section.optional(key);
    return section.finish();
  }
  endpoint.timeouts = read_timeouts(section, endpoint.timeouts, errors);
  section.finish();
  settings.fleet.endpoints.push_back(std::move(endpoint));
  settings.endpoints.push_back(std::move(carried));
}

/// Endpoints of one issuer: the same name for it or, without one, the same address and key.
bool same_issuer(const RemoteSettings& a, const RemoteSettings& b) {
  if (!a.issuer.empty() || !b.issuer.empty()) return a.issuer == b.issuer;
  return a.host == b.host && a.port == b.port && a.base_path == b.base_path && a.key == b.key &&
         a.key_command == b.key_command;
}

void number_issuers(Settings& settings) {
  auto& endpoints = settings.fleet.endpoints;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    endpoints[i].issuer = static_cast<std::uint16_t>(i);
    for (std::size_t j = 0; j < i; ++j) {
      if (endpoints[i].kind != fleet::EndpointKind::kAnthropic || endpoints[j].kind != endpoints[i].kind ||
          !same_issuer(*settings.endpoints[i].remote, *settings.endpoints[j].remote)) {
        continue;
      }
      endpoints[i].issuer = endpoints[j].issuer;
      break;
    }
  }
}

}  // namespace

void read_endpoints(Section& top, const std::filesystem::path& folder, Settings& settings, Errors& errors) {
  const Node* node = top.required("endpoints", "name at least one; docs/formats/config.md has examples");
  if (node == nullptr) return;
  if (node->kind != Node::Kind::kMap || node->members.empty()) {
    return top.error("endpoints",
                     fmt::format("expected a map with at least one endpoint, not {}",
                                 node->kind == Node::Kind::kMap ? "an empty one" : document::describe(*node)));
  }
  if (node->members.size() > fleet::kMaxEndpoints) {
    return top.error("endpoints",
                     fmt::format("has {} endpoints; {} are allowed", node->members.size(), fleet::kMaxEndpoints));
  }
  std::size_t models = 0;
  for (const Member& member : node->members) {
    check_name(NameKind::kEndpoint, member.key, member.key_position, errors);
    read_endpoint(member, folder, settings, errors);
  }
  number_issuers(settings);
  for (const fleet::Endpoint& endpoint : settings.fleet.endpoints) models += endpoint.models.size();
  if (models > kMaxEndpointModels) {
    top.error("endpoints", fmt::format("have {} models together; {} are allowed", models, kMaxEndpointModels));
  }
}

}  // namespace thalweg::config
