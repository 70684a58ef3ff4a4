// One connection to an endpoint: carries one attempt at a time, then rests in its pool.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "carry/upstream/dispatch.h"

namespace thalweg::upstream {

class Connection final : public std::enable_shared_from_this<Connection>,
                         private net::ClientStream::Owner,
                         private http::ResponseReader::Visitor,
                         private net::TimerOwner {
 public:
  /// `buffer`: kReadBuffer bytes and http::kPadding, the shard's for all: what was read is dealt with before the next
  /// read.
  Connection(net::Shard& shard, std::shared_ptr<Door::Pool> pool, std::shared_ptr<char[]> buffer);
  ~Connection();

  /// Connects if need be and sends.
  void carry(Attempt& attempt);
  /// The attempt is gone: close.
  void abandon();
  /// The attempt is gone, its answer complete: read the framing's end, then rest in the pool. The pool holds it.
  void let_finish();
  void resume();
  void close();

 private:
  void on_connected(std::error_code error) override;
  void on_writable() override;
  void on_readable() override;
  void on_head(const http::ResponseHead& head) override;
  void on_body(std::string_view bytes) override;
  void on_end() override;
  void on_timer(std::uint32_t tag) override;

  void add_field(std::string_view name, std::string_view value);
  void add_target(const Body& body);
  void add_content_fields(const Body& body);
  void add_anthropic_fields(const AnthropicFields& fields);
  void add_forwarded(std::span<const http::Field> callers);
  void send();
  void write();
  void arm_read();
  void on_broken(const net::Taken& taken);
  void take_in(std::size_t bytes);
  void break_off(Breakage breakage);
  void rest();

  net::Shard& shard_;
  std::shared_ptr<Door::Pool> pool_;
  net::ClientStream stream_;
  http::ResponseReader reader_;
  std::shared_ptr<char[]> buffer_;
  Attempt* attempt_ = nullptr;
  std::string head_;
  std::vector<std::string_view> slices_;
  std::size_t size_ = 0;  // of the slices
  std::size_t sent_ = 0;
  net::Timer timer_;
  bool connected_ = false;
  bool answered_ = false;  // bytes of the current answer have come
  bool ended_ = false;
  bool used_ = false;  // has carried an attempt before this one
  Instant written_at_{};
  bool idle_ = false;
  bool closed_ = false;
};

}  // namespace thalweg::upstream
