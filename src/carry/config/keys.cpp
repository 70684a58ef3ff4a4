#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "carry/config/names.h"
#include "carry/config/sections.h"

namespace thalweg::config {
namespace {

using document::Errors;
using document::Node;

policy::Key read_key(const Node& node, std::string path, const std::unordered_map<std::string_view, bool>& offered,
                     const std::vector<std::string_view>& names, Errors& errors) {
  policy::Key key;
  document::Section section(node, std::move(path), errors);
  if (section.required("id", "what the key is called, as in tw_<id>_...") != nullptr) {
    key.id = section.text("id", "");
    check_name(NameKind::kKey, key.id, node.find("id")->position, errors);
  }
  if (section.required("sha256", "the hash that `thalweg key new` prints") != nullptr) {
    if (const auto hash = parse_sha256(section.text("sha256", ""))) {
      key.secret_sha256 = *hash;
    } else {
      section.error("sha256", "expected 64 hexadecimal digits, as `thalweg key new` prints them");
    }
  }
  key.tenant = section.text("tenant", "default");
  if (const Node* tenant = node.find("tenant"); tenant != nullptr && tenant->kind == Node::Kind::kScalar) {
    check_name(NameKind::kTenant, key.tenant, tenant->position, errors);
  }
  for (document::Section::Word& word : section.texts("models", kMaxModels)) {
    if (word.text == fleet::kAutoModel) {
      errors.add(word.position,
                 fmt::format("{}: auto needs no listing; it means those of the key's models that can chat",
                             section.path_of("models")));
    } else if (!offered.contains(word.text)) {
      errors.add(word.position, fmt::format("{}: there is no model \"{}\"{}", section.path_of("models"),
                                            word.text.substr(0, 64), known_instead(word.text, names)));
    }
    key.models.push_back(std::move(word.text));
  }
  if (const Node* models = node.find("models");
      models != nullptr && models->kind == Node::Kind::kList && models->items.empty()) {
    section.error("models", "lists none; name at least one model, or leave the list out to allow every model");
  }
  section.finish();
  return key;
}

}  // namespace

void read_keys(document::Section& top, Settings& settings, Errors& errors) {
  const Node* node = top.optional("keys");
  if (node == nullptr) return;
  if (node->kind != Node::Kind::kList) {
    return top.error("keys", fmt::format("expected a list, one key an entry (`- {{id: ..., sha256: ...}}`), not {}",
                                         document::describe(*node)));
  }
  if (node->items.empty()) {
    return top.error(
        "keys",
        "lists none, which would let every caller in; add a key (`thalweg key new`), or leave `keys` out to say so");
  }
  if (node->items.size() > policy::kMaxKeys) {
    return top.error("keys", fmt::format("has {} keys; {} are allowed", node->items.size(), policy::kMaxKeys));
  }
  std::unordered_map<std::string_view, bool> offered;
  std::vector<std::string_view> names;
  for (const fleet::Model& model : settings.fleet.models) {
    offered.emplace(model.name, true);
    names.push_back(model.name);
  }
  std::unordered_map<std::string, Position> ids;
  std::map<Sha256, Position> hashes;
  for (std::size_t i = 0; i < node->items.size(); ++i) {
    const Node& item = node->items[i];
    policy::Key key = read_key(item, fmt::format("keys[{}]", i), offered, names, errors);
    const auto again = [&](std::string_view what, Position first) {
      errors.add(item.position,
                 fmt::format("keys[{}]: {} stands a second time; the first is on line {}", i, what, first.line));
    };
    if (const auto [at, is_new] = ids.emplace(key.id, item.position); !is_new && !key.id.empty()) {
      again(fmt::format("the id \"{}\"", key.id), at->second);
    }
    if (const auto [at, is_new] = hashes.emplace(key.secret_sha256, item.position);
        !is_new && key.secret_sha256 != Sha256{}) {
      again("this sha256", at->second);
    }
    settings.policy.keys.push_back(std::move(key));
  }
}

}  // namespace thalweg::config
