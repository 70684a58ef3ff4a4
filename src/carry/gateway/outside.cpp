#include "carry/gateway/outside.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <charconv>
#include <csignal>
#include <fstream>
#include <memory>

#include "carry/gateway/call.h"
#include "carry/gateway/part_file.h"

namespace thalweg::gateway {

namespace {

struct Url {
  bool tls = true;
  std::string host;
  std::uint16_t port = 443;
  std::string target;
};

Result<Url> read_url(std::string_view text) {
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    url.tls = false;
    url.port = 80;
  } else {
    return fail(ErrorCode::kInvalidRequest, fmt::format("\"{}\" is not an https address", text));
  }
  const std::size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  url.target = slash == std::string_view::npos ? "/" : std::string(rest.substr(slash));
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    const auto port = authority.substr(colon + 1);
    if (std::from_chars(port.data(), port.data() + port.size(), url.port).ec != std::errc()) {
      return fail(ErrorCode::kInvalidRequest, fmt::format("\"{}\" has no valid port", text));
    }
    authority = authority.substr(0, colon);
  }
  url.host = authority;
  if (!url.tls && url.host != "127.0.0.1" && url.host != "localhost") {
    return fail(ErrorCode::kInvalidRequest, "files are fetched over https only");
  }
  return url;
}

constexpr Duration kSilenceLimit = 60s;

class Hasher {
 public:
  Hasher() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(std::string_view bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  Sha256 end() {
    Sha256 out;
    EVP_DigestFinal_ex(context_.get(), out.data(), nullptr);
    return out;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

Result<Sha256> sha256_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string chunk(1 << 20, '\0');
  Hasher hasher;
  while (in) {
    in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    hasher.add({chunk.data(), static_cast<std::size_t>(in.gcount())});
  }
  if (!in.eof()) return fail(ErrorCode::kIo, fmt::format("cannot read {}", file.string()));
  return hasher.end();
}

Result<void> fetch(const std::string& url, const Sha256& expected, const std::filesystem::path& file,
                   const std::function<void(std::uint64_t, std::uint64_t)>& progress,
                   const std::function<Result<void>(const std::filesystem::path&)>& accept) {
  std::signal(SIGPIPE, SIG_IGN);  // a server that hangs up is an error to read, not an end
  std::string address = url;
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    const auto read = read_url(address);
    if (!read) return std::unexpected(read.error());
    if (redirects > 0 && !read->tls) return fail(ErrorCode::kForbidden, "a redirect leads away from https");
    auto part = PartFile::create(file);
    if (!part) return std::unexpected(part.error());
    Result<void> written;
    std::unique_ptr<net::TlsContext> tls;
    if (read->tls) {
      auto made = net::TlsContext::make({});
      if (!made) return std::unexpected(made.error());
      tls = std::move(*made);
    }
    std::uint16_t status = 0;
    std::string location;
    std::uint64_t got = 0;
    std::uint64_t total = 0;
    Hasher hasher;
    const bool usual_port = read->port == (read->tls ? 443 : 80);
    const auto called =
        call({.address = {.host = read->host, .port = read->port, .path = {}, .tls = read->tls},
              .tls = tls.get(),
              .request = fmt::format(
                  "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: thalweg\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                  read->target, usual_port ? read->host : fmt::format("{}:{}", read->host, read->port)),
              .silence_limit = kSilenceLimit,
              .on_head =
                  [&](const http::ResponseHead& head) {
                    status = head.status;
                    location = head.field("location");
                    const auto length = head.field("content-length");
                    std::from_chars(length.data(), length.data() + length.size(), total);
                  },
              .on_body =
                  [&](std::string_view bytes) {
                    if (status != 200) return true;
                    written = part->append(bytes);
                    hasher.add(bytes);
                    got += bytes.size();
                    if (progress) progress(got, total);
                    return written.has_value();
                  }});
    if (!called) return fail(ErrorCode::kIo, fmt::format("{}: {}", address, called.error().message));
    if (!written) return written;
    if (status >= 300 && status < 400 && !location.empty()) {
      address = location.starts_with('/')
                    ? fmt::format("{}://{}:{}{}", read->tls ? "https" : "http", read->host, read->port, location)
                    : location;
      continue;
    }
    if (status != 200) return fail(ErrorCode::kIo, fmt::format("{}: status {}", address, status));
    const Sha256 found = hasher.end();
    if (found != expected) {
      return fail(ErrorCode::kCorrupt,
                  fmt::format("{}: its SHA-256 is {}, not the expected {}", address, to_hex(found), to_hex(expected)));
    }
    if (accept) {
      if (auto accepted = accept(part->path()); !accepted) return accepted;
    }
    return part->install();
  }
  return fail(ErrorCode::kIo, fmt::format("{}: more than {} redirects", url, kMaxRedirects));
}

}  // namespace thalweg::gateway
