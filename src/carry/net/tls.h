// TLS: towards servers, verified, and for those who call us.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace thalweg::net {

/// What a side proves itself with: PEM texts that belong together.
struct TlsIdentity {
  std::string certificate;  // its own first, then its chain; empty: none
  std::string key;          // without a passphrase
  bool empty() const { return certificate.empty(); }
  friend bool operator==(const TlsIdentity&, const TlsIdentity&) = default;
};

/// Verifies servers: TLS 1.2 or newer, chain and host name checked, no way to switch that off. One a shard and set of
/// authorities (OpenSSL 3.0 contends on a shared one).
class TlsContext {
 public:
  /// `authorities`: PEM certificates to trust; empty: the system's store. `identity` is shown to servers that ask for
  /// one. kConfig when there is no certificate in either, or one cannot be read, or the key is another's.
  static Result<std::unique_ptr<TlsContext>> make(std::string_view authorities, const TlsIdentity& identity = {});
  /// Trusts the first certificate of a PEM text and no other, whatever host it names: for a server whose certificate is
  /// at hand. kConfig when there is none.
  static Result<std::unique_ptr<TlsContext>> make_pinned(std::string_view certificate);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  /// A session that will only do with `host`, a name or an address. The caller frees it.
  ssl_st* session(const std::string& host) const;

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
  bool pinned_ = false;
};

/// Our own side towards those who call us: TLS 1.2 or newer, HTTP/1.1 (ALPN). One a shard and certificate; sessions are
/// resumed on any shard of the process.
class TlsServerContext {
 public:
  /// kConfig says what is wrong with the identity.
  static Result<std::unique_ptr<TlsServerContext>> make(const TlsIdentity& identity);
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;
  /// The caller frees it.
  ssl_st* session() const;

 private:
  explicit TlsServerContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

/// The first bytes were HTTP in clear.
bool is_plain_http(const std::error_code& error);

/// Why the call of OpenSSL before this one failed, in its words.
std::error_code tls_error();

}  // namespace thalweg::net
