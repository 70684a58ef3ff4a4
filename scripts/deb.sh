#!/usr/bin/env bash
# Makes the Debian package: `scripts/deb.sh`, after the engine, unless ENGINE=none. Leaves build/thalweg_VERSION_ARCH.deb. Its
# dependencies are what dpkg-shlibdeps finds in the files.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
scripts/build.sh release program man
# shellcheck disable=SC2034  # folder.sh reads it
preset=release
. scripts/folder.sh
# Said at every run, so that an earlier one's choice is not kept.
cmake -DTHALWEG_ENGINE_FOLDER="$([[ ${ENGINE:-} != none ]] || echo none)" build >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
step deb "packing" cpack --config build/CPackConfig.cmake -B "$work" 9>&-
package=$(echo "$work"/*.deb)
mv "$package" build/
line deb "build/$(basename "$package"): $(stat -c %s "build/$(basename "$package")" | numfmt --to=iec)"
