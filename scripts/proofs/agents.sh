#!/usr/bin/env bash
# The coding agents on one task each over every kind of endpoint (tests/e2e/test_agents.py). They are large, so `make test` does not fetch them.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/pins.sh
scripts/prepare.sh "build engine model test" engine model program clients
. scripts/step.sh
step agents "preparing the coding agents" scripts/agents.sh
THALWEG_PROGRAM="$PWD/build/thalweg" tests/e2e/run.sh test_agents.py
echo "PROOF count=$(grep -c '^| `@' <(sed -n '/^## Coding agents/,$p' docs/compatibility.md)) seed=- note=agents over every kind of endpoint"
