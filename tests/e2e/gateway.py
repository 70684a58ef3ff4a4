"""Starts `thalweg serve` with a configuration, learns its port, and watches it from outside: its log, memory, children and end."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import queue
import re
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request

from waiting import PATIENCE, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("THALWEG_PROGRAM", ROOT / "build/thalweg"))
CACHE = pathlib.Path(os.environ.get("THALWEG_CACHE") or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "thalweg")
ENGINE = pathlib.Path(os.environ.get("THALWEG_ENGINE", CACHE / "engine/llama-server"))
MODEL = pathlib.Path(os.environ.get("THALWEG_MODEL", CACHE / "models/SmolLM2-135M-Instruct.Q4_1.gguf"))

READY_LINE = re.compile(r"listening on (https?://127\.0\.0\.1:(\d+))")
SANITIZER = re.compile(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:)")


def to_yaml(value, indent: int = 0) -> str:
    """Block style for maps, flow style (JSON is YAML) for the rest: what a person would write."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    lines = []
    for key, part in value.items():
        text = to_yaml(part, indent + 2)
        lines.append(f"{' ' * indent}{key}:" + (f"\n{text}" if isinstance(part, dict) and part else f" {text}"))
    return "\n".join(lines)


class Key:
    """A caller's key: the text is the caller's, the configuration holds its hash only."""

    def __init__(self, name: str, models: list[str], tenant: str = "t"):
        secret = hashlib.sha256(f"secret of {name}".encode()).hexdigest()[:43]  # 43 characters of the base64url alphabet
        self.text = f"tw_{name}_{secret}"
        self.settings = {"id": name, "sha256": hashlib.sha256(self.text.encode()).hexdigest(), "tenant": tenant, "models": models}


class Answer:
    """A plain HTTP answer, for what the clients do not show."""

    def __init__(self, status: int, headers, body: bytes):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> dict:
        return json.loads(self.body)


