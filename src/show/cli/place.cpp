#include "decide/placement/place.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "base/hash.h"
#include "base/text.h"
#include "carry/config/settings.h"
#include "carry/dialect/openai.h"
#include "carry/http/message.h"
#include "decide/placement/explain.h"
#include "show/cli/cli.h"

namespace thalweg::cli {

namespace {

struct Flags {
  std::string config = "thalweg.yaml";
  std::string surface = "openai-chat";
  std::string key;
  std::string request;
  bool json = false;
};

int dry_run(const Flags& flags) {
  const auto settings = config::load(flags.config);
  if (!settings) {
    fmt::print(stderr, "{}", config::render(settings.error(), flags.config));
    return 2;
  }
  std::ifstream file(flags.request, std::ios::binary);
  std::string body{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    fmt::print(stderr, "thalweg: cannot read {}\n", flags.request);
    return 1;
  }
  body.reserve(body.size() + http::kPadding);
  inference::Surface surface = inference::Surface::kOpenAiChat;
  if (flags.surface == inference::name_of(inference::Surface::kOpenAiCompletions)) {
    surface = inference::Surface::kOpenAiCompletions;
  }
  dialect::OpenAiRequest parsed;
  if (const auto read = parsed.parse(surface, body); !read) {
    fmt::print(stderr, "{}: error: {}\n", flags.request, read.error().message);
    return 1;
  }
  placement::Question question;
  question.take_features(parsed.request());
  question.asked_at = question.first_asked_at = MonotonicClock::now();
  question.wait_limit = settings->limits.wait;
  question.utc = UtcClock::now();
  if (!flags.key.empty()) {
    question.subject.key = settings->policy.find_key(flags.key);
    if (question.subject.key == nullptr) {
      fmt::print(stderr, "thalweg: {} has no key with the id \"{}\"\n", flags.config, flags.key);
      return 1;
    }
    question.subject.tenant = question.subject.key->tenant;
  }
  // Nothing runs, so nothing is known of the endpoints: what they would tell themselves counts as the configuration
  // says.
  fleet::Conditions conditions;
  for (const fleet::Endpoint& endpoint : settings->fleet.endpoints) {
    conditions.endpoints.emplace_back().models.resize(endpoint.models.size());
  }
  const facts::Facts facts;
  const placement::World world{&settings->fleet, &settings->policy, &facts, &conditions};
  placement::Scratch scratch;
  const placement::Decision decision = placement::place(question, world, scratch);
  std::string text =
      flags.json ? placement::explain_json(decision, question, world) : placement::explain(decision, question, world);
  if (!text.ends_with('\n')) text += '\n';
  fmt::print("{}", text);
  return decision.outcome() == placement::Outcome::kDeny ? 1 : 0;
}

}  // namespace

void add_place(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("place", "Say where a request would run, without sending anything");
  command->footer(
      "Example: thalweg place --config thalweg.yaml request.json\n"
      "Exit code 1 when the request would be refused. What endpoints tell of themselves while the gateway runs\n"
      "(health, load, whether a chat template knows tools) is unknown here.");
  const auto flags = std::make_shared<Flags>();
  command->add_option("-c,--config", flags->config, "The configuration file")->capture_default_str();
  command->add_option("--surface", flags->surface, "The API that the request is written for")
      ->check(CLI::IsMember({"openai-chat", "openai-completions"}))
      ->capture_default_str();
  command->add_option("--key", flags->key, "The id of the key that asks");
  command->add_option("REQUEST", flags->request, "The request's body, a JSON file")->required();
  command->add_flag("--json", flags->json, "Print the decision as JSON");
  command->callback([flags, &exit_code] { exit_code = dry_run(*flags); });
}

}  // namespace thalweg::cli
