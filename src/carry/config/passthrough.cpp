#include "carry/config/passthrough.h"

#include <fmt/format.h>

#include <algorithm>

#include "carry/config/names.h"
#include "carry/config/sections.h"

namespace thalweg::config {

void Passages::add(Passage passage, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) by_path_.emplace(path, static_cast<std::uint16_t>(passages_.size()));
  passages_.push_back(std::move(passage));
}

const Passage* Passages::named(std::string_view path) const {
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? nullptr : &passages_[found->second];
}

const Passage* Passages::find(std::string_view path) const {
  if (by_path_.empty()) return nullptr;
  if (!path.ends_with('*')) {  // a star ends what is written in the file, and means itself in a request
    if (const Passage* exact = named(path)) return exact;
  }
  std::string pattern;
  for (std::size_t slash = path.rfind('/'); slash != std::string_view::npos && slash != 0;
       slash = path.rfind('/', slash - 1)) {
    pattern.assign(path.substr(0, slash)).append(kBelow);
    if (const Passage* below = named(pattern)) return below;
  }
  return nullptr;
}

std::string_view fault_of_path(std::string_view path) {
  // What RFC 3986 lets stand in a segment as it is, but for `;`, behind which some servers see parameters.
  constexpr std::string_view kSigns = "-._~!$&'()*+,=:@/";
  if (!path.starts_with('/')) return "does not begin with `/`";
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       kSigns.find(c) != std::string_view::npos;
    if (!plain) return "holds a sign other than letters, digits and -._~!$&'()*+,=:@ (percent-encoding included)";
  }
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at + 1), path.size());
    const std::string_view segment = path.substr(at + 1, end - at - 1);
    if (segment.empty()) return "has an empty segment (`//`, or a `/` at its end)";
    if (segment.find_first_not_of('.') == std::string_view::npos) return "has a segment of dots";
    at = end;
  }
  return {};
}

namespace {

using document::Errors;
using document::Member;
using document::Node;
using document::Section;

// Why a path of the file can be no passage; empty: it can.
std::string fault_of_pattern(std::string_view text) {
  const bool below = text.ends_with(kBelow);
  const std::string_view path = below ? text.substr(0, text.size() - kBelow.size()) : text;
  if (text.size() > kMaxPassagePath) return fmt::format("has more than {} bytes", kMaxPassagePath);
  if (!text.starts_with(kPassageBase) || !text.substr(kPassageBase.size()).starts_with('/')) {
    return fmt::format("must begin with {}/; what stands behind that goes behind the endpoint's url", kPassageBase);
  }
  if (path.find('*') != std::string_view::npos) return fmt::format("has a star that is not its end, {}", kBelow);
  if (const std::string_view fault = fault_of_path(path); !fault.empty()) return std::string(fault);
  const auto covers = [&](std::string_view own) {
    if (!below) return path == own;
    return own.size() > path.size() && own.starts_with(path) && own[path.size()] == '/';
  };
  const auto own = std::ranges::find_if(kOwnPaths, covers);
  if (own != kOwnPaths.end()) return fmt::format("holds {}, which Thalweg answers itself", *own);
  if (covers(kOwnPrefix) || path.starts_with(kOwnPrefix)) {
    return fmt::format("holds what is below {}, which Thalweg answers itself", kOwnPrefix);
  }
  return {};
}

std::vector<std::string> read_paths(Section& section, const Settings& settings, Errors& errors) {
  std::vector<std::string> paths;
  if (section.required("paths", "the paths that go through, like [/v1/files, /v1/files/*]") == nullptr) return paths;
  for (Section::Word& word : section.texts("paths", kMaxPassagePaths)) {
    const auto wrong = [&](std::string_view why) {
      errors.add(word.position, fmt::format("{}: \"{}\" {}", section.path_of("paths"), word.text.substr(0, 64), why));
    };
    if (const std::string fault = fault_of_pattern(word.text); !fault.empty()) {
      wrong(fault);
    } else if (std::ranges::find(paths, word.text) != paths.end()) {
      wrong("is listed twice");
    } else if (const Passage* other = settings.passages.named(word.text)) {
      wrong(fmt::format("is listed under passthrough.{} already", other->model));
    } else {
      paths.push_back(std::move(word.text));
    }
  }
  return paths;
}

std::vector<http::Method> read_methods(Section& section, Errors& errors) {
  static const auto kNames = [] {
    std::array<std::string_view, kPassageMethods.size()> names;
    std::ranges::transform(kPassageMethods, names.begin(), http::name_of);
    return names;
  }();
  if (section.optional("methods") == nullptr) return {http::Method::kPost};
  std::vector<http::Method> methods;
  for (const Section::Word& word : section.texts("methods", kPassageMethods.size())) {
    const auto name = std::ranges::find(kNames, std::string_view(word.text));
    if (name == kNames.end()) {
      errors.add(word.position, fmt::format("{}: there is no method \"{}\"{}", section.path_of("methods"),
                                            word.text.substr(0, 64), known_instead(word.text, kNames)));
      continue;
    }
    const http::Method method = kPassageMethods[static_cast<std::size_t>(name - kNames.begin())];
    if (std::ranges::find(methods, method) != methods.end()) {
      errors.add(word.position, fmt::format("{}: {} is listed twice", section.path_of("methods"), *name));
    } else {
      methods.push_back(method);
    }
  }
  return methods;
}

// Why an endpoint can take no passage; empty: it can.
std::string_view fault_of_endpoint(const Settings& settings, std::size_t index) {
  if (!settings.endpoints[index].remote) return "is an engine, which only Thalweg speaks to";
  const RemoteSettings& remote = *settings.endpoints[index].remote;
  if (remote.api == Api::kAzure && remote.base_path == "/openai")
    return "is asked by a path for each deployment (api_version); leave that out to ask its v1";
  return {};
}

// The targets: a model that stands for the passage, added to each endpoint.
std::vector<fleet::Target> read_targets(Section& section, std::string_view name, Settings& settings, Errors& errors) {
  std::vector<fleet::Target> targets;
  auto& endpoints = settings.fleet.endpoints;
  if (section.required("endpoints", "who may answer, in order of preference, like [openai]") == nullptr) return targets;
  for (const Section::Word& word : section.texts("endpoints", fleet::kMaxTargetsPerModel)) {
    const auto wrong = [&](std::string_view why) {
      errors.add(word.position, fmt::format("{}: {} {}", section.path_of("endpoints"), word.text.substr(0, 64), why));
    };
    const auto found = std::ranges::find(endpoints, word.text, &fleet::Endpoint::name);
    if (found == endpoints.end()) {
      std::vector<std::string_view> names;
      for (const fleet::Endpoint& known : endpoints) names.push_back(known.name);
      wrong(fmt::format("is no endpoint{}", known_instead(word.text, names)));
      continue;
    }
    const auto index = static_cast<std::size_t>(found - endpoints.begin());
    const EndpointIndex endpoint{static_cast<std::uint16_t>(index)};
    const std::string_view fault = fault_of_endpoint(settings, index);
    if (!fault.empty()) {
      wrong(fault);
    } else if (std::ranges::find(targets, endpoint, &fleet::Target::endpoint) != targets.end()) {
      wrong("is listed twice");
    } else if (!targets.empty() && endpoints[targets.front().endpoint.value].kind != found->kind) {
      wrong(fmt::format("speaks another API than {}; what is not translated goes to endpoints of one",
                        endpoints[targets.front().endpoint.value].name));
    } else if (std::ranges::find(found->models, name, &fleet::EndpointModel::name) != found->models.end()) {
      wrong(fmt::format("has a model \"{}\"; call the passage otherwise", name.substr(0, 64)));
    } else if (found->models.size() >= fleet::kMaxModelsPerEndpoint) {
      wrong(fmt::format("has {} models and passages already, as many as are allowed", found->models.size()));
    } else {
      targets.push_back({endpoint, ModelIndex{static_cast<std::uint16_t>(found->models.size())}});
      found->models.push_back({.name = std::string(name),
                               .upstream_name = std::string(name),
                               .capabilities = {inference::Capability::kPassthrough}});
    }
  }
  return targets;
}

}  // namespace

