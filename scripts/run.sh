#!/usr/bin/env bash
# Starts the gateway in the foreground and, once it is ready, prints what to paste next. Ctrl-C ends it.
# LISTEN=ADDRESS:PORT (port 0: any free one) overrides thalweg.yaml's for this run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh

scripts/settings.sh
options=()
if [[ -n ${LISTEN:-} ]]; then options=(--listen "$LISTEN"); fi

# paste_next BASE SECONDS. The URL is quoted for shells that read the brackets of an IPv6 address as a pattern.
paste_next() {
  local base=$1 import='' key='"any"' header=''
  if grep -qE "^[\"']?keys[\"']?[[:space:]]*:" thalweg.yaml; then
    import=$'import os\n  ' key='os.environ["THALWEG_KEY"]'
    header=$' -H "Authorization: Bearer $THALWEG_KEY" \\\n   '
  fi
  cat <<TEXT

Thalweg is ready at $base after $2 s. Paste this into another terminal:

  curl '$base/v1/chat/completions'$header -H 'Content-Type: application/json' \\
    -d '{"model": "auto", "messages": [{"role": "user", "content": "What is a thalweg?"}]}'

or, in Python (pip install openai):

  ${import}from openai import OpenAI
  client = OpenAI(base_url="$base/v1", api_key=$key)
  answer = client.chat.completions.create(
      model="auto", messages=[{"role": "user", "content": "What is a thalweg?"}])
  print(answer.choices[0].message.content)

TEXT
  if [[ -n $header ]]; then echo "THALWEG_KEY is one of the keys that thalweg.yaml lists; set it first: export THALWEG_KEY=tw_..."; fi
  if [[ $base == https:* ]]; then
    echo "The address must be a name of the certificate: put that name in its place. For a certificate that this machine does not trust,"
    echo "add --cacert FILE to curl and set SSL_CERT_FILE=FILE for Python."
  fi
  echo "Ctrl-C stops the gateway. Its settings are in thalweg.yaml."
}

# Passes on what the gateway prints. Its own line says where it listens, whatever form the address has in thalweg.yaml, and that the
# port is this gateway's and no other program's.
follow() {
  local printed url base
  while IFS= read -r printed; do
    printf '%s\n' "$printed"
    [[ $printed == 'listening on '* ]] || continue
    url=${printed#listening on }
    # Where to reach what listens everywhere.
    case $url in *://0.0.0.0:* | *'://[::]:'*) base="${url%%://*}://127.0.0.1:${url##*:}" ;; *) base=$url ;; esac
    # --insecure: a certificate names the gateway as callers know it, seldom the address here. Nothing secret is sent, and the
    # address is the one that the program itself gave.
    until curl --silent --fail --insecure --globoff --noproxy '*' --max-time 2 --output /dev/null "$base/readyz"; do
      kill -0 "$gateway" 2>/dev/null || return 0
      sleep 0.1
    done
    paste_next "$base" "$(seconds $(($(now_ms) - start)))"
    break
  done
  exec cat
}

start=$(now_ms)
gateway=$$  # exec below keeps the number
pipe="$THALWEG_RUN/gateway.stdout"
mkfifo "$pipe"
# Started twice removed, so that the gateway has no child that it did not start itself.
( (
  exec <"$pipe"
  rm -f "$pipe"
  follow
) & )
exec build/thalweg serve --config thalweg.yaml "${options[@]}" >"$pipe"
