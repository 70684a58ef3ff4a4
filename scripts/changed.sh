#!/usr/bin/env bash
# Prints the C++ files that a change touches, the latest commit's first: those that differ from the merge base with origin/main,
# committed or not. On main itself, or without an origin, the change is the whole project. `scripts/changed.sh '*.cpp' ...`
set -euo pipefail
cd "$(dirname "$0")/.."
(($# > 0)) || set -- '*.cpp' '*.h'

if ! git rev-parse --git-dir >/dev/null 2>&1; then  # unpacked from an archive: everything counts
  find src tests fuzz bench -type f | sort | while read -r file; do for pattern in "$@"; do
    # shellcheck disable=SC2254  # it is a pattern
    case $file in $pattern) echo "$file" ;; esac; done; done
  exit
fi

base=''
if git rev-parse --quiet --verify origin/main >/dev/null && git rev-parse --quiet --verify HEAD >/dev/null; then
  base=$(git merge-base HEAD origin/main || true)
  # A clone of main, as CI makes it, has nothing between the two: then everything counts.
  if [[ $base == "$(git rev-parse HEAD)" ]] && git diff --quiet HEAD; then base=''; fi
fi
{
  git ls-files --others --exclude-standard -- "$@"
  git diff --name-only -- "$@"
  git log --format= --name-only ${base:+"$base..HEAD"} -- "$@" 2>/dev/null || true
  if [[ -z $base ]]; then git ls-files -- "$@"; fi
} | awk '!seen[$0]++' | while read -r file; do if [[ -f $file ]]; then echo "$file"; fi; done
