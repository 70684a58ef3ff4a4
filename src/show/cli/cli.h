// The command line: habits of git and docker. Exit codes: 0 done, 1 failed, 2 wrong use or a configuration with errors.
#pragma once

namespace CLI {
class App;
}

namespace thalweg::cli {

int run(int argc, char** argv);

// One subcommand a file. Each adds itself; when it was called it leaves its exit code in `exit_code`.
void add_serve(CLI::App& app, int& exit_code);
void add_chat(CLI::App& app, int& exit_code);
void add_config(CLI::App& app, int& exit_code);
void add_model(CLI::App& app, int& exit_code);
void add_place(CLI::App& app, int& exit_code);
void add_key(CLI::App& app, int& exit_code);
void add_facts(CLI::App& app, int& exit_code);
void add_import(CLI::App& app, int& exit_code);
void add_doctor(CLI::App& app, int& exit_code);
void add_version(CLI::App& app, int& exit_code);

}  // namespace thalweg::cli
