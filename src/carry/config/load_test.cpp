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

constexpr std::string_view kSmall = R"(
places: {here: {kind: edge}}
endpoints: {e: {place: here, api: openai, url: "https://e.example", models: {m: {}}}}
)";

TEST(Load, GivesTheDocumentedDefaults) {
  const Settings settings = accepted(kSmall, Folder());
  EXPECT_EQ(settings.listen.host, "127.0.0.1");
  EXPECT_EQ(settings.listen.port, 8080);
  EXPECT_TRUE(settings.listen.loopback);
  EXPECT_EQ(settings.limits.body_bytes, 32ULL << 20);
  EXPECT_EQ(settings.limits.drain, 30s);
  EXPECT_EQ(settings.log.access, AccessLog::kStderr);
  EXPECT_EQ(settings.probe_interval, 5s);
  ASSERT_EQ(settings.fleet.endpoints.size(), 1U);
  const fleet::Endpoint& endpoint = settings.fleet.endpoints[0];
  EXPECT_EQ(endpoint.kind, fleet::EndpointKind::kOpenAi);
  EXPECT_EQ(endpoint.slots, 64U);
  EXPECT_EQ(endpoint.timeouts.first_token, 10s);
  EXPECT_EQ(endpoint.timeouts.gap, 10s);
  EXPECT_EQ(endpoint.timeouts.total, 10min);
  EXPECT_EQ(endpoint.models[0].upstream_name, "m");
  EXPECT_EQ(endpoint.models[0].context_tokens, 0U);
  EXPECT_TRUE(endpoint.models[0].capabilities.covers(
      {Capability::kChat, Capability::kTools, Capability::kImages, Capability::kManyChoices}));
  EXPECT_FALSE(endpoint.models[0].capabilities.has(Capability::kAudio));
  EXPECT_TRUE(endpoint.models[0].asked.empty());
  EXPECT_EQ(settings.endpoints[0].remote->port, 443);
  EXPECT_EQ(settings.endpoints[0].remote->key, "");
}

TEST(Load, GivesAnEngineItsOwnDefaults) {
  const Folder folder;
  const Settings settings = accepted(
      "places: {here: {kind: device}}\nendpoints: {local: {place: here, engine: {models: {m: {file: model.gguf}}}}}",
      folder);
  const fleet::Endpoint& endpoint = settings.fleet.endpoints.at(0);
  EXPECT_EQ(endpoint.kind, fleet::EndpointKind::kEngine);
  EXPECT_EQ(endpoint.slots, 4U);
  EXPECT_EQ(endpoint.timeouts.first_token, Duration{});
  EXPECT_EQ(endpoint.timeouts.gap, 30s);
  EXPECT_EQ(endpoint.models[0].context_tokens, 4096U);
  EXPECT_TRUE(endpoint.models[0].asked.covers({Capability::kTools, Capability::kImages, Capability::kAudio}));
  EXPECT_FALSE(endpoint.models[0].capabilities.has(Capability::kTools));
  EXPECT_TRUE(
      endpoint.models[0].capabilities.covers({Capability::kChat, Capability::kCompletions, Capability::kJsonSchema,
                                              Capability::kLogprobs, Capability::kManyChoices}));
  const EngineSettings& engine = *settings.endpoints.at(0).engine;
  EXPECT_EQ(engine.model_file, folder.path / "model.gguf");
  EXPECT_EQ(engine.model_name, "m");
  EXPECT_EQ(engine.sandbox, Sandbox::kOn);
  EXPECT_EQ(engine.program, "");
}

