"""The benchmark's sections, one function each: what is run in which order, and the rows that come of it."""
import hashlib
import http.client
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import processes
from intervals import Estimate, estimate, verdict
from processes import BenchError, Upstream
from proxies import THALWEG_ENGINE_YAML, Nginx, Proxy, Thalweg

MAX_UTILISATION = 0.90  # of the load's core; above it a ratio of requests per second says nothing


@dataclass
class Row:
    """One line of the result. `value` and `other` are medians of their own; `ratio` is the median of the paired ratios."""

    section: str
    what: str
    unit: str
    value: float | None
    other: float | None = None
    other_name: str = ""
    ratio: Estimate | None = None
    bound: float | None = None
    better: str = "less"
    verdict: str = "-"
    note: str = ""


@dataclass
class Bench:
    """Where and how long to measure."""

    tools: Path           # the folder of bench_load and bench_upstream
    subject: Path | None  # the gateway's program; None measures nginx against nginx
    folder: Path
    quick: bool
    pairs: int
    proxy_core: int
    load_core: int
    rows: list[Row] = field(default_factory=list)
    samples: dict[str, list[dict]] = field(default_factory=dict)

    @property
    def subject_name(self) -> str:
        return "thalweg" if self.subject else "nginx again"

    def size(self, full: float, quick: float) -> int:
        return int(quick if self.quick else full)

    def start_subject(self, section: str, upstream: Upstream) -> Proxy:
        if self.subject is None:
            return Nginx("nginx", self.fresh(section), upstream.port, self.proxy_core, "nginx again")
        return Thalweg(self.subject, self.fresh(section), self.proxy_core, upstream=upstream.port, model="bench-upstream")

    def start_nginx(self, section: str, form: str, upstream: Upstream) -> Nginx:
        return Nginx(form, self.fresh(section), upstream.port, self.proxy_core)

    def fresh(self, section: str) -> Path:
        number = sum(1 for _ in self.folder.iterdir())
        folder = self.folder / f"{number}-{section}"
        folder.mkdir()
        os.chmod(folder, 0o755)
        return folder

    def compare(self, section: str, what: str, unit: str, mine: list[float], others: list[float], other_name: str,
                bound: float | None, better: str = "less", note: str = "", void: str = "") -> Row:
        """A row of paired values: the ratio of each pair, their median and interval, and the verdict."""
        ratios = [a / b for a, b in zip(mine, others, strict=True) if b > 0]
        if len(ratios) < len(mine):
            note = f"{note}; {len(mine) - len(ratios)} pairs without a positive divisor left out".lstrip("; ")
        ratio = estimate(ratios) if ratios else Estimate(math.nan, math.nan, math.nan, 0, 0)
        says = void or (verdict(ratio, bound, better) if bound is not None else "-")
        row = Row(section, what, unit, statistics.median(mine), statistics.median(others), other_name, ratio, bound, better, says, note)
        self.rows.append(row)
        return row


def rotated(things: list, round_number: int) -> list:
    """Every order of the round comes as often: rotated, and mirrored every second time through."""
    n = len(things)
    turned = things[round_number % n:] + things[:round_number % n]
    return turned[::-1] if round_number // n % 2 else turned


def measured(bench: Bench, proxy: Proxy, upstream: Upstream, port: int, *options) -> dict:
    """One run of bench_load through a proxy: its result with the proxy's CPU, the cores' use and the upstream's count added."""
    served, cores = upstream.served(), processes.core_busy()
    upstream_cpu, cpu, split = processes.cpu_seconds(upstream.pid), processes.cpu_seconds(proxy.pid), processes.cpu_split(proxy.pid)
    result = processes.load(bench.tools, bench.load_core, port, *options, headers=proxy.headers)
    cpu_after, split_after, upstream_after = processes.cpu_seconds(proxy.pid), processes.cpu_split(proxy.pid), processes.cpu_seconds(upstream.pid)
    cores_after = processes.core_busy()
    proxy.note(result)
    if upstream.served() - served != result["sent"]:
        raise BenchError(f"{proxy.name}: the upstream was asked {upstream.served() - served} times for {result['sent']} requests")
    own = result["cpu_user"] + result["cpu_system"] + upstream_after - upstream_cpu

    def use(core: int, known: float = 0) -> float:
        busy, total = (after - before for after, before in zip(cores_after[core], cores[core]))
        return max(0.0, busy - known) / total if total > 0 else 0.0

    result |= {
        "proxy": proxy.name,
        "cpu": cpu_after - cpu,
        "cpu_user_part": split_after[0] - split[0],
        "cpu_system_part": split_after[1] - split[1],
        "load_utilisation": own / result["seconds"],  # bench_load and bench_upstream, on one core
        "load_core_busy": use(bench.load_core),
        "proxy_core_foreign": use(bench.proxy_core, cpu_after - cpu),  # work of others, which disturbs the proxy
    }
    return result


