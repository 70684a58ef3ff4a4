#include "show/cli/local.h"

#include <fmt/format.h>

#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "carry/http/message.h"
#include "carry/net/client.h"

namespace thalweg::cli {

namespace {

// One call on a loop of its own.
class Call final : public net::ClientStream::Owner, public http::ResponseReader::Visitor {
 public:
  Call(net::Loop& loop, const std::function<bool(std::string_view)>& on_bytes)
      : stream_(loop), reader_({}), on_bytes_(on_bytes) {}

  void start(const LocalGateway& gateway, std::string request) {
    request_ = std::move(request);
    stream_.connect({.host = gateway.host, .port = gateway.port, .path = {}, .tls = false}, nullptr, *this, nullptr);
  }
  void on_connected(const net::error_code& failed) override {
    if (failed) return end(fmt::format("no connection: {}", failed.message()));
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
      if (!reader_.finish(*this)) end("the answer was cut");
      return;
    }
    if (const auto read_on = reader_.advance({buffer_.data(), bytes}, *this); !read_on)
      return end(read_on.error().message);
    if (!done_) read();
  }
  void on_head(const http::ResponseHead& head) override { answer.status = head.status; }
  void on_body(std::string_view bytes) override {
    if (done_) return;
    if (on_bytes_ && answer.status == 200) {
      if (!on_bytes_(bytes)) end("");
    } else {
      answer.body.append(bytes);
    }
  }
  void on_end() override { end(""); }
  void end(std::string why) {
    done_ = true;
    error = std::move(why);
    stream_.close();
  }

  LocalAnswer answer;
  std::string error;

 private:
  void read() { stream_.read(buffer_.data(), buffer_.size() - http::kPadding, *this, nullptr); }

  net::ClientStream stream_;
  http::ResponseReader reader_;
  const std::function<bool(std::string_view)>& on_bytes_;
  std::string request_;
  std::string buffer_ = std::string(64 * 1024, '\0');
  bool done_ = false;
};

}  // namespace

Result<LocalAnswer> call(const LocalGateway& gateway, std::string_view path, std::string_view body,
                         const std::function<bool(std::string_view)>& on_bytes, Duration limit) {
  net::Loop loop(1);
  Call running(loop, on_bytes);
  std::string request =
      fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", body.empty() ? "GET" : "POST", path);
  if (!gateway.key.empty()) request += fmt::format("Authorization: Bearer {}\r\n", gateway.key);
  if (!body.empty()) request += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
  request += "\r\n";
  request += body;
  running.start(gateway, std::move(request));
  if (limit == Duration::zero()) {
    loop.run();
  } else {
    loop.run_for(limit);
    if (!loop.stopped()) {
      running.end("no answer in time");
      loop.restart();
      loop.run();
      running.error = "no answer in time";
    }
  }
  if (!running.error.empty()) {
    return fail(ErrorCode::kUpstreamFailed, fmt::format("{}:{}: {}", gateway.host, gateway.port, running.error));
  }
  return std::move(running.answer);
}

}  // namespace thalweg::cli
