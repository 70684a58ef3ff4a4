#!/usr/bin/env bash
# Provides the engine at $THALWEG_CACHE/engine/llama-server, in this order (ENGINE=auto, the default):
#   path      a `llama-server` on PATH that passes the probe (a link to it is kept)
#   prebuilt  x86-64: the server alone, compiled against the prebuilt libraries of the pinned release (about a minute)
#   source    everything from source (4.5 to 12 minutes on two cores): other processors, or when the probe fails
# ENGINE=path|prebuilt|source asks for one of them and does not fall back. The folder's file `stamp` says what it was made from
# and what the probe answered; while that holds and the files are unchanged, nothing is done.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh

engine="$THALWEG_CACHE/engine"
choice=${ENGINE:-auto}
case $choice in auto | path | prebuilt | source) ;; *) die "ENGINE is '$choice'" "it takes auto, path, prebuilt or source" ;; esac

on_path=$(command -v llama-server || true)
# Someone may have put this very engine on PATH; it is no other one to be found.
if [[ $on_path -ef $engine/llama-server && ! -L $engine/llama-server ]]; then on_path=''; fi
key=$({
  echo "$choice $(uname -m) $ENGINE_SOURCE_SHA256 $ENGINE_LIBS_SHA256 $MODEL_SHA256"
  if [[ -n $on_path && $choice != prebuilt && $choice != source ]]; then stat -Lc '%n %s %Y' "$on_path"; fi
  cat scripts/engine/*
} | sha256sum | cut -d' ' -f1)

ready() {
  [[ -x $engine/llama-server && -f $engine/stamp && $(head -n 1 "$engine/stamp") == "key $key" ]] &&
    (cd "$engine" && sha256sum --check --quiet --status sums)
}
if ready; then exit; fi

mkdir -p "$THALWEG_CACHE"
exec 9>"$THALWEG_CACHE/engine.lock"
flock 9  # another make may be building it
if ready; then exit; fi

work="$THALWEG_CACHE/engine-build"

# `set -e` does not hold inside a condition. So only the probe stands in one; the rest of the work does not.

build() {  # build prebuilt|source
  rm -rf "$work"
  mkdir -p "$work"
  step engine "fetching llama.cpp $ENGINE_RELEASE ($1)" scripts/engine/fetch.sh "$1" "$work" 9>&-
  step engine "compiling llama-server ($1)" scripts/engine/compile.sh "$1" "$work" 9>&-
}

# The probe asks with the default model. Without it nothing is known of the engine, and another engine would not help.
# It waits when the model is being fetched; after the compiler, since the two can go on at once.
need_model() {
  scripts/model.sh || die "the probe needs the default model, which could not be provided: see above" \
    "the engine was not judged, and no other one is tried; once the model can be fetched, run this again"
}

# probe FOLDER: asks FOLDER/llama-server one question; its answer is then in `answer`.
answer=''
probe() {
  local start
  start=$(now_ms)
  line engine "probing it with one question ..."
  if ! answer=$(scripts/engine/probe.sh "$1/llama-server" "$model" 2>>"$THALWEG_RUN/engine.log" 9>&-); then
    line engine "the probe failed:"
    tail -n 8 "$THALWEG_RUN/engine.log" | sed 's/^/    /'
    return 1
  fi
  record_time engine "probing it with one question" "$(seconds $(($(now_ms) - start)))"
}

# keep KIND FOLDER: makes FOLDER, which passed the probe, the engine.
keep() {
  local kind=$1 folder=$2 release
  (
    cd "$folder"
    shopt -s nullglob
    sha256sum llama-server ./*.so >sums
  )
  release=$("$folder/llama-server" --version 2>&1 9>&-) || release=''  # it is for the reader only
  {
    echo "key $key"
    echo "kind $kind"
    release=$(sed -n '/^version/{p;q}' <<<"$release")
    echo "release ${release:-unknown}"
    echo "probed $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    echo "answer $answer"
  } >"$folder/stamp"
  # One rename each: a gateway that runs keeps the files it has open.
  rm -rf "$engine.old"
  if [[ -e $engine ]]; then mv -T "$engine" "$engine.old"; fi
  if ! mv -T "$folder" "$engine"; then
    if [[ -e $engine.old ]]; then mv -T "$engine.old" "$engine"; fi
    die "the engine could not be moved to $engine" "it passed its probe and is in $folder"
  fi
  rm -rf "$engine.old" "$work"
  line engine "${GREEN}ready$PLAIN ($kind): it answered \"$(head -c 60 <<<"$answer" | head -n 1)\""
}

model=$(scripts/model.sh --path)

if [[ -n $on_path && ($choice == auto || $choice == path) ]]; then
  line engine "found $on_path"
  rm -rf "$work"
  mkdir -p "$work/link"
  ln -s "$(readlink -f "$on_path")" "$work/link/llama-server"
  need_model
  if probe "$work/link"; then
    keep path "$work/link"
    exit
  fi
fi
[[ $choice != path ]] || die "ENGINE=path, but no llama-server on PATH passes the probe" "install one, or leave ENGINE out to have it built"

if [[ $choice == prebuilt || ($choice == auto && $(uname -m) == x86_64) ]]; then
  # In a subshell: a failed fetch or compile ends the subshell only, and the source build is still to be tried.
  # Not in a condition, so that `set -e` holds inside.
  set +e
  (
    set -e
    build prebuilt
  )
  code=$?
  set -e
  # Someone stopped it: then nothing else is to be built.
  ((code != 130 && code != 143)) || exit "$code"
  if ((code == 0)); then
    need_model
    if probe "$work/out"; then
      keep prebuilt "$work/out"
      exit
    fi
  fi
  [[ $choice == auto ]] || die "the engine could not be built against the prebuilt libraries" "try: make engine ENGINE=source"
  line engine "building everything from source instead"
fi
build source
need_model
probe "$work/out" || die "no engine could be provided: the one built from source fails its probe too" "the log: $THALWEG_RUN/engine.log"
keep source "$work/out"
