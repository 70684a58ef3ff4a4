// A proxy on the way to a server.
#pragma once

#include <cstdint>
#include <string>

namespace thalweg::net {

/// An HTTP proxy that opens tunnels (CONNECT, RFC 9110, section 9.3.6). It sees a server's name and port, and TLS.
struct Proxy {
  std::string host;  // empty: none
  std::uint16_t port = 0;
  std::string authorization;  // as it goes into the Proxy-Authorization field; empty: none
  friend bool operator==(const Proxy&, const Proxy&) = default;
};

}  // namespace thalweg::net
