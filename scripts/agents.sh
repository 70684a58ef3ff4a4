#!/usr/bin/env bash
# Provides the *unmodified current* coding agents of the end-to-end tests, outside the build folder: $THALWEG_CACHE/agents, from
# tests/e2e/coding_agents/package-lock.json, and `node`, a link to the Node that runs them. Each holds a program of about 400 MB, so `make test`
# does not ask for them; `make prove` does. Their install scripts are not run: tests/e2e/compat/coding_agents.py starts the programs themselves.
# Nothing is done while the stamp names the same lock file. --path prints the folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh

agents="$THALWEG_CACHE/agents"
if [[ ${1:-} == --path ]]; then echo "$agents"; exit; fi
. scripts/step.sh
. scripts/fetch.sh

NODE_LEAST=22  # the agents' own demand

key=$(cat scripts/agents.sh tests/e2e/coding_agents/package.json tests/e2e/coding_agents/package-lock.json | sha256sum | cut -d' ' -f1)
ready() { [[ -f $agents/stamp && $(<"$agents/stamp") == "$key" && -x $agents/node ]]; }
if ready; then exit; fi

mkdir -p "$THALWEG_CACHE"
exec 9>"$THALWEG_CACHE/agents.lock"
flock 9  # another make may be installing them
if ready; then exit; fi

rm -rf "$agents"
mkdir -p "$agents"
node=$(scripts/node.sh "$NODE_LEAST")
cp tests/e2e/coding_agents/package.json tests/e2e/coding_agents/package-lock.json "$agents/"
(
  cd "$agents"
  PATH="$node:$PATH" retry npm ci --ignore-scripts --no-audit --no-fund --omit=peer
)
ln -s "$node/node" "$agents/node"
(cd "$agents" && ./node node_modules/@openai/codex/bin/codex.js --version)
echo "$key" >"$agents/stamp"
