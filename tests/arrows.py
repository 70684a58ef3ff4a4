"""Reads every #include under src/ and fails on an arrow that the design forbids (docs/design: "The house").

Floors: base <- decide <- prove <- carry; foresee uses base, decide and prove; show uses all. Within a floor a room uses only
the rooms listed before it. Without arguments it checks this repository; --self-test checks that it finds what it should.
"""
import pathlib
import re
import sys

# The house, in the order of the arrows. A room is a folder; a floor's own files (src/base/*.h, src/show/main.cpp) are the
# room named "".
FLOORS = {
    "base": ["", "document"],
    "decide": ["facts", "inference", "fleet", "policy", "classify", "budget", "serving", "placement", "flight"],
    "prove": ["meter", "ledger", "report"],
    "carry": ["telemetry", "http", "json", "dialect", "net", "engine", "upstream", "state", "config", "gateway"],
    "foresee": ["sim", "factory"],
    "show": ["console", "cli", ""],
}
BELOW = {
    "base": [],
    "decide": ["base"],
    "prove": ["base", "decide"],
    "carry": ["base", "decide", "prove"],
    "foresee": ["base", "decide", "prove"],
    "show": ["base", "decide", "prove", "carry", "foresee"],
}
# Every other outgoing connection than a request's goes through these.
MAY_INCLUDE_CLIENT = ("carry/net/", "carry/upstream/", "carry/gateway/call.")
# Pure rooms do no I/O and start no threads.
IMPURE = re.compile(r"^(sys/.*|unistd\.h|fcntl\.h|netdb\.h|netinet/.*|arpa/.*|poll\.h|thread|fstream|filesystem)$")
# `class X` outside of these files would be a way into what only X's friends may touch.
ONLY_DEFINED_IN = {"Placer": ("decide/placement/place.h", "decide/placement/place.cpp")}
LONG = 600

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def room_of(path):
    """("carry", "net") of "carry/net/client.h"; None where the house has no such room."""
    parts = path.split("/")
    floor, room = parts[0], "/".join(parts[1:-1])
    return (floor, room) if floor in FLOORS and room in FLOORS[floor] else None


def is_test(path):
    return re.search(r"_(test|bench)\.(cpp|h)$", path) is not None


def allowed(user, used):
    if user[0] != used[0]:
        return used[0] in BELOW[user[0]]
    order = FLOORS[user[0]]
    return order.index(used[1]) <= order.index(user[1])


def faults_of(path, lines):
    """What is wrong with one file of src/: a list of (line number, sentence)."""
    user = room_of(path)
    if user is None:
        return [(1, "stands in no room of the house (the table in tests/arrows.py follows the design)")]
    faults = []
    for number, line in enumerate(lines, 1):
        for name, files in ONLY_DEFINED_IN.items():
            if re.search(rf"\b(class|struct)\s+{name}\b", line) and path not in files:
                faults.append((number, f"{name} is defined in {files[-1]} alone"))
        found = INCLUDE.match(line)
        if found is None:
            continue
        own, system = found.groups()
        if system is not None:
            if system == "iostream" and not is_test(path):
                faults.append((number, "<iostream> costs static initialisers and ties streams together: use fmt"))
            if user[0] == "decide" and not is_test(path) and IMPURE.match(system):
                faults.append((number, f"decide is pure: it has no use for <{system}>"))
            continue
        used = room_of(own)
        if used is None:
            faults.append((number, f'"{own}" is not named from src/ down, or stands in no room'))
        elif not allowed(user, used):
            faults.append((number, f"{'/'.join(user).rstrip('/')} may not use {'/'.join(used).rstrip('/')} (\"{own}\")"))
        if own == "carry/net/client.h" and not path.startswith(MAY_INCLUDE_CLIENT):
            faults.append((number, '"carry/net/client.h" is for upstream and gateway/call.cpp only'))
    return faults


def check(source):
    broken = 0
    files = sorted(path for path in source.rglob("*") if path.suffix in (".h", ".cpp", ".inc") and path.is_file())
    if not files:
        sys.exit(f"no sources under {source}")
    for file in files:
        path = file.relative_to(source).as_posix()
        lines = file.read_text(encoding="utf-8").splitlines()
        for number, fault in faults_of(path, lines):
            print(f"src/{path}:{number}: {fault}")
            broken += 1
        if len(lines) > LONG and not is_test(path):
            print(f"note: src/{path} has {len(lines)} lines: is it two things?")
    print(f"{len(files)} files, {broken} forbidden")
    return broken == 0


def self_test():
    bad = [
        ("base/hash.h", '#include "base/document/tree.h"'),
        ("base/hash.h", '#include "decide/fleet/fleet.h"'),
        ("decide/fleet/fleet.h", '#include "decide/policy/policy.h"'),
        ("decide/placement/place.cpp", '#include "carry/net/shard.h"'),
        ("decide/placement/place.cpp", "#include <thread>"),
        ("decide/placement/place.cpp", "  #  include <sys/socket.h>"),
        ("decide/flight/flight.cpp", "#include <sys/epoll.h>"),
        ("prove/ledger/store.cpp", '#include "carry/http/head.h"'),
        ("carry/http/head.h", '#include "carry/dialect/openai.h"'),
        ("carry/gateway/exchange.cpp", '#include "carry/net/client.h"'),
        ("carry/gateway/exchange.cpp", '#include "show/cli/serve.h"'),
        ("carry/gateway/exchange.cpp", '#include "exchange.h"'),
        ("carry/gateway/exchange.cpp", "#include <iostream>"),
        ("carry/gateway/exchange.cpp", "class Placer {"),
        ("carry/telemetry/metrics.h", '#include "foresee/sim/sim.h"'),
        ("foresee/sim/sim.h", '#include "carry/http/head.h"'),
        ("foresee/sim/sim.h", '#include "foresee/factory/plan.h"'),
        ("show/cli/serve.cpp", '#include "carry/net/client.h"'),
        ("misc/helpers.h", ""),
        ("carry/utils/helpers.h", ""),
    ]
    good = [
        ("base/document/tree.h", '#include "base/result.h"'),
        ("decide/placement/place.cpp", '#include "decide/serving/prefill.h"'),
        ("decide/fleet/slots_test.cpp", "#include <thread>"),
        ("decide/placement/place.h", "  friend class Placer;"),
        ("carry/upstream/dispatch.h", '#include "carry/net/client.h"'),
        ("carry/gateway/call.cpp", '#include "carry/net/client.h"'),
        ("show/main.cpp", '#include "show/cli/cli.h"'),
        ("show/cli/plan.cpp", '#include "foresee/factory/plan.h"'),
        ("carry/gateway/exchange.cpp", '// #include "show/cli/serve.h"'),
    ]
    for path, line in bad:
        if not faults_of(path, [line]):
            sys.exit(f"not found: {line} in {path}")
    for path, line in good:
        if faults := faults_of(path, [line]):
            sys.exit(f"found without need: {line} in {path}: {faults}")


if __name__ == "__main__":
    self_test()
    if sys.argv[1:] != ["--self-test"]:
        sys.exit(0 if check(pathlib.Path(__file__).resolve().parent.parent / "src") else 1)
