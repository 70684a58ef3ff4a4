#!/usr/bin/env bash
# Builds one preset: `scripts/build.sh PRESET TESTS [TARGET...]` (see configure.sh); all targets when none is named.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
preset=$1 tests=$2
shift 2
. scripts/folder.sh
scripts/configure.sh "$preset" "$tests"
# Always asked: only ninja knows whether there is anything to do (its dry run can't tell, since CMake globs the sources).
STEP_SILENT_MS=1000 step thalweg "building ${*:-everything} in $folder" ninja -C "$folder" -j "$(nproc)" "$@"
