// Serving: the whole program as a recipe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "carry/config/settings.h"

namespace thalweg::gateway {

struct ServeOptions {
  std::filesystem::path config;
  std::optional<std::string> listen;  // replaces `listen:`
  bool insecure_listen = false;       // listening beyond loopback without TLS is accepted
  std::string version;
};

/// Runs until SIGTERM or SIGINT, drains, and returns the exit code. Errors before that are told on stderr: 2 for a
/// configuration that cannot be used, 1 for anything else. Prints `listening on http://HOST:PORT` on stdout once it
/// accepts.
int serve(const ServeOptions& options);

/// Whether the settings may listen where they say: beyond loopback only with keys, and with TLS or --insecure-listen.
Result<void> check_listen(const config::Settings& settings, bool insecure_listen);

}  // namespace thalweg::gateway
