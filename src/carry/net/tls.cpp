#include "carry/net/tls.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
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

Result<void> trust(SSL_CTX* context, std::string_view authorities) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> text(
      BIO_new_mem_buf(authorities.data(), static_cast<int>(authorities.size())), BIO_free);
  THALWEG_CHECK(text != nullptr);
  ERR_clear_error();
  std::size_t count = 0;
  while (X509* const read = PEM_read_bio_X509_AUX(text.get(), nullptr, nullptr, nullptr)) {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(read, X509_free);
    THALWEG_CHECK(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get()) == 1);  // one twice is one
    ++count;
  }
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  // The end of the text shows as the lack of another beginning.
  const bool at_end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (at_end && count > 0) return {};
  if (at_end) return fail(ErrorCode::kConfig, "there is no certificate in it (PEM, \"-----BEGIN CERTIFICATE-----\")");
  const char* const reason = ERR_reason_error_string(code);
  return fail(ErrorCode::kConfig, fmt::format("certificate {} cannot be read: {}", count + 1,
                                              reason != nullptr ? reason : "it is no X.509 certificate"));
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

Result<std::unique_ptr<TlsContext>> TlsContext::make(std::string_view authorities) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  THALWEG_CHECK(context != nullptr);
  std::unique_ptr<TlsContext> made(new TlsContext(context));
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  // What a socket did not take is offered again from another place in memory.
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);  // one read a record instead of two
  if (authorities.empty()) {
    THALWEG_CHECK(SSL_CTX_set_default_verify_paths(context) ==
                  1);  // remembers where the store is; fails without memory
    return made;
  }
  if (auto trusted = trust(context, authorities); !trusted) return std::unexpected(trusted.error());
  return made;
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
