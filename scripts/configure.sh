#!/usr/bin/env bash
# Configures one preset when its build folder is new or now needs tests too: `scripts/configure.sh PRESET TESTS`, TESTS being
# `tests` or `program` (without the tests, GoogleTest need not be installed). Otherwise nothing: ninja reconfigures by itself
# when a CMake file changes.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
preset=$1 tests=$2

. scripts/folder.sh
options=()
if [[ $preset != fuzz ]]; then
  with_tests=OFF
  [[ $tests == tests ]] && with_tests=ON
  # A folder that once had tests keeps them: `make run` after `make test` should not configure again.
  grep -qs '^THALWEG_TESTS:BOOL=ON' "$folder/CMakeCache.txt" && with_tests=ON
  options=("-DTHALWEG_TESTS=$with_tests")
fi
if [[ -f $folder/build.ninja ]]; then
  if [[ $preset == fuzz ]] || grep -qs "^THALWEG_TESTS:BOOL=$with_tests" "$folder/CMakeCache.txt"; then exit; fi
fi
step thalweg "configuring $folder" cmake --preset "$preset" "${options[@]}"