def rounds(bench: Bench, key: str, proxies: list[Proxy], upstream: Upstream, streams: bool, *options) -> dict[str, list[dict]]:
    """The alternating pairs: every proxy once a round, in rotated order."""
    out: dict[str, list[dict]] = {proxy.name: [] for proxy in proxies}
    for number in range(bench.pairs):
        for proxy in rotated(proxies, number):
            port = proxy.stream_port if streams else proxy.port
            out[proxy.name].append(measured(bench, proxy, upstream, port, *options))
            proxy.check()
    bench.samples[key] = [sample for samples in out.values() for sample in samples]
    return out


def void_above(*runs: list[dict]) -> str:
    """A ratio of requests per second is void when the load had no core left to ask faster: by its own CPU or by the core's."""
    used = max(statistics.median(max(s["load_utilisation"], s["load_core_busy"]) for s in samples) for samples in runs)
    return f"void (load core {used:.0%})" if used > MAX_UTILISATION else ""


def use_note(runs: dict[str, list[dict]]) -> str:
    return "load core " + ", ".join(
        f"{name} {statistics.median(s['load_utilisation'] for s in samples):.0%}" for name, samples in runs.items())


def proxying(bench: Bench) -> None:
    """(a) CPU and requests per second, closed loop, 32 connections, request and answer of one size."""
    for label, size in (("1 KiB", 1024), ("16 KiB", 16 * 1024)):
        upstream = Upstream(bench.tools, bench.load_core, answer_bytes=size)
        proxies = [bench.start_subject("proxying", upstream), bench.start_nginx("proxying", "nginx", upstream),
                   bench.start_nginx("proxying", "nginx-tuned", upstream)]
        options = ["--connections", 32, "--request-bytes", size, "--answer-bytes", size]
        for proxy in proxies:
            proxy.note(processes.load(bench.tools, bench.load_core, proxy.port, *options, "--requests", 3000, headers=proxy.headers))
        requests = bench.size(40_000, 10_000) if size == 1024 else bench.size(25_000, 6_000)
        runs = rounds(bench, f"proxying {label}", proxies, upstream, False, *options, "--requests", requests)
        cpu = {name: [s["cpu"] / s["sent"] * 1e6 for s in samples] for name, samples in runs.items()}
        rate = {name: [s["requests_per_second"] for s in samples] for name, samples in runs.items()}
        mine = bench.subject_name
        splits = ", ".join(
            f"{name} {sum(s['cpu_user_part'] for s in samples) / max(1e-9, sum(s['cpu_user_part'] + s['cpu_system_part'] for s in samples)):.0%} user"
            for name, samples in runs.items())
        bench.compare("a", f"CPU per request, {label}", "us", cpu[mine], cpu["nginx"], "nginx", 0.9, note=splits)
        bench.compare("a", f"CPU per request, {label}", "us", cpu[mine], cpu["nginx-tuned"], "nginx-tuned", 1.0, note="the aim")
        for other in ("nginx", "nginx-tuned"):
            bench.compare("a", f"requests per second, {label}", "1/s", rate[mine], rate[other], other, None, "more",
                          use_note({k: runs[k] for k in (mine, other)}), void_above(runs[mine], runs[other]))
        for thing in [*proxies, upstream]:
            thing.stop()


