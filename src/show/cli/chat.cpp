#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/text.h"
#include "base/units.h"
#include "carry/config/settings.h"
#include "carry/http/sse.h"
#include "show/cli/cli.h"
#include "show/cli/local.h"
#include "show/cli/own_gateway.h"
#include "show/cli/terminal.h"

namespace thalweg::cli {

namespace {

using Json = nlohmann::json;

struct Flags {
  std::string config = "thalweg.yaml";
  std::string model = "auto";
  std::string key;
  std::string prompt;
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

// The member, or null where there is none. Who answers may have sent any JSON.
const Json& member_of(const Json& value, const char* name) {
  static const Json kNone;
  const auto found = value.find(name);
  return found == value.end() ? kNone : *found;
}

// What an `error` member says; nothing when it is absent or null.
std::optional<std::string> error_in(const Json& answer, std::string_view otherwise) {
  const Json& error = member_of(answer, "error");
  if (error.is_null()) return std::nullopt;
  const Json& message = error.is_string() ? error : member_of(error, "message");
  return message.is_string() ? message.get<std::string>() : std::string(otherwise);
}

// One turn: streams the answer to stdout and returns its text. The model's name and the messages are UTF-8.
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
      failed = error_in(event, "the stream broke off");
      if (failed) return false;
      const Json& choices = member_of(event, "choices");
      if (!choices.is_array()) continue;
      for (const Json& choice : choices) {
        const Json& content = member_of(member_of(choice, "delta"), "content");
        if (!content.is_string()) continue;
        const auto& piece = content.get_ref<const std::string&>();
        text += piece;
        show_text(stdout, piece);
        std::fflush(stdout);
      }
    }
  };
  const auto answer = call(gateway, "/v1/chat/completions", body, take);
  if (!text.empty()) fmt::print("\n");
  if (failed) return fail(ErrorCode::kUpstreamFailed, *failed);
  if (!answer) return std::unexpected(answer.error());
  if (answer->status != 200) {
    const std::string status = fmt::format("status {}", answer->status);
    return fail(ErrorCode::kUpstreamRefused,
                error_in(Json::parse(answer->body, nullptr, false), status).value_or(status));
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
  if (!is_valid_utf8(flags.model)) {
    fmt::print(stderr, "thalweg: the model's name is not UTF-8\n");
    return 2;
  }
  LocalGateway gateway = gateway_of(*settings);
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
    if (!is_valid_utf8(line)) {
      fmt::print(stderr,
                 "thalweg: this is not UTF-8, which requests must be; is the terminal set to another encoding?\n");
      if (once || !terminal) return 1;
      continue;
    }
    messages.push_back({{"role", "user"}, {"content", line}});
    const auto text = turn(gateway, flags.model, messages);
    if (!text) {
      show_text(stderr, fmt::format("thalweg: {}\n", text.error().message));
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
