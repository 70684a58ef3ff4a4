#include "carry/net/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>

#include "base/result.h"

namespace thalweg::net {

// ---- The inbox ----

struct Inbox::Note {
  Task task;
  Note* older;
};

Inbox::Inbox() : bell_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  THALWEG_CHECK(bell_);
}

Inbox::~Inbox() {
  clear();
}

void Inbox::clear() {
  for (Note* note = newest_.exchange(nullptr); note != nullptr;) {
    const std::unique_ptr<Note> owned(note);
    note = owned->older;
  }
}

void Inbox::put(Task task) {
  Note* older = newest_.load(std::memory_order_relaxed);
  Note* const note = new Note{std::move(task), older};
  while (!newest_.compare_exchange_weak(older, note, std::memory_order_release, std::memory_order_relaxed)) {
    note->older = older;
  }
  // From here on `note` may be gone. Who finds the box empty rings; whoever comes before it is emptied rides along.
  if (older == nullptr) wake();
}

void Inbox::wake() const {
  const std::uint64_t one = 1;
  // Full means that it rings already.
  (void)!::write(bell_.handle(), &one, sizeof one);
}

std::size_t Inbox::run_all() {
  Note* newest = newest_.exchange(nullptr, std::memory_order_acquire);
  Note* oldest = nullptr;
  while (newest != nullptr) {
    Note* const next = std::exchange(newest->older, oldest);
    oldest = std::exchange(newest, next);
  }
  std::size_t count = 0;
  while (oldest != nullptr) {
    const std::unique_ptr<Note> note(oldest);
    oldest = note->older;
    note->task();
    ++count;
  }
  return count;
}

// ---- The loop ----

struct Loop::Ready {
  std::array<epoll_event, kEventsPerTurn> events;
  int count = 0;
};

Loop::Loop()
    : poll_(::epoll_create1(EPOLL_CLOEXEC)), inbox_(std::make_shared<Inbox>()), ready_(std::make_unique<Ready>()) {
  THALWEG_CHECK(poll_);
  epoll_event bell{};
  bell.events = EPOLLIN;
  bell.data.ptr = this;
  THALWEG_CHECK(::epoll_ctl(poll_.handle(), EPOLL_CTL_ADD, inbox_->bell_.handle(), &bell) == 0);
}

Loop::~Loop() {
  inbox_->clear();  // tasks may hold what must go before this loop
}

void Loop::run() {
  while (!stopping_.load(std::memory_order_acquire)) turn(Duration::max());
}

void Loop::stop() {
  stopping_.store(true, std::memory_order_release);
  inbox_->wake();
}

std::error_code Loop::watch(int handle, std::uint32_t events, Watcher& watcher) {
  epoll_event wanted{};
  wanted.events = events;
  wanted.data.ptr = &watcher;
  if (::epoll_ctl(poll_.handle(), EPOLL_CTL_ADD, handle, &wanted) == 0) return {};
  return {errno, std::system_category()};
}

void Loop::forget(int handle, Watcher& watcher) {
  ::epoll_ctl(poll_.handle(), EPOLL_CTL_DEL, handle, nullptr);
  for (int i = 0; i < ready_->count; ++i) {
    if (ready_->events[i].data.ptr == &watcher) ready_->events[i].data.ptr = nullptr;
  }
  drop_call(watcher);
}

void Loop::call_soon(Watcher& watcher) {
  if (!std::exchange(watcher.called_, true)) soon_.push_back(&watcher);
}

void Loop::drop_call(Watcher& watcher) {
  if (!std::exchange(watcher.called_, false)) return;
  std::ranges::replace(soon_, &watcher, nullptr);
  std::ranges::replace(calling_, &watcher, nullptr);
}

std::size_t Loop::turn(Duration limit) {
  int wait_ms = 0;
  if (soon_.empty()) {
    limit = std::min(limit, timers_.until_next());
    // Rounded up, so that the timer is due when the wait is over.
    wait_ms = limit > std::chrono::hours(24) ? -1 : static_cast<int>((limit + 999'999ns) / 1ms);
  }
  ready_->count = ::epoll_wait(poll_.handle(), ready_->events.data(), kEventsPerTurn, wait_ms);
  timers_.begin_turn();
  std::size_t handled = 0;
  bool rang = false;
  for (int i = 0; i < ready_->count; ++i) {
    const epoll_event event = ready_->events[i];
    if (event.data.ptr == nullptr) continue;  // the watch was taken back meanwhile
    if (event.data.ptr == this) {
      rang = true;
      continue;
    }
    static_cast<Watcher*>(event.data.ptr)->on_events(event.events);
    ++handled;
  }
  ready_->count = 0;
  if (rang) {
    std::uint64_t rings = 0;
    (void)!::read(inbox_->bell_.handle(), &rings, sizeof rings);
    handled += inbox_->run_all();
  }
  if (!soon_.empty()) {
    calling_.swap(soon_);
    for (std::size_t i = 0; i < calling_.size(); ++i) {
      Watcher* const watcher = std::exchange(calling_[i], nullptr);
      if (watcher == nullptr) continue;
      watcher->called_ = false;
      watcher->on_events(0);
      ++handled;
    }
    calling_.clear();
  }
  return handled + timers_.fire();
}

}  // namespace thalweg::net
