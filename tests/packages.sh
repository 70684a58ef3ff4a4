#!/usr/bin/env bash
# What is installed, packed and put into an image works away from the source tree: `tests/packages.sh install|deb|image BUILD`, BUILD
# being the folder with the built program. Exit code 77 (ctest: skipped) where this system lacks a tool or a right, and says which.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "$2")
work=$(mktemp -d)
pid=''
cleanup() {
  # unshare ignores SIGTERM while it waits for its child, which ends with it (--kill-child).
  if [[ -n $pid ]]; then kill -KILL "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
wrong() {
  echo "WRONG: $1" >&2
  if [[ -f $work/out ]]; then sed 's/^/    /' "$work/out" >&2; fi
  exit 1
}
skip() {
  echo "skipped: $1"
  exit 77
}
quietly() { "$@" >"$work/out" 2>&1 || wrong "$* failed"; }
# runs ROOT: the program and the configuration below ROOT belong together, and the engine is found from the program.
runs() {
  local root=$1 program=$2 config=$3
  [[ $("$program" version) == "thalweg "* ]] || wrong 'the program does not say its version'
  "$program" config check "$config" >"$work/out" 2>&1 || wrong 'the installed configuration has errors'
  # The catalogue of facts is the one that was installed, wherever it was moved to.
  (cd / && "$program" facts list) >"$work/out" 2>&1 || wrong 'the installed catalogue of facts cannot be read'
  grep -qxF "$root/share/thalweg/facts" "$work/out" || wrong 'the catalogue of facts is not the installed one'
  if [[ -e $root/lib/thalweg/engine/llama-server ]]; then
    mkdir -p "$work/empty"
    (cd "$work/empty" && THALWEG_CACHE="$work/empty" PATH=/usr/bin:/bin "$program" doctor) >"$work/out" 2>&1 || true
    grep -qF "$root/lib/thalweg/engine/llama-server" "$work/out" || wrong 'the installed engine is not found'
    "$root/lib/thalweg/engine/llama-server" --version >"$work/out" 2>&1 || wrong 'the installed engine does not start'
  fi
}

case $1 in
  install)
    quietly cmake --install "$build" --prefix "$work/first"
    [[ -f $work/first/lib/systemd/system/thalweg.service ]] || wrong 'there is no unit'
    grep -qF "$work/first/bin/thalweg serve --config $work/first/etc/thalweg/thalweg.yaml" "$work/first/lib/systemd/system/thalweg.service" \
      || wrong 'the unit names other paths'
    zcat "$work/first/share/man/man1/thalweg.1.gz" >"$work/out"
    for command in serve 'config check' 'facts list' 'import litellm' 'key new'; do
      grep -qxF ".SS thalweg $command" "$work/out" || wrong "the manual page has no $command"
    done
    # Somebody's configuration stays.
    echo '# mine' >>"$work/first/etc/thalweg/thalweg.yaml"
    quietly cmake --install "$build" --prefix "$work/first"
    [[ $(tail -n 1 "$work/first/etc/thalweg/thalweg.yaml") == '# mine' ]] || wrong 'a configuration that was there is overwritten'
    # Moved as a whole.
    mv "$work/first" "$work/second"
    runs "$work/second" "$work/second/bin/thalweg" "$work/second/etc/thalweg/thalweg.yaml"
    # Staged for /usr, whose settings are in /etc.
    DESTDIR="$work/stage" quietly cmake --install "$build" --prefix /usr
    [[ -f $work/stage/etc/thalweg/thalweg.yaml ]] || wrong 'with the prefix /usr the configuration is not in /etc'
    grep -qF '/usr/bin/thalweg serve --config /etc/thalweg/thalweg.yaml' "$work/stage/usr/lib/systemd/system/thalweg.service" \
      || wrong 'the staged unit names the stage'
    ;;

  deb)
    for tool in dpkg-deb dpkg-shlibdeps file; do command -v "$tool" >/dev/null || skip "there is no $tool"; done
    # gzip, since xz takes most of a minute.
    quietly cpack --config "$build/CPackConfig.cmake" -B "$work/made" -D CPACK_DEBIAN_COMPRESSION_TYPE=gzip
    package=$(echo "$work"/made/*.deb)
    [[ $(basename "$package") == "thalweg_$(dpkg-deb -f "$package" Version)_$(dpkg --print-architecture).deb" ]] || wrong "its name is $package"
    for needed in libc6 libssl3 libseccomp2 ca-certificates; do
      [[ $(dpkg-deb -f "$package" Depends) == *"$needed"* ]] || wrong "it does not depend on $needed"
    done
    dpkg-deb -e "$package" "$work/control"
    [[ $(<"$work/control/conffiles") == /etc/thalweg/thalweg.yaml ]] || wrong 'the configuration is no conffile'
    for script in postinst prerm postrm; do sh -n "$work/control/$script" || wrong "$script is no shell script"; done
    dpkg-deb -x "$package" "$work/root"
    runs "$work/root/usr" "$work/root/usr/bin/thalweg" "$work/root/etc/thalweg/thalweg.yaml"
    # 1.7 when this was written (systemd 252); a line that is lost shows.
    if command -v systemd-analyze >/dev/null; then
      quietly systemd-analyze security --offline=true --threshold=17 --root="$work/root" --no-pager thalweg.service
    fi
    ;;

  image)
    quietly scripts/image.sh "$build" "$work/image.tar"
    quietly scripts/image.sh "$build" "$work/again.tar"
    cmp "$work/image.tar" "$work/again.tar" || wrong 'two runs give different bytes'
    mkdir "$work/layout" "$work/root"
    tar -xf "$work/image.tar" -C "$work/layout"
    # Unpacked by another program than the one that packed it, which checks every digest on its way.
    python3 - "$work/layout" "$work/root" <<'PYTHON' || wrong 'the layout does not hold together'
import hashlib, io, json, pathlib, sys, tarfile, gzip
layout, root = map(pathlib.Path, sys.argv[1:])
def blob(at):
    data = (layout / "blobs" / at["digest"].replace(":", "/")).read_bytes()
    assert "sha256:" + hashlib.sha256(data).hexdigest() == at["digest"] and len(data) == at["size"], at
    return data
[entry] = json.loads((layout / "index.json").read_text())["manifests"]
manifest = json.loads(blob(entry))
config = json.loads(blob(manifest["config"]))
assert config["config"]["User"] == "65532:65532" and config["config"]["Entrypoint"] == ["/usr/bin/thalweg"], config
for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
    data = gzip.decompress(blob(layer))
    assert "sha256:" + hashlib.sha256(data).hexdigest() == diff_id, layer
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            assert (member.uid == 65532) == member.name.startswith("./var/lib/thalweg"), member.name
            assert member.issym() or not member.mode & 0o6002 or member.name == "./tmp", member.name
        archive.extractall(root, filter=lambda member, _: member) if hasattr(tarfile, "data_filter") else archive.extractall(root)
PYTHON
    # Started as a container would: its own root, its own /proc, no root's rights. Without root: as the only user of a user namespace.
    as_user=() user=()
    if ((EUID == 0)); then user=(--userspec=65532:65532); else as_user=(--user --map-root-user); fi
    unshare "${as_user[@]}" --mount --pid --fork sh -c 'mount -t proc proc "$1/proc"' sh "$work/root" 2>"$work/out" \
      || skip "no namespaces with a /proc of their own are permitted here ($(head -n 1 "$work/out"))"
    inside() {  # COMMAND... as the image's user, in its root
      exec unshare "${as_user[@]}" --mount --pid --fork --kill-child sh -c 'root=$1; shift; mount -t proc proc "$root/proc" && exec env -i \
        PATH=/usr/bin:/usr/sbin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt THALWEG_CACHE=/var/lib/thalweg chroot "$@"' \
        sh "$work/root" "${user[@]}" "$work/root" /usr/bin/thalweg "$@"
    }
    (inside config check /etc/thalweg/thalweg.yaml) >"$work/out" 2>&1 || wrong 'the configuration in the image has errors'
    if [[ -e $work/root/usr/lib/thalweg/engine/llama-server ]]; then
      (inside doctor) >"$work/out" 2>&1 || true
      grep -qF /usr/lib/thalweg/engine/llama-server "$work/out" || wrong 'the engine in the image is not found'
    fi
    (inside serve --config /etc/thalweg/thalweg.yaml --listen 127.0.0.1:0) >"$work/out" 2>&1 &
    pid=$!
    url=''
    for ((try = 0; try < 600 && ${#url} == 0; try++)); do
      kill -0 "$pid" 2>/dev/null || wrong 'the gateway in the image ended'
      url=$(sed -n 's/^listening on //p' "$work/out")
      [[ -n $url ]] || sleep 0.05
    done
    [[ -n $url ]] || wrong 'the gateway in the image does not listen'
    [[ $(curl --silent --noproxy '*' --max-time 20 --output /dev/null --write-out '%{http_code}' "$url/healthz") == 200 ]] || wrong 'no answer from /healthz'
    ;;

  *) wrong "there is no case '$1'" ;;
esac
echo "$1: holds"
