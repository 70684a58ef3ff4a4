// TLS towards servers, verified.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace thalweg::net {

/// Verifies servers: TLS 1.2 or newer, chain and host name checked, no way to switch that off. One a shard and set of
/// authorities (OpenSSL 3.0 contends on a shared one).
class TlsContext {
 public:
  /// `authorities`: PEM certificates to trust; empty: the system's store. kConfig when there is no certificate in them,
  /// or one cannot be read.
  static Result<std::unique_ptr<TlsContext>> make(std::string_view authorities);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  /// A session that will only do with `host`, a name or an address. The caller frees it.
  ssl_st* session(const std::string& host) const;

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

/// Why the call of OpenSSL before this one failed, in its words.
std::error_code tls_error();

}  // namespace thalweg::net
