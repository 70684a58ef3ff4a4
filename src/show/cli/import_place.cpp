#include "show/cli/import_place.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <string>

#include "carry/config/address.h"

namespace thalweg::cli {

Nearness nearness_of(std::string_view host) {
  if (config::is_loopback(host)) return Nearness::kHere;
  const std::string text(host);
  std::array<std::uint8_t, 4> v4{};
  if (::inet_pton(AF_INET, text.c_str(), v4.data()) == 1) {
    const bool is_private = v4[0] == 10 || (v4[0] == 172 && (v4[1] & 0xF0) == 16) || (v4[0] == 192 && v4[1] == 168) ||
                            (v4[0] == 169 && v4[1] == 254) || (v4[0] == 100 && (v4[1] & 0xC0) == 64);
    return is_private ? Nearness::kNear : Nearness::kFar;
  }
  std::array<std::uint8_t, 16> v6{};
  if (::inet_pton(AF_INET6, text.c_str(), v6.data()) == 1) {
    const bool is_private = (v6[0] & 0xFE) == 0xFC || (v6[0] == 0xFE && (v6[1] & 0xC0) == 0x80);
    return is_private ? Nearness::kNear : Nearness::kFar;
  }
  if (host.find('.') == host.npos) return Nearness::kNear;
  for (const std::string_view ending :
       {".local", ".internal", ".lan", ".home.arpa", ".intranet", ".corp", ".localdomain"}) {
    if (host.ends_with(ending)) return Nearness::kNear;
  }
  return Nearness::kFar;
}

}  // namespace thalweg::cli
