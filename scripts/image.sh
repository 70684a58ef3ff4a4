#!/usr/bin/env bash
# Makes an OCI image without a daemon: `scripts/image.sh BUILD FILE` writes FILE out of what `cmake --install BUILD` gives; without
# arguments it builds first, and writes build/thalweg-oci.tar (ENGINE=none: without the engine). An image is tarballs and a few JSON files, each named by its SHA-256 (opencontainers/image-spec 1.1); it is
# written by hand here, so that two runs give the same bytes: names sorted, one time (SOURCE_DATE_EPOCH, else the commit's), one
# owner. There is nothing in it but the program, the engine where one is prepared, the shared libraries of both, the certificate
# authorities and the licences: no shell.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build} out=${2:-build/thalweg-oci.tar}
if (($# == 0)); then
  scripts/build.sh release program man
  cmake -DTHALWEG_ENGINE_FOLDER="$([[ ${ENGINE:-} != none ]] || echo none)" build >/dev/null
fi
readonly USER_ID=65532  # of nobody on any machine; what other images without root take
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
export LC_ALL=C

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
base="$work/base" own="$work/own" layout="$work/layout"
mkdir -p "$base"/usr/{bin,lib,lib64} "$base"/etc/ssl/certs "$base"/{dev,proc,sys,tmp} "$base"/usr/share/doc "$base/var/lib" \
  "$own/var/lib/thalweg" "$layout/blobs/sha256"

# What is Thalweg's.
DESTDIR="$own" cmake --install "$build" --prefix /usr --strip >/dev/null
rm -r "$own/usr/lib/systemd" "$own/usr/share/man" "$own/usr/share/thalweg" "$own/usr/share/doc/thalweg/docs"
version=$("$own/usr/bin/thalweg" --version)
version=${version#thalweg }

# What it needs of the system: the libraries that the loader names, their packages' licences, authorities, a user.
ln -s usr/lib "$base/lib"
ln -s usr/lib64 "$base/lib64"
mapfile -t programs < <(find "$own/usr/bin" "$own/usr/lib" -type f)
mapfile -t libraries < <(ldd "${programs[@]}" 2>/dev/null | grep -oE '(=> )?/[^ ]+ \(0x' | sed -E 's/^=> //; s/ \(0x$//' | grep -vF "$work" | sort -u)
((${#libraries[@]} > 0)) || { echo "error: the program's libraries could not be found" >&2; exit 1; }
for library in "${libraries[@]}"; do
  install -D -m 755 "$library" "$base/usr/${library#/usr/}"
  package=$(dpkg-query -S "$(realpath "$library")" 2>/dev/null | head -n 1 | sed -E 's/(:[^:]*)?: .*//') || true
  if [[ -n $package && -f /usr/share/doc/$package/copyright ]]; then
    install -D -m 644 "$(realpath "/usr/share/doc/$package/copyright")" "$base/usr/share/doc/$package/copyright"
  fi
done
install -m 644 "$(realpath /etc/ssl/certs/ca-certificates.crt)" "$base/etc/ssl/certs/ca-certificates.crt"
echo "thalweg:x:$USER_ID:$USER_ID:Thalweg:/var/lib/thalweg:/usr/sbin/nologin" >"$base/etc/passwd"
echo "thalweg:x:$USER_ID:" >"$base/etc/group"
echo 'hosts: files dns' >"$base/etc/nsswitch.conf"
chmod -R u=rwX,go=rX "$base" "$own"
chmod 1777 "$base/tmp"

# add_blob FILE: puts it among the blobs; its digest is then in `digest`, its bytes in `size`.
add_blob() {
  digest=$(sha256sum "$1" | cut -d' ' -f1)
  size=$(stat -c %s "$1")
  mv "$1" "$layout/blobs/sha256/$digest"
}
pack() { tar --format=gnu --sort=name --numeric-owner --mtime="@$epoch" "$@"; }
layers=() diff_ids=()
# add_layer FOLDER: the folder as a layer. What lies in var/lib/thalweg is the user's, the rest is root's.
add_layer() {
  local tarball="$work/layer.tar"
  pack --create --owner=0 --group=0 --exclude=./var/lib/thalweg --file "$tarball" -C "$1" .
  if [[ -d $1/var/lib/thalweg ]]; then
    pack --append --owner=$USER_ID --group=$USER_ID --file "$tarball" -C "$1" ./var/lib/thalweg
  fi
  diff_ids+=("\"sha256:$(sha256sum "$tarball" | cut -d' ' -f1)\"")
  gzip -n "$tarball"
  add_blob "$tarball.gz"
  layers+=("{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"sha256:$digest\",\"size\":$size}")
  blobs+=("\"blobs/sha256/$digest\"")
}
join() { local IFS=,; echo "$*"; }
blobs=()
add_layer "$base"
add_layer "$own"

created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
cat >"$work/config.json" <<JSON
{"created":"$created","architecture":"$arch","os":"linux","config":{"User":"$USER_ID:$USER_ID","ExposedPorts":{"8080/tcp":{}},"Env":["PATH=/usr/bin","SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt","THALWEG_CACHE=/var/lib/thalweg"],"Entrypoint":["/usr/bin/thalweg"],"Cmd":["serve","--config","/etc/thalweg/thalweg.yaml"],"WorkingDir":"/var/lib/thalweg","StopSignal":"SIGTERM","Labels":{"org.opencontainers.image.title":"thalweg","org.opencontainers.image.version":"$version","org.opencontainers.image.licenses":"Apache-2.0"}},"rootfs":{"type":"layers","diff_ids":[$(join "${diff_ids[@]}")]},"history":[{"created":"$created","created_by":"the system's libraries"},{"created":"$created","created_by":"thalweg $version"}]}
JSON
add_blob "$work/config.json"
config="sha256:$digest" config_size=$size config_blob="blobs/sha256/$digest"
cat >"$work/manifest.json" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"$config","size":$config_size},"layers":[$(join "${layers[@]}")]}
JSON
add_blob "$work/manifest.json"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
cat >"$layout/index.json" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$digest","size":$size,"platform":{"architecture":"$arch","os":"linux"},"annotations":{"io.containerd.image.name":"docker.io/library/thalweg:$version","org.opencontainers.image.ref.name":"$version"}}]}
JSON
# For `docker load` before version 25, which reads this file alone.
echo "[{\"Config\":\"$config_blob\",\"RepoTags\":[\"thalweg:$version\"],\"Layers\":[$(join "${blobs[@]}")]}]" >"$layout/manifest.json"
chmod -R u=rwX,go=rX "$layout"
(cd "$layout" && pack --create --owner=0 --group=0 --file "$work/image.tar" oci-layout index.json manifest.json blobs)
mv "$work/image.tar" "$out"
echo "$out: $(stat -c %s "$out" | numfmt --to=iec), $config"
