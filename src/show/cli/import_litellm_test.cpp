#include "show/cli/import_litellm.h"

#include <gtest/gtest.h>

#include "show/cli/import_test.h"

namespace thalweg::cli {
namespace {

using Targets = std::vector<std::string>;

Imported read(std::string_view yaml) {
  auto imported = import_litellm(yaml, "config.yaml");
  EXPECT_TRUE(imported) << config::render(imported.error(), "config.yaml");
  return imported ? std::move(*imported) : Imported{};
}

TEST(ImportLiteLlm, MakesAnEndpointOfEntriesThatAgreeAndATargetOfEach) {
  const Imported imported = read(R"(
model_list:
  - model_name: best
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/MY_KEY}
    model_info: {max_input_tokens: 128000}
  - model_name: small
    litellm_params: {model: gpt-4o-mini, api_key: os.environ/MY_KEY}
  - model_name: best
    litellm_params: {model: azure/gpt4o-eu, api_base: https://me.openai.azure.com/, api_version: "2024-10-21"}
  - model_name: best
    litellm_params: {model: anthropic/claude-sonnet-4-5, max_tokens: 8192, max_parallel_requests: 7}
  - model_name: own
    litellm_params: {model: ollama_chat/llama3.2, api_base: "http://localhost:11434/"}
)");
  ASSERT_EQ(imported.endpoints.size(), 4u);
  EXPECT_EQ(targets_of(imported, "best"), (Targets{"openai/gpt-4o", "azure/gpt4o-eu", "anthropic/claude-sonnet-4-5"}));
  EXPECT_EQ(targets_of(imported, "small"), (Targets{"openai/gpt-4o-mini"}));
  const config::Settings settings = settings_of(imported);
  EXPECT_EQ(settings.endpoints[0].remote->host, "api.openai.com");
  EXPECT_EQ(settings.fleet.endpoints[0].models[0].context_tokens, 128'000u);
  EXPECT_EQ(settings.endpoints[1].remote->api_version, "2024-10-21");
  EXPECT_EQ(settings.endpoints[2].remote->base_path, "/v1");
  EXPECT_EQ(settings.fleet.endpoints[2].slots, 7u);
  EXPECT_EQ(settings.endpoints[3].remote->base_path, "/v1");
  EXPECT_EQ(settings.fleet.places[settings.fleet.endpoints[3].place.value].kind, fleet::PlaceKind::kDevice);
  EXPECT_EQ(endpoint_of(imported, "openai")->key, "${MY_KEY}");
  EXPECT_EQ(endpoint_of(imported, "azure")->key, "${AZURE_API_KEY}");
}

TEST(ImportLiteLlm, NeverCopiesASecret) {
  const Imported imported = read(R"(
model_list:
  - {model_name: a, litellm_params: {model: openai/a, api_key: sk-canary-1}}
  - {model_name: b, litellm_params: {model: openai/b, api_key: sk-canary-2}}
  - {model_name: c, litellm_params: {model: openai/c, api_key: sk-canary-1}}
  - {model_name: d, litellm_params: {model: openai/d, litellm_credential_name: mine}}
  - {model_name: e, litellm_params: {model: openai/e, api_key: os.environ/THALWEG_OPENAI_KEY}}
  - {model_name: f, litellm_params: {model: azure/f, api_base: "https://user:sk-canary-3@a.example", client_secret: sk-canary-4}}
credential_list:
  - {credential_name: mine, credential_values: {api_key: sk-canary-5, api_base: "https://api.example/v1"}}
general_settings: {master_key: sk-canary-6, database_url: "postgres://canary-7"}
environment_variables: {SOME_KEY: canary-8}
)");
  EXPECT_EQ((write_yaml(imported, "") + notes_of(imported)).find("canary"), std::string::npos);
  // Equal keys share an endpoint, others do not, and no two share a variable.
  EXPECT_EQ(targets_of(imported, "c"), (Targets{"openai/c"}));
  EXPECT_EQ(targets_of(imported, "b"), (Targets{"openai-2/b"}));
  EXPECT_EQ(endpoint_of(imported, "openai")->key, "${THALWEG_OPENAI_KEY_2}");
  EXPECT_EQ(endpoint_of(imported, "openai-3")->url, "https://api.example/v1");
  EXPECT_EQ(endpoint_of(imported, "openai-3")->key, "${THALWEG_OPENAI_3_KEY}");
  EXPECT_NE(notes_of(imported).find("thalweg key new"), std::string::npos);
  settings_of(imported);
}

TEST(ImportLiteLlm, PutsFallbacksBehindTheModelsOwnTargetsAndGivesThemToAliases) {
  const Imported imported = read(R"(
model_list:
  - {model_name: a, litellm_params: {model: openai/a, order: 2}}
  - {model_name: a, litellm_params: {model: openai/first, order: 1}}
  - {model_name: b, litellm_params: {model: openai/b}}
  - {model_name: c, litellm_params: {model: openai/c}}
  - {model_name: e, litellm_params: {model: openai/text-embedding-3-small}}
  - {model_name: r, litellm_params: {model: hosted_vllm/bge-reranker, api_base: "https://r.example/v1"}}
  - {model_name: s, litellm_params: {model: openai/ranks}, model_info: {mode: rerank}}
router_settings:
  model_group_alias: {other: a, hidden: {model: b, hidden: true}, lost: nothing}
  fallbacks: [{a: [b]}, {b: [c]}]
litellm_settings: {default_fallbacks: [c]}
)");
  EXPECT_EQ(targets_of(imported, "a"), (Targets{"openai/first", "openai/a", "openai/b", "openai/c"}));
  EXPECT_EQ(targets_of(imported, "other"), targets_of(imported, "a"));
  EXPECT_EQ(targets_of(imported, "hidden"), (Targets{"openai/b", "openai/c"}));
  EXPECT_EQ(targets_of(imported, "e"), (Targets{"openai/text-embedding-3-small"})) << "a chat model makes no vectors";
  EXPECT_EQ(targets_of(imported, "r").size(), 1U) << "a chat model ranks nothing";
  EXPECT_EQ(targets_of(imported, "s"), (Targets{"openai/ranks"}));
  EXPECT_NE(notes_of(imported).find("the alias lost"), std::string::npos);
  settings_of(imported);
}

TEST(ImportLiteLlm, TellsEveryKeyThatHasNoCounterpartWithItsLine) {
  const Imported imported = read(R"(model_list:
  - model_name: a
    litellm_params:
      model: openai/a
      rpm: 10
      temperature: 0.5
      timeout: os.environ/T
    model_info:
      input_cost_per_token: 1
      supports_vision: false
      max_input_tokens: 0
guardrails: []
router_settings:
  num_retries: 3
  redis_password: secret
)");
  const std::string notes = notes_of(imported);
  for (const char* const told :
       {"5: a: rpm: ", "6: a: temperature: ", "7: a: timeout: ", "9: a: model_info.input_cost_per_token",
        "10: a: supports_vision", "11: a: model_info.max_input_tokens", "12: guardrails", "14: num_retries",
        "15: redis_password"})
    EXPECT_NE(notes.find(told), std::string::npos) << told << "\n" << notes;
  settings_of(imported);
}

TEST(ImportLiteLlm, CarriesTimeOutsOfTheEntryOrTheRouterOrAll) {
  const Imported imported = read(R"(
model_list:
  - {model_name: a, litellm_params: {model: openai/a, timeout: 30, stream_timeout: 2.5}}
  - {model_name: b, litellm_params: {model: openai/b}}
router_settings: {timeout: 60}
litellm_settings: {request_timeout: 600}
)");
  EXPECT_EQ(imported.endpoints.at(0).whole, 30s);
  EXPECT_EQ(imported.endpoints.at(0).first_token, 2500ms);
  EXPECT_EQ(imported.endpoints.at(1).whole, 60s);
  EXPECT_EQ(imported.endpoints.at(1).first_token, 60s);
  const config::Settings settings = settings_of(imported);
  EXPECT_EQ(settings.fleet.endpoints[0].timeouts.whole, 30s);
  EXPECT_EQ(settings.fleet.endpoints[0].timeouts.first_token, 2500ms);
  EXPECT_EQ(imported.notes.size(), 0u) << notes_of(imported);
}

TEST(ImportLiteLlm, ReadsSecondsFromAMillisecondToADay) {
  const auto of = [](const char* text) {
    document::Node node;
    node.members.push_back({"t", {}, {}});
    node.members[0].value.kind = document::Node::Kind::kScalar;
    node.members[0].value.text = text;
    return seconds_at(node, "t");
  };
  EXPECT_EQ(of("0.001"), 1ms);
  EXPECT_EQ(of("86400"), 24h);
  for (const char* const none : {"0.0009", "86400.1", "-1", "nan", "inf", "", "1s", "1e999"})
    EXPECT_EQ(of(none), Duration{}) << none;
}

TEST(ImportLiteLlm, LeavesOutWhatThalwegCannotReachAndSaysWhy) {
  const Imported imported = read(R"(
model_list:
  - {model_name: a, litellm_params: {model: bedrock/anthropic.claude}}
  - {model_name: b, litellm_params: {model: hosted_vllm/m, api_base: "http://10.0.0.5:8000/v1"}}
  - {model_name: "c/*", litellm_params: {model: "openai/*"}}
  - {model_name: auto, litellm_params: {model: openai/x}}
  - {model_name: d, litellm_params: {model: openai/whisper-1}, model_info: {mode: audio_transcription}}
  - {model_name: e, litellm_params: {model: hosted_vllm/m}}
  - {model_name: f}
  - {model_name: g, litellm_params: {model: unknown-name}}
  - {model_name: h, litellm_params: {model: openai/h, api_base: os.environ/BASE, api_key: none}}
)");
  ASSERT_EQ(imported.endpoints.size(), 1u) << "the last alone";
  EXPECT_EQ(imported.endpoints[0].url, "${BASE}");
  EXPECT_EQ(imported.endpoints[0].key, "");
  const std::string notes = notes_of(imported);
  for (const char* const told :
       {"3: a: bedrock/anthropic.claude: ", "4: b: http://", "5: c/*: ", "6: a model called auto",
        "7: d: ", "8: e: api_base is missing", "9: an entry", "10: g: unknown-name: it names no provider"})
    EXPECT_NE(notes.find(told), std::string::npos) << told << "\n" << notes;
  settings_of(imported);
}

TEST(ImportLiteLlm, RefusesWhatIsNoConfigurationWithThePlace) {
  for (const auto& [yaml, line] :
       {std::pair{"- a\n", 1u}, {"a: b\na: c\n", 2u}, {"a: *b\n", 1u}, {"\xFF", 1u}, {"", 1u}}) {
    const auto imported = import_litellm(yaml, "f");
    ASSERT_FALSE(imported) << yaml;
    EXPECT_EQ(imported.error().front().position.line, line) << yaml;
  }
  EXPECT_TRUE(read("litellm_settings: {}\n").endpoints.empty());
}

}  // namespace
}  // namespace thalweg::cli
