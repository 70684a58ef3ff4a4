#!/usr/bin/env bash
# clang-tidy over the changed .cpp files, latest change first, for at most TIDY_SECONDS (a first landing is the whole project, and
# CI has its time): what was not reached is counted, never silently left out. The checks are in .clang-tidy.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
budget=${TIDY_SECONDS:-480}
scripts/configure.sh release tests

# Only files that the build knows: clang-tidy needs the compiler's flags. A list that could not be made is not an empty one.
changed=$(scripts/changed.sh '*.cpp')
known=$(sed -nE "s|^ *\"file\": \"$PWD/(.*)\",?\$|\1|p" build/compile_commands.json)
[[ -n $known ]] || die "build/compile_commands.json names no source of this folder" "configure anew: make clean build"
mapfile -t files < <(grep -Fxf <(echo "$known") <<<"$changed" || true)
((${#files[@]} > 0)) || { line tidy "no C++ source changed"; exit; }

results="$THALWEG_RUN/tidy"
mkdir -p "$results"
export TIDY_RESULTS="$results" TIDY_UNTIL=$(($(date +%s) + budget))
line tidy "clang-tidy over ${#files[@]} files, for at most $budget s ..."
start=$(now_ms)
# shellcheck disable=SC2016  # expanded by the inner shell
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c '
  left=$((TIDY_UNTIL - $(date +%s)))
  name=${1//\//_}
  ((left > 0)) || exit 0
  code=0
  timeout "$left" clang-tidy-19 -p build --quiet "$1" >"$TIDY_RESULTS/$name.out" 2>"$TIDY_RESULTS/$name.err" || code=$?
  case $code in
    0) : >"$TIDY_RESULTS/$name.good" ;;
    124) ;;
    *) : >"$TIDY_RESULTS/$name.bad" ;;
  esac
' tidy || die "clang-tidy could not be run over every file, or what it said could not be kept" "the results so far: $results"

count() { find "$results" -name "*.$1" | wc -l; }
good=$(count good) bad=$(count bad)
left=$((${#files[@]} - good - bad))
line tidy "$((good + bad)) files looked at in $(seconds $(($(now_ms) - start))) s, $bad with findings, $left not reached"
if ((bad > 0)); then
  for file in "$results"/*.bad; do cat "${file%.bad}.out"; grep -E 'error:' "${file%.bad}.err" || true; done | awk '!seen[$0]++' | head -n 200 >&2
  die "clang-tidy has findings in $bad files" "all of them: $results" "a finding that is wrong: // NOLINT(its-name): why"
fi
