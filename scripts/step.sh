# shellcheck shell=bash
# What a person sees while something takes long: what it is, the seconds so far, and that it is done. Each step's output goes
# to a log that is shown only when the step fails, and each step's time to a table. Sourced by the other scripts, which are
# separate programs (not functions) so that `set -e` holds inside every step.

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'; else BOLD='' DIM='' RED='' GREEN='' PLAIN=''; fi

# One folder for everything that one `make` wrote: logs and times.tsv (name, what, seconds).
if [[ -z ${THALWEG_RUN:-} ]]; then
  THALWEG_RUN="$THALWEG_CACHE/runs/$(date -u +%Y%m%dT%H%M%SZ)-$$"
  mkdir -p "$THALWEG_RUN"
  ln -sfn "$THALWEG_RUN" "$THALWEG_CACHE/runs/latest"
  # shellcheck disable=SC2012  # the names are ours: dates
  (cd "$THALWEG_CACHE/runs" && ls -d 2* | head -n -20 | xargs -r rm -rf)
fi
export THALWEG_RUN

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo "${t%???}"; }
seconds() { local ms=$1; printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100)); }

# line NAME TEXT: one line of progress. NAME is the step, so that lines of steps in parallel can be told apart.
line() { printf '%s%-9s%s %s\n' "$BOLD" "$1" "$PLAIN" "$2"; }

# die WHAT [ADVICE...]: stops with what is wrong, then why and what would work, on stderr.
die() {
  printf '%serror:%s %s\n' "$RED" "$PLAIN" "$1" >&2
  shift
  local advice
  for advice in "$@"; do printf '       %s\n' "$advice" >&2; done
  exit 1
}

record_time() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$THALWEG_RUN/times.tsv"; }

# step NAME WHAT COMMAND...: runs one long command with progress. The command is its own process group, so that Ctrl-C
# reaches everything under it. A failed step ends the script. With STEP_SILENT_MS a step that is done within that time was
# probably ready, and says nothing.
STEP_PID=''
stop_step() { if [[ -n $STEP_PID ]]; then kill -TERM -- "-$STEP_PID" 2>/dev/null || true; fi; }
step() {
  # Set here, since a subshell forgets the traps of the shell around it.
  trap 'stop_step; exit 130' INT
  trap 'stop_step; exit 143' TERM
  local name=$1 what=$2 start code=0 pause=0.05 every=10000 silent=${STEP_SILENT_MS:-0} next log elapsed
  shift 2
  log="$THALWEG_RUN/$name.log"
  start=$(now_ms)
  next=$((start + every))
  ((silent > 0)) || line "$name" "$what ..."
  echo "== $what: $*" >>"$log"
  set -m
  "$@" >>"$log" 2>&1 </dev/null &
  STEP_PID=$!
  set +m
  while kill -0 "$STEP_PID" 2>/dev/null; do
    sleep "$pause"
    if ((silent > 0 && $(now_ms) - start > silent)); then
      silent=0
      line "$name" "$what ..."
    fi
    ((silent > 0)) || pause=0.2
    if (($(now_ms) >= next)); then
      line "$name" "$DIM$what ... $((($(now_ms) - start) / 1000)) s$(built_so_far "$log")$PLAIN"
      next=$((next + every))
      # Fewer lines where nobody watches.
      [[ -t 1 ]] || every=30000
    fi
  done
  wait "$STEP_PID" || code=$?
  STEP_PID=''
  elapsed=$(seconds $(($(now_ms) - start)))
  if ((code != 0)); then
    line "$name" "${RED}failed$PLAIN after $elapsed s: $what" >&2
    tail -n 40 "$log" | sed 's/^/    /' >&2
    die "$what failed (exit $code)" "the whole log: $log" "the command: $*"
  fi
  ((silent == 0)) || return 0
  record_time "$name" "$what" "$elapsed"
  line "$name" "$what: ${GREEN}done$PLAIN in $elapsed s"
}

# The last "[n/m]" that ninja wrote to a log, or nothing.
built_so_far() { tail -n 1 "$1" 2>/dev/null | grep -oE '^\[[0-9]+/[0-9]+\]' | sed 's/^/  /' || true; }
