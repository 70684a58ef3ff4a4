#include "carry/net/client.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

#include "carry/net/gather.h"

namespace thalweg::net {

using Tcp = asio::ip::tcp;
using Resolver = asio::ip::basic_resolver<Tcp, Executor>;

struct TlsContext::Impl {
  asio::ssl::context context{asio::ssl::context::tls_client};
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::unique_ptr<TlsContext>> TlsContext::make(const std::string& ca_file) {
  auto impl = std::make_unique<Impl>();
  SSL_CTX* native = impl->context.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_verify(native, SSL_VERIFY_PEER, nullptr);
  error_code error;
  if (ca_file.empty()) {
    impl->context.set_default_verify_paths(error);
  } else {
    impl->context.load_verify_file(ca_file, error);
  }
  if (error) {
    return fail(ErrorCode::kIo, fmt::format("cannot read the certificate authorities in {}: {}",
                                            ca_file.empty() ? "the system's store" : ca_file, error.message()));
  }
  return std::unique_ptr<TlsContext>(new TlsContext(std::move(impl)));
}

struct ClientStream::Impl {
  explicit Impl(Loop& event_loop) : loop(event_loop), socket(event_loop.get_executor()) {}

  Loop& loop;
  Socket socket;
  std::unique_ptr<asio::ssl::stream<Socket&>> tls;
  std::unique_ptr<Resolver> resolver;
  std::vector<Tcp::endpoint> candidates;
  std::size_t next_candidate = 0;
  std::vector<std::string_view> unsent;  // slices of a write that the socket did not take whole
  std::size_t unsent_offset = 0;
  std::string tls_bytes;
  bool closed = false;
};

namespace {
constexpr std::size_t kKeptTlsBytes =
    64 * 1024;  // of a kept connection's write buffer; a long body's memory is given back
}

ClientStream::ClientStream(Loop& loop) : impl_(std::make_unique<Impl>(loop)) {}
ClientStream::~ClientStream() {
  close();
}

void ClientStream::close() {
  impl_->closed = true;
  if (impl_->resolver) impl_->resolver->cancel();
  error_code ignored;
  impl_->socket.close(ignored);
}

void ClientStream::connect(const Address& address, TlsContext* tls, Owner& owner, std::shared_ptr<void> keep) {
  Impl& impl = *impl_;
  THALWEG_CHECK(!address.tls || tls != nullptr);
  const auto connected = [&impl, &owner, keep, tls, host = address.host,
                          wants_tls = address.tls](const error_code& error) {
    if (error || impl.closed) {
      owner.on_connected(error ? error : error_code(asio::error::operation_aborted));
      return;
    }
    if (!wants_tls) {
      owner.on_connected({});
      return;
    }
    impl.tls = std::make_unique<asio::ssl::stream<Socket&>>(impl.socket, tls->impl().context);
    error_code failed;
    asio::ip::make_address(host, failed);
    if (failed)
      SSL_set_tlsext_host_name(impl.tls->native_handle(), host.c_str());  // names only: RFC 6066 forbids addresses
    impl.tls->set_verify_callback(asio::ssl::host_name_verification(host), failed);
    if (failed) {
      owner.on_connected(failed);
      return;
    }
    impl.tls->async_handshake(asio::ssl::stream_base::client,
                              [&owner, keep](const error_code& handshake) { owner.on_connected(handshake); });
  };

  if (!address.path.empty()) {
    if (address.path.size() >= sizeof(sockaddr_un::sun_path)) {
      asio::post(impl.loop.get_executor(), [&owner, keep] { owner.on_connected(asio::error::name_too_long); });
      return;
    }
    impl.socket.async_connect(asio::local::stream_protocol::endpoint(address.path), connected);
    return;
  }

  // Tries the addresses one after the other.
  auto attempt = [&impl, connected](const auto& again, const error_code& last) -> void {
    if (impl.closed || impl.next_candidate >= impl.candidates.size()) {
      connected(impl.closed ? error_code(asio::error::operation_aborted) : last);
      return;
    }
    const Tcp::endpoint candidate = impl.candidates[impl.next_candidate++];
    error_code ignored;
    impl.socket.close(ignored);
    impl.socket.async_connect(candidate, [&impl, connected, again](const error_code& error) {
      if (error && !impl.closed) {
        again(again, error);
        return;
      }
      if (!error) {
        error_code no_matter;
        impl.socket.set_option(Tcp::no_delay(true), no_matter);
      }
      connected(error);
    });
  };

  error_code not_numeric;
  const auto numeric = asio::ip::make_address(address.host, not_numeric);
  if (!not_numeric) {
    impl.candidates.assign(1, Tcp::endpoint(numeric, address.port));
    attempt(attempt, asio::error::host_not_found);
    return;
  }
  impl.resolver = std::make_unique<Resolver>(impl.loop.get_executor());
  impl.resolver->async_resolve(
      address.host, std::to_string(address.port),
      [&impl, attempt, connected](const error_code& error, const Resolver::results_type& results) {
        if (error || impl.closed) {
          connected(error ? error : error_code(asio::error::operation_aborted));
          return;
        }
        for (const auto& result : results) impl.candidates.push_back(result.endpoint());
        attempt(attempt, asio::error::host_not_found);
      });
}

bool ClientStream::write(std::span<const std::string_view> slices, Owner& owner, std::shared_ptr<void> keep) {
  Impl& impl = *impl_;
  if (impl.tls) {
    impl.tls_bytes.clear();
    for (const auto slice : slices) impl.tls_bytes.append(slice);
    asio::async_write(*impl.tls, asio::buffer(impl.tls_bytes),
                      [&impl, &owner, keep = std::move(keep)](const error_code& error, std::size_t) {
                        if (impl.tls_bytes.capacity() > kKeptTlsBytes) std::string().swap(impl.tls_bytes);
                        owner.on_written(error);
                      });
    return false;
  }
  error_code error;
  std::size_t total = 0;
  for (const auto slice : slices) total += slice.size();
  const std::size_t sent = send_gathered(impl.socket, slices, 0, error);
  if (sent == total) return true;
  impl.unsent.assign(slices.begin(), slices.end());
  impl.unsent_offset = sent;
  if (error != asio::error::would_block) {
    asio::post(impl.loop.get_executor(), [&owner, keep = std::move(keep), error] { owner.on_written(error); });
    return false;
  }
  auto push = [&impl, &owner, keep = std::move(keep), total](const auto& again) -> void {
    impl.socket.async_wait(Socket::wait_write, [&impl, &owner, keep, total, again](error_code waited) {
      if (waited || impl.closed) {
        owner.on_written(waited ? waited : error_code(asio::error::operation_aborted));
        return;
      }
      impl.unsent_offset += send_gathered(impl.socket, impl.unsent, impl.unsent_offset, waited);
      if (impl.unsent_offset == total) {
        owner.on_written({});
      } else if (waited == asio::error::would_block) {
        again(again);
      } else {
        owner.on_written(waited);
      }
    });
  };
  push(push);
  return false;
}

void ClientStream::read(char* data, std::size_t size, Owner& owner, std::shared_ptr<void> keep) {
  Impl& impl = *impl_;
  auto done = [&owner, keep = std::move(keep)](const error_code& error, std::size_t bytes) {
    owner.on_read(error, bytes);
  };
  if (impl.tls) {
    impl.tls->async_read_some(asio::buffer(data, size), std::move(done));
  } else {
    impl.socket.async_read_some(asio::buffer(data, size), std::move(done));
  }
}

}  // namespace thalweg::net
