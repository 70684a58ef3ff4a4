"""Child processes of a benchmark: started, pinned, read (CPU, memory) and ended by process id; nothing else is ever touched."""
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
ALL_CORES = ",".join(str(core) for core in sorted(os.sched_getaffinity(0)))  # before the runner pins itself
_alive: list[subprocess.Popen] = []


class BenchError(Exception):
    """The run is worth nothing; the message says why."""


def start(command: list[str], core: int | None, **more) -> subprocess.Popen:
    """`core` None: any core. taskset replaces itself by the command, so the process id is the command's."""
    command = ["taskset", "-c", ALL_CORES if core is None else str(core), *command]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)
    _alive.append(process)
    return process


def stop(process: subprocess.Popen, how: int = signal.SIGTERM, patience: float = 15) -> None:
    if process in _alive:
        _alive.remove(process)
    if process.stdout:
        process.stdout.close()
    if process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise BenchError(f"{process.args} did not end within {patience} s of its signal") from None


def stop_all() -> None:
    for process in list(_alive):
        try:
            stop(process, patience=5)
        except BenchError:
            pass


def children_of(pid: int) -> list[int]:
    out = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        out += [int(child) for child in (task / "children").read_text().split()]
    return out


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads, living and ended: the process's CPU clock, the sum that /proc/PID/stat shows as
    utime + stime, in nanoseconds instead of ticks of 10 ms (clock_getcpuclockid(3): ~pid << 3 | CPUCLOCK_SCHED)."""
    return time.clock_gettime((~pid << 3) | 2)


def cpu_split(pid: int) -> tuple[float, float]:
    """User and system seconds from /proc/PID/stat, fields 14 and 15 (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def memory_kib(pid: int, field: str) -> int:
    """VmRSS, VmHWM, RssAnon ... of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise BenchError(f"/proc/{pid}/status has no {field}")


def core_busy() -> dict[int, tuple[float, float]]:
    """For each core: seconds busy (all but idle and iowait) and seconds in total since boot."""
    out = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *numbers = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(n) for n in numbers[:8]]
            out[int(name[3:])] = ((sum(ticks) - ticks[3] - ticks[4]) / TICKS, sum(ticks) / TICKS)
    return out


def free_ports(count: int) -> list[int]:
    """Below the range from which Linux takes ports of outgoing connections, so that none of these takes one of ours."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(15000, 32000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def http_get(port: int, path: str, headers: dict[str, str] | None = None, patience: float = 5) -> tuple[int, str]:
    """Status and body; raises OSError when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def wait_for(condition, patience: float, what: str, pause: float = 0.01):
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise BenchError(f"{what}: not within {patience} s")
        time.sleep(pause)


def announced_port(process: subprocess.Popen, patience: float = 20) -> int:
    """Reads `listening on http://HOST:PORT` from a child's standard output (a pipe)."""
    os.set_blocking(process.stdout.fileno(), False)
    seen = b""

    def look():
        nonlocal seen
        seen += process.stdout.read() or b""
        if process.poll() is not None:
            raise BenchError(f"{process.args} ended at once with code {process.returncode}: {seen.decode()}")
        for line in seen.decode().splitlines(keepends=True):
            if "listening on http://" in line and line.endswith("\n"):
                return int(line.split("listening on http://", 1)[1].split()[0].rstrip("/").rsplit(":", 1)[1])
        return None

    return wait_for(look, patience, f"{process.args[-1]} announces its port")


class Upstream:
    """bench_upstream: the fixed model server."""

    def __init__(self, tools: Path, core: int, answer_bytes: int = 1024, frames: int = 200, interval_us: int = 0, spoil: str = ""):
        command = [str(tools / "bench_upstream"), "--answer-bytes", str(answer_bytes), "--frames", str(frames)]
        command += ["--interval-us", str(interval_us)] + (["--spoil", spoil] if spoil else [])
        self.process = start(command, core, stdout=subprocess.PIPE)
        self.port = announced_port(self.process)
        self.pid = self.process.pid

    def stats(self) -> dict:
        return json.loads(http_get(self.port, "/stats")[1])

    def served(self) -> int:
        stats = self.stats()
        return stats["chats"] + stats["streams"]

    def stop(self) -> None:
        stop(self.process)


def load(tools: Path, core: int | None, port: int | str, *options, headers: dict[str, str] | None = None, patience: float = 300) -> dict:
    """Runs bench_load against a port (or "unix:PATH") to its end; any wrong answer fails the benchmark."""
    address = port if isinstance(port, str) else f"127.0.0.1:{port}"
    command = [str(tools / "bench_load"), "--connect", address, *map(str, options)]
    for name, value in (headers or {}).items():
        command += ["--header", f"{name}: {value}"]
    process = start(command, core, stdout=subprocess.PIPE, text=True)
    try:
        output, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        raise BenchError(f"bench_load ran longer than {patience} s") from None
    finally:
        stop(process)
    if process.returncode == 2 or not output:
        raise BenchError(f"bench_load failed: {' '.join(command[:4])} ... code {process.returncode}")
    result = json.loads(output)
    if process.returncode != 0:
        raise BenchError(f"{result['errors']} of {result['sent']} answers wrong; the first: {result['first_error']}")
    return result


def private_folder() -> tempfile.TemporaryDirectory:
    folder = tempfile.TemporaryDirectory(prefix="thalweg-bench-")
    os.chmod(folder.name, 0o755)  # nginx's worker gives up root
    return folder
