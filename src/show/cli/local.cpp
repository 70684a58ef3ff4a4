#include "show/cli/local.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <memory>

#include "carry/gateway/call.h"

namespace thalweg::cli {

LocalGateway gateway_of(const config::Settings& settings) {
  LocalGateway gateway;
  gateway.host = settings.listen.host;
  gateway.port = settings.listen.port;
  // Who listens on every address is asked on the loopback one.
  in_addr ipv4{};
  in6_addr ipv6{};
  if (::inet_pton(AF_INET, gateway.host.c_str(), &ipv4) == 1 && ipv4.s_addr == htonl(INADDR_ANY)) {
    gateway.host = "127.0.0.1";
  } else if (::inet_pton(AF_INET6, gateway.host.c_str(), &ipv6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&ipv6)) {
    gateway.host = "::1";
  }
  if (settings.tls) gateway.certificate = settings.tls->certificate;
  return gateway;
}

Result<LocalAnswer> call(const LocalGateway& local, std::string_view path, std::string_view body,
                         const std::function<bool(std::string_view)>& on_bytes, Duration limit) {
  std::string request =
      fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", body.empty() ? "GET" : "POST", path);
  if (!local.key.empty() && !body.empty()) request += fmt::format("Authorization: Bearer {}\r\n", local.key);
  if (!body.empty()) request += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  request += "\r\n";
  request += body;
  LocalAnswer answer;
  std::unique_ptr<net::TlsContext> tls;
  if (!local.certificate.empty()) {
    auto made = net::TlsContext::make_pinned(local.certificate);
    if (!made) return std::unexpected(made.error());
    tls = std::move(*made);
  }
  const auto called =
      gateway::call({.address = {.host = local.host, .port = local.port, .path = {}, .tls = tls != nullptr},
                     .tls = tls.get(),
                     .request = std::move(request),
                     .limit = limit,
                     .on_head = [&](const http::ResponseHead& head) { answer.status = head.status; },
                     .on_body =
                         [&](std::string_view bytes) {
                           if (on_bytes && answer.status == 200) return on_bytes(bytes);
                           answer.body.append(bytes);
                           return true;
                         }});
  if (!called) {
    return fail(ErrorCode::kUpstreamFailed, fmt::format("{}:{}: {}", local.host, local.port, called.error().message));
  }
  return answer;
}

}  // namespace thalweg::cli