def system_calls(bench: Bench) -> None:
    """(b) System calls per request, all threads, counted by the kernel's tracepoint (perf), else by strace."""
    for label, size in (("1 KiB", 1024), ("16 KiB", 16 * 1024)):
        upstream = Upstream(bench.tools, bench.load_core, answer_bytes=size)
        proxies = [bench.start_subject("calls", upstream), bench.start_nginx("calls", "nginx", upstream),
                   bench.start_nginx("calls", "nginx-tuned", upstream)]
        options = ["--connections", 32, "--request-bytes", size, "--answer-bytes", size]
        counts: dict[str, list[float]] = {}
        names: dict[str, str] = {}
        for proxy in proxies:
            def drive(requests: int) -> None:
                proxy.note(processes.load(bench.tools, bench.load_core, proxy.port, *options, "--requests", requests, headers=proxy.headers))
            drive(1000)
            counts[proxy.name] = [count_calls(bench, proxy.pid, drive, bench.size(10_000, 3_000)) for _ in range(3)]
            names[proxy.name] = calls_by_name(bench, proxy.pid, drive, 2000)
        mine = counts[bench.subject_name]
        says = "met" if max(mine) <= 5 else "missed" if min(mine) > 5 else "not decided"
        others = "; ".join(f"{n} {statistics.median(c):.2f}" for n, c in counts.items() if n != bench.subject_name)
        bench.rows.append(Row("b", f"system calls per request, {label}", "", statistics.median(mine), bound=5, verdict=says,
                              note=f"{min(mine):.2f} to {max(mine):.2f} in 3 runs; {others}; by name, under strace: {names[bench.subject_name]}"))
        bench.samples[f"system calls {label}"] = [{"proxy": n, "per_request": c, "strace": names[n]} for n, c in counts.items()]
        for thing in [*proxies, upstream]:
            thing.stop()


