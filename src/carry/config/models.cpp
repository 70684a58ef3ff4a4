#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "carry/config/names.h"
#include "carry/config/sections.h"

namespace thalweg::config {
namespace {

using document::Errors;
using document::Node;

// Points to the endpoint's model that `text` names, or nowhere with the error reported.
fleet::Target read_target(std::string_view text, Position position, std::string_view path, const fleet::Fleet& fleet,
                          Errors& errors) {
  const auto wrong = [&](std::string why) {
    errors.add(position, fmt::format("{}: {}", path, why));
    return fleet::Target{};
  };
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos)
    return wrong(fmt::format("\"{}\" is not of the form endpoint/model", text.substr(0, 64)));
  const std::string_view endpoint_name = text.substr(0, slash);
  const std::string_view model_name = text.substr(slash + 1);
  std::vector<std::string_view> names;
  const auto endpoint = std::ranges::find(fleet.endpoints, endpoint_name, &fleet::Endpoint::name);
  if (endpoint == fleet.endpoints.end()) {
    for (const fleet::Endpoint& known : fleet.endpoints) names.push_back(known.name);
    return wrong(
        fmt::format("there is no endpoint \"{}\"{}", endpoint_name.substr(0, 64), known_instead(endpoint_name, names)));
  }
  const auto model = std::ranges::find(endpoint->models, model_name, &fleet::EndpointModel::name);
  if (model == endpoint->models.end()) {
    for (const fleet::EndpointModel& known : endpoint->models) names.push_back(known.name);
    return wrong(fmt::format("the endpoint {} has no model \"{}\"{}", endpoint->name, model_name.substr(0, 64),
                             known_instead(model_name, names)));
  }
  return {EndpointIndex{static_cast<std::uint16_t>(endpoint - fleet.endpoints.begin())},
          ModelIndex{static_cast<std::uint16_t>(model - endpoint->models.begin())}};
}

// Vectors or scores of two models, or of two revisions of one, cannot be compared, and a store of them would be spoilt
// without a sound.
std::string mix_of(const fleet::Fleet& fleet, const fleet::Model& model) {
  struct Result {
    inference::Capability capability;
    std::string_view does, does_not, results;
  };
  static constexpr std::array<Result, 2> kResults = {
      {{inference::Capability::kEmbeddings, "makes embeddings", "makes none", "vectors"},
       {inference::Capability::kRerank, "ranks documents", "ranks none", "scores"}}};
  for (const auto& [capability, does, does_not, results] : kResults) {
    const auto makes = [&](fleet::Target target) { return fleet.at(target).capabilities.has(capability); };
    const auto first = std::ranges::find_if(model.targets, makes);
    if (first == model.targets.end()) continue;
    for (const fleet::Target target : model.targets) {
      const fleet::EndpointModel& one = fleet.at(*first);
      const fleet::EndpointModel& other = fleet.at(target);
      if (makes(target) && one.upstream_name == other.upstream_name) continue;
      return fmt::format("{}/{} {} with \"{}\", and {}/{} {}; one model's {} cannot be compared with another's",
                         fleet.endpoints[first->endpoint.value].name, one.name, does, one.upstream_name,
                         fleet.endpoints[target.endpoint.value].name, other.name,
                         makes(target) ? fmt::format("with \"{}\"", other.upstream_name) : std::string(does_not),
                         results);
    }
  }
  return {};
}

// Without `models:` every endpoint's model is offered under its own name; endpoints that share a name back each other.
void offer_all(document::Section& top, fleet::Fleet& fleet) {
  std::unordered_map<std::string_view, std::size_t> offered;
  for (std::size_t e = 0; e < fleet.endpoints.size(); ++e) {
    for (std::size_t m = 0; m < fleet.endpoints[e].models.size(); ++m) {
      const std::string& name = fleet.endpoints[e].models[m].name;
      const auto [at, is_new] = offered.emplace(name, fleet.models.size());
      if (is_new) fleet.models.push_back({.name = name, .targets = {}});
      fleet.models[at->second].targets.push_back(
          {EndpointIndex{static_cast<std::uint16_t>(e)}, ModelIndex{static_cast<std::uint16_t>(m)}});
    }
  }
  for (const fleet::Model& model : fleet.models) {
    if (const std::string mix = mix_of(fleet, model); !mix.empty()) {
      top.error("endpoints", fmt::format("under the name \"{}\" {}", model.name, mix));
    }
    if (model.targets.size() > fleet::kMaxTargetsPerModel) {
      top.error(
          "endpoints",
          fmt::format("{} endpoints have a model \"{}\"; {} may back each other. List the ones to use under `models`",
                      model.targets.size(), model.name, fleet::kMaxTargetsPerModel));
    }
  }
}

}  // namespace

void read_models(document::Section& top, Settings& settings, Errors& errors) {
  fleet::Fleet& fleet = settings.fleet;
  const Node* node = top.optional("models");
  if (node == nullptr) return offer_all(top, fleet);
  if (node->kind != Node::Kind::kMap || node->members.empty()) {
    return top.error(
        "models",
        fmt::format("expected a map like `small: [endpoint/model]`, not {}; leave it out to offer every model",
                    node->kind == Node::Kind::kMap ? "an empty one" : document::describe(*node)));
  }
  if (node->members.size() > kMaxModels) {
    return top.error("models", fmt::format("has {} models; {} are allowed", node->members.size(), kMaxModels));
  }
  document::Section section(*node, "models", errors);
  for (const document::Member& member : node->members) {
    check_name(NameKind::kModel, member.key, member.key_position, errors);
    fleet::Model& model = fleet.models.emplace_back();
    model.name = member.key;
    const std::string path = fmt::format("models.{}", member.key.substr(0, 64));
    for (const document::Section::Word& word : section.texts(member.key, fleet::kMaxTargetsPerModel)) {
      const fleet::Target target = read_target(word.text, word.position, path, fleet, errors);
      if (!target.endpoint) continue;
      if (std::ranges::find(model.targets, target) != model.targets.end()) {
        errors.add(word.position, fmt::format("{}: {} is listed twice", path, word.text));
      } else {
        model.targets.push_back(target);
      }
    }
    if (const std::string mix = mix_of(fleet, model); !mix.empty()) section.error(member.key, mix);
    if (member.value.kind == Node::Kind::kList && member.value.items.empty()) {
      section.error(member.key, "lists nothing that could answer; name at least one endpoint/model");
    }
  }
}

}  // namespace thalweg::config
