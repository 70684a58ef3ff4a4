// The event loop of one shard: readiness of file descriptors (epoll, edge by edge), tasks from other threads, timers.
// Everything in it runs on the thread that calls run() or turn(), but for post() and stop().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <system_error>
#include <vector>

#include "base/units.h"
#include "carry/net/socket.h"
#include "carry/net/timers.h"

namespace thalweg::net {

/// Hands tasks to a loop from any thread, and outlives it: a task for a loop that is gone is dropped.
class Inbox {
 public:
  using Task = std::move_only_function<void()>;
  Inbox();
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  void put(Task task);

 private:
  friend class Loop;
  struct Note;
  void wake() const;
  /// All that was put, in order; runs it. How many there were.
  std::size_t run_all();
  void clear();
  std::atomic<Note*> newest_{nullptr};  // a stack: taken whole, then turned round
  Socket bell_;                         // an eventfd
};

class Loop {
 public:
  using Task = Inbox::Task;
  /// Whoever watches a file descriptor. It takes its watch back before it dies.
  class Watcher {
   public:
    /// `events` as epoll gives them: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR. 0 means: called by call_soon().
    virtual void on_events(std::uint32_t events) = 0;

   protected:
    virtual ~Watcher() = default;

   private:
    friend class Loop;
    bool called_ = false;  // by call_soon(), and not yet answered
  };

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Until stop().
  void run();
  /// Waits for at most `limit`, then handles what is ready. How many events, tasks and timers that were.
  std::size_t turn(Duration limit);
  /// From any thread.
  void stop();
  /// From any thread.
  void post(Task task) { inbox_->put(std::move(task)); }
  const std::shared_ptr<Inbox>& inbox() const { return inbox_; }
  TimerWheel& timers() { return timers_; }
  /// When the turn that runs began: cheaper than the clock, and a few of its tasks older.
  Instant turn_began() const { return timers_.turn_began(); }

  /// `events` with EPOLLET or without. The error is the system's: no memory, or too many watches.
  std::error_code watch(int handle, std::uint32_t events, Watcher& watcher);
  /// Nothing comes to `watcher` any more, not even of the turn that runs. Before the descriptor is closed.
  void forget(int handle, Watcher& watcher);
  /// on_events(0) in this turn or the next, never from inside this call. Once, however often it is asked for.
  void call_soon(Watcher& watcher);
  void drop_call(Watcher& watcher);

 private:
  static constexpr int kEventsPerTurn = 128;
  struct Ready;

  Socket poll_;
  std::shared_ptr<Inbox> inbox_;
  TimerWheel timers_;
  std::vector<Watcher*> soon_;
  std::vector<Watcher*> calling_;
  std::unique_ptr<Ready> ready_;
  std::atomic<bool> stopping_{false};
};

}  // namespace thalweg::net
