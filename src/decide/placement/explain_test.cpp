#include "decide/placement/explain.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "decide/placement/random_world_test.h"

namespace thalweg::placement {
namespace {

using inference::Capability;

class Explain : public testing::Test {
 protected:
  Explain() {
    fleet_.number = 4;
    add_endpoint("local", "smollm2-135m", 2048, {Capability::kChat});
    add_endpoint("cloud", "large-v1", 8192, {Capability::kChat, Capability::kTools});
    fleet_.models = {{.name = "small", .targets = {{EndpointIndex{0}, ModelIndex{0}}}},
                     {.name = "large", .targets = {{EndpointIndex{1}, ModelIndex{0}}}}};
    fleet::seal(fleet_);
    conditions_.endpoints.resize(2);
    question_.model = "small";
    question_.first_asked_at = question_.asked_at = Instant(100s);
  }
  void add_endpoint(const std::string& name, const std::string& model, std::uint32_t context,
                    inference::Capabilities capabilities) {
    fleet::Endpoint endpoint;
    endpoint.name = name;
    endpoint.slots = 2;
    endpoint.models.resize(1);
    endpoint.models[0].name = model;
    endpoint.models[0].context_tokens = context;
    endpoint.models[0].capabilities = capabilities;
    fleet_.endpoints.push_back(endpoint);
  }
  World world() const { return {&fleet_, &policy_, &facts_, &conditions_}; }
  std::string denial() {
    const Decision decision = place(question_, world(), scratch_);
    EXPECT_EQ(decision.outcome(), Outcome::kDeny);
    return denial_sentence(decision, question_, world());
  }
  std::string text() { return explain(place(question_, world(), scratch_), question_, world()); }
  nlohmann::json json() {
    return nlohmann::json::parse(explain_json(place(question_, world(), scratch_), question_, world()));
  }

