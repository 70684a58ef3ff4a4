#include "show/cli/version.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "decide/placement/place.h"
#include "show/cli/cli.h"

namespace thalweg::cli {

void add_version(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("version", "Print the version");
  command->footer("Example: thalweg version");
  command->callback([&exit_code] {
    fmt::print("thalweg {} (placement {})\n", kVersion, placement::kPlaceVersion);
    exit_code = 0;
  });
}

}  // namespace thalweg::cli
