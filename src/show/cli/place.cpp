#include "decide/placement/place.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ranges>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/text.h"
#include "carry/config/settings.h"
#include "carry/dialect/caller_request.h"
#include "carry/dialect/ollama_models.h"
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

// The request's bytes, at most one more than `most`: what the gateway would refuse need not be read whole.
Result<std::string> read_request(const std::filesystem::path& file, std::uint64_t most) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    return fail(ErrorCode::kIo, fmt::format("{} is a folder, not a file", file.string()));
  std::ifstream stream(file, std::ios::binary);
  std::string body;
  char part[64 * 1024];
  while (body.size() <= most && stream && (stream.read(part, sizeof part), stream.gcount() > 0)) {
    body.append(part, static_cast<std::size_t>(stream.gcount()));
  }
  if (!stream && !stream.eof()) return fail(ErrorCode::kIo, fmt::format("cannot read {}", file.string()));
  if (body.size() > most) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("{} has more than the {} bytes that limits.body allows", file.string(), most));
  }
  return body;
}

// The ids of the keys, the first few of many.
std::string ids_of(const std::vector<policy::Key>& keys) {
  constexpr std::size_t kShown = 8;
  std::string ids;
  for (const policy::Key& key : keys | std::views::take(kShown))
    ids += fmt::format("{}{}", ids.empty() ? "" : ", ", key.id);
  return keys.size() > kShown ? ids + ", ..." : ids;
}

int dry_run(const Flags& flags) {
  const auto settings = config::load(flags.config);
  if (!settings) {
    fmt::print(stderr, "{}", config::render(settings.error(), flags.config));
    return 2;
  }
  if (flags.key.empty() && !settings->policy.keys.empty()) {
    fmt::print(stderr,
               "thalweg: {} has keys, so the gateway refuses whoever gives none; say with --key which one asks: {}\n",
               flags.config, ids_of(settings->policy.keys));
    return 2;
  }
  auto read_body = read_request(flags.request, settings->limits.body_bytes);
  if (!read_body) {
    fmt::print(stderr, "thalweg: {}\n", read_body.error().message);
    return 1;
  }
  std::string& body = *read_body;
  body.reserve(body.size() + http::kPadding);
  inference::Surface surface = inference::Surface::kOpenAiChat;
  for (std::size_t i = 0; i < inference::kSurfaceCount; ++i) {
    if (flags.surface == inference::name_of(static_cast<inference::Surface>(i)))
      surface = static_cast<inference::Surface>(i);
  }
  dialect::CallerRequest caller;
  const auto read = caller.parse(surface, body);
  if (!read) {
    fmt::print(stderr, "{}: error: {}\n", flags.request, read.error().message);
    return 1;
  }
  placement::Question question;
  std::string_view model = caller.request().model;
  if (inference::speaks_ollama(surface)) model = dialect::meant_model(settings->fleet, model);
  caller.describe(question, settings->fleet.kinds_for(model));
  question.model = model;
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
  if (!flags.json && decision.rejects_as(placement::Rejection::kNotCarried) && !caller.not_carried().empty())
    text += fmt::format("not carried: {}\n", caller.not_carried());
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
  std::vector<std::string> surfaces;
  for (std::size_t i = 0; i < inference::kSurfaceCount; ++i)
    surfaces.emplace_back(inference::name_of(static_cast<inference::Surface>(i)));
  command->add_option("-c,--config", flags->config, "The configuration file")->capture_default_str();
  command->add_option("--surface", flags->surface, "The API that the request is written for")
      ->check(CLI::IsMember(surfaces))
      ->capture_default_str();
  command->add_option("--key", flags->key, "The id of the key that asks; needed where keys are configured");
  command->add_option("REQUEST", flags->request, "The request's body, a JSON file")->required();
  command->add_flag("--json", flags->json, "Print the decision as JSON");
  command->callback([flags, &exit_code] { exit_code = dry_run(*flags); });
}

}  // namespace thalweg::cli
