#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "carry/config/settings.h"
#include "show/cli/cli.h"

namespace thalweg::cli {

void add_config(CLI::App& app, int& exit_code) {
  CLI::App* config = app.add_subcommand("config", "Check configurations");
  config->require_subcommand(1);
  config->footer("Example: thalweg config check thalweg.yaml");
  CLI::App* check = config->add_subcommand("check", "Read a configuration whole and say what is wrong with it");
  check->footer("Example: thalweg config check thalweg.yaml");
  const auto file = std::make_shared<std::string>("thalweg.yaml");
  check->add_option("FILE", *file, "The configuration file")->capture_default_str();
  check->callback([file, &exit_code] {
    const auto settings = config::load(*file);
    if (!settings) {
      fmt::print(stderr, "{}", config::render(settings.error(), *file));
      exit_code = 2;
      return;
    }
    const auto counted = [](std::size_t count, std::string_view what) {
      return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
    };
    fmt::print("{}: ok: {}, {}, {}, {}, {}\n", *file, counted(settings->fleet.places.size(), "place"),
               counted(settings->fleet.endpoints.size(), "endpoint"),
               counted(settings->fleet.models.size() - settings->passages.size(), "model"),
               counted(settings->policy.keys.size(), "key"), counted(settings->policy.rules.size(), "rule"));
    exit_code = 0;
  });
  CLI::App* schema = config->add_subcommand("schema", "Print the JSON Schema of the file, for editors");
  schema->footer("Example: thalweg config schema > thalweg.schema.json");
  schema->callback([&exit_code] {
    fmt::print("{}", config::schema());
    exit_code = 0;
  });
}

}  // namespace thalweg::cli
