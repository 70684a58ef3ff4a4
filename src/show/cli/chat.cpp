#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/units.h"
#include "carry/config/settings.h"
#include "carry/http/sse.h"
#include "show/cli/cli.h"
#include "show/cli/local.h"

namespace thalweg::cli {

namespace {

using Json = nlohmann::json;

struct Flags {
  std::string config = "thalweg.yaml";
  std::string model = "auto";
  std::string key;
  std::string prompt;
};

// A gateway of our own, when none runs: the same program as a child, on a free port, ended with us.
class OwnGateway {
 public:
  ~OwnGateway() {
    if (child_ <= 0) return;
    ::kill(child_, SIGTERM);
    ::waitpid(child_, nullptr, 0);
  }
  // The port it listens on.
  Result<std::uint16_t> start(const std::string& config) {
    int out[2];
    if (::pipe2(out, O_CLOEXEC) != 0) return fail(ErrorCode::kIo, "cannot make a pipe");
    const std::string program = std::filesystem::read_symlink("/proc/self/exe");
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(out[1], STDOUT_FILENO);
      const int quiet = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
      if (quiet >= 0) ::dup2(quiet, STDERR_FILENO);
      ::setpgid(0, 0);  // Ctrl-C is for the chat
      ::execl(program.c_str(), "thalweg", "serve", "--config", config.c_str(), "--listen", "127.0.0.1:0", nullptr);
      ::_exit(127);
    }
    ::close(out[1]);
    std::string line;
    char c = 0;
    while (::read(out[0], &c, 1) == 1 && c != '\n') line += c;
    drain_ = out[0];
    const std::size_t colon = line.rfind(':');
    if (colon == std::string::npos) {
      return fail(ErrorCode::kIo,
                  fmt::format("the gateway did not start; `thalweg serve --config {}` says why", config));
    }
    return static_cast<std::uint16_t>(std::stoi(line.substr(colon + 1)));
  }

 private:
  pid_t child_ = -1;
  int drain_ = -1;
};

// Lines typed at a terminal, with libedit where it is installed: cursor keys, and earlier lines with the arrow up.
// Loaded here and now, so that the gateway does not carry it. The lines are kept in memory only.
class LineEditor {
 public:
  LineEditor() {
    void* const library = ::dlopen("libedit.so.2", RTLD_NOW);
    if (library == nullptr) return;
    std::setlocale(LC_CTYPE, "");
    readline_ = reinterpret_cast<Readline>(::dlsym(library, "readline"));
    add_history_ = reinterpret_cast<AddHistory>(::dlsym(library, "add_history"));
  }
  // False at the end of input.
  bool read(std::string& line) {
    if (readline_ == nullptr || add_history_ == nullptr) {
      fmt::print("{}", kPrompt);
      std::fflush(stdout);
      return read_plain(line);
    }
    const std::unique_ptr<char, decltype(&std::free)> typed(readline_(kPrompt), std::free);
    if (typed == nullptr) return false;
    line = typed.get();
    if (!line.empty()) add_history_(typed.get());
    return true;
  }
  // One line of standard input without its end.
  static bool read_plain(std::string& line);