TEST(Load, TakesEveryValueThatIsGiven) {
  ::setenv("THALWEG_TEST_KEY", "sk-from-the-environment", 1);
  const Folder folder;
  const Settings settings = accepted(R"(
listen: "[::1]:9000"
tls: {certificate_file: ca.pem, key_file: ca.key}
shards: 3
places:
  edge: {kind: edge}
  cloud: {kind: cloud, country: NO, operator: Example, grid_zone: NO2, attestations: [C5, ISO27001]}
endpoints:
  local:
    place: edge
    engine: {program: ./engine, context: 2048, slots: 2, threads: 4, memory: 3GiB, start_timeout: 2s, sandbox: off, arguments: [--mlock], models: {m: {file: model.gguf, capabilities: [chat]}}}
  remote:
    place: cloud
    api: openai
    url: https://API.example:8443/base/v1/
    key: Bearer-${THALWEG_TEST_KEY}
    ca_file: ca.pem
    slots: 8
    timeouts: {connect: 1s, first_token: 2s, gap: 3s, total: 0s}
    models: {m: {name: upstream, context: 1000, capabilities: [chat, tools]}, n: {}}
  plain: {place: edge, api: openai, url: "http://[::1]:8000", key_file: secret, models: {m: {}}}
models: {a/b: [remote/n, local/m], z: [plain/m]}
keys:
  - {id: b, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, tenant: T, models: [a/b]}
  - {id: a, sha256: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752}
allow_hosts: [gateway.internal]
allow_origins: [https://app.example]
limits: {head: 1KiB, body: 2KiB, answer: 3KiB, held: 1MiB, connections: 5, streams: 6, wait: 7s, header_timeout: 8s, body_timeout: 9s, idle_timeout: 10s, write_timeout: 11s, drain: 12s}
log: {access: log/access.log, level: debug}
probe_interval: 13s
)",
                                     folder);
  EXPECT_EQ(settings.listen.host, "::1");
  EXPECT_EQ(settings.listen.port, 9000);
  EXPECT_EQ(settings.tls, (net::TlsIdentity{read(folder.path / "ca.pem"), read(folder.path / "ca.key")}));
  EXPECT_EQ(settings.shards, 3U);
  const fleet::Place& cloud = settings.fleet.places.at(1);
  EXPECT_EQ(cloud.kind, fleet::PlaceKind::kCloud);
  EXPECT_EQ(cloud.country, "NO");
  EXPECT_EQ(cloud.operator_name, "Example");
  EXPECT_EQ(cloud.grid_zone, "NO2");
  EXPECT_EQ(cloud.attestations, (std::vector<std::string>{"C5", "ISO27001"}));
  const EngineSettings& engine = *settings.endpoints.at(0).engine;
  EXPECT_EQ(engine.context_tokens, 2048U);
  EXPECT_EQ(engine.threads, 4U);
  EXPECT_EQ(engine.memory_bytes, 3ULL << 30);
  EXPECT_EQ(engine.start_timeout, 2s);
  EXPECT_EQ(engine.sandbox, Sandbox::kOff);
  EXPECT_EQ(engine.arguments, std::vector<std::string>{"--mlock"});
  const fleet::Endpoint& remote = settings.fleet.endpoints.at(1);
  EXPECT_EQ(remote.place.value, 1);
  EXPECT_EQ(remote.slots, 8U);
  EXPECT_EQ(remote.timeouts.connect, 1s);
  EXPECT_EQ(remote.timeouts.first_token, 2s);
  EXPECT_EQ(remote.timeouts.gap, 3s);
  EXPECT_EQ(remote.timeouts.total, 0s);
  EXPECT_EQ(remote.models.at(0).upstream_name, "upstream");
  EXPECT_EQ(remote.models.at(0).context_tokens, 1000U);
  EXPECT_EQ(remote.models.at(0).capabilities, (inference::Capabilities{Capability::kChat, Capability::kTools}));
  const RemoteSettings& carried = *settings.endpoints.at(1).remote;
  EXPECT_TRUE(carried.tls);
  EXPECT_EQ(carried.host, "api.example");
  EXPECT_EQ(carried.port, 8443);
  EXPECT_EQ(carried.host_header, "api.example:8443");
  EXPECT_EQ(carried.base_path, "/base/v1");
  EXPECT_EQ(carried.key, "Bearer-sk-from-the-environment");
  EXPECT_EQ(carried.authorities, read(folder.path / "ca.pem"));
  const RemoteSettings& plain = *settings.endpoints.at(2).remote;
  EXPECT_FALSE(plain.tls);
  EXPECT_EQ(plain.host, "::1");
  EXPECT_EQ(plain.host_header, "[::1]:8000");
  EXPECT_EQ(plain.base_path, "");
  EXPECT_EQ(plain.key, "sk-from-a-file");
  ASSERT_EQ(settings.fleet.models.size(), 2U);
  EXPECT_EQ(settings.fleet.models[0].targets,
            (std::vector<fleet::Target>{{EndpointIndex{1}, ModelIndex{1}}, {EndpointIndex{0}, ModelIndex{0}}}));
  ASSERT_NE(settings.fleet.find_model("z"), nullptr);
  ASSERT_NE(settings.policy.find_key("b"), nullptr);
  EXPECT_EQ(settings.policy.find_key("b")->tenant, "T");
  EXPECT_EQ(settings.policy.find_key("b")->models, std::vector<std::string>{"a/b"});
  EXPECT_EQ(to_hex(settings.policy.find_key("b")->secret_sha256),
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
  EXPECT_EQ(settings.policy.find_key("a")->tenant, "default");
  EXPECT_TRUE(settings.policy.find_key("a")->models.empty());
  const Limits& limits = settings.limits;
  EXPECT_EQ(limits.head_bytes, 1U << 10);
  EXPECT_EQ(limits.body_bytes, 2U << 10);
  EXPECT_EQ(limits.answer_bytes, 3U << 10);
  EXPECT_EQ(limits.held_bytes, 1U << 20);
  EXPECT_EQ(limits.connections, 5U);
  EXPECT_EQ(limits.streams, 6U);
  EXPECT_EQ(limits.wait, 7s);
  EXPECT_EQ(limits.header_timeout, 8s);
  EXPECT_EQ(limits.body_timeout, 9s);
  EXPECT_EQ(limits.idle_timeout, 10s);
  EXPECT_EQ(limits.write_timeout, 11s);
  EXPECT_EQ(limits.drain, 12s);
  EXPECT_EQ(settings.log.access, AccessLog::kFile);
  EXPECT_EQ(settings.log.access_file, folder.path / "log/access.log");
  EXPECT_EQ(settings.log.level, "debug");
  EXPECT_EQ(settings.allowed_hosts, std::vector<std::string>{"gateway.internal"});
  EXPECT_EQ(settings.allowed_origins, std::vector<std::string>{"https://app.example"});
  EXPECT_EQ(settings.probe_interval, 13s);
}

TEST(Load, OffersEveryEndpointsModelsWhenNoneAreNamed) {
  const Settings settings = accepted(R"(
places: {here: {kind: edge}}
endpoints:
  a: {place: here, api: openai, url: "https://a.example", models: {x: {}, y: {}}}
  b: {place: here, api: openai, url: "https://b.example", models: {y: {}, z: {}, x: {}}}
)",
                                     Folder());
  std::string offered;
  for (const fleet::Model& model : settings.fleet.models) {
    offered += model.name + ":";
    for (const fleet::Target target : model.targets)
      offered += " " + settings.fleet.endpoints[target.endpoint.value].name + "/" + settings.fleet.at(target).name;
    offered += "\n";
  }
  EXPECT_EQ(offered, "x: a/x b/x\ny: a/y b/y\nz: b/z\n");
}

