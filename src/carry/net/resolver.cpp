#include "carry/net/resolver.h"

#include <netdb.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

namespace thalweg::net {

namespace {

constexpr std::size_t kLookupThreads = 4;  // a name server that is silent holds one up for many seconds

class ResolverErrors final : public std::error_category {
 public:
  const char* name() const noexcept override { return "resolver"; }
  std::string message(int code) const override { return ::gai_strerror(code); }
};

const ResolverErrors& resolver_errors() {
  static const auto* const errors = new ResolverErrors;  // its threads outlive main()
  return *errors;
}

std::vector<SocketAddress> ask(const std::string& host, std::uint16_t port, int flags, std::error_code& error) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  std::vector<SocketAddress> addresses;
  if (failed != 0) {
    error = failed == EAI_SYSTEM ? std::error_code(errno, std::system_category())
                                 : std::error_code(failed, resolver_errors());
    return addresses;
  }
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    SocketAddress address;
    address.size = one->ai_addrlen;
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    addresses.push_back(address);
  }
  ::freeaddrinfo(found);
  return addresses;
}

// A few threads, started when they are first needed. They are never joined: one may be waiting for a name server when
// the process ends, so what they touch is never destroyed.
class Askers {
 public:
  static Askers& all() {
    static auto* const askers = new Askers;
    return *askers;
  }
  void put(std::move_only_function<void()> question) {
    const std::lock_guard lock(mutex_);
    questions_.push_back(std::move(question));
    if (idle_ >= questions_.size() || threads_ == kLookupThreads) {
      came_.notify_one();
      return;
    }
    ++threads_;
    std::thread([this] { work(); }).detach();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      came_.wait(lock, [this] { return !questions_.empty(); });
      --idle_;
      auto question = std::move(questions_.front());
      questions_.pop_front();
      lock.unlock();
      question();
      question = nullptr;
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::move_only_function<void()>> questions_;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;
};

}  // namespace

std::vector<SocketAddress> numeric_address(const std::string& host, std::uint16_t port) {
  std::error_code a_name;
  return ask(host, port, AI_NUMERICHOST, a_name);
}

Lookup::Lookup(Loop& loop, std::string host, std::uint16_t port, Answer answer)
    : answer_(std::make_shared<Answer>(std::move(answer))) {
  Askers::all().put([inbox = loop.inbox(), waits = std::weak_ptr(answer_), host = std::move(host), port] {
    if (waits.expired()) return;
    std::error_code error;
    auto addresses = ask(host, port, 0, error);
    inbox->put([waits, addresses = std::move(addresses), error]() mutable {
      if (const auto asker = waits.lock()) (*asker)(std::move(addresses), error);
    });
  });
}

Lookup::~Lookup() = default;

}  // namespace thalweg::net