  fleet::Fleet fleet_;
  policy::Policy policy_;
  facts::Facts facts_;
  fleet::Conditions conditions_;
  Question question_;
  Scratch scratch_;
};

TEST_F(Explain, NamesTheModelThatMayHaveBeenMeant) {
  question_.model = "smal";
  EXPECT_EQ(denial(), "there is no model \"smal\"; did you mean \"small\"?");
  question_.model = "gpt-4o";
  EXPECT_EQ(denial(), "there is no model \"gpt-4o\"; ask for \"small\", \"large\" or \"auto\"");
}

TEST_F(Explain, NamesNothingThatTheKeyMayNotUse) {
  const policy::Key key{.id = "k", .secret_sha256 = {}, .tenant = "t", .models = {"large"}};
  question_.subject.key = &key;
  EXPECT_EQ(denial(), "there is no model \"small\" that this key may use; it may use \"large\" or \"auto\"");
  const policy::Key none{.id = "k", .secret_sha256 = {}, .tenant = "t", .models = {"retired"}};
  question_.subject.key = &none;
  EXPECT_EQ(denial(), "there is no model \"small\" that this key may use");
  question_.model = "auto";
  EXPECT_EQ(denial(), "no model is configured that this key may use");
}

TEST_F(Explain, SaysWhatIsLackingAndWhichModelHasIt) {
  question_.needs = {Capability::kTools};
  EXPECT_EQ(denial(), "no endpoint can serve \"small\": local/smollm2-135m lacks tools; \"large\" can serve it");
  const policy::Key key{.id = "k", .secret_sha256 = {}, .tenant = "t", .models = {"small"}};
  question_.subject.key = &key;
  EXPECT_EQ(denial(),
            "no endpoint can serve \"small\": local/smollm2-135m lacks tools; leave that out of the request or ask for "
            "another model");
  question_.needs = {Capability::kTools, Capability::kImages, Capability::kAudio};
  EXPECT_EQ(denial(),
            "no endpoint can serve \"small\": local/smollm2-135m lacks tools, images and audio; leave that out of the "
            "request or ask for another model");
}

TEST_F(Explain, SaysHowLongThePromptAndTheContextAre) {
  question_.estimated_input_tokens = 9000;
  EXPECT_EQ(denial(),
            "a prompt of about 9000 tokens does not fit \"small\": local/smollm2-135m has a context of 2048 tokens; "
            "\"large\" can serve it");
  question_.estimated_input_tokens = 90'000;
  EXPECT_EQ(denial(),
            "a prompt of about 90000 tokens does not fit \"small\": local/smollm2-135m has a context of 2048 tokens; "
            "shorten the prompt");
}

TEST_F(Explain, SaysThatAnEndpointIsDown) {
  conditions_.endpoints[0].health = fleet::Health::kDown;
  EXPECT_EQ(denial(), "no endpoint for \"small\" is available: local/smollm2-135m is down; try again later");
}

TEST_F(Explain, SaysThatNoSlotCameFree) {
  conditions_.endpoints[0].running = 2;
  question_.asked_at += 30s;
  EXPECT_EQ(
      denial(),
      "no slot came free for \"small\" within 30 s: local/smollm2-135m has no free slot (2 of 2 taken); try again "
      "later");
}

TEST_F(Explain, CutsALongNameBetweenTwoCharacters) {
  std::string name(127, 'x');
  name += "\xC3\xA4";  // one letter of two bytes over the limit of 128
  name += std::string(100'000, 'y');
  question_.model = name;
  const std::string sentence = denial();
  EXPECT_LT(sentence.size(), 300U);
  EXPECT_NE(sentence.find("x...\""), std::string::npos) << sentence;
}

TEST_F(Explain, NamesOnlyAFewOfMany) {
  question_.needs = {Capability::kAudio};
  for (int i = 0; i < 100; ++i) {
    add_endpoint("e" + std::to_string(i), "m", 0, {Capability::kChat});
    fleet_.models[0].targets.push_back({EndpointIndex{static_cast<std::uint16_t>(2 + i)}, ModelIndex{0}});
  }
  fleet::seal(fleet_);
  EXPECT_EQ(denial(),
            "no endpoint can serve \"small\": local/smollm2-135m lacks audio; e0/m lacks audio; e1/m lacks audio; e2/m "
            "lacks audio; and 97 more; leave that out of the request or ask for another model");
}

TEST_F(Explain, ListsEachTargetWithItsVerdict) {
  question_.model = "auto";
  question_.needs = {Capability::kTools};
  conditions_.endpoints[1].health = fleet::Health::kTrial;
  const std::string out = text();
  EXPECT_EQ(out.substr(0, out.find("fleet 4")),
            "runs at cloud/large-v1, attempt 1\n"
            "  1. local/smollm2-135m lacks tools\n"
            "  2. cloud/large-v1 may serve it, on trial after failures <- chosen\n");
}

TEST_F(Explain, SaysHowLongItWaits) {
  conditions_.endpoints[0].running = 2;
  EXPECT_EQ(text().substr(0, 42), "waits up to 0.05 s for \"small\", attempt 1\n");
  EXPECT_EQ(json()["wait_ms"], 50);
}

TEST_F(Explain, GivesTheSameAsJson) {
  question_.model = "auto";
  question_.needs = {Capability::kTools};
  const nlohmann::json out = json();
  EXPECT_EQ(out["outcome"], "run");
  EXPECT_EQ(out["endpoint"], "cloud");
  EXPECT_EQ(out["endpoint_model"], "large-v1");
  EXPECT_EQ(out["candidates"][0]["verdict"], "lacks_capability");
  EXPECT_EQ(out["candidates"][0]["lacking"], nlohmann::json::array({"tools"}));
  EXPECT_EQ(out["candidates"][1]["verdict"], "none");
  EXPECT_EQ(out["snapshots"]["fleet"]["number"], 4);
  EXPECT_EQ(out["snapshots"]["fleet"]["sha256"], to_hex(fleet_.hash));
  EXPECT_EQ(out["timeouts_ms"]["first_token"], 10'000);
  EXPECT_EQ(out["place_version"], kPlaceVersion);
}

TEST_F(Explain, EscapesWhatTheCallerWrote) {
  question_.model = "a\"b\\c\n\xFF";
  const nlohmann::json out = json();
  EXPECT_EQ(out["model"], "a\"b\\c\n\xEF\xBF\xBD");  // U+FFFD in place of the byte that is not UTF-8
  EXPECT_EQ(out["denial"], "model_not_found");
}

TEST_F(Explain, ExplainsAProbeOfAnEndpointWithoutAModel) {
  question_.only = EndpointIndex{1};
  question_.model = "";
  EXPECT_EQ(text().substr(0, 30), "runs at cloud, attempt 1\n  1. ");
  EXPECT_EQ(json()["endpoint"], "cloud");
  question_.earlier.add({{EndpointIndex{1}, ModelIndex{}}, AttemptEnd::kSilent, Instant{}});
  EXPECT_EQ(
      denial(),
      "no endpoint for cloud is available: cloud was silent in an earlier attempt of this request; try again later");
  question_.only = EndpointIndex{2};
  EXPECT_EQ(denial(), "the endpoint to probe is not configured any more");
}

// Whatever the decision: a whole sentence, valid JSON, and no endpoint that the key's models do not have.
TEST(ExplainLaw, AlwaysSaysSomethingAndNeverTooMuch) {
  Scratch scratch;
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    SCOPED_TRACE(seed);
    RandomWorld random(seed);
    for (auto& endpoint : random.fleet.endpoints) endpoint.name = "host-" + endpoint.name + "-end";
    random.question.only = {};
    const Decision decision = place(random.question, random.world(), scratch);
    const std::string sentence = denial_sentence(decision, random.question, random.world());
    const std::string text = explain(decision, random.question, random.world());
    const std::string json = explain_json(decision, random.question, random.world());
    ASSERT_TRUE(nlohmann::json::accept(json));
    ASSERT_FALSE(text.empty());
    if (decision.outcome() == Outcome::kDeny) {
      ASSERT_GT(sentence.size(), 20U);
      ASSERT_EQ(sentence.find(": ;"), std::string::npos) << sentence;  // a cause that is missing
    }
    for (std::uint16_t e = 0; e < random.fleet.endpoints.size(); ++e) {
      bool open = false;
      for (const fleet::Model& model : random.fleet.models) {
        if (random.question.subject.key != nullptr && !random.question.subject.key->may_use(model.name)) continue;
        for (const fleet::Target target : model.targets) open |= target.endpoint.value == e;
      }
      if (open) continue;
      for (const std::string& said : {sentence, text, json}) {
        ASSERT_EQ(said.find(random.fleet.endpoints[e].name), std::string::npos) << said;
      }
    }
  }
}

}  // namespace
}  // namespace thalweg::placement
