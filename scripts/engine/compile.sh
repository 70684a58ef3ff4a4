#!/usr/bin/env bash
# Compiles `llama-server`: `compile.sh prebuilt|source FOLDER`, after fetch.sh. Leaves FOLDER/out with the program and, beside
# it, the libraries that it loads at run time (it looks for its CPU variants next to itself only).
set -euo pipefail
cd "$(dirname "$0")/../.."
how=$1 folder=$2
out="$folder/out" build="$folder/build"
rm -rf "$out"
mkdir -p "$out"

if [[ $how == prebuilt ]]; then
  cmake -S scripts/engine -B "$build" -G Ninja -DLLAMA_SOURCE="$folder/llama.cpp" -DLLAMA_LIBS="$folder/libs"
  ninja -C "$build" llama-server
  cp "$build/llama-server" "$folder/libs/"*.so "$out/"
else
  # No page, no downloads, no TLS: the engine answers on a UNIX socket and has no network.
  cmake -S "$folder/llama.cpp" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
  ninja -C "$build" llama-server
  cp "$build/bin/llama-server" "$out/"
fi
