// A connected byte stream that never blocks: TCP or a UNIX socket, in clear or over TLS. Readiness comes edge by edge,
// so that a request costs no system call but its reads and writes: a read that comes back short has emptied the socket,
// and nothing is asked again before the system says that more has come.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "carry/net/gather.h"
#include "carry/net/loop.h"

// OpenSSL's session; who opens one includes carry/net/tls.h.
struct ssl_st;

namespace thalweg::net {

/// What a read came to.
struct Taken {
  enum class State : std::uint8_t {
    kBytes,
    kNothing,  // not now
    kEnd,      // the other side ended in good order; over TLS it said so
    kBroken,   // reset, or a TLS session that was cut or makes no sense
  };
  State state;
  std::size_t bytes = 0;
  std::error_code error{};  // of kBroken
};

/// All calls and callbacks on the loop's thread; callbacks never come from inside a call, and none after close(). The
/// owner outlives its stream; it may close or destroy it in any callback.
class Stream : protected Loop::Watcher {
 public:
  class Owner {
   public:
    /// Once for each want_read(): read() may have something.
    virtual void on_readable() = 0;
    /// Once for each want_write(): write() may take something.
    virtual void on_writable() = 0;

   protected:
    ~Owner() = default;
  };

  explicit Stream(Loop& loop, Owner& owner) : loop_(loop), owner_(owner) {}
  ~Stream() override { close(); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// Takes over a connected, non-blocking socket. The error is the system's.
  std::error_code open(Socket socket);
  bool is_open() const { return static_cast<bool>(socket_); }
  /// At once. A TLS session is cut, not shut down: what travels in it is framed.
  void close();

  /// Speaks TLS from here on; before anything was read or written. Takes the session; reads and writes shake hands as
  /// needed.
  void use(ssl_st* session);
  /// Speaks in clear from here on, whatever of the session was under way.
  void leave_tls();
  bool is_shaking_hands() const;

  Taken read(char* data, std::size_t size);
  void want_read();
  void unwant_read() { wants_read_ = false; }
  /// The slices' bytes from `offset` of their sum on. What was not taken is to be offered again, unchanged, before
  /// anything else.
  Written write(std::span<const std::string_view> slices, std::size_t offset = 0);
  void want_write();
  /// Nothing more will be written; the other side sees the end.
  void shut_writing();
  /// close() resets the connection instead of ending it.
  void reset_on_close();

 protected:
  void on_events(std::uint32_t events) override;
  /// What a read must still see though no edge will tell of it again.
  void note_hang_up(std::uint32_t events);
  Loop& loop() { return loop_; }
  const Socket& socket() const { return socket_; }
  ssl_st* session() { return session_; }

 private:
  Taken read_session(char* data, std::size_t size);
  Written write_session(std::span<const std::string_view> slices, std::size_t offset);

  Loop& loop_;
  Owner& owner_;
  Socket socket_;
  ssl_st* session_ = nullptr;
  std::string record_;  // the bytes of the slices that go into one TLS record
  bool readable_ = false;
  bool writable_ = false;
  bool hung_up_ = false;  // the end has come and was not read yet: no edge will tell of it
  bool wants_read_ = false;
  bool wants_write_ = false;
};

}  // namespace thalweg::net