TEST(Load, TakesRelativePathsFromTheFilesFolder) {
  const Folder folder;
  std::ofstream(folder.path / "thalweg.yaml")
      << "places: {here: {kind: edge}}\nendpoints: {local: {place: here, engine: {models: {m: {file: ./model.gguf}}}}}";
  const auto settings = load(folder.path / "thalweg.yaml");
  ASSERT_TRUE(settings) << render(settings.error(), "f");
  EXPECT_EQ(settings->endpoints[0].engine->model_file, folder.path / "model.gguf");
}

TEST(Load, SaysWhyAFileCannotBeRead) {
  const Folder folder;
  const auto none = load(folder.path / "none.yaml");
  ASSERT_FALSE(none);
  EXPECT_EQ(
      render(none.error(), "none.yaml"),
      "none.yaml: error: there is no such file; `make run` writes a first one, docs/formats/config.md describes it\n");
  EXPECT_EQ(none.error()[0].code, ErrorCode::kIo);
  EXPECT_EQ(load(folder.path).error()[0].message, "this is a folder, not a file");
  std::ofstream(folder.path / "empty.yaml") << "";
  EXPECT_EQ(render(load(folder.path / "empty.yaml").error(), "e"),
            "e:1:1: error: the file is empty; it needs `places` and `endpoints`, see docs/formats/config.md\n");
}

