#!/bin/sh
# Builds the benchmark's programs and the gateway, then measures: make bench, or bench/run.sh --quick --only a.
set -eu
cd "$(dirname "$0")/.."
scripts/build.sh release program thalweg bench_load bench_upstream >&2
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || { echo "nginx is missing: apt-get install nginx-light" >&2; exit 2; }
exec python3 bench/run.py "$@"
