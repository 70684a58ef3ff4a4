// The program: one subcommand a file in show/cli.
#include "show/cli/cli.h"

int main(int argc, char** argv) {
  return thalweg::cli::run(argc, argv);
}
