#include "decide/placement/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/text.h"

namespace thalweg::placement {
namespace {

using inference::Capabilities;
using inference::Capability;

// A sentence names this many targets or models at most; a plan of hundreds would bury the cause.
constexpr std::size_t kMostNamed = 4;

const fleet::EndpointConditions* conditions_of(const World& world, EndpointIndex endpoint) {
  const auto& endpoints = world.conditions->endpoints;
  return endpoint.value < endpoints.size() ? &endpoints[endpoint.value] : nullptr;
}

std::string name_of(const World& world, fleet::Target target) {
  const std::string& endpoint = world.fleet->endpoints[target.endpoint.value].name;
  return target.model ? endpoint + "/" + world.fleet->at(target).name : endpoint;
}

std::string list(const std::vector<std::string>& items, std::string_view last_joint) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += i + 1 == items.size() ? last_joint : std::string_view(", ");
    out += items[i];
  }
  return out;
}

std::string list(inference::Uses uses) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < inference::kUseCount; ++i) {
    const auto use = static_cast<inference::Use>(i);
    if (uses.has(use)) names.emplace_back(inference::name_of(use));
  }
  return list(names, " and ");
}

std::string list(Capabilities capabilities) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < inference::kCapabilityCount; ++i) {
    const auto capability = static_cast<Capability>(i);
    if (capabilities.has(capability)) names.emplace_back(inference::name_of(capability));
  }
  return list(names, " and ");
}

std::string seconds(Duration duration) {
  return fmt::format("{:g} s", static_cast<double>(to_millis(duration)) / 1000);
}

struct Objection {
  const policy::Rule* rule;
  std::string why;  // as the rest of a sentence about the target
};

/// What each rule has against a target that a verdict forbids.
std::vector<Objection> objections(const Verdict& verdict, const Question& question, const World& world) {
  std::vector<Objection> all;
  const policy::Asked asked = question.asked();
  const std::string_view own = verdict.target.model ? std::string_view(world.fleet->at(verdict.target).name) : "";
  for (const policy::Rule& rule : world.policy->rules) {
    if (!rule.applies(asked) || !rule.covers(asked, own)) continue;
    const inference::Uses used = rule.forbidden.shared(asked.uses);
    if (rule.forbids(asked)) {
      all.push_back({&rule, asked.surface == inference::Surface::kPassthrough
                                ? "would get a request that nobody read"
                                : fmt::format("would be asked for {}", list(used))});
    }
    const policy::Breach breach = policy::breach_of(rule, *world.fleet, verdict.target.endpoint);
    if (breach != policy::Breach::kNone)
      all.push_back({&rule, policy::describe(breach, *world.fleet, verdict.target.endpoint)});
  }
  return all;
}

/// "stands in US (rule europe) and is not on this machine (rule patients)"
std::string forbidden_because(const Verdict& verdict, const Question& question, const World& world) {
  std::vector<std::string> words;
  for (const Objection& objection : objections(verdict, question, world))
    words.push_back(fmt::format("{} (rule {})", objection.why, objection.rule->name));
  return words.empty() ? "is outside of the policy, which is of another configuration" : list(words, " and ");
}

/// What a verdict says of its target, as the rest of a sentence: "lacks tools".
std::string predicate(const Verdict& verdict, const Question& question, const World& world) {
  switch (verdict.rejection) {
    case Rejection::kNone:
      return "may serve it";
    case Rejection::kNotTheProbed:
      return "is not the endpoint that this probe is for";
    case Rejection::kLacksCapability:
      return "lacks " + list(verdict.lacking);
    case Rejection::kNotCarried:
      return fmt::format("speaks an API ({}) that cannot say what the request says",
                         fleet::name_of(world.fleet->endpoints[verdict.target.endpoint.value].kind));
    case Rejection::kIssuerUnknown:
      return "is one of several issuers, of which only one can read what the request holds (signed thinking, files)";
    case Rejection::kContextTooSmall:
      return fmt::format("has a context of {} tokens", context_tokens_of(world, verdict.target));
    case Rejection::kForbidden:
      return forbidden_because(verdict, question, world);
    case Rejection::kDown:
      return "is down";
    case Rejection::kNotLoaded: {
      const auto* now = conditions_of(world, verdict.target.endpoint);
      return now != nullptr && now->health == fleet::Health::kLoading ? "is being loaded" : "is not loaded";
    }
    case Rejection::kFull: {
      const std::uint32_t slots = world.fleet->endpoints[verdict.target.endpoint.value].slots;
      const auto* now = conditions_of(world, verdict.target.endpoint);
      if (now == nullptr || slots == 0 || now->running < slots) return "has too few free slots";
      return fmt::format("has no free slot ({} of {} taken)", now->running, slots);
    }
    case Rejection::kTriedBefore:
      return "failed an earlier attempt of this request";
    case Rejection::kSilentBefore:
      return "was silent in an earlier attempt of this request";
    case Rejection::kUnfitBefore:
      return "rejected this request, or the same model did elsewhere";
  }
  return {};
}

