#include "carry/net/tls.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <cerrno>
#include <vector>

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

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

// What was wrong last, in OpenSSL's words.
std::string reason(std::string_view otherwise) {
  const char* const words = ERR_reason_error_string(ERR_get_error());
  ERR_clear_error();
  return std::string(words != nullptr ? words : otherwise);
}

// The certificates of a PEM text; at least one.
Result<std::vector<Certificate>> read_certificates(std::string_view pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                       BIO_free);
  THALWEG_CHECK(text != nullptr);
  ERR_clear_error();
  std::vector<Certificate> found;
  while (X509* const read = PEM_read_bio_X509_AUX(text.get(), nullptr, nullptr, nullptr)) {
    found.emplace_back(read, X509_free);
  }
  const unsigned long code = ERR_peek_error();
  // The end of the text shows as the lack of another beginning.
  if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) {
    ERR_clear_error();
    if (!found.empty()) return found;
    return fail(ErrorCode::kConfig, "there is no certificate in it (PEM, \"-----BEGIN CERTIFICATE-----\")");
  }
  return fail(ErrorCode::kConfig,
              fmt::format("certificate {} cannot be read: {}", found.size() + 1, reason("it is no X.509 certificate")));
}

// Shows `identity` to the other side.
Result<void> use(SSL_CTX* context, const TlsIdentity& identity) {
  const auto chain = read_certificates(identity.certificate);
  if (!chain) return std::unexpected(chain.error());
  if (SSL_CTX_use_certificate(context, chain->front().get()) != 1) {
    return fail(ErrorCode::kConfig, fmt::format("the certificate cannot be used: {}", reason("it is too weak")));
  }
  for (std::size_t i = 1; i < chain->size(); ++i)
    THALWEG_CHECK(SSL_CTX_add1_chain_cert(context, (*chain)[i].get()) == 1);
  const std::unique_ptr<BIO, decltype(&BIO_free)> text(
      BIO_new_mem_buf(identity.key.data(), static_cast<int>(identity.key.size())), BIO_free);
  THALWEG_CHECK(text != nullptr);
  // Never asks the terminal for a passphrase.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pkey(
      PEM_read_bio_PrivateKey(text.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (pkey == nullptr) {
    return fail(ErrorCode::kConfig, fmt::format("the private key cannot be read (PEM, without a passphrase): {}",
                                                reason("it is no private key")));
  }
  if (SSL_CTX_use_PrivateKey(context, pkey.get()) != 1) {
    return fail(ErrorCode::kConfig, fmt::format("the private key is not the certificate's: {}", reason("they differ")));
  }
  return {};
}

// What both sides of ours have in common.
SSL_CTX* new_context(const SSL_METHOD* method) {
  SSL_CTX* const context = SSL_CTX_new(method);
  THALWEG_CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // What a socket did not take is offered again from another place in memory.
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);  // one read a record instead of two
  return context;
}

// RFC 7301: a client that names protocols gets HTTP/1.1 or none.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned int offered_size, void*) {
  static constexpr std::array<unsigned char, 9> kHttp = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, size, kHttp.data(), kHttp.size(), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

// Tickets that one shard gave are good on another.
void share_tickets(SSL_CTX* context) {
  static const auto keys = [] {
    std::array<unsigned char, 80> random{};  // name, HMAC and AES keys
    THALWEG_CHECK(RAND_bytes(random.data(), static_cast<int>(random.size())) == 1);
    return random;
  }();
  std::array<unsigned char, 80> copy = keys;
  THALWEG_CHECK(SSL_CTX_set_tlsext_ticket_keys(context, copy.data(), static_cast<long>(copy.size())) == 1);
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

Result<std::unique_ptr<TlsContext>> TlsContext::make(std::string_view authorities, const TlsIdentity& identity) {
  std::unique_ptr<TlsContext> made(new TlsContext(new_context(TLS_client_method())));
  SSL_CTX* const context = made->context_;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (!identity.empty()) {
    if (auto used = use(context, identity); !used) return std::unexpected(std::move(used.error()));
  }
  if (authorities.empty()) {
    THALWEG_CHECK(SSL_CTX_set_default_verify_paths(context) ==
                  1);  // remembers where the store is; fails without memory
    return made;
  }
  const auto trusted = read_certificates(authorities);
  if (!trusted) return std::unexpected(trusted.error());
  for (const Certificate& certificate : *trusted) {
    THALWEG_CHECK(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get()) == 1);  // one twice is one
  }
  return made;
}

Result<std::unique_ptr<TlsContext>> TlsContext::make_pinned(std::string_view certificate) {
  const auto found = read_certificates(certificate);
  if (!found) return std::unexpected(found.error());
  std::unique_ptr<TlsContext> made(new TlsContext(new_context(TLS_client_method())));
  SSL_CTX_set_verify(made->context_, SSL_VERIFY_PEER, nullptr);
  X509_STORE* const store = SSL_CTX_get_cert_store(made->context_);
  THALWEG_CHECK(X509_STORE_add_cert(store, found->front().get()) == 1);
  X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);  // it need not be an authority's
  made->pinned_ = true;
  return made;
}

ssl_st* TlsContext::session(const std::string& host) const {
  SSL* const session = SSL_new(context_);
  THALWEG_CHECK(session != nullptr);
  SSL_set_connect_state(session);
  if (pinned_) return session;
  if (is_address(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host.c_str());
  } else {
    SSL_set_tlsext_host_name(session, host.c_str());  // names only: RFC 6066 forbids addresses
    SSL_set_hostflags(session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(session, host.c_str());
  }
  return session;
}

TlsServerContext::~TlsServerContext() {
  SSL_CTX_free(context_);
}

Result<std::unique_ptr<TlsServerContext>> TlsServerContext::make(const TlsIdentity& identity) {
  std::unique_ptr<TlsServerContext> made(new TlsServerContext(new_context(TLS_server_method())));
  SSL_CTX* const context = made->context_;
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  share_tickets(context);
  if (auto used = use(context, identity); !used) return std::unexpected(std::move(used.error()));
  return made;
}

ssl_st* TlsServerContext::session() const {
  SSL* const session = SSL_new(context_);
  THALWEG_CHECK(session != nullptr);
  SSL_set_accept_state(session);
  return session;
}

bool is_plain_http(const std::error_code& error) {
  return error.category() == tls_errors() &&
         ERR_GET_REASON(static_cast<unsigned long>(static_cast<unsigned>(error.value()))) == SSL_R_HTTP_REQUEST;
}

}  // namespace thalweg::net
