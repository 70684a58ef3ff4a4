// The published format says what the loader does: the page's examples, the schema's keys, ranges and defaults.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "carry/config/folder_test.h"
#include "carry/config/settings.h"

namespace thalweg::config {
namespace {

using inference::Capability;

TEST(Docs, ExamplesOfTheFormatAreAccepted) {
  ::setenv("OPENAI_API_KEY", "sk-example", 1);
  const Folder folder;
  for (const std::string name : {"config.md", "policy.md"}) {
    const std::string page = read(THALWEG_SOURCE_DIR "/docs/formats/" + name);
    std::size_t count = 0;
    for (std::size_t at = 0; (at = page.find("```yaml\n", at)) != std::string::npos; ++count) {
      at += 8;
      accepted(page.substr(at, page.find("```", at) - at), folder);
    }
    EXPECT_GE(count, 1U) << name;
  }
}

TEST(Schema, IsThePublishedFile) {
  EXPECT_EQ(schema(), read(THALWEG_SOURCE_DIR "/docs/formats/config.schema.json"));
}

using Json = nlohmann::ordered_json;

const Json& schema_json() {
  static const Json json = Json::parse(schema());
  return json;
}

const Json& resolved(const Json& node) {
  if (!node.contains("$ref")) return node;
  const std::string ref = node["$ref"];  // "#/$defs/name"
  return schema_json().at("$defs").at(ref.substr(ref.rfind('/') + 1));
}

// Walks the schema with a document that is right, adds one unknown key to each map in turn and reads from the loader's
// error which keys it knows there; both must be the same. So no key can be in one and not in the other.
class SchemaWalk {
 public:
  SchemaWalk() {
    ::setenv("OPENAI_API_KEY", "sk-example", 1);
    right_ = Json::parse(R"({
      "places": {"here": {"kind": "edge"}},
      "endpoints": {
        "local": {"place": "here", "engine": {"models": {"m": {"file": "model.gguf"}}}, "timeouts": {}},
        "remote": {"place": "here", "api": "openai", "url": "https://e.example", "client_certificate": {"certificate_file": "ca.pem", "key_file": "ca.key"}, "key_command": {"run": ["true"]}, "timeouts": {}, "models": {"m": {}}},
        "claude": {"place": "here", "api": "anthropic", "url": "https://a.example", "client_certificate": {"certificate_file": "ca.pem", "key_file": "ca.key"}, "key_command": {"run": ["true"]}, "timeouts": {}, "models": {"m": {}}},
        "azure": {"place": "here", "api": "azure", "url": "https://z.example", "client_certificate": {"certificate_file": "ca.pem", "key_file": "ca.key"}, "key_command": {"run": ["true"]}, "timeouts": {}, "models": {"m": {}}}},
      "models": {"small": ["local/m"]},
      "keys": [{"id": "a", "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}],
      "tls": {"certificate_file": "ca.pem", "key_file": "ca.key"}, "passthrough": {"files": {"endpoints": ["remote"], "paths": ["/v1/files"]}},
      "proxy": {"url": "http://p.example:1"}, "engines": {}, "limits": {}, "facts": {}, "log": {},
      "policy": {"groups": {}, "rules": {"r": {"when": {"tenants": ["default"]}, "uses": {"never": ["images"]}, "endpoints": {"only": ["local"]},
        "places": {"only": {"kinds": ["edge"]}, "never": {"kinds": ["cloud"]}}}}}})");
  }

  void walk() { at(schema_json(), Json::json_pointer(), 0); }
  std::size_t maps = 0;
  std::size_t ranges = 0;

 private:
  void at(const Json& schema_node, const Json::json_pointer& where, std::size_t choice) {
    const Json& here = resolved(schema_node);
    if (here.contains("oneOf")) return at(here["oneOf"].at(choice), where, 0);
    if (here.value("type", "") == "integer" || here.contains("maxLength")) return try_ends(here, where);
    if (here.contains("items") && right_.contains(where)) return at(here["items"], where / 0, 0);
    if (here.contains("properties")) {
      compare(here, where);
      for (const auto& [key, value] : here["properties"].items()) at(value, where / key, 0);
    } else if (here.contains("additionalProperties") && here["additionalProperties"].is_object()) {
      ASSERT_TRUE(right_.contains(where)) << where;
      std::size_t index = 0;
      for (const auto& [key, value] : right_[where].items()) at(here["additionalProperties"], where / key, index++);
    }
  }

  // Both ends of a number's or a text's range are taken, one beyond is refused.
  void try_ends(const Json& here, const Json::json_pointer& where) {
    ++ranges;
    const auto taken = [&](const Json& value) {
      Json document = right_;
      document[where] = value;
      return parse(document.dump(), folder_.path).has_value();
    };
    if (here.contains("maxLength")) {
      const auto most = here["maxLength"].get<std::size_t>();
      EXPECT_TRUE(taken(std::string(most, 'x'))) << where;
      EXPECT_FALSE(taken(std::string(most + 1, 'x'))) << where;
      return;
    }
    for (const auto& [end, beyond] : {std::pair{"minimum", -1}, std::pair{"maximum", 1}}) {
      EXPECT_TRUE(taken(here.at(end))) << where;
      EXPECT_FALSE(taken(here.at(end).get<std::int64_t>() + beyond)) << where;
    }
  }

  void compare(const Json& here, const Json::json_pointer& where) {
    ASSERT_TRUE(right_.contains(where)) << where << ": the walk needs an example there";
    EXPECT_EQ(here.value("additionalProperties", Json(true)), Json(false)) << where;
    ++maps;
    Json wrong = right_;
    wrong[where]["qqqqqqqqqqqqqqqqqqqqqqqq"] = 1;  // near to no key, so that the loader lists what it knows
    const auto settings = parse(wrong.dump(), folder_.path);
    ASSERT_FALSE(settings) << where;
    std::set<std::string> loader, published;
    ASSERT_EQ(settings.error().size(), 1U) << where << render(settings.error(), "");
    for (const Error& error : settings.error()) {
      const std::size_t list = error.message.find("known here: ");
      ASSERT_NE(list, std::string::npos) << error.message;
      std::istringstream words(error.message.substr(list + 12));
      for (std::string word; words >> word;)
        loader.insert(word.ends_with(',') ? word.substr(0, word.size() - 1) : word);
    }
    for (const auto& [key, value] : here["properties"].items()) published.insert(key);
    EXPECT_EQ(loader, published) << where;
  }

  Json right_;
  Folder folder_;
};

TEST(Schema, HasTheSameKeysAndRangesAsTheLoader) {
  SchemaWalk walk;
  walk.walk();
  // Top, passthrough, tls, proxy, place, engine endpoint, engine, its model, the endpoints of the three APIs, a model
  // of each, timeouts four times, a client certificate and a key command three times, engines, key, limits, facts, log;
  // policy, rule, when, uses, endpoints, places and two tests of them.
  EXPECT_EQ(walk.maps, 37U);
  // Shards, operator, grid zone; an engine's context, slots, threads; slots, name, context of each API; issuer and
  // output of one; connections, streams; a rule's cap.
  EXPECT_EQ(walk.ranges, 20U);
  const auto most = [](const char* pointer) {
    return schema_json().at(Json::json_pointer(pointer)).get<std::size_t>();
  };
  EXPECT_EQ(most("/properties/places/maxProperties"), fleet::kMaxPlaces);
  EXPECT_EQ(most("/properties/places/additionalProperties/properties/attestations/maxItems"), kMaxAttestations);
  EXPECT_EQ(most("/properties/endpoints/maxProperties"), fleet::kMaxEndpoints);
  EXPECT_EQ(most("/properties/models/maxProperties"), kMaxModels);
  EXPECT_EQ(most("/properties/models/additionalProperties/maxItems"), fleet::kMaxTargetsPerModel);
  EXPECT_EQ(most("/properties/passthrough/maxProperties"), kMaxPassages);
  const std::string passage = "/properties/passthrough/additionalProperties/properties/";
  EXPECT_EQ(most((passage + "endpoints/maxItems").c_str()), fleet::kMaxTargetsPerModel);
  EXPECT_EQ(most((passage + "paths/maxItems").c_str()), kMaxPassagePaths);
  EXPECT_EQ(most((passage + "methods/maxItems").c_str()), kPassageMethods.size());
  EXPECT_EQ(most("/properties/keys/maxItems"), policy::kMaxKeys);
  EXPECT_EQ(most("/properties/keys/items/properties/models/maxItems"), kMaxModels);
  EXPECT_EQ(most("/properties/facts/properties/files/maxItems"), kMaxFactsFiles);
  EXPECT_EQ(most("/properties/allow_hosts/maxItems"), kMaxAllowed);
  EXPECT_EQ(most("/properties/allow_origins/maxItems"), kMaxAllowed);
  EXPECT_EQ(most("/$defs/proxy/properties/no_proxy/maxItems"), kMaxAllowed);
  EXPECT_EQ(most("/$defs/engine_endpoint/properties/engine/properties/arguments/maxItems"), kMaxArguments);
  EXPECT_EQ(most("/$defs/remote_endpoint/properties/models/maxProperties"), fleet::kMaxModelsPerEndpoint);
}

// The words and the lists that stand in for a missing list.
TEST(Schema, NamesTheLoadersCapabilitiesAndDefaults) {
  const Json& items = schema_json()["$defs"]["capabilities"]["items"]["enum"];
  std::vector<std::string> known;
  for (std::size_t i = 0; i < inference::kModelCapabilityCount; ++i)
    known.emplace_back(inference::name_of(static_cast<Capability>(i)));
  EXPECT_EQ(items.get<std::vector<std::string>>(), known);

  const auto set_of = [&](const Json& names) {
    inference::Capabilities set;
    for (const auto& name : names)
      set.add(static_cast<Capability>(std::ranges::find(known, name.get<std::string>()) - known.begin()));
    return set;
  };
  const Folder folder;
  const Settings settings = accepted(R"(
places: {here: {kind: edge}}
endpoints:
  local: {place: here, engine: {models: {m: {file: model.gguf}}}}
  remote: {place: here, api: openai, url: "https://e.example", models: {m: {}}}
  claude: {place: here, api: anthropic, url: "https://e.example", models: {m: {}}}
)",
                                     folder);
  const Json& defs = schema_json()["$defs"];
  const auto capabilities = [](const Json& models) {
    return models["additionalProperties"]["properties"]["capabilities"]["default"];
  };
  EXPECT_EQ(settings.fleet.endpoints[0].models[0].capabilities,
            set_of(capabilities(defs["engine_endpoint"]["properties"]["engine"]["properties"]["models"])));
  EXPECT_EQ(settings.fleet.endpoints[1].models[0].capabilities,
            set_of(capabilities(defs["remote_endpoint"]["properties"]["models"])));
  const Json& claude = defs["anthropic_endpoint"]["properties"]["models"];
  EXPECT_EQ(settings.fleet.endpoints[2].models[0].capabilities, set_of(capabilities(claude)));
  EXPECT_EQ(settings.fleet.endpoints[2].models[0].output_tokens,
            claude["additionalProperties"]["properties"]["output"]["default"]);
}

// Every default of the schema, written out, gives the settings that leaving it out gives.
TEST(Schema, TellsTheLoadersDefaults) {
  const Folder folder;
  Json written = Json::parse(
      R"({"places": {"here": {"kind": "edge"}}, "endpoints": {"e": {"place": "here", "api": "openai", "url": "https://e.example", "models": {"m": {}}}}})");
  const Settings bare = accepted(written.dump(), folder);
  for (const auto& [key, value] : schema_json()["properties"].items()) {
    if (value.contains("default")) written[key] = value["default"];
    if (!value.contains("properties")) continue;
    for (const auto& [inner, about] : value["properties"].items()) written[key][inner] = about.at("default");
  }
  const Settings full = accepted(written.dump(), folder);
  EXPECT_EQ(full.listen.host, bare.listen.host);
  EXPECT_EQ(full.listen.port, bare.listen.port);
  EXPECT_EQ(full.shards, bare.shards);
  EXPECT_EQ(full.probe_interval, bare.probe_interval);
  EXPECT_EQ(full.log.access, bare.log.access);
  EXPECT_EQ(full.log.level, bare.log.level);
  const auto all = [](const Limits& l) {
    return std::tuple(l.head_bytes, l.body_bytes, l.answer_bytes, l.held_bytes, l.connections, l.streams, l.wait,
                      l.header_timeout, l.body_timeout, l.idle_timeout, l.write_timeout, l.drain);
  };
  EXPECT_EQ(all(full.limits), all(bare.limits));
}

}  // namespace
}  // namespace thalweg::config
