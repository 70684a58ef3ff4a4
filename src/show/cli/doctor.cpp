#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "carry/config/settings.h"
#include "carry/engine/engine.h"
#include "carry/gateway/serve.h"
#include "show/cli/cli.h"
#include "show/cli/local.h"

namespace thalweg::cli {

namespace {

enum class Verdict : std::uint8_t { kGood, kWarning, kBad };

struct Finding {
  Verdict verdict;
  std::string what;
  std::string detail;
};

std::vector<Finding> examine(const std::string& config_file) {
  std::vector<Finding> findings;
  const auto settings = config::load(config_file);
  std::error_code ignored;
  if (std::filesystem::status(config_file, ignored).type() == std::filesystem::file_type::not_found) {
    findings.push_back(
        {Verdict::kWarning, "configuration", fmt::format("there is no {}; `make run` writes one", config_file)});
  } else if (!settings) {
    findings.push_back({Verdict::kBad, "configuration", config::render(settings.error(), config_file)});
  } else {
    findings.push_back({Verdict::kGood, "configuration",
                        fmt::format("{}: {} endpoints, {} models", config_file, settings->fleet.endpoints.size(),
                                    settings->fleet.models.size())});
  }
  // The engines that the configuration names, or the one that would be found.
  std::vector<std::pair<std::string, std::filesystem::path>> engines;
  if (settings) {
    for (std::size_t i = 0; i < settings->endpoints.size(); ++i) {
      const auto& engine = settings->endpoints[i].engine;
      if (engine) engines.emplace_back(settings->fleet.endpoints[i].name + ": ", engine->program);
    }
  } else {
    engines.emplace_back();
  }
  for (const auto& [endpoint, wanted] : engines) {
    const auto program = engine::find_program(wanted);
    findings.push_back({program    ? Verdict::kGood
                        : settings ? Verdict::kBad
                                   : Verdict::kWarning,
                        "engine", endpoint + (program ? program->string() : program.error().message)});
  }
  const auto sandbox = engine::probe_sandbox();
  findings.push_back({sandbox.usable() ? Verdict::kGood : Verdict::kBad, "sandbox",
                      fmt::format("Landlock {}, seccomp {}, network namespace {}{}{}",
                                  sandbox.landlock ? fmt::format("(ABI {})", sandbox.landlock_abi) : "missing",
                                  sandbox.seccomp ? "yes" : "missing", sandbox.network_namespace ? "yes" : "no",
                                  sandbox.advice.empty() ? "" : "; ", sandbox.advice)});
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const bool enough = !settings || files.rlim_cur >= settings->limits.connections * 2ULL + 64;
  findings.push_back({enough ? Verdict::kGood : Verdict::kWarning, "open files",
                      fmt::format("{} allowed{}", files.rlim_cur,
                                  enough ? "" : "; limits.connections would need more: raise it with `ulimit -n`")});
  if (settings) {
    const LocalGateway gateway = gateway_of(*settings);
    const auto healthy = call(gateway, "/healthz", {}, {}, 2s);
    const auto ready = call(gateway, "/readyz", {}, {}, 2s);
    findings.push_back(
        {healthy ? Verdict::kGood : Verdict::kWarning, "gateway",
         !healthy ? fmt::format("nothing answers at {}:{}; start it with `thalweg serve`", gateway.host, gateway.port)
         : ready && ready->status == 200
             ? fmt::format("ready at {}:{}", gateway.host, gateway.port)
             : fmt::format("runs at {}:{}, but no endpoint is ready", gateway.host, gateway.port)});
  }
  return findings;
}

}  // namespace

void add_doctor(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("doctor", "Say what this machine has and what is wrong");
  command->footer("Example: thalweg doctor --json\nExit code 1 when something is broken.");
  struct Flags {
    std::string config = "thalweg.yaml";
    bool json = false;
  };
  const auto flags = std::make_shared<Flags>();
  command->add_option("-c,--config", flags->config, "The configuration file")->capture_default_str();
  command->add_flag("--json", flags->json, "Print the findings as JSON");
  command->callback([flags, &exit_code] {
    const auto findings = examine(flags->config);
    const bool colour = ::isatty(STDOUT_FILENO) != 0;
    nlohmann::json list = nlohmann::json::array();
    exit_code = 0;
    for (const Finding& finding : findings) {
      const char* word = finding.verdict == Verdict::kGood      ? "ok"
                         : finding.verdict == Verdict::kWarning ? "note"
                                                                : "bad";
      const char* paint = finding.verdict == Verdict::kGood      ? "\033[32m"
                          : finding.verdict == Verdict::kWarning ? "\033[33m"
                                                                 : "\033[31m";
      if (finding.verdict == Verdict::kBad) exit_code = 1;
      list.push_back({{"verdict", word}, {"what", finding.what}, {"detail", finding.detail}});
      if (!flags->json)
        fmt::print("{}{:>4}{}  {:<14} {}\n", colour ? paint : "", word, colour ? "\033[0m" : "", finding.what,
                   finding.detail);
    }
    // File names need not be UTF-8; JSON must.
    if (flags->json) fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  });
}

}  // namespace thalweg::cli
