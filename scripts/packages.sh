#!/usr/bin/env bash
# Debian packages that a target needs: `scripts/packages.sh build engine ...`. Each target asks for its own sets only, so that
# `make run` brings no test tools. apt is called only when something is missing: a second run costs one dpkg query.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh

declare -A sets=(
  [build]="g++ cmake ninja-build ccache mold libssl-dev libsimdjson-dev nlohmann-json3-dev libfmt-dev libspdlog-dev libcli11-dev libyaml-cpp-dev libxxhash-dev libseccomp-dev node-llhttp libedit2"
  [engine]="git g++ cmake ninja-build mold python3 python3-pip unzip curl ca-certificates"
  [model]="python3 python3-pip unzip ca-certificates"
  [test]="libgtest-dev libbenchmark-dev python3-venv curl dpkg-dev file"
  [deb]="dpkg-dev file"
  [check]="git clang-format-19 clang-tidy-19"
  [fuzz]="clang-19 libclang-rt-19-dev"
  [bench]="wrk nginx-light libbenchmark-dev"
  [bare]="mmdebstrap"
)

wanted=()
for set in "$@"; do
  [[ -n ${sets[$set]:-} ]] || die "no package set is called '$set'" "there are: ${!sets[*]}"
  # shellcheck disable=SC2206  # the sets are lists of words
  wanted+=(${sets[$set]})
done

command -v dpkg-query >/dev/null || die "this is not a Debian system: the packages can't be installed from here" \
  "Thalweg is built and tested on Debian 12; elsewhere, install the counterparts of: ${wanted[*]}"

missing=()
declare -A installed=()
while read -r status name; do [[ $status == ii ]] && installed[$name]=1; done \
  < <(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
for package in "${wanted[@]}"; do
  [[ -n ${installed[$package]:-} || " ${missing[*]:-} " == *" $package "* ]] || missing+=("$package")
done
((${#missing[@]} > 0)) || exit 0

by_hand="apt-get update && apt-get install --no-install-recommends ${missing[*]}"
as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || die "${#missing[@]} packages are missing, and this is neither root nor is there sudo" "as root, run: $by_hand"
  if [[ -t 0 ]]; then
    echo "sudo is asked for, to install: ${missing[*]}"
    sudo -v || die "sudo was refused; ${#missing[@]} packages are missing" "as root, run: $by_hand"
  else
    sudo -n true 2>/dev/null || die "${#missing[@]} packages are missing, and sudo wants a password that nobody can type here" "as root, run: $by_hand"
  fi
  as_root=(sudo -n)
fi

# sudo clears the environment, and with it the proxy without which apt may reach nothing. A file carries it, readable by this user
# and root alone: in the command line, other users and the log would see a password in the proxy's address.
proxies=/dev/null
if ((EUID != 0)) && [[ -n ${http_proxy:-}${https_proxy:-}${no_proxy:-} ]]; then
  proxies=$(mktemp)
  trap 'rm -f "$proxies"' EXIT
  for name in http_proxy https_proxy no_proxy; do
    [[ -z ${!name:-} ]] || printf 'export %s=%q\n' "$name" "${!name}"
  done >"$proxies"
fi

# Some packages (nginx-light) start a service when installed; nothing of ours wants one. policy-rc.d is Debian's way to say so.
# It is put in place only when the machine has none, and taken away again.
# shellcheck disable=SC2016  # expanded by the inner shell
step packages "installing ${#missing[@]} Debian packages" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive bash -euc '
  . "$1"
  shift
  if [[ ! -e /usr/sbin/policy-rc.d ]]; then
    trap "rm -f /usr/sbin/policy-rc.d" EXIT
    printf "#!/bin/sh\nexit 101\n" > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
  fi
  apt-get update
  apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=600 "$@"
' packages "$proxies" "${missing[@]}"
