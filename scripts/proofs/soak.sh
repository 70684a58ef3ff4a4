#!/usr/bin/env bash
# A seeded mix of good and bad providers, leaving clients, reloads and engine kills for SOAK_SECONDS (tests/e2e/soak.py).
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/pins.sh
scripts/prepare.sh "build engine model test" engine model program clients
export THALWEG_PROGRAM="$PWD/build/thalweg" PYTHONDONTWRITEBYTECODE=1
cd tests/e2e
exec "$THALWEG_CACHE/clients/python/bin/python" soak.py --minutes "$(awk "BEGIN {print ${SOAK_SECONDS:-600} / 60}")"
