// Calls of our own gateway, for `chat` and `doctor`. The only place of the command line that opens a connection.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "carry/config/settings.h"

namespace thalweg::cli {

/// The gateway that a command talks to.
struct LocalGateway {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  std::string key;          // empty: none
  std::string certificate;  // PEM, the only one that it may show; empty: it speaks in clear
};

/// Where the configured gateway listens, without a key. Another address would be another's: what listens there could
/// take the key and the prompt.
LocalGateway gateway_of(const config::Settings& settings);

struct LocalAnswer {
  std::uint16_t status = 0;
  std::string body;  // empty where `on_bytes` took it
};

/// One request; `body` empty means GET, and then the key is left out: health asks for none, and who answers is not yet
/// known. Bytes of a 200 go to `on_bytes` as they come, where given; it may return false
/// to hang up. kUpstreamFailed when nobody answers there.
Result<LocalAnswer> call(const LocalGateway& gateway, std::string_view path, std::string_view body,
                         const std::function<bool(std::string_view)>& on_bytes = {}, Duration limit = 0s);

}  // namespace thalweg::cli
