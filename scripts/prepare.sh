#!/usr/bin/env bash
# Makes a machine ready: `scripts/prepare.sh PACKAGE_SETS STEP...`, where the package sets are one word list and each step is one
# of  engine  model  program  tests  clients  (program: build/thalweg; tests: everything in build/).
# After the packages the steps run in parallel, since they wait for different things: the network, the disk, the compiler.
# Ends with a table of what took how long; a step that was ready takes no line in it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
sets=$1
shift

# shellcheck disable=SC2086  # a list of words
scripts/packages.sh $sets

start=$(now_ms)
pids=()
# Each step is a process group of its own, so that everything under it hears of the end.
stop_all() {
  local pid
  for pid in "${pids[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  wait
}
trap 'stop_all; exit 130' INT
trap 'stop_all; exit 143' TERM

set -m
for part in "$@"; do
  case $part in
    engine) scripts/engine.sh & ;;
    model) scripts/model.sh & ;;
    program) scripts/build.sh release program thalweg & ;;
    tests) scripts/build.sh release tests & ;;
    clients) if [[ -x scripts/clients.sh ]]; then step clients "preparing the clients of the end-to-end tests" scripts/clients.sh; fi & ;;
    *) die "prepare.sh knows no step '$part'" ;;
  esac
  pids+=($!)
done
set +m
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
pids=()
((failed == 0)) || die "not everything could be prepared: see above" "what is done stays done; after a repair, the same command goes on from there"

if [[ -s $THALWEG_RUN/times.tsv ]]; then
  record_time total "engine, model and build in parallel, without apt" "$(seconds $(($(now_ms) - start)))"
  echo
  awk -F'\t' 'BEGIN {printf "%-10s %-58s %9s\n", "Step", "What", "Seconds"} {printf "%-10s %-58s %9.1f\n", $1, $2, $3}' "$THALWEG_RUN/times.tsv"
  printf '%s%s%s\n\n' "$DIM" "(kept in $THALWEG_RUN/times.tsv)" "$PLAIN"
fi
