#!/usr/bin/env bash
# The end-to-end tests (which kill the engine, reload the configuration and drain under load), again and again for SOAK_SECONDS.
set -euo pipefail
cd "$(dirname "$0")/../.."
scripts/prepare.sh "build engine model test" engine model tests clients
end=$((SECONDS + ${SOAK_SECONDS:-600})) rounds=0
until ((SECONDS >= end && rounds > 0)); do
  scripts/suite.sh release -R e2e --no-tests=error
  rounds=$((rounds + 1))
done
echo "PROOF count=$rounds note=rounds of the end-to-end tests"
