#!/usr/bin/env bash
# Runs one file of end-to-end tests with the clients' own Python: `tests/e2e/run.sh test_plain.py [pytest arguments]`.
# Exit code 77 (ctest: skipped) where the clients are not installed; on CI that is a failure.
set -euo pipefail
cd "$(dirname "$0")"
export THALWEG_CACHE="${THALWEG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/thalweg}"
python="$THALWEG_CACHE/clients/python/bin/python"
if [[ ! -x $python ]]; then
  echo "skipped: no clients in $THALWEG_CACHE/clients; scripts/clients.sh installs them"
  [[ -z ${CI:-} ]] && exit 77
  exit 1
fi
export PYTHONDONTWRITEBYTECODE=1
exec "$python" -m pytest "$@"
