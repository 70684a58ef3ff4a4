// LiteLLM's proxy: model_list (import_litellm_deployment.cpp), then what its other sections say of those models. Every
// other key is noted; the values of none are repeated, since many are secrets.
#include "show/cli/import_litellm.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "carry/config/names.h"
#include "decide/fleet/fleet.h"

namespace thalweg::cli {
namespace {

using document::Member;
using document::Node;

/// A key, and why it is not carried or what is to be done about it.
struct Remark {
  std::string_view key;
  NoteKind kind;
  std::string_view sentence;
};

constexpr std::array<Remark, 19> kRemarks = {{
    {"master_key", NoteKind::kToDo,
     "callers' keys are kept as hashes: `thalweg key new --id admin` prints a new one and its line for `keys:`. "
     "Callers "
     "then need the new key"},
    {"routing_strategy", NoteKind::kChanged, "targets are asked in their order"},
    {"routing_strategy_args", NoteKind::kNotCarried, "targets are asked in their order"},
    {"num_retries", NoteKind::kNotCarried, "Thalweg retries within its own budget, see docs/reliability.md"},
    {"retry_policy", NoteKind::kNotCarried, "Thalweg retries within its own budget, see docs/reliability.md"},
    {"allowed_fails", NoteKind::kNotCarried, "an endpoint is down after three failures, see docs/reliability.md"},
    {"cooldown_time", NoteKind::kNotCarried, "a probe finds out when an endpoint is well again"},
    {"enable_pre_call_checks", NoteKind::kNotCarried, "Thalweg always asks whether a request fits a model's `context`"},
    {"context_window_fallbacks", NoteKind::kNotCarried,
     "give the models their `context`: a request that does not fit goes to the next target"},
    {"content_policy_fallbacks", NoteKind::kNotCarried, "a refusal goes back to the caller"},
    {"drop_params", NoteKind::kChanged,
     "nothing is dropped: a target that cannot do what a request asks for is not asked"},
    {"modify_params", NoteKind::kNotCarried, "requests are not changed to suit an endpoint"},
    {"database_url", NoteKind::kNotCarried,
     "keys and models stand in thalweg.yaml; what is in the database stays there"},
    {"store_model_in_db", NoteKind::kNotCarried, "models stand in thalweg.yaml; what is in the database stays there"},
    {"success_callback", NoteKind::kNotCarried, "there are metrics and an access log, see docs/formats"},
    {"failure_callback", NoteKind::kNotCarried, "there are metrics and an access log, see docs/formats"},
    {"callbacks", NoteKind::kNotCarried, "there are metrics and an access log, see docs/formats"},
    {"cache", NoteKind::kNotCarried, "answers are not cached"},
    {"include", NoteKind::kToDo, "included files are not read: import each, and put the results together"},
}};

/// What it makes cannot be compared with what another model makes.
bool is_alone(const ImportedModel& model) {
  return model.capability == "embeddings" || model.capability == "rerank";
}

class LiteLlm {
 public:
  LiteLlm(const Node& root, const std::filesystem::path& file) : root_(root), file_(file) {}

  Imported read() {
    LiteLlmDeployments deployments(root_, file_, imported_);
    if (const Node* const list = root_.find("model_list"); list != nullptr && list->kind == Node::Kind::kList) {
      for (const Node& entry : list->items) deployments.add(entry);
    } else {
      note(NoteKind::kNotCarried, root_.position,
           "there is no model_list; models of LiteLLM's database are in no file");
    }
    deployments.finish();
    for (const Member& section : root_.members) {
      if (section.key == "model_list" || section.key == "credential_list") continue;
      const bool known =
          section.key == "router_settings" || section.key == "litellm_settings" || section.key == "general_settings";
      if (known && section.value.kind == Node::Kind::kMap) {
        for (const Member& member : section.value.members) read_setting(section.key, member);
      } else if (section.key == "environment_variables") {
        for (const Member& member : section.value.members)
          note(NoteKind::kToDo, member.key_position,
               fmt::format("set {} in the environment, if something here still needs it", member.key));
      } else {
        remark(section);
      }
    }
    for (const auto& [name, targets] : default_fallbacks_) imported_.offer(name, targets);
    // Last: another name has the fallbacks, too.
    if (aliases_ != nullptr) read_aliases(*aliases_);
    trim_targets();
    return std::move(imported_);
  }

 private:
  void note(NoteKind kind, Position position, std::string sentence) {
    imported_.note(kind, file_, position, std::move(sentence));
  }

  void remark(const Member& member) {
    const auto known = std::ranges::find(kRemarks, std::string_view(member.key), &Remark::key);
    if (known == kRemarks.end()) return note(NoteKind::kNotCarried, member.key_position, member.key);
    note(known->kind, member.key_position, fmt::format("{}: {}", member.key, known->sentence));
  }

  void read_setting(std::string_view section, const Member& member) {
    if (member.key == "fallbacks") return read_fallbacks(member.value);
    if (member.key == "default_fallbacks") return read_default_fallbacks(member.value);
    if (section == "router_settings" && member.key == "model_group_alias") {
      aliases_ = &member.value;
      return;
    }
    const bool is_timeout =
        member.key == "timeout" || member.key == "stream_timeout" || member.key == "request_timeout";
    // Read with each deployment.
    if (is_timeout && section != "general_settings" && seconds_at_least_once(member)) return;
    remark(member);
  }

