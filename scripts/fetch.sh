# shellcheck shell=bash
# Fetches one file by package name with the registry's ordinary client (pip, npm), pinned to a checksum. The user's own
# settings (mirror, proxy, certificates, cache) hold, since the clients read them. Sourced after pins.sh and step.sh.

DOWNLOADS="$THALWEG_CACHE/downloads"
FETCH_TRIES=3  # a registry that drops one connection should not end a first use

# check_sha256 FILE SHA256: fails, and removes the file, unless the checksum is the pinned one.
check_sha256() {
  local got
  got=$(sha256sum "$1" | cut -d' ' -f1)
  if [[ $got != "$2" ]]; then
    rm -f "$1"
    die "the checksum of $(basename "$1") is not the pinned one; the file was removed" "pinned: $2 (scripts/pins.sh)" "got:    $got" \
      "Try again; if it stays so, the registry or something on the way to it serves a different file: do not use it."
  fi
}

retry() {
  local try
  for ((try = 1; try <= FETCH_TRIES; try++)); do
    "$@" && return 0
    echo "try $try of $FETCH_TRIES failed: $*" >&2
    ((try == FETCH_TRIES)) || sleep $((try * 2))
  done
  return 1
}

# The first Python that has pip: a version manager's shim may come before the system's and lack it.
python_with_pip() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then echo "$python"; return; fi
  done
  die "no Python with pip found" "install it: apt-get install python3 python3-pip"
}

# fetch_wheel NAME VERSION SHA256 FOLDER: one wheel from PyPI into an empty folder. pip checks the checksum.
fetch_wheel() {
  local python
  python=$(python_with_pip)
  rm -rf "$4"
  mkdir -p "$4"
  echo "$1==$2 --hash=sha256:$3" >"$4/requirements.txt"
  retry "$python" -m pip download --disable-pip-version-check --progress-bar off --no-deps --only-binary=:all: --require-hashes \
    --requirement "$4/requirements.txt" --dest "$4" || die "$1 $2 could not be fetched from PyPI" "pip's own words are above"
}

# fetch_npm NAME VERSION SHA256: prints the path of the package's tarball, fetched unless it is there. Each command says
# what to do when it fails, since `set -e` does not hold in the $(...) that this is called in.
fetch_npm() {
  local file
  file="$DOWNLOADS/$(sed 's/^@//; s,/,-,g' <<<"$1")-$2.tgz"
  if [[ ! -f $file ]]; then
    mkdir -p "$DOWNLOADS/npm.$$" || die "the folder $DOWNLOADS can't be written to"
    retry npm pack --ignore-scripts --pack-destination "$DOWNLOADS/npm.$$" "$1@$2" >&2 || die "$1@$2 could not be fetched from the npm registry" "npm's own words are above"
    mv "$DOWNLOADS/npm.$$/$(basename "$file")" "$file" || die "$1@$2 was fetched but could not be put at $file"
    rm -rf "$DOWNLOADS/npm.$$"
  fi
  check_sha256 "$file" "$3"
  echo "$file"
}
