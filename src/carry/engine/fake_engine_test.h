// What this room's tests share: a folder of their own, variables put back, and a fake engine
// (tests/engine/fake_engine.cpp) under supervision.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "carry/engine/engine.h"

namespace thalweg::engine {

namespace fs = std::filesystem;

// A wait ends with an event; this only keeps a broken test from hanging.
inline constexpr Duration kPatience = 60s;

/// A folder of the test's own, out of the engine's reach.
class Scratch {
 public:
  Scratch() {
    std::string made = fs::temp_directory_path() / "thalweg-test-XXXXXX";
    if (mkdtemp(made.data()) == nullptr) std::abort();
    path = made;
  }
  ~Scratch() { fs::remove_all(path); }
  fs::path write(const std::string& name, const std::string& text) const {
    std::ofstream(path / name) << text;
    return path / name;
  }
  fs::path path;
};

/// Keeps what a supervisor tells, and waits for it.
class Told {
 public:
  Supervisor::OnState listener() {
    return [this](State state, std::string_view detail) {
      const std::lock_guard lock(mutex_);
      told_.emplace_back(state, detail);
      changed_.notify_all();
    };
  }
  /// Waits until `state` was told `count` times; the last detail with it, or "never".
  std::string wait(State state, std::size_t count = 1) {
    std::unique_lock lock(mutex_);
    std::string detail = "never";
    const auto reached = [&] {
      std::size_t seen = 0;
      for (const auto& [told, text] : told_) {
        if (told == state && ++seen == count) detail = text;
      }
      return seen >= count;
    };
    changed_.wait_for(lock, kPatience, reached);
    return detail;
  }
  std::vector<State> states() {
    const std::lock_guard lock(mutex_);
    std::vector<State> states;
    for (const auto& [state, detail] : told_) states.push_back(state);
    return states;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<State, std::string>> told_;
};

/// GET on a UNIX socket: the body, or "no answer" when the connection ends without one.
inline std::string ask(const fs::path& socket_path, const std::string& path) {
  const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  std::string answer;
  if (connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n";
    if (send(file, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      char bytes[4096];
      for (ssize_t got; (got = read(file, bytes, sizeof bytes)) > 0;)
        answer.append(bytes, static_cast<std::size_t>(got));
    }
  }
  close(file);
  const std::size_t head = answer.find("\r\n\r\n");
  return head == answer.npos ? "no answer" : answer.substr(head + 4);
}

enum class Confined { kYes, kNo };

/// A fake engine under supervision, ready. What it can reach is asked through its own socket.
class Fake {
 public:
  explicit Fake(Confined confined, const std::string& behaviour = "") : Fake(confined, behaviour, 512ULL << 20) {}
  Fake(Confined confined, const std::string& behaviour, std::uint64_t memory) {
    options.name = "fake";
    options.program = THALWEG_FAKE_ENGINE;
    options.model_file = scratch.write("model.gguf", behaviour);
    options.alias = "fake-model";
    options.memory_bytes = memory;
    options.sandbox = confined == Confined::kYes;
  }
  void start(Supervisor::Begin begin = Supervisor::Begin::kLoaded) {
    auto started = Supervisor::start(options, told.listener(), begin);
    ASSERT_TRUE(started) << started.error().message;
    supervisor = std::move(*started);
  }
  std::string ask(const std::string& path) const { return engine::ask(supervisor->socket_path(), path); }

  Scratch scratch;
  Told told;
  Options options;
  std::unique_ptr<Supervisor> supervisor;
};

inline bool is_alive(pid_t pid) {
  return kill(pid, 0) == 0;
}

/// Sets variables and puts them back.
class Environment {
 public:
  Environment(std::initializer_list<std::pair<const char*, std::string>> wished) {
    for (const auto& [name, value] : wished) {
      const char* const before = std::getenv(name);
      before_.emplace_back(name, before != nullptr ? std::optional<std::string>(before) : std::nullopt);
      setenv(name, value.c_str(), 1);
    }
  }
  ~Environment() {
    for (const auto& [name, value] : before_) {
      if (value) {
        setenv(name, value->c_str(), 1);
      } else {
        unsetenv(name);
      }
    }
  }

 private:
  std::vector<std::pair<const char*, std::optional<std::string>>> before_;
};

}  // namespace thalweg::engine
