#!/usr/bin/env bash
# Provides the *unmodified current* clients of the end-to-end tests, outside the build folder (coding agents: scripts/agents.sh):
#   $THALWEG_CACHE/clients/python   a virtual environment from tests/e2e/requirements.lock (every wheel hashed)
#   $THALWEG_CACHE/clients/node     node_modules from tests/e2e/node/package-lock.json, and `node`, a link to the Node that runs it
# Nothing is done while the stamp names the same lock files and the clients still start. --path prints the folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh

clients="$THALWEG_CACHE/clients"
if [[ ${1:-} == --path ]]; then echo "$clients"; exit; fi
. scripts/step.sh
. scripts/fetch.sh

NODE_LEAST=22  # the clients' own demand

# The first Python 3.11 that can make virtual environments: the lock holds wheels of that version only.
python_with_venv() {
  local python
  for python in python3.11 /usr/bin/python3.11 python3 /usr/bin/python3; do
    if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then echo "$python"; return; fi
  done
  die "no Python 3.11 with venv found" "install it: apt-get install python3 python3-venv"
}

key=$(cat scripts/clients.sh tests/e2e/requirements.lock tests/e2e/node/package.json tests/e2e/node/package-lock.json | sha256sum | cut -d' ' -f1)
ready() {
  [[ -f $clients/stamp && $(<"$clients/stamp") == "$key" && -x $clients/python/bin/python && -x $clients/node/node ]] &&
    "$clients/python/bin/python" -c '' 2>/dev/null
}
if ready; then exit; fi

mkdir -p "$THALWEG_CACHE"
exec 9>"$THALWEG_CACHE/clients.lock"
flock 9  # another make may be installing them
if ready; then exit; fi

rm -rf "$clients"
mkdir -p "$clients/node"

python=$(python_with_venv)
"$python" -m venv "$clients/python"
retry "$clients/python/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off --no-deps --only-binary=:all: \
  --require-hashes --requirement tests/e2e/requirements.lock

node=$(scripts/node.sh "$NODE_LEAST")
cp tests/e2e/node/package.json tests/e2e/node/package-lock.json "$clients/node/"
(
  cd "$clients/node"
  PATH="$node:$PATH" retry npm ci --ignore-scripts --no-audit --no-fund --omit=peer
)
ln -s "$node/node" "$clients/node/node"

# All must load before the stamp says so.
"$clients/python/bin/python" -c 'import agents, anthropic, langchain_openai, ollama, openai, pytest; print("openai for Python", openai.__version__, "and anthropic", anthropic.__version__)'
(cd "$clients/node" && ./node --input-type=module --eval '
  for (const name of Object.keys(JSON.parse((await import("node:fs")).readFileSync("package.json")).dependencies)) await import(name);
  console.log("openai for Node", (await import("openai/version")).VERSION);')
echo "$key" >"$clients/stamp"