/// "local/small lacks tools; cloud/large is down", of those that `which` picks.
template <class Which>
std::string causes(const Decision& decision, const Question& question, const World& world, Which which) {
  std::string out;
  std::size_t named = 0;
  std::size_t more = 0;
  for (const Verdict& verdict : decision.verdicts()) {
    if (!which(verdict.rejection)) continue;
    if (named == kMostNamed) {
      ++more;
      continue;
    }
    if (named++ > 0) out += "; ";
    out += name_of(world, verdict.target) + " " + predicate(verdict, question, world);
  }
  if (more > 0) out += fmt::format("; and {} more", more);
  return out;
}

bool may_use(const Question& question, std::string_view model) {
  return question.subject.key == nullptr || question.subject.key->may_use(model);
}

Capabilities needs_of(const Question& question) {
  return question.needs.joined({inference::need_of(question.surface)});
}

/// Other models that the key may use and of which some target could serve the question now, quoted.
std::vector<std::string> models_that_could(const Question& question, const World& world) {
  std::vector<std::string> names;
  for (const fleet::Model& model : world.fleet->models) {
    if (names.size() == kMostNamed) break;
    if (model.name == question.model || !may_use(question, model.name)) continue;
    const bool could = std::ranges::any_of(model.targets, [&](fleet::Target target) {
      const std::uint64_t context = context_tokens_of(world, target);
      return capabilities_of(world, target).covers(needs_of(question)) && !question.bound_elsewhere &&
             question.carried_by.has(world.fleet->endpoints[target.endpoint.value].kind) &&
             (context == 0 || question.estimated_input_tokens <= context * kEstimateMargin);
    });
    if (could) names.push_back(fmt::format("\"{}\"", model.name));
  }
  return names;
}

std::string could_advice(const Question& question, const World& world, std::string_view otherwise) {
  const std::vector<std::string> names = models_that_could(question, world);
  if (names.empty()) return std::string(otherwise);
  return fmt::format("{} can serve it", list(names, " or "));
}

/// The model's name as the caller wrote it, in quotes and cut to a length that fits a sentence.
std::string asked_model(const Question& question, const World& world) {
  if (question.model.empty() && question.only) return world.fleet->endpoints[question.only.value].name;
  constexpr std::size_t kLongest = 128;
  if (question.model.size() <= kLongest) return fmt::format("\"{}\"", question.model);
  std::size_t end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(question.model[end]) & 0xC0) == 0x80) --end;  // between two characters
  return fmt::format("\"{}...\"", question.model.substr(0, end));
}

std::string model_not_found(const Question& question, const World& world) {
  if (question.only && question.only.value >= world.fleet->endpoints.size()) {
    return "the endpoint to probe is not configured any more";
  }
  std::vector<std::string_view> names;
  for (const fleet::Model& model : world.fleet->models) {
    if (may_use(question, model.name)) names.emplace_back(model.name);
  }
  if (question.model == fleet::kAutoModel) return "no model is configured that this key may use";
  const bool keyless = question.subject.key == nullptr;
  std::string out =
      fmt::format("there is no model {}{}", asked_model(question, world), keyless ? "" : " that this key may use");
  if (!names.empty()) names.push_back(fleet::kAutoModel);
  if (const auto near = did_you_mean(question.model, names)) return out + fmt::format("; did you mean \"{}\"?", *near);
  if (names.empty()) return out;
  std::vector<std::string> offered;
  for (const std::string_view name : names) {
    if (offered.size() == kMostNamed && names.size() > kMostNamed + 1) {
      return out + fmt::format("; {} {} and {} more", keyless ? "there are" : "it may use", list(offered, ", "),
                               names.size() - kMostNamed);
    }
    offered.push_back(fmt::format("\"{}\"", name));
  }
  return out + fmt::format("; {} {}", keyless ? "ask for" : "it may use", list(offered, " or "));
}

