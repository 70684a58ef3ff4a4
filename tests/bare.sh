#!/usr/bin/env bash
# Shows that first use works on a bare Debian 12: a fresh chroot of bookworm with git and make, a clone of this repository's HEAD,
# then `make run` until its first answer, `make run` again (ready within seconds), and `.ci/run`, which ends with `make test`.
# Prints each one's seconds.
#   BARE_TREE=1   takes the working tree instead of HEAD (for work in progress)
#   BARE_STEPS    a subset of run,again,test,ci    (default: run,again,ci)
#   BARE_AS=user  as an ordinary user who may use sudo, instead of as root
#   BARE_KEEP=1   leaves the chroot for a look
# Needs root. Mounts and processes live in namespaces of their own, so they are gone whichever way this ends.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/pins.sh
. scripts/step.sh
((EUID == 0)) || die "the bare proof makes a chroot, which needs root" "run: sudo make bare"
steps=${BARE_STEPS:-run,again,ci}
steps=${steps//,/ }
command -v mmdebstrap >/dev/null || die "mmdebstrap is not installed" "install it: apt-get install mmdebstrap"
sources=/etc/apt/sources.list.d/debian.sources
[[ -f $sources ]] || sources=/etc/apt/sources.list

work=$(mktemp -d)
root="$work/root"
home=/srv/home  # inside
cleanup() {
  if [[ -n ${BARE_KEEP:-} ]]; then echo "kept: $root"; else rm -rf --one-file-system "$work"; fi
}
trap cleanup EXIT

# What lets this machine reach its registries (mirror, proxy, certificates) is carried in; nothing else of it is.
carried='^(PIP_|NPM_|npm_|HTTP_PROXY|HTTPS_PROXY|NO_PROXY|http_proxy|https_proxy|no_proxy|SSL_CERT|REQUESTS_CA|CURL_CA|NODE_EXTRA_CA)'
environment=()
files=(/etc/pip.conf "$HOME/.pip/pip.conf" "${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf" "$HOME/.npmrc" /etc/npmrc)
while IFS= read -r -d '' pair; do
  if [[ $pair =~ $carried ]]; then
    environment+=("$pair")
    value=${pair#*=}
    if [[ $value == /* && -e $value ]]; then files+=("$value"); fi
  fi
done < <(env -0)
apt_settings=()
while IFS= read -r setting; do apt_settings+=("--aptopt=$setting"); done < <(grep -hE '^Acquire::' /etc/apt/apt.conf.d/* /etc/apt/apt.conf 2>/dev/null || true)

as=()
packages=git,make,ca-certificates
if [[ ${BARE_AS:-root} == user ]]; then
  packages+=,sudo
  as=(setpriv --reuid=dev --regid=dev --init-groups)
fi
step chroot "making a bare bookworm" mmdebstrap --variant=minbase --include="$packages" "${apt_settings[@]}" bookworm "$root" "$sources"
mkdir -p "$root$home"
for file in "${files[@]}"; do
  if [[ -e $file && ! -e $root$file ]]; then
    if [[ $file == "$HOME"/* ]]; then target="$root$home/${file#"$HOME"/}"; else target="$root$file"; fi
    mkdir -p "$(dirname "$target")"
    cp -rL "$file" "$target"
  fi
done
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
  cp -L /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
  chroot "$root" update-ca-certificates >/dev/null 2>&1
fi
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"

if [[ ${BARE_AS:-root} == user ]]; then
  chroot "$root" useradd --home-dir "$home" dev
  echo 'dev ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/dev"
  chroot "$root" chown -R dev:dev /srv
fi

# The repository goes in as a bundle and is cloned inside.
bundle="$root/srv/thalweg.bundle"
if [[ -n ${BARE_TREE:-} ]]; then
  mkdir "$work/tree"
  git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do if [[ -e $file ]]; then printf '%s\0' "$file"; fi; done \
    | tar -c --null -T - | tar -x -C "$work/tree"
  git -C "$work/tree" init --quiet --initial-branch=main
  git -C "$work/tree" add --all
  git -C "$work/tree" -c user.name=bare -c user.email=bare@localhost commit --quiet -m 'the working tree'
  git -C "$work/tree" bundle create --quiet "$bundle" HEAD main
else
  git rev-parse --quiet --verify HEAD >/dev/null || die "the repository has no commit to clone" "prove the working tree instead: BARE_TREE=1 make bare"
  git bundle create --quiet "$bundle" HEAD
fi

cat >"$root/srv/inside.sh" <<'INSIDE'
set -euo pipefail
cd /srv
[[ -d thalweg ]] || git clone --quiet thalweg.bundle thalweg
cd thalweg
now() { local t=${EPOCHREALTIME/[.,]/}; echo "${t%???}"; }
say() { printf 'BARE %s: %d.%d s\n' "$1" $(($2 / 1000)) $(($2 % 1000 / 100)); }

gateway() {  # its process id; bookworm's minimal set has no pgrep
  local comm
  for comm in /proc/[0-9]*/comm; do
    if [[ $(<"$comm") == thalweg ]]; then basename "$(dirname "$comm")"; fi
  done 2>/dev/null | head -n 1
}

first_answer() {  # starts `make run`, waits for an answer with text, stops it
  local start port pid answer
  start=$(now)
  port=$1
  make run LISTEN="127.0.0.1:$port" &
  pid=$!
  until answer=$(curl --silent --fail --noproxy '*' --max-time 120 "http://127.0.0.1:$port/v1/chat/completions" -H 'Content-Type: application/json' \
    -d '{"model": "auto", "max_tokens": 32, "messages": [{"role": "user", "content": "What is a thalweg?"}]}' 2>/dev/null); do
    kill -0 "$pid" 2>/dev/null || { echo "BARE: make run ended before it answered"; exit 1; }
    sleep 0.1
  done
  took=$(($(now) - start))
  grep -qE '"content": ?"[^"]' <<<"$answer" || { echo "BARE: an answer without text: $answer"; exit 1; }
  echo "BARE answer: $answer"
  kill -TERM "$(gateway)"
  wait "$pid" || true
}

for part in $1; do
  case $part in
    run)
      first_answer "$2"
      say "make run to the first answer, with apt" "$took"
      apt=$(awk -F'\t' '$1 == "packages" {ms += $3 * 1000} END {print int(ms)}' ~/.cache/thalweg/runs/2*/times.tsv)
      say "   of it apt" "$apt"
      say "   without apt" $((took - apt))
      ;;
    again) first_answer "$2"; say "make run again, to the first answer" "$took" ;;
    test)
      start=$(now)
      make test
      say "make test" $(($(now) - start))
      ;;
    ci)
      start=$(now)
      .ci/run
      say ".ci/run" $(($(now) - start))
      ;;
  esac
done
INSIDE

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start=$(now_ms)
# shellcheck disable=SC2016  # expanded inside
unshare --mount --pid --fork --kill-child bash -euc '
  root=$1
  shift
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  exec chroot "$root" "$@"
' inside "$root" "${as[@]}" env -i HOME="$home" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "${environment[@]}" \
  bash /srv/inside.sh "$steps" "$port" 2>&1 | tee "$THALWEG_RUN/bare.log"
line bare "done in $(seconds $(($(now_ms) - start))) s; the whole log: $THALWEG_RUN/bare.log"
echo
grep '^BARE ' "$THALWEG_RUN/bare.log" | grep -v '^BARE answer'
first=$(sed -nE 's/^BARE +without apt: (.*) s$/\1/p' "$THALWEG_RUN/bare.log" | tail -n 1)
echo "PROOF count=$(wc -w <<<"$steps") note=steps as ${BARE_AS:-root}${first:+, first answer after $first s without apt}"
