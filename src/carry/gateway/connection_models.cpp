// The lists of models: which there are for the key that asks, and what is known of them.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/canonical.h"
#include "carry/dialect/ollama_models.h"
#include "carry/dialect/openai.h"
#include "carry/gateway/connection.h"
#include "carry/json/text.h"
#include "decide/placement/place.h"

namespace thalweg::gateway {

namespace {

/// What the lists are made from, all of one moment.
struct Known {
  const Snapshot& snapshot;
  const fleet::Conditions& conditions;
};

/// A model, not what stands for paths that go through.
bool is_model(const fleet::Fleet& fleet, const fleet::Model& model) {
  return !fleet.at(model.targets.front()).capabilities.has(inference::Capability::kPassthrough);
}

bool runs_engine(const Known& known, fleet::Target target) {
  const fleet::Health health = known.conditions.endpoints[target.endpoint.value].health;
  return known.snapshot.fleet().endpoints[target.endpoint.value].kind == fleet::EndpointKind::kEngine &&
         (health == fleet::Health::kHealthy || health == fleet::Health::kTrial);
}

/// The name, and what answers for it: `models` are one configured model, or all of them for `auto`.
dialect::OllamaModel describe(const Known& known, std::string_view name,
                              const std::vector<const fleet::Model*>& models) {
  const Snapshot& snapshot = known.snapshot;
  const fleet::Fleet& fleet = snapshot.fleet();
  const placement::World world{&fleet, &snapshot.settings.policy, &snapshot.facts, &known.conditions};
  dialect::OllamaModel about{.name = name, .digest = {}, .file_bytes = {}, .modified_at = {}, .capabilities = {}};
  CanonicalBytes identity;
  identity.text("thalweg model 1");
  identity.text(name);
  for (const fleet::Model* model : models) {
    for (const fleet::Target target : model->targets) {
      identity.text(fleet.endpoints[target.endpoint.value].name);
      identity.text(fleet.at(target).upstream_name);
      about.capabilities = about.capabilities.joined(placement::capabilities_of(world, target));
      about.context_tokens = std::max(about.context_tokens, placement::context_tokens_of(world, target));
      const auto& file = snapshot.endpoints[target.endpoint.value].file;
      if (!file || about.file_bytes || models.size() > 1) continue;
      about.file_bytes = file->bytes;
      about.modified_at = file->modified_at;
    }
  }
  about.digest = identity.hash();
  return about;
}

}  // namespace

void Connection::answer_models() {
  const auto newest = worker_.snapshot();  // which the conditions belong to
  const Known known{*newest, *worker_.conditions()};
  std::vector<const fleet::Model*> models;
  for (const fleet::Model& model : newest->fleet().models) {
    const bool may_use = subject_.key == nullptr || subject_.key->may_use(model.name);
    if (may_use && is_model(newest->fleet(), model)) models.push_back(&model);
  }
  std::vector<std::string_view> names;
  for (const fleet::Model* model : models) names.push_back(model->name);
  if (!names.empty()) names.push_back(fleet::kAutoModel);

  const http::RequestHead& head = reader_.head({buffer_.get(), filled_});
  const auto answer = [&](const std::string& body) { answer_simple(200, "application/json", body, keep_alive_); };
  const auto about = [&](std::string_view name) {
    if (name == fleet::kAutoModel) return describe(known, name, models);
    return describe(known, name, {newest->fleet().find_model(name)});
  };
  switch (route_) {
    case Route::kModels:
      return answer(dialect::models_body(names));
    case Route::kModel: {
      const std::string_view wanted = head.path.substr(std::string_view("/v1/models/").size());
      if (std::ranges::find(names, wanted) != names.end()) return answer(dialect::model_body(wanted));
      return refuse({ErrorCode::kModelNotFound,
                     fmt::format("there is no model \"{}\" here, or the key may not use it; GET /v1/models lists what "
                                 "there is",
                                 wanted.substr(0, kMaxQuoted)),
                     {}},
                    true);
    }
    case Route::kOllamaShow: {
      const auto asked = dialect::read_ollama_show(reader_.body({buffer_.get(), filled_}));
      if (!asked) return refuse(asked.error(), true);
      const std::string_view name = dialect::meant_model(newest->fleet(), *asked);
      if (std::ranges::find(names, name) != names.end()) return answer(dialect::ollama_show_body(about(name)));
      return refuse(
          {ErrorCode::kModelNotFound,
           fmt::format("model \"{}\" not found; GET /api/tags lists what there is", json::cut_at(*asked, kMaxQuoted)),
           {}},
          true);
    }
    case Route::kOllamaPs: {
      std::vector<dialect::OllamaModel> loaded;
      for (const fleet::Model* model : models) {
        const auto target =
            std::ranges::find_if(model->targets, [&](fleet::Target t) { return runs_engine(known, t); });
        if (target == model->targets.end()) continue;
        fleet::Model there{model->name, {*target}};
        loaded.push_back(describe(known, model->name, {&there}));
        loaded.back().digest = about(model->name).digest;
        const auto& rules = newest->settings.endpoints[target->endpoint.value].engine;
        loaded.back().stays = !rules->on_demand || rules->pinned;
      }
      return answer(dialect::ollama_ps_body(loaded));
    }
    default: {
      std::vector<dialect::OllamaModel> all;
      for (const std::string_view name : names) all.push_back(about(name));
      return answer(dialect::ollama_tags_body(all));
    }
  }
}

}  // namespace thalweg::gateway