std::string forbidden(const Decision& decision, const Question& question, const World& world) {
  std::vector<const policy::Rule*> rules;
  inference::Uses uses;
  for (const Verdict& verdict : decision.verdicts()) {
    if (verdict.rejection != Rejection::kForbidden) continue;
    for (const Objection& objection : objections(verdict, question, world)) {
      if (std::ranges::find(rules, objection.rule) == rules.end()) rules.push_back(objection.rule);
      if (question.surface != inference::Surface::kPassthrough)
        uses = uses.joined(objection.rule->forbidden.shared(question.asked().uses));
    }
  }
  std::vector<std::string> names;
  for (const policy::Rule* rule : rules) names.push_back(rule->name);
  const std::string why =
      causes(decision, question, world, [](Rejection rejection) { return rejection == Rejection::kForbidden; });
  const std::string advice = uses.empty() ? "" : fmt::format("; leave {} out of the request", list(uses));
  return fmt::format("the policy ({} {}) leaves no endpoint for {}: {}{}", names.size() == 1 ? "rule" : "rules",
                     list(names, " and "), asked_model(question, world), why, advice);
}

std::string outcome_line(const Decision& decision, const Question& question, const World& world) {
  switch (decision.outcome()) {
    case Outcome::kRun:
      return fmt::format("runs at {}, attempt {}", name_of(world, decision.target()), decision.attempt());
    case Outcome::kWait:
      if (decision.to_load()) {
        return fmt::format("waits for {} to load its model, attempt {}",
                           world.fleet->endpoints[decision.to_load().value].name, decision.attempt());
      }
      return fmt::format("waits up to {} for {}, attempt {}", seconds(decision.wait()), asked_model(question, world),
                         decision.attempt());
    case Outcome::kDeny:
      return fmt::format("denied ({}): {}", thalweg::name_of(decision.denial()),
                         denial_sentence(decision, question, world));
  }
  return {};
}

}  // namespace

std::string denial_sentence(const Decision& decision, const Question& question, const World& world) {
  const auto is_cause = [](Rejection rejection) { return rejection != Rejection::kNotTheProbed; };
  switch (decision.denial()) {
    case ErrorCode::kModelNotFound:
      return model_not_found(question, world);
    case ErrorCode::kUnsupported: {
      const bool lacking = std::ranges::find(decision.verdicts(), Rejection::kLacksCapability, &Verdict::rejection) !=
                           decision.verdicts().end();
      std::string why = causes(decision, question, world, is_cause);
      if (why.empty()) why = fmt::format("none of its endpoints speaks {}", inference::name_of(question.surface));
      return fmt::format(
          "no endpoint can serve {}: {}; {}", asked_model(question, world), why,
          could_advice(question, world,
                       lacking ? "leave that out of the request or ask for another model" : "ask for another model"));
    }
    case ErrorCode::kForbidden:
      return forbidden(decision, question, world);
    case ErrorCode::kContextExceeded:
      return fmt::format("a prompt of about {} tokens does not fit {}: {}; {}", question.estimated_input_tokens,
                         asked_model(question, world),
                         causes(decision, question, world,
                                [](Rejection rejection) { return rejection == Rejection::kContextTooSmall; }),
                         could_advice(question, world, "shorten the prompt"));
    case ErrorCode::kOverloaded:
      return fmt::format("no slot came free for {} within {}: {}; try again later", asked_model(question, world),
                         seconds(question.wait_limit), causes(decision, question, world, [](Rejection rejection) {
                           return rejection == Rejection::kFull || rejection == Rejection::kNotLoaded;
                         }));
    case ErrorCode::kRateLimited:
      return fmt::format("every endpoint for {} said that it is busy; try again later", asked_model(question, world));
    default: {
      const auto why = causes(decision, question, world, [](Rejection rejection) {
        return rejection == Rejection::kDown || rejection == Rejection::kTriedBefore ||
               rejection == Rejection::kSilentBefore || rejection == Rejection::kUnfitBefore;
      });
      if (question.attempt > kMaxAttempts) {
        return fmt::format("all {} attempts to serve {} failed; try again later", kMaxAttempts,
                           asked_model(question, world));
      }
      return fmt::format("no endpoint for {} is available: {}; try again later", asked_model(question, world), why);
    }
  }
}

