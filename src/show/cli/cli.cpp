#include "show/cli/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <string>

#include "show/cli/version.h"

namespace thalweg::cli {

int run(int argc, char** argv) {
  CLI::App app{
      "Thalweg finds, for every AI request, the place where it should run: on this machine or at another endpoint.\n"
      "Applications change one base URL.",
      "thalweg"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("thalweg ") + std::string(kVersion));
  app.footer("Example: thalweg serve --config thalweg.yaml\nHelp on a command: thalweg serve --help");
  int exit_code = 0;
  add_serve(app, exit_code);
  add_chat(app, exit_code);
  add_config(app, exit_code);
  add_model(app, exit_code);
  add_place(app, exit_code);
  add_key(app, exit_code);
  add_facts(app, exit_code);
  add_import(app, exit_code);
  add_doctor(app, exit_code);
  add_version(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // CLI11's way of saying --help and wrong use
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  } catch (const std::exception& error) {  // what no command expected, such as no memory or a full disk under stdout
    fmt::print(stderr, "thalweg: the command failed: {}\n", error.what());
    return 1;
  }
  return exit_code;
}

}  // namespace thalweg::cli
