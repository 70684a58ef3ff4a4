"""The proxies under test. Each counts what was sent through it, and `check` fails the run unless its own books say the same."""
import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import processes
from processes import BenchError

HERE = Path(__file__).resolve().parent
PATHS = (b"/v1/chat/completions", b"/v1/messages", b"/v1/embeddings")

# Where /metrics counts tokens, with a label whose value is "input" or "output".
TOKEN_METRIC = "thalweg_tokens_total"

THALWEG_YAML = """\
listen: 127.0.0.1:0
shards: 1
places: {{cloud: {{kind: cloud, country: US}}}}
endpoints:
  up: {{place: cloud, api: openai, url: "http://127.0.0.1:{upstream}/v1", key: "${{BENCH_KEY}}", slots: 256, models: {{bench: {{name: {model}, context: 128000, capabilities: [chat, tools, n]}}, vectors: {{name: {model}, capabilities: [embeddings]}}}}}}
models: {{bench: [up/bench], vectors: [up/vectors]}}
keys: [{{id: bench, sha256: {sha256}, tenant: bench}}]
log: {{access: {log}}}
limits: {{}}
"""
# The engine that Thalweg runs itself, for engine tokens per second.
THALWEG_ENGINE_YAML = """\
listen: 127.0.0.1:0
shards: 1
places: {{device: {{kind: device}}}}
endpoints:
  engine: {{place: device, engine: {{program: {engine_program}, context: 2048, slots: 1, models: {{bench: {{file: {file}}}}}}}}}
models: {{bench: [engine/bench]}}
keys: [{{id: bench, sha256: {sha256}, tenant: bench}}]
log: {{access: {log}}}
limits: {{}}
"""


class Proxy:
    """What every proxy has: `name`, `port`, `stream_port`, `pid` (whose CPU counts), `log`, `headers`."""

    def __init__(self, name: str):
        self.name = name
        self.headers: dict[str, str] = {}
        self.requests = self.input_tokens = self.output_tokens = 0

    def note(self, result: dict) -> None:
        """What bench_load sent through it, all of it answered rightly."""
        self.requests += result["sent"]
        self.input_tokens += result["input_tokens"]
        self.output_tokens += result["output_tokens"]

    def lines(self) -> int:
        """Access log lines of requests for answers so far."""
        with open(self.log, "rb") as file:
            return sum(any(path in line for path in PATHS) for line in file)

    def check(self) -> None:
        """While it runs: do its books agree?"""

    def stop(self) -> None:
        stop_and_count(self)


def stop_and_count(proxy: Proxy) -> None:
    """After the end every line is written, buffered ones too."""
    processes.stop(proxy.process, signal.SIGQUIT if isinstance(proxy, Nginx) else signal.SIGTERM)
    if proxy.lines() != proxy.requests:
        raise BenchError(f"{proxy.name}: {proxy.lines()} lines in the access log for {proxy.requests} requests")


class Nginx(Proxy):
    """`form` is "nginx" (default buffers) or "nginx-tuned"; the CPU that counts is the one worker's."""

    def __init__(self, form: str, folder: Path, upstream_port: int, core: int | None, name: str = ""):
        super().__init__(name or form)
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.path.exists(program):
            raise BenchError("nginx is missing: apt-get install nginx-light")
        self.folder = folder / self.name.replace(" ", "-")
        self.folder.mkdir()
        os.chmod(self.folder, 0o755)
        self.port, self.stream_port = processes.free_ports(2)
        self.log = self.folder / "access.log"
        text = (HERE / f"{form}.conf").read_text()
        places = {"FOLDER": self.folder, "UPSTREAM_PORT": upstream_port, "PORT": self.port, "STREAM_PORT": self.stream_port}
        for key, value in places.items():
            text = text.replace(f"@{key}@", str(value))
        (self.folder / "nginx.conf").write_text(text)
        command = [program, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", str(self.folder / "error.log")]
        self.process = processes.start(command, core, stderr=subprocess.DEVNULL)
        self.pid = processes.wait_for(self._worker, 10, f"{self.name} starts (see {self.folder}/error.log)")

    def _worker(self) -> int:
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended at once: {(self.folder / 'error.log').read_text().strip()}")
        children = processes.children_of(self.process.pid)
        return children[0] if children else 0


class Thalweg(Proxy):
    """The gateway with key, placement, metrics and access log on; one shard, as nginx has one worker."""

    def __init__(self, program: Path, folder: Path, core: int | None, template: str = THALWEG_YAML, name: str = "thalweg", **values):
        super().__init__(name)
        self.folder = folder / name
        self.folder.mkdir()
        self.log = self.folder / "access.log"
        key = "tw_bench_" + secrets.token_urlsafe(32)
        values |= {"sha256": hashlib.sha256(key.encode()).hexdigest(), "log": self.log}
        self.config = self.folder / "thalweg.yaml"
        self.config.write_text(template.format(**values))
        self.headers = {"Authorization": f"Bearer {key}"}
        self.command = [str(program), "serve", "--config", str(self.config)]
        self.environment = os.environ | {"BENCH_KEY": "sk-bench"}
        self.errors = open(self.folder / "stderr", "wb")
        try:
            self.process = processes.start(self.command, core, stdout=subprocess.PIPE, stderr=self.errors, env=self.environment)
            self.port = self.stream_port = processes.announced_port(self.process)
        except BenchError as error:
            raise BenchError(f"{error}\n{(self.folder / 'stderr').read_text()[-2000:]}") from None
        self.pid = self.process.pid
        processes.wait_for(self._ready, 30, f"{name} is ready (/readyz)")

    def _ready(self) -> bool:
        try:
            return processes.http_get(self.port, "/readyz")[0] == 200
        except OSError:
            return False

    def metrics_tokens(self) -> tuple[int, int]:
        return tokens_in(processes.http_get(self.port, "/metrics", self.headers)[1])

    def check(self) -> None:
        """Lines and counters may come a moment after the last answer, not more."""
        sent = (self.requests, self.input_tokens, self.output_tokens)
        try:
            processes.wait_for(lambda: (self.lines(), *self.metrics_tokens()) == sent, 5, "books agree", 0.1)
        except BenchError:
            raise BenchError(f"{self.name}: access log lines and /metrics' input and output tokens are "
                             f"{(self.lines(), *self.metrics_tokens())}, sent were {sent}") from None


def tokens_in(exposition: str) -> tuple[int, int]:
    """Input and output tokens out of the Prometheus text format, summed over endpoints and models."""
    sums = {"input": 0.0, "output": 0.0}
    named = 0
    for line in exposition.splitlines():
        match = re.match(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\S+)", line)
        if not match or match[1] != TOKEN_METRIC:
            continue
        for kind in sums:
            if f'="{kind}"' in match[2]:
                sums[kind] += float(match[3])
                named += 1
    if named == 0 and "# TYPE" not in exposition:
        raise BenchError(f"/metrics does not answer in the Prometheus text format: {exposition[:200]}")
    return int(sums["input"]), int(sums["output"])
