// A shard: one thread, one loop. It takes no lock and waits for none; others reach it by post().
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

#include "carry/net/loop.h"

namespace thalweg::net {

class Shard {
 public:
  explicit Shard(std::uint32_t index) : index_(index) {}
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard() { stop(); }

  void run() {
    thread_ = std::thread([this] { loop_.run(); });
  }
  /// Ends the loop at once and waits for the thread. Call after everything on it has been let go.
  void stop() {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
  }
  void post(Loop::Task task) { loop_.post(std::move(task)); }
  std::uint32_t index() const { return index_; }
  Loop& loop() { return loop_; }
  TimerWheel& timers() { return loop_.timers(); }

  std::atomic<std::uint32_t> connections{0};  // client connections living here; read by the listener to balance

 private:
  std::uint32_t index_;
  Loop loop_;
  std::thread thread_;
};

}  // namespace thalweg::net