TEST(Load, NeverPrintsAKey) {
  ::setenv("THALWEG_TEST_SECRET", "sk-very secret", 1);
  const auto settings = parse(R"(
places: {here: {kind: edge}}
endpoints: {e: {place: here, api: openai, url: "ftp://${THALWEG_TEST_SECRET}/", key: "${THALWEG_TEST_SECRET}", models: {m: {}}}}
)",
                              Folder().path);
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().size(), 2U);
  EXPECT_EQ(render(settings.error(), "f").find("very"), std::string::npos);
}

// The edges of the counts: the limit itself is accepted, one more is not.
TEST(Load, HoldsAsMuchAsItsLimitsSay) {
  const Folder folder;
  const auto message = [&](const std::string& yaml) {
    const auto settings = parse(yaml, folder.path);
    return settings ? std::string() : settings.error()[0].message;
  };
  const auto repeated = [](std::size_t count, auto make) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += make(std::to_string(i));
    return out;
  };
  const std::string places = "places: {here: {kind: edge}}\n";
  const auto endpoint = [](const std::string& models) {
    return "{place: here, api: openai, url: \"https://e.example\", models: {" + models + "}}";
  };
  const std::string one = "endpoints: {e: " + endpoint("m: {}") + "}\n";

  const auto with_places = [&](std::size_t n) {
    return one + "places: {here: {kind: edge}" +
           repeated(n - 1, [](const auto& i) { return ", p" + i + ": {kind: edge}"; }) + "}";
  };
  EXPECT_EQ(message(with_places(fleet::kMaxPlaces)), "");
  EXPECT_EQ(message(with_places(fleet::kMaxPlaces + 1)), "places: has 257 places; 256 are allowed");

  const auto with_endpoints = [&](std::size_t n) {
    return places + "endpoints:\n" +
           repeated(n, [&](const auto& i) { return "  e" + i + ": " + endpoint("m" + i + ": {}") + "\n"; });
  };
  EXPECT_EQ(message(with_endpoints(fleet::kMaxEndpoints)), "");
  EXPECT_EQ(message(with_endpoints(fleet::kMaxEndpoints + 1)), "endpoints: has 257 endpoints; 256 are allowed");

  const auto with_models = [&](std::size_t n) {
    return places + "endpoints: {e: " + endpoint(repeated(n, [](const auto& i) { return "m" + i + ": {}, "; })) + "}";
  };
  EXPECT_EQ(message(with_models(fleet::kMaxModelsPerEndpoint)), "");
  EXPECT_EQ(message(with_models(fleet::kMaxModelsPerEndpoint + 1)),
            "endpoints.e.models: has 257 models; 256 are allowed");

  const auto together = [&](std::size_t n) {
    return places + "endpoints:\n" +
           repeated(16,
                    [&](auto e) {
                      return "  e" + e + ": " +
                             endpoint(repeated(256, [&](const auto& i) { return "m" + e + "x" + i + ": {}, "; })) +
                             "\n";
                    }) +
           (n > 4096 ? "  more: " + endpoint("m: {}") + "\n" : "");
  };
  EXPECT_EQ(message(together(kMaxEndpointModels)), "");
  EXPECT_EQ(message(together(kMaxEndpointModels + 1)), "endpoints: have 4097 models together; 4096 are allowed");

  const auto offered = [&](std::size_t n) {
    return places + one + "models:\n" + repeated(n, [](const auto& i) { return "  o" + i + ": [e/m]\n"; });
  };
  EXPECT_EQ(message(offered(kMaxModels)), "");
  EXPECT_EQ(message(offered(kMaxModels + 1)), "models: has 4097 models; 4096 are allowed");

  const auto targets = [&](std::size_t n) {
    return places + "endpoints: {e: " + endpoint(repeated(100, [](const auto& i) { return "m" + i + ": {}, "; })) +
           "}\nmodels: {m: [" + repeated(n, [](const auto& i) { return "e/m" + i + ", "; }) + "]}";
  };
  EXPECT_EQ(message(targets(fleet::kMaxTargetsPerModel)), "");
  EXPECT_EQ(message(targets(fleet::kMaxTargetsPerModel + 1)), "models.m: has 65 entries; 64 are allowed");

  const auto backing = [&](std::size_t n) {
    return places + "endpoints:\n" +
           repeated(n, [&](const auto& i) { return "  e" + i + ": " + endpoint("m: {}") + "\n"; });
  };
  EXPECT_EQ(message(backing(fleet::kMaxTargetsPerModel)), "");
  EXPECT_EQ(message(backing(fleet::kMaxTargetsPerModel + 1)),
            "endpoints: 65 endpoints have a model \"m\"; 64 may back each other. List the ones to use under `models`");

  const auto numbers = [&](std::size_t n) { return repeated(n, [](const auto& i) { return "a" + i + ", "; }); };
  const auto attestations = [&](std::size_t n) {
    return one + "places: {here: {kind: edge, attestations: [" + numbers(n) + "]}}";
  };
  EXPECT_EQ(message(attestations(kMaxAttestations)), "");
  EXPECT_EQ(message(attestations(kMaxAttestations + 1)), "places.here.attestations: has 65 entries; 64 are allowed");

  const auto arguments = [&](std::size_t n) {
    return places + "endpoints: {e: {place: here, engine: {models: {m: {file: model.gguf}}, arguments: [" + numbers(n) +
           "]}}}";
  };
  EXPECT_EQ(message(arguments(kMaxArguments)), "");
  EXPECT_EQ(message(arguments(kMaxArguments + 1)), "endpoints.e.engine.arguments: has 257 entries; 256 are allowed");

  const auto hosts = [&](std::size_t n) { return places + one + "allow_hosts: [" + numbers(n) + "]"; };
  EXPECT_EQ(message(hosts(kMaxAllowed)), "");
  EXPECT_EQ(message(hosts(kMaxAllowed + 1)), "allow_hosts: has 1025 entries; 1024 are allowed");
  const auto origins = [&](std::size_t n) {
    return places + one + "allow_origins: [" + repeated(n, [](const auto& i) { return "\"https://a" + i + "\", "; }) +
           "]";
  };
  EXPECT_EQ(message(origins(kMaxAllowed)), "");
  EXPECT_EQ(message(origins(kMaxAllowed + 1)), "allow_origins: has 1025 entries; 1024 are allowed");

  const std::string hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
  const auto models_of_a_key = [&](std::size_t n) {
    return offered(kMaxModels) + "keys: [{id: a, sha256: " + hash + ", models: [" +
           repeated(n, [](const auto& i) { return "o" + std::to_string(std::stoul(i) % kMaxModels) + ", "; }) + "]}]";
  };
  EXPECT_EQ(message(models_of_a_key(kMaxModels)), "");
  EXPECT_EQ(message(models_of_a_key(kMaxModels + 1)), "keys[0].models: has 4097 entries; 4096 are allowed");
}

