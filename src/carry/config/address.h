// Addresses: where a remote endpoint's URL leads, and which hosts are this machine itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "carry/net/proxy.h"

namespace thalweg::config {

/// 127.0.0.0/8, ::1 or "localhost"; without brackets. An IPv4 address inside an IPv6 one is not.
bool is_loopback(std::string_view host);

struct Url {
  bool tls = true;
  std::string host;  // lower case, an IPv6 address without brackets
  std::uint16_t port = 443;
  std::string host_header;
  std::string base_path;  // without a last slash
};
/// http(s)://host[:port][/path]; no user, query or fragment. kConfig says what is wrong, without repeating what may be
/// secret.
Result<Url> parse_url(std::string_view text);

/// http://[user:password@]host:port of a proxy that opens tunnels. kConfig likewise.
Result<net::Proxy> parse_proxy(std::string_view text);
/// The host is one of `names`, below one of them, or below one that begins with a dot.
bool is_among(std::string_view host, const std::vector<std::string>& names);

/// A host as it stands in a Host field: name or address, with or without a port. The reason why it is none, or empty.
std::string fault_of_host(std::string_view text);
/// An origin as browsers send it: scheme://host[:port] in small letters, without a default port. The reason, or empty.
std::string fault_of_origin(std::string_view text);

}  // namespace thalweg::config
