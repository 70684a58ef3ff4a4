#!/usr/bin/env bash
# Shows that a `llama-server` works before anyone relies on it: `probe.sh PROGRAM MODEL` starts it on a UNIX socket, waits until
# it is healthy, asks for one short answer, and stops it. Prints the answer; fails unless it is non-empty.
set -euo pipefail
program=$1 model=$2
readonly HEALTH_S=60 ANSWER_S=60  # ready in 0.7 s and 25 tokens in 0.3 s on two cores; a loaded machine gets its time

folder=$(mktemp -d)
# A UNIX socket's path holds at most 107 bytes.
if ((${#folder} > 80)); then rmdir "$folder"; folder=$(mktemp -d -p /tmp); fi
socket="$folder/engine.sock"
pid=''
cleanup() {
  if [[ -n $pid ]]; then kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

ask() { curl --silent --show-error --fail --noproxy '*' --unix-socket "$socket" "$@"; }
give_up() { echo "probe: $1" >&2; tail -n 15 "$folder/log" >&2; exit 1; }

"$program" --model "$model" --host "$socket" --ctx-size 1024 --parallel 1 >"$folder/log" 2>&1 </dev/null &
pid=$!
deadline=$((SECONDS + HEALTH_S))
until ask --max-time 2 http://engine/health >/dev/null 2>&1; do
  kill -0 "$pid" 2>/dev/null || give_up "the engine ended before it was ready"
  ((SECONDS < deadline)) || give_up "the engine was not ready within $HEALTH_S s"
  sleep 0.1
done
answer=$(ask --max-time "$ANSWER_S" http://engine/v1/chat/completions -H 'content-type: application/json' \
  -d '{"messages":[{"role":"user","content":"Say hello."}],"max_tokens":16,"temperature":0}') || give_up "the engine did not answer a chat completion"
text=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["choices"][0]["message"]["content"].strip())' <<<"$answer") \
  || give_up "the engine's answer is not a chat completion: $answer"
[[ -n $text ]] || give_up "the engine's answer is empty"
echo "$text"
