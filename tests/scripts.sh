#!/usr/bin/env bash
# What the scripts of first use do when something fails or the machine is not the usual one: `tests/scripts.sh CASE`. Each case works
# in a copy of scripts/ with stand-ins for the programs that they call, so it needs no network and builds nothing.
# shellcheck disable=SC2016  # what stand-ins hold is expanded when they run
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
stop=()
cleanup() {
  local pid
  for pid in "${stop[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
cp -r scripts "$work/scripts"
mkdir "$work/bin" "$work/build"
cd "$work"
export THALWEG_CACHE="$work/cache" PATH="$work/bin:$PATH" NO_COLOR=1
unset THALWEG_RUN ENGINE LISTEN THALWEG_KEY http_proxy https_proxy no_proxy

# stand_in FILE: an executable with what comes on stdin.
stand_in() {
  { echo '#!/usr/bin/env bash'; cat; } >"$1"
  chmod +x "$1"
}
wrong() {
  echo "WRONG: $1" >&2
  if [[ -f out ]]; then sed 's/^/    /' out >&2; fi
  exit 1
}
says() { grep -qF -- "$1" out || wrong "it does not say: $1"; }
is_silent_on() { ! grep -qF -- "$1" out || wrong "it says: $1"; }
# runs CODE COMMAND...: runs it with its output in the file out.
runs() {
  local expected=$1 code=0
  shift
  "$@" >out 2>&1 || code=$?
  ((code == expected)) || wrong "$* ended with $code, not $expected"
}
# until_says TEXT
until_says() {
  local try
  for ((try = 0; try < 1000; try++)); do
    if grep -qF -- "$1" out; then return; fi
    sleep 0.05
  done
  wrong "it does not say in time: $1"
}

case $1 in
  engine)
    stand_in bin/uname <<<'echo x86_64'
    stand_in scripts/engine/fetch.sh <<<'echo "$1" >>'"$work/fetched"'; ! [[ $1 == "${FETCH_FAILS:-}" ]]'
    stand_in scripts/engine/compile.sh <<'TEXT'
mkdir -p "$2/out"
printf '#!/bin/sh\necho version: 1\n' >"$2/out/llama-server"
chmod +x "$2/out/llama-server"
TEXT
    stand_in scripts/engine/probe.sh <<<'[[ -z ${PROBE_FAILS:-} ]] && echo hello'
    stand_in scripts/model.sh <<<'if [[ ${1:-} == --path ]]; then echo model.gguf; exit; fi; [[ -z ${MODEL_FAILS:-} ]]'

    # A model that can't be fetched says nothing of the engine: no other engine is built.
    MODEL_FAILS=1 runs 1 scripts/engine.sh
    says 'the probe needs the default model'
    is_silent_on 'the probe failed'
    is_silent_on 'from source'
    [[ $(<fetched) == prebuilt ]] || wrong "it fetched: $(tr '\n' ' ' <fetched)"
    ENGINE=source MODEL_FAILS=1 runs 1 scripts/engine.sh
    says 'the probe needs the default model'
    is_silent_on 'fails its probe'

    # A move that fails is no success.
    stand_in bin/mv <<<'echo "mv: no room" >&2; exit 1'
    runs 1 scripts/engine.sh
    says 'could not be moved'
    is_silent_on 'ready'
    rm bin/mv

    # What may fail without an end: the prebuilt one. Then the one from source is built.
    : >fetched
    FETCH_FAILS=prebuilt runs 0 scripts/engine.sh
    says 'ready (source)'
    [[ $(tr '\n' ' ' <fetched) == 'prebuilt source ' ]] || wrong "it fetched: $(<fetched)"
    runs 0 scripts/engine.sh
    [[ ! -s out ]] || wrong 'what is ready is not left alone'

    rm -r cache/engine
    PROBE_FAILS=1 runs 1 scripts/engine.sh
    says 'the one built from source fails its probe too'
    runs 0 scripts/engine.sh
    says 'ready (prebuilt)'
    ;;

  run)
    openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out certificate.pem -days 2 -subj /CN=gateway.test 2>/dev/null
    # It listens as GATEWAY says, like the program: one line on stdout once it does.
    stand_in build/thalweg <<'TEXT'
