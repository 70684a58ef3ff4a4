// A certificate authority made for one test: issues certificates, and shows its own to those who are to trust it.
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace thalweg::net {

class Authority {
 public:
  Authority() : key_(EVP_EC_gen("P-256"), EVP_PKEY_free) {
    certificate_.reset(make("Thalweg test authority", key_.get(), 1));
    extend(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
    extend(certificate_.get(), NID_key_usage, "critical,keyCertSign");
    X509_sign(certificate_.get(), key_.get(), EVP_sha256());
  }
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  std::string pem() const {
    return text_of([this](BIO* memory) { PEM_write_bio_X509(memory, certificate_.get()); });
  }
  std::string key_pem() const {
    return text_of(
        [this](BIO* memory) { PEM_write_bio_PrivateKey(memory, key_.get(), nullptr, nullptr, 0, nullptr, nullptr); });
  }

  enum class Validity { kNow, kPast };
  /// A server's context with a certificate for `names`, in OpenSSL's form: "DNS:localhost,IP:127.0.0.1".
  using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
  Context serve_as(const std::string& names, Validity validity = Validity::kNow) const {
    const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const Certificate leaf(make("Thalweg test server", key.get(), 2), X509_free);
    if (validity == Validity::kPast) X509_gmtime_adj(X509_getm_notAfter(leaf.get()), -3600);
    extend(leaf.get(), NID_subject_alt_name, names.c_str());
    X509_sign(leaf.get(), key_.get(), EVP_sha256());
    Context context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    SSL_CTX_set_mode(context.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_use_certificate(context.get(), leaf.get());
    SSL_CTX_use_PrivateKey(context.get(), key.get());
    return context;
  }
  /// The certificate that such a context shows.
  static std::string pem_of(const Context& context) {
    return text_of([&](BIO* memory) { PEM_write_bio_X509(memory, SSL_CTX_get0_certificate(context.get())); });
  }

 private:
  template <class Write>
  static std::string text_of(Write write) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), BIO_free);
    write(memory.get());
    char* text = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &text);
    return {text, static_cast<std::size_t>(size)};
  }

  using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

  // Issued by the authority, not yet signed.
  X509* make(const char* name, EVP_PKEY* key, long serial) const {
    X509* certificate = X509_new();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -24 * 3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509_set_issuer_name(certificate, certificate_ ? X509_get_subject_name(certificate_.get()) : subject);
    return certificate;
  }
  static void extend(X509* certificate, int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  Key key_;
  Certificate certificate_{nullptr, X509_free};
};

}  // namespace thalweg::net
