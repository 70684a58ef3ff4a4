#!/usr/bin/env bash
# Fuzz targets under libFuzzer with ASan and UBSan: `scripts/fuzz.sh [NAME...]`, all of fuzz/*.cpp when none is named, each for
# FUZZ_SECONDS. What a run learns stays in build-fuzz/corpus/NAME; inputs to start from are in fuzz/corpus/NAME, words in
# fuzz/NAME.dict. A failing input is kept and its path printed. Ends with a PROOF line for scripts/prove.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
for_seconds=${FUZZ_SECONDS:-60} seed=${FUZZ_SEED:-1}
scripts/build.sh fuzz program

mapfile -t names < <(if (($# > 0)); then printf '%s\n' "$@"; else find fuzz -name '*.cpp' -printf '%f\n' | sed 's/\.cpp$//' | sort; fi)
total=0 ran=0
for name in "${names[@]}"; do
  program=$(find build-fuzz -type f -name "$name" -executable | head -n 1)
  # A source without a program of its name is a part that targets share.
  [[ -n $program ]] || { (($# == 0)) || die "there is no fuzz target '$name'" "there are: $(find build-fuzz -type f -name '*fuzz*' -executable -printf '%f ')"; continue; }
  corpus="build-fuzz/corpus/$name" found="build-fuzz/found/$name"
  mkdir -p "$corpus" "$found"
  options=("-max_total_time=$for_seconds" "-seed=$seed" -print_final_stats=1 -timeout=10 -rss_limit_mb=2048 "-artifact_prefix=$found/")
  [[ ! -f fuzz/$name.dict ]] || options+=("-dict=fuzz/$name.dict")
  folders=("$corpus")
  [[ ! -d fuzz/corpus/$name ]] || folders+=("fuzz/corpus/$name")
  log="$THALWEG_RUN/$name.log"
  : >"$log"
  step "$name" "fuzzing for $for_seconds s" "$program" "${options[@]}" "${folders[@]}"
  runs=$(sed -nE 's/^stat::number_of_executed_units: *([0-9]+)$/\1/p' "$log" | tail -n 1)
  line "$name" "${runs:-0} runs, coverage $(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2), nothing found"
  total=$((total + ${runs:-0})) ran=$((ran + 1))
done
((ran > 0)) || die "there is no fuzz target to run" "targets are fuzz/NAME.cpp, built by the preset fuzz"
echo "PROOF count=$total seed=$seed note=$ran target(s), $for_seconds s each"