exec python3 -u -c '
import http.server, os, socket, ssl
scheme, host = os.environ["GATEWAY"].split(" ")
class Answer(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    self.send_response(200 if self.path == "/readyz" else 404)
    self.end_headers()
  def log_message(self, *_): pass
class Server(http.server.HTTPServer):
  address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
server = Server((host.strip("[]"), 0), Answer)
if scheme == "https":
  context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
  context.load_cert_chain("certificate.pem", "key.pem")
  server.socket = context.wrap_socket(server.socket, server_side=True)
print(f"listening on {scheme}://{host}:{server.server_port}")
server.serve_forever()
'
TEXT
    start() {  # GATEWAY, with thalweg.yaml on stdin
      cat >thalweg.yaml
      : >out
      GATEWAY=$1 scripts/run.sh >out 2>&1 &
      stop=($!)
      until_says 'Ctrl-C stops the gateway'
      url=$(sed -n 's/^listening on //p' out)
    }
    end() {
      kill "${stop[0]}"
      wait "${stop[0]}" || true
      stop=()
    }

    start 'http 127.0.0.1' <<<'# keys: none'
    says "ready at $url after"
    says 'api_key="any"'
    is_silent_on 'THALWEG_KEY'
    end

    start 'https 127.0.0.1' <<<$'listen: "127.0.0.1:1"\nkeys:\n  - {id: a}'
    [[ $url == https://* ]] || wrong "not https: $url"
    says "curl '$url/v1/chat/completions' -H \"Authorization: Bearer \$THALWEG_KEY\""
    says 'api_key=os.environ["THALWEG_KEY"]'
    says '--cacert'
    end

    start 'http 0.0.0.0' <<<'# no keys: here'
    says "ready at http://127.0.0.1:${url##*:} after"
    is_silent_on 'THALWEG_KEY'
    end

    if python3 -c 'import socket; socket.socket(socket.AF_INET6).bind(("::1", 0))' 2>/dev/null; then
      start 'http [::1]' <<<"listen: '[::1]:1'"
      says "ready at $url after"
      says "curl '$url/v1/chat/completions'"
      end
    fi

    # A gateway that does not start leaves nothing behind that waits for it.
    stand_in build/thalweg <<<'echo "a bad file" >&2; exit 2'
    runs 2 timeout 20 scripts/run.sh
    is_silent_on 'ready'
    ;;

  packages)
    stand_in bin/dpkg-query <<<'exit 1'
    stand_in bin/apt-get <<<'echo "apt-get $* ($http_proxy) ($https_proxy) ($no_proxy)" >>'"$work/asked"
    # As sudo does it: the environment is not handed on, and the command is run. It may not write outside the copy.
    stand_in bin/sudo <<TEXT
[[ \$1 != -v ]] || exit 0
shift
echo "\$*" >>"$work/commands"
exec env -i PATH="\$PATH" "\$@"
TEXT
    sed -i "s|/usr/sbin/policy-rc.d|$work/policy-rc.d|g" scripts/packages.sh
    # EUID can't be set in bash: the script's own question is answered by a variable.
    sed -i 's/EUID != 0/AS_USER/' scripts/packages.sh

    AS_USER=1 http_proxy='http://u:p ss$x@proxy:1' no_proxy=localhost,.here runs 0 scripts/packages.sh bare
    grep -qF 'apt-get update (http://u:p ss$x@proxy:1) () (localhost,.here)' asked || wrong "apt was asked: $(<asked)"
    ! grep -qF 'u:p ss' commands || wrong 'the password is in the command line'
    ! grep -rqF 'u:p ss' cache || wrong 'the password is in a log'
    rm asked
    AS_USER=1 runs 0 scripts/packages.sh bare
    grep -qF 'apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=600 mmdebstrap () () ()' asked || wrong "apt was asked: $(<asked)"
    rm asked
    AS_USER=0 https_proxy=http://proxy:2 runs 0 scripts/packages.sh bare
    grep -qF 'apt-get update () (http://proxy:2) ()' asked || wrong "as root, apt was asked: $(<asked)"
    [[ ! -e policy-rc.d ]] || wrong 'policy-rc.d was left'
    ;;

  build)
    stand_in bin/cmake <<<'echo "THALWEG_TESTS:BOOL=${3##*=}" >build/CMakeCache.txt; : >build/build.ninja'
    # Fails when another one is in the folder; ends when it may.
    stand_in bin/ninja <<<'mkdir build/busy || exit 1; until [[ -e may_end ]]; do sleep 0.02; done; rmdir build/busy && echo x >>built'
    scripts/build.sh release program one >first 2>&1 &
    stop=($!)
    for ((try = 0; try < 1000; try++)); do if [[ -d build/busy ]]; then break; fi; sleep 0.05; done
    : >out
    scripts/build.sh release tests two >out 2>&1 &
    stop+=($!)
    until_says 'another build runs in build: waiting'
    : >may_end
    wait "${stop[0]}" || wrong "the first build failed: $(<first)"
    wait "${stop[1]}" || wrong 'the second build failed'
    stop=()
    [[ $(wc -l <built) == 2 ]] || wrong 'not both were built'
    # The lock is gone with the build.
    runs 0 scripts/build.sh release tests
    is_silent_on 'waiting'
    ;;

  lists)
    # A list of changed files that could not be made is not an empty one.
    stand_in scripts/changed.sh <<<'echo "fatal: no" >&2; exit 3'
    stand_in scripts/configure.sh <<<'exit 0'
    runs 3 scripts/format.sh
    is_silent_on 'no C++ file changed'
    runs 3 scripts/tidy.sh
    is_silent_on 'no C++ source changed'
    stand_in scripts/changed.sh <<<'exit 0'
    runs 0 scripts/format.sh
    says 'no C++ file changed'
    ;;

  *) wrong "there is no case '$1'" ;;
esac
echo "$1: holds"