void read_passthrough(Section& top, Settings& settings, Errors& errors) {
  const Node* node = top.optional("passthrough");
  if (node == nullptr) return;
  if (node->kind != Node::Kind::kMap || node->members.empty()) {
    return top.error("passthrough",
                     fmt::format("expected a map like `files: {{endpoints: [openai], paths: [/v1/files]}}`, not {}",
                                 node->kind == Node::Kind::kMap ? "an empty one" : document::describe(*node)));
  }
  if (node->members.size() > kMaxPassages) {
    return top.error("passthrough", fmt::format("has {} entries; {} are allowed", node->members.size(), kMaxPassages));
  }
  for (const Member& member : node->members) {
    check_name(NameKind::kModel, member.key, member.key_position, errors);
    if (std::ranges::find(settings.fleet.models, member.key, &fleet::Model::name) != settings.fleet.models.end()) {
      errors.add(member.key_position,
                 fmt::format("passthrough.{0}: there is a model \"{0}\"; keys list both by name, so call it otherwise",
                             member.key.substr(0, 64)));
    }
    Section section(member.value, fmt::format("passthrough.{}", member.key.substr(0, 64)), errors);
    std::vector<fleet::Target> targets = read_targets(section, member.key, settings, errors);
    const std::vector<std::string> paths = read_paths(section, settings, errors);
    Passage passage{member.key, read_methods(section, errors)};
    for (const std::string_view key : {"endpoints", "paths", "methods"}) {
      const Node* list = member.value.kind == Node::Kind::kMap ? member.value.find(key) : nullptr;
      if (list != nullptr && list->kind == Node::Kind::kList && list->items.empty())
        section.error(key, "lists none; name at least one");
    }
    section.finish();
    settings.fleet.models.push_back({.name = member.key, .targets = std::move(targets)});
    settings.passages.add(std::move(passage), paths);
  }
}

}  // namespace thalweg::config
