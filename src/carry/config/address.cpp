#include "carry/config/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/text.h"
#include "carry/config/settings.h"

namespace thalweg::config {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::optional<std::array<std::uint8_t, 4>> read_ipv4(std::string_view text) {
  std::array<std::uint8_t, 4> bytes{};
  if (text.find('\0') != std::string_view::npos || inet_pton(AF_INET, std::string(text).c_str(), bytes.data()) != 1)
    return std::nullopt;
  return bytes;
}

std::optional<std::array<std::uint8_t, 16>> read_ipv6(std::string_view text) {
  std::array<std::uint8_t, 16> bytes{};
  if (text.find('\0') != std::string_view::npos || inet_pton(AF_INET6, std::string(text).c_str(), bytes.data()) != 1)
    return std::nullopt;
  return bytes;
}

// RFC 1123, and underscores, which inner names have.
bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253 || text.front() == '-' || text.front() == '.') return false;
  if (text.find("..") != std::string_view::npos) return false;
  // All digits and points is an address, and then a wrong one.
  if (std::ranges::all_of(text, [](char c) { return is_digit(c) || c == '.'; })) return false;
  return std::ranges::all_of(text,
                             [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_'; });
}

std::optional<std::uint16_t> read_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

struct HostPort {
  std::string_view host;  // without brackets
  bool ipv6 = false;
  std::optional<std::string_view> port;
};

// Splits "host", "host:port", "[v6]", "[v6]:port"; the host may be empty, the port is unchecked.
Result<HostPort> split(std::string_view text) {
  HostPort parts;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return fail(ErrorCode::kConfig, "the bracket [ is not closed");
    parts.host = text.substr(1, end - 1);
    parts.ipv6 = true;
    rest = text.substr(end + 1);
    if (!read_ipv6(parts.host)) return fail(ErrorCode::kConfig, "what stands in brackets is no IPv6 address");
  } else {
    const std::size_t colon = text.find(':');
    parts.host = text.substr(0, colon);
    if (colon != std::string_view::npos) rest = text.substr(colon);
    if (rest.size() > 1 && rest.find(':', 1) != std::string_view::npos) {
      return fail(ErrorCode::kConfig, "an IPv6 address stands in brackets, like [::1]:8080");
    }
  }
  if (rest.empty()) return parts;
  if (!rest.starts_with(':')) return fail(ErrorCode::kConfig, "after ] comes nothing or a port");
  parts.port = rest.substr(1);
  return parts;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

bool is_host(const HostPort& parts) {
  return parts.ipv6 || read_ipv4(parts.host) || is_host_name(parts.host);
}

}  // namespace

bool is_loopback(std::string_view host) {
  if (equals_ignoring_case(host, "localhost")) return true;
  if (const auto ipv4 = read_ipv4(host)) return (*ipv4)[0] == 127;
  std::array<std::uint8_t, 16> one{};
  one[15] = 1;
  return read_ipv6(host) == one;
}

Result<ListenAddress> parse_listen(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return fail(
        ErrorCode::kConfig,
        fmt::format("{}; write an address and a port, like 127.0.0.1:8080 or \"[::1]:8080\" (YAML needs the quotes)",
                    why));
  };
  const auto parts = split(text);
  if (!parts) return wrong(parts.error().message);
  if (!parts->port) return wrong("the port is missing");
  const auto port = read_port(*parts->port);
  if (!port) return wrong("the port must be a number from 0 to 65535");
  ListenAddress address;
  address.port = *port;
  if (parts->host.empty() || equals_ignoring_case(parts->host, "localhost")) return address;
  if (parts->host == "*") return wrong("* is no address (all addresses are 0.0.0.0 or [::])");
  if (!parts->ipv6 && !read_ipv4(parts->host)) return wrong("the host must be an address of this machine or localhost");
  address.host = parts->host;
  address.loopback = is_loopback(parts->host);
  return address;
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  std::string_view rest = text;
  if (equals_ignoring_case(rest.substr(0, 8), "https://")) {
    rest.remove_prefix(8);
  } else if (equals_ignoring_case(rest.substr(0, 7), "http://")) {
    rest.remove_prefix(7);
    url.tls = false;
    url.port = 80;
  } else {
    return fail(ErrorCode::kConfig, "a URL begins with https:// (or http:// on this machine)");
  }
  if (std::ranges::any_of(
          rest, [](char c) { return c <= 0x20 || c >= 0x7F || c == '"' || c == '<' || c == '>' || c == '\\'; })) {
    return fail(ErrorCode::kConfig, "the URL has a character that must be percent-encoded");
  }
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  const std::string_view authority = rest.substr(0, end);
  std::string_view path = rest.substr(end);
  if (authority.find('@') != std::string_view::npos) {
    return fail(ErrorCode::kConfig, "a URL must not carry a user or password; use key: ${NAME} or key_file");
  }
  if (path.find_first_of("?#") != std::string_view::npos) {
    return fail(ErrorCode::kConfig, "the URL must not have a query or fragment (? or #)");
  }
  const auto parts = split(authority);
  if (!parts) return std::unexpected(parts.error());
  if (!is_host(*parts)) return fail(ErrorCode::kConfig, "the URL has no valid host");
  const std::uint16_t usual = url.port;
  if (parts->port) {
    const auto port = read_port(*parts->port);
    if (!port || *port == 0) return fail(ErrorCode::kConfig, "the URL's port must be a number from 1 to 65535");
    url.port = *port;
  }
  url.host = lower(parts->host);
  url.host_header = parts->ipv6 ? fmt::format("[{}]", url.host) : url.host;
  if (url.port != usual) url.host_header += fmt::format(":{}", url.port);
  while (path.ends_with('/')) path.remove_suffix(1);
  url.base_path = path;
  if (!url.tls && !is_loopback(url.host)) {
    return fail(ErrorCode::kConfig,
                "http:// would send keys and prompts over the network in clear; use https:// (http:// is for this "
                "machine only)");
  }
  return url;
}

