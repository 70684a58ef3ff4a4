// The configuration, checked: what `thalweg.yaml` says, as values that can be used without asking again.
// docs/formats/config.md describes the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "carry/config/passthrough.h"
#include "carry/engine/engine.h"
#include "carry/net/proxy.h"
#include "carry/net/tls.h"
#include "carry/upstream/key_command.h"
#include "decide/facts/facts.h"
#include "decide/fleet/fleet.h"
#include "decide/policy/policy.h"

namespace thalweg::config {

inline constexpr std::size_t kMaxModels = 4096;          // that callers may ask for
inline constexpr std::size_t kMaxEndpointModels = 4096;  // of all endpoints together
inline constexpr std::size_t kMaxAttestations = 64;      // of one place
inline constexpr std::size_t kMaxArguments = 256;        // of one engine
inline constexpr std::size_t kMaxUpstreamName = 256;     // bytes of what a server calls its model
inline constexpr std::size_t kMaxPem = 4 << 20;          // bytes of a PEM file; Debian's whole store has 220 KB
inline constexpr std::size_t kMaxForwarded = 32;         // names of forwarded header fields
inline constexpr std::size_t kMaxFieldName = 64;         // bytes of one
inline constexpr std::size_t kMaxAllowed = 1024;         // hosts, and origins
inline constexpr std::size_t kMaxFactsFiles = 64;        // of the user's own
inline constexpr std::size_t kMaxStreams = 65'536;       // a shard's access log promises no more lines

/// host:port; port 0 lets the system choose.
struct ListenAddress {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  bool loopback = true;
};
/// "127.0.0.1:8080", "[::1]:8080", "localhost:8080", ":8080" (loopback). kConfig otherwise. "localhost" becomes
/// 127.0.0.1, an IPv6 host loses its brackets.
Result<ListenAddress> parse_listen(std::string_view text);

/// Whether and how the engine's child is confined.
enum class Sandbox : std::uint8_t { kOn, kOff };

/// An engine that Thalweg runs itself: one llama-server with one model.
struct EngineSettings {
  std::filesystem::path program;  // empty: found on PATH, then in the cache
  std::filesystem::path model_file;
  std::string model_name;
  std::uint32_t context_tokens = 4096;  // of one slot
  std::uint32_t slots = 4;
  std::uint32_t threads = 0;       // 0: the engine decides
  std::uint64_t memory_bytes = 0;  // 0: by model file and context, see engine/command.h
  Duration start_timeout = 300s;   // a large model from a slow disk
  Sandbox sandbox = Sandbox::kOn;
  engine::Task task = engine::Task::kGenerate;
  bool on_demand = false;              // loaded when a request needs it, not at the start
  bool pinned = false;                 // once loaded, never unloaded
  Duration unload_after = 300s;        // without requests
  std::vector<std::string> arguments;  // passed on as they are
};

/// The API of a server, and whose flavour of it.
enum class Api : std::uint8_t { kOpenAi, kAnthropic, kAzure };

/// A server. Secrets are read when the configuration is loaded and never printed.
struct RemoteSettings {
  Api api = Api::kOpenAi;
  bool tls = true;
  std::string host;
  std::uint16_t port = 443;
  std::string host_header;                   // as it goes into the Host field
  std::string base_path;                     // "/v1", without a last slash
  std::string key;                           // empty: none is sent, or key_command makes it
  upstream::KeyCommand key_command;          // mostly none
  std::vector<std::string> forward_headers;  // names of the caller's fields that go along
  std::string api_version;                   // of Azure's dated API; empty: its v1
  std::string issuer;         // a name that endpoints share which read each other's signed words; empty: by url and key
  std::string authorities;    // the PEM certificates of ca_file; empty: the system's
  net::Proxy proxy;           // mostly none
  net::TlsIdentity identity;  // for servers that want to know who calls; mostly empty
};

/// What an endpoint needs beyond the fleet's view of it; same index as fleet.endpoints.
struct EndpointSettings {
  std::optional<EngineSettings> engine;
  std::optional<RemoteSettings> remote;
};

struct Limits {
  std::uint64_t head_bytes = 32 * 1024;
  std::uint64_t body_bytes = 32ULL * 1024 * 1024;
  std::uint64_t answer_bytes = 64ULL * 1024 * 1024;  // a whole or folded answer
  std::uint64_t held_bytes = 256ULL * 1024 * 1024;   // all bytes held by the process; above it 503
  std::uint32_t connections = 10'000;
  std::uint32_t streams = 4'096;  // requests running or waiting
  Duration wait = 30s;            // for a free slot
  Duration header_timeout = 10s;  // a client's head, from its first byte
  Duration body_timeout = 30s;    // between two reads of a client's body
  Duration idle_timeout = 75s;    // a kept-alive client connection
  Duration write_timeout = 30s;   // a client that takes no bytes
  Duration drain = 30s;           // SIGTERM: how long running requests may go on
};

enum class AccessLog : std::uint8_t { kOff, kStderr, kFile };

struct LogSettings {
  AccessLog access = AccessLog::kStderr;
  std::filesystem::path access_file;
  std::string level = "info";
};

struct Settings {
  ListenAddress listen;
  std::optional<net::TlsIdentity> tls;  // absent: the listener speaks in clear
  std::uint32_t shards = 0;             // 0: half the cores, at least 1
  fleet::Fleet fleet;                   // sealed; number 0 (whoever publishes it numbers it)
  policy::Policy policy;                // sealed
  std::vector<facts::Sheet> facts;      // the user's own, in the order of the file; load_catalogue() takes them
  Passages passages;                    // what goes through as it is
  net::Proxy proxy;                     // for endpoints beyond this machine that have none of their own
  std::vector<std::string> no_proxy;    // hosts that are reached without it
  std::vector<EndpointSettings> endpoints;
  std::vector<std::string> allowed_hosts;    // beside loopback names
  std::vector<std::string> allowed_origins;  // exact origins
  Limits limits;
  LogSettings log;
  Duration probe_interval = 5s;
  std::uint64_t engines_memory = 0;  // that all engines together may take; 0: three quarters of the machine's
};

/// Reads and checks a file whole. On failure: every error found, in file order, at least one.
std::expected<Settings, std::vector<Error>> load(const std::filesystem::path& file);
/// The same from text; relative paths are taken from `folder`.
std::expected<Settings, std::vector<Error>> parse(std::string_view yaml, const std::filesystem::path& folder);
/// `FILE:LINE:COLUMN: error: sentence`, one a line.
std::string render(const std::vector<Error>& errors, const std::filesystem::path& file);

/// The JSON Schema of the file (draft 2020-12), as published in docs/formats/config.schema.json.
std::string_view schema();

}  // namespace thalweg::config
