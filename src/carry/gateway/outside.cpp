#include "carry/gateway/outside.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <fstream>
#include <memory>

#include "carry/http/message.h"
#include "carry/net/client.h"

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

constexpr std::chrono::seconds kSilenceLimit(60);

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

class Fetching final : public net::ClientStream::Owner, public http::ResponseReader::Visitor {
 public:
  Fetching(net::Loop& loop, std::ofstream& file, const std::function<void(std::uint64_t, std::uint64_t)>& progress)
      : stream_(loop), patience_(loop), reader_({}), file_(file), progress_(progress) {}
  void start(const Url& url, net::TlsContext* tls) {
    request_ =
        fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: thalweg\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                    url.target, url.port == (url.tls ? 443 : 80) ? url.host : fmt::format("{}:{}", url.host, url.port));
    await();
    stream_.connect({.host = url.host, .port = url.port, .path = {}, .tls = url.tls}, tls, *this, nullptr);
  }
  void on_connected(const net::error_code& failed) override {
    if (failed) return end(failed.message());
    const std::string_view slices[] = {request_};
    if (stream_.write(slices, *this, nullptr)) on_written({});
  }
  void on_written(const net::error_code& failed) override {
    if (failed) return end(failed.message());
    read();
  }
  void on_read(const net::error_code& failed, std::size_t bytes) override {
    if (done_) return;
    if (failed) {
      if (!reader_.finish(*this)) end("the connection broke off");
      return;
    }
    if (const auto advanced = reader_.advance({buffer_.data(), bytes}, *this); !advanced)
      return end(advanced.error().message);
    if (!done_) read();
  }
  void on_head(const http::ResponseHead& head) override {
    status = head.status;
    location = head.field("location");
    const auto length = head.field("content-length");
    std::from_chars(length.data(), length.data() + length.size(), total_);
  }
  void on_body(std::string_view bytes) override {
    if (status != 200) return;
    file_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    hasher.add(bytes);
    got_ += bytes.size();
    if (progress_) progress_(got_, total_);
    if (!file_) end("the file cannot be written");
  }
  void on_end() override { end(""); }

  std::uint16_t status = 0;
  std::string location;
  std::string error;
  Hasher hasher;

 private:
  void await() {
    patience_.expires_after(kSilenceLimit);
    patience_.async_wait([this](const net::error_code& cancelled) {
      if (!cancelled) end("nothing came for a minute");
    });
  }
  void read() {
    await();
    stream_.read(buffer_.data(), buffer_.size() - http::kPadding, *this, nullptr);
  }
  void end(std::string why) {
    if (done_) return;
    done_ = true;
    patience_.cancel();
    error = std::move(why);
    stream_.close();
  }
  net::ClientStream stream_;
  net::asio::steady_timer patience_;
  http::ResponseReader reader_;
  std::ofstream& file_;
  const std::function<void(std::uint64_t, std::uint64_t)>& progress_;
  std::string request_;
  std::string buffer_ = std::string(256 * 1024, '\0');
  std::uint64_t got_ = 0;
  std::uint64_t total_ = 0;
  bool done_ = false;
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
                   const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  std::string address = url;
  const std::filesystem::path part = file.string() + ".part";
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    const auto read = read_url(address);
    if (!read) return std::unexpected(read.error());
    if (redirects > 0 && !read->tls) return fail(ErrorCode::kForbidden, "a redirect leads away from https");
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    if (!out) return fail(ErrorCode::kIo, fmt::format("cannot write {}", part.string()));
    std::unique_ptr<net::TlsContext> tls;
    if (read->tls) {
      auto made = net::TlsContext::make({});
      if (!made) return std::unexpected(made.error());
      tls = std::move(*made);
    }
    net::Loop loop(1);
    Fetching fetching(loop, out, progress);
    fetching.start(*read, tls.get());
    loop.run();
    out.close();
    std::error_code failed;
    const auto give_up = [&](ErrorCode code, std::string why) {
      std::filesystem::remove(part, failed);
      return fail(code, std::move(why));
    };
    if (!fetching.error.empty()) return give_up(ErrorCode::kIo, fmt::format("{}: {}", address, fetching.error));
    if (!out)
      return give_up(ErrorCode::kIo, fmt::format("{} cannot be written whole; is the disk full?", part.string()));
    if (fetching.status >= 300 && fetching.status < 400 && !fetching.location.empty()) {
      address = fetching.location.starts_with('/') ? fmt::format("{}://{}:{}{}", read->tls ? "https" : "http",
                                                                 read->host, read->port, fetching.location)
                                                   : fetching.location;
      continue;
    }
    if (fetching.status != 200) return give_up(ErrorCode::kIo, fmt::format("{}: status {}", address, fetching.status));
    const Sha256 got = fetching.hasher.end();
    if (got != expected) {
      return give_up(ErrorCode::kCorrupt,
                     fmt::format("{}: its SHA-256 is {}, not the expected {}", address, to_hex(got), to_hex(expected)));
    }
    std::filesystem::rename(part, file, failed);
    if (failed) return fail(ErrorCode::kIo, fmt::format("cannot write {}: {}", file.string(), failed.message()));
    return {};
  }
  return fail(ErrorCode::kIo, fmt::format("{}: more than {} redirects", url, kMaxRedirects));
}

}  // namespace thalweg::gateway
