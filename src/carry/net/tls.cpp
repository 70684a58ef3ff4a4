#include "carry/net/tls.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <cerrno>

namespace thalweg::net {

namespace {

// OpenSSL's codes, packed as it packs them.
class TlsErrors final : public std::error_category {
 public:
  const char* name() const noexcept override { return "TLS"; }
  std::string message(int code) const override {
    if (code == kCut) return "the TLS session was cut without its end";
    const char* const reason = ERR_reason_error_string(static_cast<unsigned long>(static_cast<unsigned>(code)));
    return reason != nullptr ? reason : "TLS failed";
  }
  static constexpr int kCut = 1;  // OpenSSL's own codes name a library in their upper bits
};

const TlsErrors& tls_errors() {
  static const TlsErrors errors;
  return errors;
}

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address;
  return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

}  // namespace

std::error_code tls_error() {
  const unsigned long code = ERR_get_error();
  if (code != 0 && ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return {static_cast<int>(code), tls_errors()};
  }
  if (code == 0 && errno != 0) return {errno, std::system_category()};
  return {TlsErrors::kCut, tls_errors()};
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

Result<std::unique_ptr<TlsContext>> TlsContext::make(const std::string& ca_file) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  THALWEG_CHECK(context != nullptr);
  std::unique_ptr<TlsContext> made(new TlsContext(context));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  // What a socket did not take is offered again from another place in memory.
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);  // one read a record instead of two
  const int loaded =
      ca_file.empty() ? SSL_CTX_set_default_verify_paths(context) : SSL_CTX_load_verify_file(context, ca_file.c_str());
  if (loaded == 1) return made;
  const unsigned long code = ERR_get_error();
  const char* const reason = ERR_reason_error_string(code);
  return fail(ErrorCode::kIo, fmt::format("cannot read the certificate authorities in {}: {}",
                                          ca_file.empty() ? "the system's store" : ca_file,
                                          reason != nullptr ? reason : "no certificate in it"));
}

ssl_st* TlsContext::session(const std::string& host) const {
  SSL* const session = SSL_new(context_);
  THALWEG_CHECK(session != nullptr);
  SSL_set_connect_state(session);
  if (is_address(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host.c_str());
  } else {
    SSL_set_tlsext_host_name(session, host.c_str());  // names only: RFC 6066 forbids addresses
    SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(session, host.c_str());
  }
  return session;
}

}  // namespace thalweg::net