  static bool seconds_at_least_once(const Member& member) {
    Node holder;
    holder.members.push_back(member);
    return seconds_at(holder, member.key) != Duration{};
  }

  const ImportedName* offered(const std::string& name) const {
    const auto found = std::ranges::find(imported_.names, as_model_name(name), &ImportedName::name);
    return found == imported_.names.end() ? nullptr : &*found;
  }

  /// The targets of the names in a list; a name that is not there is noted.
  std::vector<std::string> targets_of(const Node& names) {
    std::vector<std::string> targets;
    for (const Node& item : names.items) {
      if (const ImportedName* const name = offered(item.text); item.kind == Node::Kind::kScalar && name != nullptr) {
        targets.insert(targets.end(), name->targets.begin(), name->targets.end());
      } else {
        note(NoteKind::kNotCarried, item.position, "a fallback that is no name of a model carried from model_list");
      }
    }
    return targets;
  }

  // [{model: [other, ...]}, ...]
  void read_fallbacks(const Node& list) {
    std::vector<std::pair<std::string, std::vector<std::string>>> added;
    for (const Node& entry : list.items) {
      for (const Member& member : entry.members) {
        if (member.key == "*") {
          read_default_fallbacks(member.value);
        } else if (const ImportedName* const name = offered(member.key); name != nullptr) {
          added.emplace_back(name->name, targets_of(member.value));
        } else {
          note(NoteKind::kNotCarried, member.key_position,
               fmt::format("fallbacks of {}, which is no name of a model carried from model_list", member.key));
        }
      }
    }
    // Afterwards, so that fallbacks of a fallback are not followed; LiteLLM does not follow them either.
    for (const auto& [name, targets] : added) imported_.offer(name, targets);
  }

  void read_default_fallbacks(const Node& list) {
    const std::vector<std::string> targets = targets_of(list);
    for (const ImportedName& name : imported_.names) default_fallbacks_.emplace_back(name.name, targets);
  }

  // {alias: model} or {alias: {model: model, hidden: true}}
  void read_aliases(const Node& map) {
    for (const Member& member : map.members) {
      const std::string meant =
          member.value.kind == Node::Kind::kScalar ? member.value.text : text_at(member.value, "model");
      const ImportedName* const name = offered(meant);
      if (name == nullptr || !config::fault_of_name(config::NameKind::kModel, member.key).empty()) {
        note(NoteKind::kNotCarried, member.key_position,
             fmt::format("the alias {} of a model that is not here, or no name for one", member.key));
        continue;
      }
      const std::vector<std::string> targets = name->targets;
      imported_.offer(member.key, targets);
      if (text_at(member.value, "hidden") == "true" || text_at(member.value, "hidden") == "True")
        note(NoteKind::kChanged, member.key_position, fmt::format("the alias {} is listed", member.key));
    }
  }

  /// What a name may not lead to: vectors or scores of two models, and more targets than a name has.
  void trim_targets() {
    std::unordered_map<std::string, const ImportedModel*> models;
    for (const ImportedEndpoint& endpoint : imported_.endpoints) {
      for (const ImportedModel& model : endpoint.models)
        models[fmt::format("{}/{}", endpoint.name, model.name)] = &model;
    }
    for (ImportedName& name : imported_.names) {
      const ImportedModel& first = *models.at(name.targets.front());
      const std::size_t before = name.targets.size();
      std::erase_if(name.targets, [&](const std::string& target) {
        const ImportedModel& model = *models.at(target);
        const bool alone = is_alone(first) || is_alone(model);
        return alone && (model.capability != first.capability || model.upstream != first.upstream);
      });
      if (name.targets.size() != before)
        note(NoteKind::kNotCarried, {},
             fmt::format("{}: a second model of embeddings or scores; those of different models cannot be compared",
                         name.name));
      if (name.targets.size() > fleet::kMaxTargetsPerModel) {
        note(NoteKind::kNotCarried, {},
             fmt::format("{}: the targets after the first {}", name.name, fleet::kMaxTargetsPerModel));
        name.targets.resize(fleet::kMaxTargetsPerModel);
      }
    }
  }

  const Node& root_;
  const std::filesystem::path& file_;
  Imported imported_;
  std::vector<std::pair<std::string, std::vector<std::string>>> default_fallbacks_;
  const Node* aliases_ = nullptr;
};

}  // namespace

ImportResult import_litellm(std::string_view bytes, const std::filesystem::path& file) {
  const auto root = parse_source(bytes);
  if (!root) return std::unexpected(root.error());
  if (root->kind != Node::Kind::kMap) {
    return std::unexpected(std::vector<Error>{
        {ErrorCode::kConfig, "this is no configuration of LiteLLM's proxy: expected a map with model_list", {1, 1}}});
  }
  return LiteLlm(*root, file).read();
}

}  // namespace thalweg::cli