// With every part of each key at its longest: so many fit into what a document may have of bytes and values.
TEST(Load, HoldsAHundredThousandKeysAndNotOneMore) {
  const Folder folder;
  std::string yaml(kSmall);
  yaml += "keys:\n";
  const std::string tenant(64, 't');
  for (std::size_t i = 0; i < policy::kMaxKeys; ++i) {
    yaml += fmt::format("  - {{id: {:k>32}, sha256: {:064}, tenant: {}, models: [m]}}\n", i, i, tenant);
  }
  EXPECT_EQ(accepted(yaml, folder).policy.keys.size(), policy::kMaxKeys);
  yaml = std::string(kSmall) + "keys: [";
  for (std::size_t i = 0; i <= policy::kMaxKeys; ++i) yaml += "x, ";
  const auto refused = parse(yaml + "]", folder.path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error()[0].message, "keys: has 100001 keys; 100000 are allowed");
}

TEST(Load, TakesAServersKeyUpToItsLongestFromEverywhere) {
  const Folder folder;
  const auto key_of = [&](const std::string& from) {
    const auto settings = parse(
        "places: {here: {kind: edge}}\nendpoints: {e: {place: here, api: openai, url: "
        "\"https://e.example\", models: {m: {}}, " +
            from + "}}",
        folder.path);
    return settings ? std::to_string(settings->endpoints[0].remote->key.size()) : settings.error()[0].message;
  };
  const auto file_of = [&](const std::string& text) {
    std::ofstream(folder.path / "long") << text;
    std::filesystem::permissions(folder.path / "long", std::filesystem::perms::owner_all);
    return key_of("key_file: long");
  };
  const std::string longest(upstream::kMaxSecret, 'k');
  const std::string refused = "the key has more than 4096 characters";
  EXPECT_EQ(key_of("key: " + longest), "4096");
  EXPECT_EQ(key_of("key: k" + longest), "endpoints.e.key: " + refused);
  ::setenv("THALWEG_TEST_LONG", longest.c_str(), 1);
  EXPECT_EQ(key_of("key: \"${THALWEG_TEST_LONG}\""), "4096");
  EXPECT_EQ(key_of("key: \"${THALWEG_TEST_LONG}k\""), "endpoints.e.key: " + refused);
  const std::string of_file = "endpoints.e.key_file: " + (folder.path / "long").string() + ": " + refused;
  for (const std::string end : {"", "\n", "\r\n"}) {
    EXPECT_EQ(file_of(longest + end), "4096");
    EXPECT_EQ(file_of(fmt::format("{}k{}", longest, end)), of_file);
  }
  EXPECT_EQ(file_of(longest + longest), of_file);
}

