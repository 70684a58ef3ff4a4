#include "carry/gateway/serve.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "show/cli/cli.h"
#include "show/cli/version.h"

namespace thalweg::cli {

void add_serve(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("serve", "Run the gateway until it is told to stop");
  command->footer(
      "Example: thalweg serve --config thalweg.yaml --listen 127.0.0.1:8080\n"
      "SIGHUP or a changed file reloads the configuration; SIGTERM lets running requests end.");
  struct Flags {
    std::string config = "thalweg.yaml";
    std::string listen;
    bool insecure = false;
  };
  const auto flags = std::make_shared<Flags>();
  command->add_option("-c,--config", flags->config, "The configuration file")->capture_default_str();
  command->add_option("--listen", flags->listen,
                      "Address and port instead of the file's `listen`, e.g. 127.0.0.1:8080");
  command->add_flag("--insecure-listen", flags->insecure,
                    "Listen beyond loopback without TLS (keys and prompts travel in clear)");
  command->callback([flags, &exit_code] {
    gateway::ServeOptions options;
    options.config = flags->config;
    if (!flags->listen.empty()) options.listen = flags->listen;
    options.insecure_listen = flags->insecure;
    options.version = std::string(kVersion);
    exit_code = gateway::serve(options);
  });
}

}  // namespace thalweg::cli
