// A shard: one thread, one loop, one wheel of timers. It takes no lock and waits for none; others reach it by post().
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <cstdint>
#include <memory>
#include <thread>

#include "carry/net/loop.h"
#include "carry/net/timers.h"

namespace thalweg::net {

class Shard {
 public:
  explicit Shard(std::uint32_t index) : index_(index), loop_(1), timers_(loop_), work_(loop_.get_executor()) {}
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard() { stop(); }

  void run() {
    thread_ = std::thread([this] { loop_.run(); });
  }
  /// Ends the loop at once and waits for the thread. Call after everything on it has been let go.
  void stop() {
    work_.reset();
    loop_.stop();
    if (thread_.joinable()) thread_.join();
  }
  template <class F>
  void post(F&& f) {
    asio::post(loop_.get_executor(), std::forward<F>(f));
  }
  std::uint32_t index() const { return index_; }
  Loop& loop() { return loop_; }
  TimerWheel& timers() { return timers_; }

  std::atomic<std::uint32_t> connections{0};  // client connections living here; read by the listener to balance

 private:
  std::uint32_t index_;
  Loop loop_;
  TimerWheel timers_;
  asio::executor_work_guard<Executor> work_;
  std::thread thread_;
};

}  // namespace thalweg::net
