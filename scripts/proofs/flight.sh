#!/usr/bin/env bash
# Every order of a flight's events to the end, with the full bounds; the tests run smaller ones. The test program prints the PROOF
# line with the number of states.
set -euo pipefail
cd "$(dirname "$0")/../.."
scripts/packages.sh build test
scripts/build.sh release tests decide_flight_test
THALWEG_EXPLORE=full exec build/src/decide_flight_test
