#!/usr/bin/env bash
# Builds a preset with its tests and runs them all; ctest's summary closes the output. `scripts/suite.sh release|asan|tsan [ctest
# arguments]`. Tests that need the engine and the model find them under $THALWEG_CACHE, in engine/llama-server and models/.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
preset=$1
shift
scripts/build.sh "$preset" tests
case $preset in release) folder=build ;; *) folder=build-$preset ;; esac

export THALWEG_PROGRAM="$PWD/$folder/thalweg"
export THALWEG_ENGINE="$THALWEG_CACHE/engine/llama-server"
THALWEG_MODEL="$(scripts/model.sh --path)"
export THALWEG_MODEL
# Without detect_stack_use_after_return: g++ 12's fake stack does not keep an alignment of 64 bytes (GCC bug 110027), which UBSan sees.
export ASAN_OPTIONS="${ASAN_OPTIONS:-strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-second_deadlock_stack=1}"

run=()
# TSan's shadow memory of g++ 12 does not fit kernels that randomise addresses widely ("unexpected memory mapping").
if [[ $preset == tsan ]] && setarch "$(uname -m)" -R true 2>/dev/null; then run=(setarch "$(uname -m)" -R); fi
exec "${run[@]}" ctest --test-dir "$folder" --output-on-failure --timeout "${TEST_TIMEOUT:-600}" -j "$(nproc)" "$@"
