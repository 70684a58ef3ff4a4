#!/usr/bin/env bash
# The long proofs, one row each, resumable: a row that held for this commit is not run again, so an interrupted `make prove` goes
# on where it was (a longer FUZZ_SECONDS or SOAK_SECONDS makes it another row). State is in build/proof/COMMIT/; docs/proof.md is rewritten after every row. ROWS="id id" runs only these.
# A row's command may print `PROOF count=<n> seed=<n> note=...`, which goes into the table.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
export FUZZ_SECONDS="${FUZZ_SECONDS:-600}" SOAK_SECONDS="${SOAK_SECONDS:-600}"

# id | description | command
rows() {
  sed "s/SOAK_SECONDS/$SOAK_SECONDS s/" <<'ROWS'
flight | every order of a flight's events, full bounds | scripts/proofs/flight.sh
soak | good and bad providers, leaving clients, reloads and engine kills for SOAK_SECONDS | scripts/proofs/soak.sh
agents | the coding agents on a task each, over every kind of endpoint | scripts/proofs/agents.sh
asan | the whole suite under AddressSanitizer and UBSan | make --no-print-directory asan
tsan | the whole suite under ThreadSanitizer | make --no-print-directory tsan
bare | `make run` twice, then `.ci/run` with `make test`, on a bare Debian 12, as root | make --no-print-directory bare
sudo | `make run` twice on a bare Debian 12, as an ordinary user with sudo | env BARE_AS=user BARE_STEPS=run,again make --no-print-directory bare
ROWS
  local file name
  for file in fuzz/*.cpp; do
    name=$(basename "$file" .cpp)
    if [[ $name != *_fuzz ]]; then continue; fi  # a part that targets share
    echo "fuzz-$name | fuzz target $name, $FUZZ_SECONDS s | scripts/fuzz.sh $name"
  done
}

commit=$(git rev-parse HEAD)
# The page that this script writes is no part of what it proves.
changes=$(git status --porcelain -- . ':!docs/proof.md')
[[ -z $changes ]] || commit="$commit-changed"
state="build/proof/$commit"
mkdir -p "$state"

# The line of results that a row has at this commit: what it was, result, seconds, count, seed, note, tabs between.
result_of() { [[ -f $state/$1.result && $(cut -f1 "$state/$1.result") == "$2" ]] && cat "$state/$1.result"; }

write_page() {
  {
    echo "# What was run at length"
    echo
    echo "Written by \`make prove\` on $(date -u +%Y-%m-%d). Commit \`$commit\`, $(nproc) cores, $(. /etc/os-release && echo "$PRETTY_NAME"), $(g++ -dumpfullversion 2>/dev/null | sed 's/^/g++ /')."
    [[ $commit != *-changed ]] || echo "The tree had changes that are not in the commit."
    echo
    echo "| Proof | Result | Count | Seed | Seconds | Note |"
    echo "|---|---|---|---|---|---|"
    rows | while IFS='|' read -r id what _; do
      id=${id// /} what=$(sed 's/^ *//; s/ *$//' <<<"$what")
      local result='not run' count='' seed='' took='' note=''
      if result_of "$id" "$what" >/dev/null; then IFS=$'\t' read -r _ result took count seed note < <(result_of "$id" "$what"); fi
      echo "| $what | $result | ${count/-/} | ${seed/-/} | ${took/-/} | ${note/-/} |"
    done
  } >docs/proof.md.new
  mv docs/proof.md.new docs/proof.md
}

failed=0
# The command reads nothing of the list: it has its own standard input in step().
while IFS='|' read -r id what command <&3; do
  id=${id// /} what=$(sed 's/^ *//; s/ *$//' <<<"$what") command=$(sed 's/^ *//; s/ *$//' <<<"$command")
  [[ -z ${ROWS:-} || " $ROWS " == *" $id "* ]] || continue
  if [[ $(result_of "$id" "$what" | cut -f2) == held ]]; then
    line "$id" "held already, at this commit"
    continue
  fi
  read -r program _ <<<"$command"
  if [[ $program == */* && ! -x $program ]]; then
    line "$id" "not there yet: $program"
    printf '%s\tnot there yet\t-\t-\t-\t%s is missing\n' "$what" "$program" >"$state/$id.result"
    continue
  fi
  start=$(now_ms) result=held
  # In a subshell: a proof that fails ends the subshell, and the next row is still run.
  # A step's log is one for each id and run, so the PROOF line in it is this row's.
  read -ra words <<<"$command"
  code=0
  (step "$id" "$what" "${words[@]}") || code=$?
  # Stopped by someone: no row failed, and none is to follow.
  ((code != 130 && code != 143)) || exit "$code"
  ((code == 0)) || result=FAILED failed=1
  cp "$THALWEG_RUN/$id.log" "$state/$id.log"
  proof=$(grep -E '^PROOF ' "$state/$id.log" | tail -n 1 || true)
  count=$(sed -nE 's/.*count=([0-9]+).*/\1/p' <<<"$proof") seed=$(sed -nE 's/.*seed=([0-9]+).*/\1/p' <<<"$proof") note=$(sed -nE 's/.*note=(.*)/\1/p' <<<"$proof")
  # The suites print ctest's summary instead of a PROOF line.
  if [[ -z $proof ]]; then
    note=$(grep -E 'tests passed, .* out of [0-9]+' "$state/$id.log" | tail -n 1 || true)
    count=$(grep -oE 'out of [0-9]+' <<<"$note" | grep -oE '[0-9]+' || true)
  fi
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$what" "$result" "$(seconds $(($(now_ms) - start)))" "${count:--}" "${seed:--}" "${note:--}" >"$state/$id.result"
  write_page
done 3< <(rows)
write_page
line prove "docs/proof.md is written"
((failed == 0)) || die "a proof failed" "see the rows marked FAILED in docs/proof.md, and the logs in $state"
