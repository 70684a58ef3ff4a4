#!/usr/bin/env bash
# Starts the gateway in the foreground and, once it is ready, prints what to paste next. Ctrl-C ends it.
# LISTEN=ADDRESS:PORT (port 0: any free one) overrides thalweg.yaml's for this run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh

listen=${LISTEN:-127.0.0.1:8080}
if [[ $listen == *:0 ]]; then
  listen=${listen%:0}:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
fi
scripts/settings.sh
options=()
if [[ -n ${LISTEN:-} ]]; then
  options=(--listen "$listen")
else
  listen=$(sed -nE 's/^listen:[[:space:]]*"?([^"#[:space:]]+).*/\1/p' thalweg.yaml | head -n 1)
  listen=${listen:-127.0.0.1:8080}
fi
# Where to reach what listens everywhere, or on no named address.
case $listen in 0.0.0.0:* | '[::]:'* | :*) base="http://127.0.0.1:${listen##*:}" ;; *) base="http://$listen" ;; esac

paste_next() {
  cat <<TEXT

Thalweg is ready at $base after $1 s. Paste this into another terminal:

  curl $base/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{"model": "auto", "messages": [{"role": "user", "content": "What is a thalweg?"}]}'

or, in Python (pip install openai):

  from openai import OpenAI
  client = OpenAI(base_url="$base/v1", api_key="any")
  answer = client.chat.completions.create(
      model="auto", messages=[{"role": "user", "content": "What is a thalweg?"}])
  print(answer.choices[0].message.content)

Ctrl-C stops the gateway. Its settings are in thalweg.yaml.
TEXT
}

start=$(now_ms)
gateway=$$  # exec below keeps the number
# Started twice removed, so that the gateway has no child that it did not start itself.
( (
  while kill -0 "$gateway" 2>/dev/null; do
    if curl --silent --fail --noproxy '*' --max-time 2 --output /dev/null "$base/readyz"; then
      sleep 0.1
      kill -0 "$gateway" 2>/dev/null || exit  # the port was another program's, and ours said so
      paste_next "$(seconds $(($(now_ms) - start)))"
      exit
    fi
    sleep 0.1
  done
) & )
exec build/thalweg serve --config thalweg.yaml "${options[@]}"