std::string explain(const Decision& decision, const Question& question, const World& world) {
  std::string out = outcome_line(decision, question, world) + "\n";
  std::size_t rank = 0;
  for (const Verdict& verdict : decision.verdicts()) {
    const bool chosen = decision.outcome() == Outcome::kRun && verdict.target == decision.target();
    const auto* now = conditions_of(world, verdict.target.endpoint);
    const bool on_trial = now != nullptr && now->health == fleet::Health::kTrial;
    fmt::format_to(std::back_inserter(out), "{:>3}. {} {}{}{}\n", ++rank, name_of(world, verdict.target),
                   predicate(verdict, question, world), on_trial ? ", on trial after failures" : "",
                   chosen ? " <- chosen" : "");
  }
  fmt::format_to(std::back_inserter(out), "fleet {}, policy {}, conditions {}, place version {}, decision {:016x}\n",
                 decision.fleet_number(), decision.policy_number(), decision.conditions_number(), kPlaceVersion,
                 decision.hash());
  return out;
}

std::string explain_json(const Decision& decision, const Question& question, const World& world) {
  using Json = nlohmann::ordered_json;
  Json json;
  json["outcome"] = name_of(decision.outcome());
  json["request"] = decision.request().text();
  json["attempt"] = decision.attempt();
  json["surface"] = inference::name_of(question.surface);
  json["model"] = question.model;
  if (decision.outcome() == Outcome::kRun) {
    const fleet::Target target = decision.target();
    json["endpoint"] = world.fleet->endpoints[target.endpoint.value].name;
    if (target.model) json["endpoint_model"] = world.fleet->at(target).name;
    json["timeouts_ms"] = {{"connect", to_millis(decision.timeouts().connect)},
                           {"first_token", to_millis(decision.timeouts().first_token)},
                           {"gap", to_millis(decision.timeouts().gap)},
                           {"whole", to_millis(decision.timeouts().whole)},
                           {"total", to_millis(decision.timeouts().total)}};
    json["obligations"] = {{"output_cap", decision.obligations().output_cap},
                           {"no_storage", decision.obligations().no_storage}};
  } else if (decision.outcome() == Outcome::kWait) {
    json["wait_ms"] = to_millis(decision.wait());
    if (decision.to_load()) json["loads"] = world.fleet->endpoints[decision.to_load().value].name;
  } else {
    json["denial"] = thalweg::name_of(decision.denial());
    json["message"] = denial_sentence(decision, question, world);
  }
  json["candidates"] = Json::array();
  for (const Verdict& verdict : decision.verdicts()) {
    Json row;
    row["endpoint"] = world.fleet->endpoints[verdict.target.endpoint.value].name;
    if (verdict.target.model) row["model"] = world.fleet->at(verdict.target).name;
    row["verdict"] = name_of(verdict.rejection);
    if (const auto* now = conditions_of(world, verdict.target.endpoint)) row["health"] = fleet::name_of(now->health);
    if (!verdict.lacking.empty()) {
      row["lacking"] = Json::array();
      for (std::size_t i = 0; i < inference::kCapabilityCount; ++i) {
        const auto capability = static_cast<Capability>(i);
        if (verdict.lacking.has(capability)) row["lacking"].push_back(inference::name_of(capability));
      }
    }
    if (verdict.rejection == Rejection::kForbidden) {
      row["rules"] = Json::array();
      for (const Objection& objection : objections(verdict, question, world)) {
        if (row["rules"].empty() || row["rules"].back() != objection.rule->name)
          row["rules"].push_back(objection.rule->name);
      }
    }
    row["explanation"] = predicate(verdict, question, world);
    json["candidates"].push_back(std::move(row));
  }
  json["snapshots"] = {
      {"fleet", {{"number", decision.fleet_number()}, {"sha256", to_hex(world.fleet->hash)}}},
      {"policy", {{"number", decision.policy_number()}, {"sha256", to_hex(world.policy->hash)}}},
      {"facts", {{"number", world.facts->number}, {"sha256", to_hex(world.facts->hash)}}},
      {"conditions", {{"number", decision.conditions_number()}}},
  };
  json["place_version"] = kPlaceVersion;
  json["decision_hash"] = fmt::format("{:016x}", decision.hash());  // 64 bits: more than a JSON number holds exactly
  // The model's name is the caller's own bytes: what is not UTF-8 is replaced, not thrown at us.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace thalweg::placement
