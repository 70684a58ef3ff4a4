#!/usr/bin/env bash
# Are the changed C++ files formatted as .clang-format says? FIX=1 formats them instead.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
changed=$(scripts/changed.sh '*.cpp' '*.h')  # a list that could not be made is not an empty one
[[ -n $changed ]] || { line format "no C++ file changed"; exit; }
mapfile -t files <<<"$changed"
if [[ -n ${FIX:-} ]]; then
  clang-format-19 -i "${files[@]}"
  line format "formatted ${#files[@]} files"
  exit
fi
clang-format-19 --dry-run --Werror "${files[@]}" 2>"$THALWEG_RUN/format.log" || {
  sed -nE 's|^(.*):[0-9]+:[0-9]+: error.*|\1|p' "$THALWEG_RUN/format.log" | sed "s|^$PWD/||" | sort | uniq -c | awk '{printf "    %s (%d places)\n", $2, $1}' >&2
  die "some files are not formatted" "format them: make format FIX=1"
}
line format "${#files[@]} files: ${GREEN}formatted$PLAIN"