class Gateway:
    def __init__(self, folder: pathlib.Path, settings: dict, environment: dict[str, str] | None = None, arguments: tuple[str, ...] = (),
                 files: int = 0):
        """`files`: how many the process may open; 0: as many as the tests may."""
        self.folder = folder
        self.config = folder / "thalweg.yaml"
        self.access_log = folder / "access.log"
        self.stderr_file = folder / "stderr.log"
        self.stdout_lines: list[str] = []
        self.exit_code: int | None = None
        self.trusted: ssl.SSLContext | None = None  # for a gateway that speaks TLS
        self.write(settings)
        base = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "STANDIN_"))}
        with open(self.stderr_file, "ab") as stderr:
            # setpriv: when the tests are killed, what they started ends too.
            self.process = subprocess.Popen([*(["prlimit", f"--nofile={files}"] if files else []),
                                             "setpriv", "--pdeathsig", "TERM", str(PROGRAM), "serve", "--config", str(self.config), "--listen", "127.0.0.1:0", *arguments],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, cwd=folder,
                                            env={**base, **(environment or {})}, start_new_session=True)
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read_stdout, daemon=True).start()
        self.url = self._wait_for_address()
        self.port = int(self.url.rsplit(":", 1)[1])

    def write(self, settings: dict | str) -> None:
        """Writes the configuration in one step: a reader sees the old or the new one."""
        if isinstance(settings, dict):
            self.settings = settings
            settings = to_yaml({**settings, "log": {"access": str(self.access_log), **settings.get("log", {})}}) + "\n"
        new = self.config.with_suffix(".new")
        new.write_text(settings, encoding="utf-8")
        new.replace(self.config)

    def _read_stdout(self) -> None:
        for line in self.process.stdout:
            text = line.decode(errors="replace").rstrip("\n")
            self.stdout_lines.append(text)
            self._lines.put(text)
        self._lines.put(None)

    def _wait_for_address(self) -> str:
        while True:
            try:
                line = self._lines.get(timeout=30 * PATIENCE)
            except queue.Empty:
                self.process.kill()
                raise AssertionError(f"no `listening on` line; stderr:\n{self.stderr()}") from None
            if line is None:
                raise AssertionError(f"thalweg ended with {self.process.wait()} before it listened; stderr:\n{self.stderr()}")
            if found := READY_LINE.search(line):
                return found[1]

    # ---- what can be seen from outside -----------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def stderr(self) -> str:
        return self.stderr_file.read_text(encoding="utf-8", errors="replace")

    def lines(self) -> list[dict]:
        """The access log's whole lines."""
        if not self.access_log.exists():
            return []
        text = self.access_log.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def lines_of_requests(self) -> list[dict]:
        """Lines of requests for an answer: this class' own GETs are left out."""
        return [line for line in self.lines() if line.get("method") == "POST"]

    def wait_lines(self, count: int) -> list[dict]:
        return until(lambda: (found := self.lines_of_requests()) and len(found) >= count and found, f"{count} lines in the access log")

    def get(self, path: str, method: str = "GET", headers: dict | None = None, data: bytes | None = None) -> Answer:
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        tls = [urllib.request.HTTPSHandler(context=self.trusted)] if self.trusted else []
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *tls)
        try:
            with opener.open(request, timeout=30 * PATIENCE) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def post(self, path: str, body: bytes | dict, headers: dict | None = None) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.get(path, "POST", {"Content-Type": "application/json", **(headers or {})}, data)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics: `name{labels}` -> value."""
        samples = {}
        for line in self.get("/metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def metric(self, name: str, **labels: str) -> float:
        """The sum of one metric's samples that have these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(value for sample, value in self.metrics().items()
                   if sample.split("{")[0] == name and all(label in sample for label in wanted))

    def token_counts(self) -> dict[str, int]:
        return {kind: int(self.metric("thalweg_tokens_total", type=kind)) for kind in ("input", "output")}

    def wait_ready(self) -> "Gateway":
        until(lambda: self.get("/readyz").status == 200, "/readyz says ready", 60)
        return self

    def rss_bytes(self) -> int:
        pages = int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def descendants(self) -> list[int]:
        """Process ids under the gateway: the engine's are here."""
        parents = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(") ", 1)[1].split()
            except (OSError, IndexError):
                continue
            if fields[0] != "Z":
                parents[int(stat.parent.name)] = int(fields[1])
        found, front = [], [self.process.pid]
        while front:
            front = [pid for pid, parent in parents.items() if parent in front]
            found += front
        return found

    def engine_pids(self) -> list[int]:
        def command(pid: int) -> str:
            try:
                return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
            except OSError:
                return ""
        return [pid for pid in self.descendants() if "llama-server" in command(pid)]

    # ---- commands --------------------------------------------------------------------------------------------------------------

    def reload(self, settings: dict | str) -> None:
        self.write(settings)
        self.process.send_signal(signal.SIGHUP)

    def model_names(self, key: str = "any") -> list[str]:
        return [model["id"] for model in self.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).json["data"]]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait_end(self, deadline: float = 30.0) -> int:
        self.exit_code = self.process.wait(deadline * PATIENCE)
        return self.exit_code

    def stop(self) -> None:
        """SIGTERM and a clean end: exit code 0, no child left, nothing from a sanitizer."""
        children = self.descendants() if self.process.poll() is None else []
        try:
            if self.process.poll() is None:
                self.terminate()
            self.wait_end()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"thalweg did not end after SIGTERM; stderr:\n{self.stderr()[-4000:]}") from None
        until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in children), f"the gateway's children {children} end")
        if found := SANITIZER.search(self.stderr()):
            raise AssertionError(f"{found[0]} in:\n{self.stderr()[-8000:]}")
        if self.exit_code != 0:
            raise AssertionError(f"thalweg ended with {self.exit_code}; stderr:\n{self.stderr()[-4000:]}")
