// The parts of the file, one function each, in the order in which load.cpp calls them: later parts name what earlier
// ones define. Each reports everything that is wrong in its part and gives what could be read, so that one slip in a
// name does not hide the next one.
#pragma once

#include <filesystem>
#include <utility>

#include "base/document/document.h"
#include "base/document/section.h"
#include "carry/config/settings.h"

namespace thalweg::config {

/// A value from outside the file, or empty with the error reported under the key.
template <class Value>
Value taken(Result<Value> result, document::Section& section, std::string_view key) {
  if (result) return std::move(*result);
  section.error(key, std::move(result.error().message));
  return {};
}

/// `places:` into fleet.places.
void read_places(document::Section& top, Settings& settings, document::Errors& errors);
/// `endpoints:` into fleet.endpoints and endpoints; paths from `folder`.
void read_endpoints(document::Section& top, const std::filesystem::path& folder, Settings& settings,
                    document::Errors& errors);
/// `key:`, `key_file:` or `key_command:` of a server; paths from `folder`.
void read_credentials(document::Section& endpoint, const std::filesystem::path& folder, RemoteSettings& remote,
                      document::Errors& errors);
/// `forward_headers:`.
void read_forwarded(document::Section& endpoint, RemoteSettings& remote, document::Errors& errors);
/// `engines:`, what they share.
void read_engines(document::Section& top, Settings& settings, document::Errors& errors);
/// `models:` into fleet.models; absent, every endpoint's model under its own name.
void read_models(document::Section& top, Settings& settings, document::Errors& errors);
/// `passthrough:` into passages, and a model for each into fleet.
void read_passthrough(document::Section& top, Settings& settings, document::Errors& errors);
/// `keys:` into policy.keys.
void read_keys(document::Section& top, Settings& settings, document::Errors& errors);
/// `policy:` into policy.rules.
void read_policy(document::Section& top, Settings& settings, document::Errors& errors);
/// A certificate and its key under `key`; empty where it is absent or cannot be used.
net::TlsIdentity read_identity(document::Section& parent, std::string_view key, const std::filesystem::path& folder,
                               document::Errors& errors);
/// `proxy:`.
void read_proxy(document::Section& top, Settings& settings, document::Errors& errors);
/// An endpoint's own `proxy:`, else the one of all that is meant for its host.
void read_proxy(document::Section& endpoint, const Settings& settings, RemoteSettings& remote);
/// `tls:`; paths from `folder`.
void read_tls(document::Section& top, const std::filesystem::path& folder, Settings& settings,
              document::Errors& errors);
/// `allow_hosts:`, `allow_origins:`.
void read_allowed(document::Section& top, Settings& settings, document::Errors& errors);
/// `limits:`.
void read_limits(document::Section& top, Settings& settings, document::Errors& errors);
/// `facts:` into facts; paths from `folder`.
void read_facts_files(document::Section& top, const std::filesystem::path& folder, Settings& settings,
                      document::Errors& errors);
/// `log:`; paths from `folder`.
void read_log(document::Section& top, const std::filesystem::path& folder, Settings& settings,
              document::Errors& errors);

}  // namespace thalweg::config