// The bytes behind the limit are not even read: what is told of the size is the least that it can be.
TEST(Load, TakesAFileOf32MibAndNotOneByteMore) {
  const Folder folder;
  const auto file = folder.path / "large.yaml";
  constexpr std::size_t kMost = 32ULL << 20;
  std::string yaml(kSmall);
  while (yaml.size() < kMost) yaml += "# " + std::string(std::min<std::size_t>(97, kMost - yaml.size()), 'x') + "\n";
  yaml.resize(kMost);
  std::ofstream(file) << yaml;
  const auto settings = load(file);
  EXPECT_TRUE(settings) << render(settings.error(), file);
  std::ofstream(file) << yaml << "x";
  const auto refused = load(file);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error()[0].message, "it has more than 33554432 bytes");
}

TEST(ParseListen, ReadsAddressesAndKnowsLoopback) {
  struct Example {
    std::string_view text, host;
    std::uint16_t port;
    bool loopback;
  };
  for (const Example& e : {Example{"127.0.0.1:8080", "127.0.0.1", 8080, true},
                           {"[::1]:1", "::1", 1, true},
                           {"localhost:0", "127.0.0.1", 0, true},
                           {":65535", "127.0.0.1", 65535, true},
                           {"0.0.0.0:80", "0.0.0.0", 80, false},
                           {"[::]:80", "::", 80, false},
                           {"127.9.9.9:80", "127.9.9.9", 80, true},
                           {"192.168.1.5:80", "192.168.1.5", 80, false},
                           // Reaches this machine only, but nobody should rely on it.
                           {"[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80, false}}) {
    const auto address = parse_listen(e.text);
    ASSERT_TRUE(address) << e.text;
    EXPECT_EQ(address->host, e.host) << e.text;
    EXPECT_EQ(address->port, e.port) << e.text;
    EXPECT_EQ(address->loopback, e.loopback) << e.text;
  }
  using namespace std::string_view_literals;
  for (const std::string_view bad : {""sv, "8080"sv, "127.0.0.1"sv, "127.0.0.1:"sv, "127.0.0.1:-1"sv, "127.0.0.1:+1"sv,
                                     "127.0.0.1:65536"sv, "1.2.3:80"sv, "::1:80"sv, "[::1]"sv, "[::1]80"sv, "[::1:80"sv,
                                     "[127.0.0.1]:80"sv, "host:80"sv, "127.0.0.1 :80"sv, "127.0.0.1\0x:80"sv}) {
    EXPECT_FALSE(parse_listen(bad)) << bad;
  }
}

}  // namespace
}  // namespace thalweg::config