def count_calls(bench: Bench, pid: int, drive, requests: int) -> float:
    """perf counts without slowing anything; strace slows the proxy, so it waits less often and seems better than it is."""
    report = bench.folder / "perf.txt"
    if not shutil.which("perf"):
        return sum(strace(bench, pid, drive, requests).values()) / requests
    counter = processes.start(["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", str(pid), "-o", str(report)], None,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    drive(requests)
    processes.stop(counter, signal.SIGINT)
    # Where the tracepoint may not be used there is no report.
    found = report.exists() and re.search(r"^(\d+),.*raw_syscalls:sys_enter", report.read_text(), re.MULTILINE)
    if not found:
        return sum(strace(bench, pid, drive, requests).values()) / requests
    return int(found[1]) / requests


def strace(bench: Bench, pid: int, drive, requests: int) -> dict[str, int]:
    report = bench.folder / "strace.txt"
    tracer = processes.start(["strace", "-c", "-f", "-q", "-o", str(report), "-p", str(pid)], None,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    drive(requests)
    processes.stop(tracer, signal.SIGINT)
    out = {}
    for line in report.read_text().splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            out[fields[-1]] = int(fields[3])
    return out


def calls_by_name(bench: Bench, pid: int, drive, requests: int) -> str:
    if not shutil.which("strace"):
        return "no strace here"
    calls = strace(bench, pid, drive, requests)
    return " ".join(f"{name} {count / requests:.2f}" for name, count in sorted(calls.items(), key=lambda c: -c[1])[:8] if count >= requests / 100)


def streaming(bench: Bench) -> None:
    """(c) CPU per frame: 128 streams at once, 200 frames of 200 bytes each, one every 10 ms, out of step with each other."""
    streams, frames = 128, bench.size(200, 100)
    upstream = Upstream(bench.tools, bench.load_core, frames=frames, interval_us=10_000)
    proxies = [bench.start_subject("streaming", upstream), bench.start_nginx("streaming", "nginx", upstream),
               bench.start_nginx("streaming", "nginx-tuned", upstream)]
    options = ["--stream", "--frames", frames, "--connections", streams, "--requests", streams]
    for proxy in proxies:
        proxy.note(processes.load(bench.tools, bench.load_core, proxy.stream_port, *options, headers=proxy.headers))
    runs = rounds(bench, "streaming", proxies, upstream, True, *options)
    cpu = {name: [s["cpu"] / s["frames"] * 1e6 for s in samples] for name, samples in runs.items()}
    together = ", ".join(f"{name} {sum(s['frames'] for s in r) / sum(s['reads'] for s in r):.2f} frames a read, gap p99 "
                         f"{statistics.median(s['gap_us']['p99'] for s in r) / 1000:.1f} ms" for name, r in runs.items())
    mine = bench.subject_name
    bench.compare("c", "CPU per SSE frame, 128 streams", "us", cpu[mine], cpu["nginx"], "nginx, proxy_buffering off", 1.0, note=together)
    bench.compare("c", "CPU per SSE frame, 128 streams", "us", cpu[mine], cpu["nginx-tuned"], "nginx-tuned, proxy_buffering off", None)
    for thing in [*proxies, upstream]:
        thing.stop()


def latency(bench: Bench) -> None:
    """(d) Added latency at 3,000 requests a second, open loop, 1 KiB: a run through each proxy and one without, every round."""
    upstream = Upstream(bench.tools, bench.load_core)
    proxies = [bench.start_subject("latency", upstream), bench.start_nginx("latency", "nginx", upstream)]
    options = ["--rate", 3000, "--seconds", bench.size(5, 2), "--connections", 64]
    times: dict[str, list[dict]] = {"direct": []} | {proxy.name: [] for proxy in proxies}
    for number in range(-1, bench.pairs):  # round -1 warms up
        for proxy in rotated([None, *proxies], max(number, 0)):
            if proxy is None:
                result = processes.load(bench.tools, bench.load_core, upstream.port, *options)
            else:
                result = measured(bench, proxy, upstream, proxy.port, *options)
                proxy.check()
            if number >= 0:
                times[proxy.name if proxy else "direct"].append(result)
    bench.samples["latency"] = [{"proxy": name, **r} for name, results in times.items() for r in results]
    mine = bench.subject_name
    for percentile, bound in (("p50", 1.3), ("p99", 1.5)):
        direct = [r["latency_us"][percentile] for r in times["direct"]]
        added = {name: [r["latency_us"][percentile] - d for r, d in zip(times[name], direct)] for name in (mine, "nginx")}
        bench.compare("d", f"added latency {percentile} at 3,000/s", "us", added[mine], added["nginx"], "nginx", bound,
                      note=f"direct {statistics.median(direct):.0f} us; sent late p99 "
                           f"{statistics.median(r['lateness_us']['p99'] for r in times[mine]):.0f} us")
    for thing in [*proxies, upstream]:
        thing.stop()


def memory(bench: Bench) -> None:
    """(e) Resident memory after 16 KiB requests on 32 connections and 128 streams; three fresh starts."""
    found: dict[str, list[tuple[float, float]]] = {}
    frames = 100
    for _ in range(3):
        upstream = Upstream(bench.tools, bench.load_core, answer_bytes=16 * 1024, frames=frames, interval_us=10_000)
        for proxy in (bench.start_subject("memory", upstream), bench.start_nginx("memory", "nginx", upstream)):
            proxy.note(processes.load(bench.tools, bench.load_core, proxy.port, "--connections", 32, "--request-bytes", 16384,
                                      "--answer-bytes", 16384, "--requests", bench.size(20_000, 5_000), headers=proxy.headers))
            proxy.note(processes.load(bench.tools, bench.load_core, proxy.stream_port, "--stream", "--frames", frames,
                                      "--connections", 128, "--requests", 128, headers=proxy.headers))
            proxy.check()
            mib = tuple(processes.memory_kib(proxy.pid, name) / 1024 for name in ("VmRSS", "VmHWM"))
            found.setdefault(proxy.name, []).append(mib)
            proxy.stop()
        upstream.stop()
    mine = [rss for rss, _ in found[bench.subject_name]]
    bench.samples["memory"] = [{"proxy": n, "rss_and_peak_mib": v} for n, v in found.items()]
    says = "met" if max(mine) <= 16 else "missed" if min(mine) > 16 else "not decided"
    other = statistics.median(rss for rss, _ in found["nginx"])
    bench.rows.append(Row("e", "RSS after load", "MiB", statistics.median(mine), other, "nginx's worker", bound=16, verdict=says,
                          note=f"{min(mine):.1f} to {max(mine):.1f} in 3 starts; peak {max(peak for _, peak in found[bench.subject_name]):.1f}"))


def cold_start(bench: Bench) -> None:
    """(f) From exec to the first 200 of /healthz, without engine; the runner asks every 0.2 ms."""
    if bench.subject is None:
        bench.rows.append(Row("f", "cold start", "ms", None, note="needs the gateway"))
        return
    upstream = Upstream(bench.tools, bench.load_core)
    model = bench.start_subject("cold", upstream)  # writes the configuration; not timed
    model.stop()
    port = processes.free_ports(1)[0]
    model.config.write_text(model.config.read_text().replace("listen: 127.0.0.1:0", f"listen: 127.0.0.1:{port}"))
    times = []
    for _ in range(bench.size(20, 7)):
        begin = time.perf_counter()
        process = processes.start(model.command, bench.proxy_core, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=model.environment)
        while True:
            try:
                if processes.http_get(port, "/healthz")[0] == 200:
                    break
            except OSError:
                pass
            if time.perf_counter() - begin > 10 or process.poll() is not None:
                raise BenchError("/healthz did not answer within 10 s of the start")
            time.sleep(0.0002)
        times.append((time.perf_counter() - begin) * 1000)
        processes.stop(process)
    upstream.stop()
    bench.samples["cold start"] = [{"ms": times}]
    value = estimate(times)
    bench.rows.append(Row("f", "cold start to /healthz 200", "ms", value.median, bound=50, verdict=verdict(value, 50, "less"),
                          note=f"median of {value.count}, interval {value.low:.1f} to {value.high:.1f}; fork, taskset and exec included"))


def reloading(bench: Bench) -> None:
    """(h) From a change of the configuration to the first answer by it, while 128 streams run; 51 endpoints, 1,001 keys."""
    if bench.subject is None:
        bench.rows.append(Row("h", "reload", "ms", None, note="needs the gateway"))
        return
    frames = bench.size(1500, 400)  # of 10 ms: the streams outlast the reloads
    upstream = Upstream(bench.tools, bench.load_core, frames=frames, interval_us=10_000)
    subject = bench.start_subject("reload", upstream)
    first = subject.config.read_text()
    more_keys = "".join(f",\n  {{id: k{i}, sha256: {hashlib.sha256(str(i).encode()).hexdigest()}}}" for i in range(1000))
    more_endpoints = "".join(f"  e{i}: {{place: cloud, api: openai, url: \"http://127.0.0.1:1/v1\", models: {{m: {{}}, n: {{}}}}}}\n" for i in range(50))
    reloads, times = bench.size(40, 10), {"SIGHUP": [], "the changed file alone": []}
    streaming = []
    thread = threading.Thread(target=lambda: streaming.append(
        processes.load(bench.tools, bench.load_core, subject.stream_port, "--stream", "--frames", frames, "--connections", 128,
                       "--requests", 128, headers=subject.headers)))
    thread.start()
    try:
        time.sleep(0.5)
        connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=5)
        for number in range(2 * reloads):
            by = list(times)[number % 2]
            text = first.replace("models: {bench: [up/bench],", f"models: {{v{number}: [e0/m], bench: [up/bench],")
            text = text.replace("endpoints:\n", "endpoints:\n" + more_endpoints).replace("tenant: bench}]", "tenant: bench}" + more_keys + "]")
            written = subject.config.with_suffix(".new")
            written.write_text(text)
            begin = time.perf_counter()
            written.rename(subject.config)
            if by == "SIGHUP":
                os.kill(subject.pid, signal.SIGHUP)
            while True:
                connection.request("GET", f"/v1/models/v{number}", headers=subject.headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    break
                if time.perf_counter() - begin > 10:
                    raise BenchError(f"the gateway does not know the model of reload {number} after 10 s")
                time.sleep(0.0005)
            times[by].append((time.perf_counter() - begin) * 1000)
            time.sleep(0.1)  # SIGHUP and the file's own event are two reloads
        if not thread.is_alive():
            raise BenchError("the streams ended before the last reload")
    finally:
        thread.join()
    subject.note(streaming[0])
    subject.check()
    subject.stop()
    upstream.stop()
    bench.samples["reload"] = [{"by": by, "ms": values} for by, values in times.items()]
    for by, values in times.items():
        worst = max(values)
        bench.rows.append(Row("h", f"reload by {by}, slowest", "ms", worst, bound=100, verdict="met" if worst <= 100 else "missed",
                              note=f"median {statistics.median(values):.1f} of {len(values)}; {streaming[0]['ok']} of {streaming[0]['sent']} streams whole"))


def engine_tokens(bench: Bench) -> None:
    """(g) Tokens per second of one engine process through the gateway and directly, in pairs, on unpinned cores."""
    cache = Path(os.environ.get("THALWEG_CACHE", Path.home() / ".cache" / "thalweg"))
    program, model = cache / "engine" / "llama-server", cache / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not (program.exists() and model.exists()):
        bench.rows.append(Row("g", "engine tokens per second", "tok/s", None, note=f"no {program} or {model.name}: make run provides them"))
        return
    server = None
    if bench.subject is None:  # nginx in front of an engine of our own
        direct = processes.free_ports(1)[0]
        server = processes.start([str(program), "-m", str(model), "--host", "127.0.0.1", "--port", str(direct), "-c", "2048", "-np", "1"],
                                 None, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        processes.wait_for(lambda: healthy(direct), 60, "llama-server is ready", 0.1)
        proxy = Nginx("nginx", bench.fresh("engine"), direct, None, "nginx again")
    else:  # the engine that the gateway runs, asked directly on its own socket
        proxy = Thalweg(bench.subject, bench.fresh("engine"), None, THALWEG_ENGINE_YAML, engine_program=program, file=model)
        direct = "unix:" + socket_of_engine(proxy.pid)
    tokens = bench.size(128, 32)
    options = ["--engine", "--max-tokens", tokens, "--connections", 1, "--requests", 1, "--patience", 60]
    through, directly = [], []

    def ask(by_proxy: bool) -> float:
        port, headers = (proxy.stream_port, proxy.headers) if by_proxy else (direct, {})
        result = processes.load(bench.tools, None, port, *options, headers=headers)
        if by_proxy:
            proxy.note(result)
        return result["tokens_per_second"]

    ask(True), ask(False)
    pairs = bench.pairs if bench.quick else max(bench.pairs, 41)
    for number in range(pairs):
        for by_proxy in (True, False) if number % 2 else (False, True):
            (through if by_proxy else directly).append(ask(by_proxy))
    proxy.check()
    bench.samples["engine"] = [{"through": through, "directly": directly}]
    bench.compare("g", f"engine tokens per second, {tokens} tokens", "tok/s", through, directly, "direct", 0.99, "more",
                  note="one engine process both ways; its prompt is cached")
    proxy.stop()
    if server:
        processes.stop(server)


def translation(bench: Bench) -> None:
    """(i) CPU of a request that is translated (Messages in, chat completions out) beside one that is not, on one gateway; 32 connections."""
    if bench.subject is None:
        bench.rows.append(Row("i", "translation", "us", None, note="needs the gateway"))
        return
    for label, size in (("1 KiB", 1024), ("16 KiB", 16 * 1024)):
        frames = size // 200  # of a stream that says about as much
        upstream = Upstream(bench.tools, bench.load_core, answer_bytes=size, frames=frames)
        subject = bench.start_subject("translation", upstream)
        for delivery, shape in (("plain", ["--answer-bytes", size]), ("streamed", ["--stream", "--frames", frames])):
            options = ["--connections", 32, "--request-bytes", size, *shape]
            requests = bench.size(20_000, 4_000) if size == 1024 else bench.size(10_000, 2_000)
            cpu: dict[str, list[float]] = {"messages": [], "chat": []}
            for number in range(-1, bench.pairs):  # round -1 warms up
                for name in rotated(list(cpu), max(number, 0)):
                    extra = ["--messages"] if name == "messages" else []
                    result = measured(bench, subject, upstream, subject.port, *options, *extra, "--requests", requests)
                    if number >= 0:
                        cpu[name].append(result["cpu"] / result["sent"] * 1e6)
            subject.check()
            bench.samples[f"translation {label} {delivery}"] = [{"cpu_us": cpu}]
            bench.compare("i", f"CPU per request, {label}, {delivery}, Messages to chat", "us", cpu["messages"], cpu["chat"], "untranslated", 1.5,
                          note=f"{frames} frames of text" if delivery == "streamed" else "")
        subject.stop()
        upstream.stop()


def embeddings(bench: Bench) -> None:
    """(j) CPU per request for vectors: 1 KiB of text, 16 KiB of numbers back, 32 connections."""
    size = 16 * 1024
    upstream = Upstream(bench.tools, bench.load_core, answer_bytes=size)
    proxies = [bench.start_subject("embeddings", upstream), bench.start_nginx("embeddings", "nginx", upstream),
               bench.start_nginx("embeddings", "nginx-tuned", upstream)]
    options = ["--embeddings", "--model", "vectors", "--connections", 32, "--request-bytes", 1024, "--answer-bytes", size]
    for proxy in proxies:
        proxy.note(processes.load(bench.tools, bench.load_core, proxy.port, *options, "--requests", 1000, headers=proxy.headers))
    runs = rounds(bench, "embeddings", proxies, upstream, False, *options, "--requests", bench.size(25_000, 5_000))
    cpu = {name: [s["cpu"] / s["sent"] * 1e6 for s in samples] for name, samples in runs.items()}
    for other in ("nginx", "nginx-tuned"):
        bench.compare("j", "CPU per embeddings request", "us", cpu[bench.subject_name], cpu[other], other, None)
    for thing in [*proxies, upstream]:
        thing.stop()


def long_streams(bench: Bench) -> None:
    """(k) CPU per frame of long streams: 64 at once, 1,000 frames each, one every 5 ms."""
    streams, frames = 64, bench.size(1000, 200)
    upstream = Upstream(bench.tools, bench.load_core, frames=frames, interval_us=5_000)
    proxies = [bench.start_subject("long", upstream), bench.start_nginx("long", "nginx", upstream)]
    options = ["--stream", "--frames", frames, "--connections", streams, "--requests", streams]
    runs = rounds(bench, "long streams", proxies, upstream, True, *options)
    cpu = {name: [s["cpu"] / s["frames"] * 1e6 for s in samples] for name, samples in runs.items()}
    bench.compare("k", f"CPU per SSE frame, {frames:,} frames a stream", "us", cpu[bench.subject_name], cpu["nginx"], "nginx, proxy_buffering off", None)
    for thing in [*proxies, upstream]:
        thing.stop()


def many_connections(bench: Bench) -> None:
    """(l) Memory: after load on 512 connections, and for each of 512 streams in which nothing happens; three fresh starts."""
    connections = 512
    loaded, idle = [], []
    for _ in range(3):
        upstream = Upstream(bench.tools, bench.load_core, answer_bytes=1024)
        subject = bench.start_subject("connections", upstream)
        subject.note(processes.load(bench.tools, bench.load_core, subject.port, "--connections", connections,
                                    "--requests", bench.size(50_000, 10_000), headers=subject.headers))
        subject.check()
        loaded.append(processes.memory_kib(subject.pid, "VmRSS") / 1024)
        subject.stop()
        upstream.stop()
        # A frame every two seconds: between them the streams only lie there.
        upstream = Upstream(bench.tools, bench.load_core, frames=3, interval_us=2_000_000)
        subject = bench.start_subject("connections", upstream)
        subject.note(processes.load(bench.tools, bench.load_core, subject.port, "--connections", 8, "--requests", 500, headers=subject.headers))
        before = processes.memory_kib(subject.pid, "VmRSS")
        ended = []
        thread = threading.Thread(target=lambda: ended.append(processes.load(
            bench.tools, bench.load_core, subject.stream_port, "--stream", "--frames", 3, "--connections", connections, "--requests", connections,
            headers=subject.headers)))
        thread.start()
        peak = before
        while thread.is_alive():
            peak = max(peak, processes.memory_kib(subject.pid, "VmRSS"))
            time.sleep(0.1)
        thread.join()
        subject.note(ended[0])
        subject.check()
        idle.append((peak - before) / connections)
        subject.stop()
        upstream.stop()
    bench.samples["connections"] = [{"rss_mib": loaded, "kib_per_idle_stream": idle}]
    for what, unit, values, bound in ((f"RSS after load on {connections} connections", "MiB", loaded, 64),
                                      (f"memory of an idle stream, of {connections}", "KiB", idle, 64)):
        says = "met" if max(values) <= bound else "missed" if min(values) > bound else "not decided"
        bench.rows.append(Row("l", what, unit, statistics.median(values), bound=bound, verdict=says,
                              note=f"{min(values):.1f} to {max(values):.1f} in 3 starts"))


def first_token(bench: Bench) -> None:
    """(m) Added time to the first token over 128 streams at once: a run through each proxy and one without, every round."""
    streams, frames = 128, 20
    upstream = Upstream(bench.tools, bench.load_core, frames=frames, interval_us=10_000)
    proxies = [bench.start_subject("first", upstream), bench.start_nginx("first", "nginx", upstream)]
    options = ["--stream", "--frames", frames, "--connections", streams, "--requests", streams * bench.size(10, 3)]
    times: dict[str, list[float]] = {"direct": []} | {proxy.name: [] for proxy in proxies}
    for number in range(-1, bench.pairs):  # round -1 warms up
        for proxy in rotated([None, *proxies], max(number, 0)):
            if proxy is None:
                result = processes.load(bench.tools, bench.load_core, upstream.port, *options)
            else:
                result = measured(bench, proxy, upstream, proxy.stream_port, *options)
                proxy.check()
            if number >= 0:
                times[proxy.name if proxy else "direct"].append(result["first_token_us"]["p50"])
    bench.samples["first token"] = [{"p50_us": times}]
    added = {name: [t - d for t, d in zip(values, times["direct"], strict=True)] for name, values in times.items() if name != "direct"}
    mine, others = added[bench.subject_name], added["nginx"]
    more = estimate([a - b for a, b in zip(mine, others, strict=True)])
    bench.rows.append(Row("m", "added time to first token p50, 128 streams", "us", statistics.median(mine), statistics.median(others), "nginx",
                          bound=100, verdict=verdict(more, 100, "less"),
                          note=f"{more.median:+.0f} us beside nginx's, interval {more.low:+.0f} to {more.high:+.0f}, {more.count} pairs; "
                               f"direct {statistics.median(times['direct']):.0f} us"))
    for thing in [*proxies, upstream]:
        thing.stop()


def healthy(port: int) -> bool:
    try:
        return processes.http_get(port, "/health")[0] == 200
    except OSError:
        return False


def socket_of_engine(gateway: int) -> str:
    """The path of the UNIX socket that the gateway's engine listens on: the `--host` of its child."""
    def look():
        waiting = [gateway]
        while waiting:
            for child in processes.children_of(waiting.pop()):
                waiting.append(child)
                words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
                if "--host" in words and words[words.index("--host") + 1].endswith(".sock"):
                    return words[words.index("--host") + 1]
        return None
    return processes.wait_for(look, 60, "the gateway runs an engine on a UNIX socket", 0.1)


def foreign_work(bench: Bench) -> float | None:
    """Median share of the proxy's core that others used while it was measured."""
    shares = [s["proxy_core_foreign"] for samples in bench.samples.values() for s in samples if "proxy_core_foreign" in s]
    return statistics.median(shares) if shares else None


SECTIONS = {"a": proxying, "b": system_calls, "c": streaming, "d": latency, "e": memory, "f": cold_start, "g": engine_tokens, "h": reloading, "i": translation,
            "j": embeddings, "k": long_streams, "l": many_connections, "m": first_token}


def as_json(bench: Bench) -> str:
    return json.dumps({"rows": [asdict(row) for row in bench.rows], "samples": bench.samples}, indent=1)
