#include "carry/gateway/call.h"

#include <fmt/format.h>

#include <optional>

namespace thalweg::gateway {

namespace {

constexpr std::size_t kCallBuffer = 256 * 1024;

class Running final : net::ClientStream::Owner, http::ResponseReader::Visitor, net::TimerOwner {
 public:
  explicit Running(const Call& call) : call_(call), stream_(loop_, *this), reader_({}) {}

  Result<void> run() {
    if (call_.limit != Duration::zero()) loop_.timers().start(limit_, call_.limit, *this, kLimit);
    hear();
    stream_.connect(call_.address, call_.tls);
    loop_.run();
    if (!failure_) return {};
    return fail(ErrorCode::kUpstreamFailed, *failure_);
  }

 private:
  enum TimerTag : std::uint32_t { kSilence, kLimit };

  void on_connected(std::error_code error) override {
    if (error) return give_up(fmt::format("no connection: {}", error.message()));
    on_writable();
    stream_.want_read();
  }
  void on_writable() override {
    const std::string_view slices[] = {call_.request};
    const net::Written written = stream_.write(slices, sent_);
    sent_ += written.bytes;
    // After an error the read tells how it ended; the server may have answered early.
    if (!written.error && sent_ < call_.request.size()) stream_.want_write();
  }
  void on_readable() override {
    const net::Taken taken = stream_.read(buffer_.data(), buffer_.size() - http::kPadding);
    switch (taken.state) {
      case net::Taken::State::kNothing:
        break;
      case net::Taken::State::kBytes:
        hear();
        if (const auto read = reader_.advance({buffer_.data(), taken.bytes}, *this); !read) {
          return give_up(read.error().message);
        }
        break;
      case net::Taken::State::kEnd:
        if (!reader_.finish(*this)) give_up("the answer was cut");
        return;
      case net::Taken::State::kBroken:
        return give_up(fmt::format("the connection broke off: {}", taken.error.message()));
    }
    stream_.want_read();
  }
  void on_head(const http::ResponseHead& head) override {
    if (call_.on_head) call_.on_head(head);
  }
  void on_body(std::string_view bytes) override {
    if (!ended_ && call_.on_body && !call_.on_body(bytes)) end();
  }
  void on_end() override { end(); }
  void on_timer(std::uint32_t tag) override {
    give_up(tag == kLimit ? "no answer in time" : fmt::format("nothing came for {} s", call_.silence_limit / 1s));
  }

  void hear() {
    if (call_.silence_limit != Duration::zero()) loop_.timers().start(silence_, call_.silence_limit, *this, kSilence);
  }
  void end() {
    ended_ = true;
    stream_.close();
    loop_.stop();
  }
  void give_up(std::string why) {
    if (ended_) return;
    failure_ = std::move(why);
    end();
  }

  const Call& call_;
  net::Loop loop_;
  net::ClientStream stream_;
  http::ResponseReader reader_;
  net::Timer silence_;
  net::Timer limit_;
  std::string buffer_ = std::string(kCallBuffer, '\0');
  std::size_t sent_ = 0;
  std::optional<std::string> failure_;
  bool ended_ = false;
};

}  // namespace

Result<void> call(const Call& call) {
  return Running(call).run();
}

}  // namespace thalweg::gateway