 private:
  using Readline = char* (*)(const char*);
  using AddHistory = int (*)(const char*);
  static constexpr const char* kPrompt = "> ";
  Readline readline_ = nullptr;
  AddHistory add_history_ = nullptr;
};

bool LineEditor::read_plain(std::string& line) {
  line.clear();
  for (int c = std::getchar(); c != EOF; c = std::getchar()) {
    if (c == '\n') return true;
    line += static_cast<char>(c);
  }
  return !line.empty();
}

bool answers(const LocalGateway& gateway, std::string_view path) {
  const auto answer = call(gateway, path, {}, {}, 2s);
  return answer && answer->status == 200;
}

// An engine reads its model first.
constexpr Duration kPatience = 60s;
bool becomes_ready(const LocalGateway& gateway) {
  const Instant began = MonotonicClock::now();
  bool told = false;
  while (!answers(gateway, "/readyz")) {
    const Duration waited = MonotonicClock::now() - began;
    if (waited > kPatience) return false;
    if (waited > 1s && !std::exchange(told, true)) fmt::print(stderr, "waiting for an endpoint to be ready ...\n");
    ::usleep(100'000);
  }
  return true;
}

// One turn: streams the answer to stdout and returns its text.
Result<std::string> turn(const LocalGateway& gateway, const std::string& model, const Json& messages) {
  const std::string body = Json{{"model", model}, {"messages", messages}, {"stream", true}}.dump();
  std::string text;
  std::optional<std::string> failed;
  bool finished = false;
  http::SseReader reader(1 << 20);
  const auto take = [&](std::string_view bytes) {
    reader.feed(bytes);
    http::SseFrame frame;
    while (true) {
      const auto next = reader.next(frame);
      if (!next || !*next) return next.has_value();
      if (!frame.has_data) continue;
      if (frame.data == "[DONE]") {
        finished = true;
        continue;
      }
      const Json event = Json::parse(frame.data, nullptr, false);
      if (event.is_discarded()) continue;
      if (event.contains("error")) {
        failed = event["error"].value("message", "the stream broke off");
        return false;
      }
      for (const Json& choice : event.value("choices", Json::array())) {
        const Json delta = choice.value("delta", Json::object());
        const auto content = delta.find("content");
        if (content == delta.end() || !content->is_string()) continue;
        text += content->get<std::string>();
        fmt::print("{}", content->get<std::string>());
        std::fflush(stdout);
      }
    }
  };
  const auto answer = call(gateway, "/v1/chat/completions", body, take);
  if (!text.empty()) fmt::print("\n");
  if (failed) return fail(ErrorCode::kUpstreamFailed, *failed);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status != 200) {
    const Json error = Json::parse(answer->body, nullptr, false);
    return fail(ErrorCode::kUpstreamRefused, error.is_object() && error.contains("error")
                                                 ? error["error"].value("message", answer->body)
                                                 : fmt::format("status {}", answer->status));
  }
  if (!finished) return fail(ErrorCode::kTruncated, "the answer broke off");
  return text;
}

int chat(const Flags& flags) {
  auto settings = config::load(flags.config);
  if (!settings) {
    fmt::print(stderr, "{}", config::render(settings.error(), flags.config));
    return 2;
  }
  LocalGateway gateway;
  gateway.port = settings->listen.port;
  if (settings->listen.loopback) gateway.host = settings->listen.host;
  if (settings->tls) gateway.certificate = settings->tls->certificate;
  gateway.key = flags.key;
  if (const char* key = std::getenv("THALWEG_KEY"); gateway.key.empty() && key != nullptr) gateway.key = key;
  OwnGateway own;
  if (!answers(gateway, "/healthz")) {
    const auto port = own.start(flags.config);
    if (!port) {
      fmt::print(stderr, "thalweg: {}\n", port.error().message);
      return 1;
    }
    gateway.host = "127.0.0.1";
    gateway.port = *port;
  }
  if (!becomes_ready(gateway)) {
    fmt::print(stderr, "thalweg: no endpoint is ready after {} s; `thalweg doctor` and the gateway's log say more\n",
               kPatience / 1s);
    return 1;
  }

  Json messages = Json::array();
  const bool once = !flags.prompt.empty();
  const bool terminal = ::isatty(STDIN_FILENO) != 0;
  if (!once && terminal)
    fmt::print("Talking to \"{}\". An empty line or Ctrl-D ends, /new forgets the conversation.\n", flags.model);
  std::optional<LineEditor> editor;
  if (!once && terminal) editor.emplace();
  while (true) {
    std::string line = flags.prompt;
    if (!once) {
      if (!(editor ? editor->read(line) : LineEditor::read_plain(line)) || line.empty()) return 0;
      if (line == "/new") {
        messages = Json::array();
        continue;
      }
    }
    messages.push_back({{"role", "user"}, {"content", line}});
    const auto text = turn(gateway, flags.model, messages);
    if (!text) {
      fmt::print(stderr, "thalweg: {}\n", text.error().message);
      if (once || !terminal) return 1;
      messages.erase(messages.size() - 1);
      continue;
    }
    messages.push_back({{"role", "assistant"}, {"content", *text}});
    if (once) return 0;
  }
}

}  // namespace

void add_chat(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("chat", "Talk to a model; starts a gateway if none runs");
  command->footer(
      "Example: thalweg chat \"Name three rivers.\"\n"
      "Without a prompt it reads lines and keeps the conversation. Where keys are configured, give one with --key or\n"
      "in THALWEG_KEY.");
  const auto flags = std::make_shared<Flags>();
  command->add_option("-c,--config", flags->config, "The configuration file")->capture_default_str();
  command->add_option("-m,--model", flags->model, "The model to ask for")->capture_default_str();
  command->add_option("--key", flags->key, "The key to send");
  command->add_option("PROMPT", flags->prompt, "What to ask");
  command->callback([flags, &exit_code] { exit_code = chat(*flags); });
}

}  // namespace thalweg::cli