namespace {

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned char byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (error != std::errc() || digits.size() != 2 || end != digits.data() + 2) return std::nullopt;
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

std::string base64(std::string_view text) {
  std::string encoded(text.size() / 3 * 4 + 5, '\0');  // and the NUL that OpenSSL writes
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  encoded.resize(static_cast<std::size_t>(size));
  return encoded;
}

}  // namespace

Result<net::Proxy> parse_proxy(std::string_view text) {
  if (equals_ignoring_case(text.substr(0, 8), "https://"))
    return fail(ErrorCode::kConfig,
                "a proxy is spoken to in clear (http://); what goes through it is TLS all the same");
  if (!equals_ignoring_case(text.substr(0, 7), "http://"))
    return fail(ErrorCode::kConfig, "a proxy's URL begins with http://, like http://proxy.internal:3128");
  std::string_view rest = text.substr(7);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  net::Proxy proxy;
  if (const std::size_t at = rest.rfind('@'); at != rest.npos) {
    const std::string_view user = rest.substr(0, at);
    if (user.empty() || user.size() > upstream::kMaxSecret ||
        std::ranges::any_of(user, [](char c) { return c <= 0x20 || c >= 0x7F; })) {
      return fail(ErrorCode::kConfig, "what stands before the @ is no user:password");
    }
    const auto decoded = percent_decoded(user);
    if (!decoded)
      return fail(ErrorCode::kConfig, "what stands before the @ has a % that no two hexadecimal digits follow");
    proxy.authorization = "Basic " + base64(*decoded);
    rest.remove_prefix(at + 1);
  }
  const auto parts = split(rest);
  if (!parts) return std::unexpected(parts.error());
  if (!is_host(*parts)) return fail(ErrorCode::kConfig, "the proxy's URL has no valid host");
  const auto port = parts->port ? read_port(*parts->port) : std::nullopt;
  if (!port || *port == 0)
    return fail(ErrorCode::kConfig, "the proxy's URL needs a port, like http://proxy.internal:3128");
  proxy.host = lower(parts->host);
  proxy.port = *port;
  return proxy;
}

bool is_among(std::string_view host, const std::vector<std::string>& names) {
  return std::ranges::any_of(names, [host](std::string_view name) {
    if (name.starts_with('.')) name.remove_prefix(1);
    if (equals_ignoring_case(host, name)) return true;
    return host.size() > name.size() && host[host.size() - name.size() - 1] == '.' &&
           equals_ignoring_case(host.substr(host.size() - name.size()), name);
  });
}

std::string fault_of_host(std::string_view text) {
  if (text.find("://") != std::string_view::npos) return "write the host without a scheme, like gateway.internal";
  const auto parts = split(text);
  if (!parts) return parts.error().message;
  if (!is_host(*parts) || (parts->port && !read_port(*parts->port))) {
    return "is no host name or address, like gateway.internal or 10.0.0.5:8080 (patterns are not read)";
  }
  return {};
}

std::string fault_of_origin(std::string_view text) {
  constexpr std::string_view kExample = "an origin is written like https://app.example, exactly as browsers send it";
  if (text == "*") return "* would let every page on the web use this gateway; list the origins";
  if (text == "null") return "\"null\" is what any sandboxed page sends; it cannot be allowed";
  const std::size_t end = text.find("://");
  if (end == std::string_view::npos || end == 0 || !is_letter(text[0])) return std::string(kExample);
  const std::string_view scheme = text.substr(0, end);
  const std::string_view rest = text.substr(end + 3);
  if (rest.find_first_of("/?#@") != std::string_view::npos)
    return fmt::format("{}: without a path or a last slash", kExample);
  if (lower(text) != text) return fmt::format("{}: in small letters", kExample);
  const auto parts = split(rest);
  if (!parts) return parts.error().message;
  if (!is_host(*parts)) return std::string(kExample);
  if (parts->port) {
    const auto port = read_port(*parts->port);
    if (!port || *port == 0) return fmt::format("{}: the port must be a number from 1 to 65535", kExample);
    if ((scheme == "https" && *port == 443) || (scheme == "http" && *port == 80)) {
      return fmt::format("{}: without :{}, which they leave out", kExample, *port);
    }
  }
  return {};
}

}  // namespace thalweg::config
