#!/usr/bin/env python3
"""A long, seeded mix of good and bad providers, leaving clients, reloads and engine kills, with what must hold throughout:

- a stream that ends well is the whole answer of one provider, and every other one ends visibly broken;
- the access log has one line a request, its attempts are the requests that the providers saw, and the metrics are its sums;
- memory stays bounded, no slot stays taken, and the gateway ends with exit code 0.

`soak.py --minutes 10 --seed 7` prints what it did and closes with `PROOF count=... seed=... note=...`. Request n of a seed is always
the same request with the same provider faults; only their interleaving differs.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

import config
from conftest import KEYS
from gateway import ENGINE, MODEL, Gateway
from provider import answers, behaviour
from raw import Raw, request
from standin import StandIn
from waiting import PATIENCE, until

MIB = 1024 * 1024
WORKERS = 8
RSS_GROWTH = 48 * MIB        # above what it had after the first fifth
RELOAD_EVERY, KILL_EVERY = 2.0, 20.0

FAULTS = (
    lambda r: behaviour.drop(r.choice(("fin", "rst"))),
    lambda r: behaviour.cut(r.randrange(0, 12), r.choice(("fin", "rst"))),
    lambda r: behaviour.stall(r.choice(("head", "first", "middle")), r.randrange(0, 8)),
    lambda r: behaviour.overload(r.choice((429, 500, 503, 529)), r.choice(("", "0", "1", "60"))),
    lambda r: behaviour.lie(r.choice(("no_finish", "only_done", "no_done", "hold", "error", "garbage")), r.randrange(0, 8)),
    lambda r: r.choice((behaviour.html(), behaviour.invalid_json(), behaviour.context_exceeded(), behaviour.content_filtered())),
    lambda r: behaviour.normal(length_error=r.choice((-5, 5))),
)
WELL = (
    lambda r: behaviour.normal(piece=r.choice((0, 1, 3, 17, 200))),
    lambda r: behaviour.normal(newline=r.choice(("\n", "\r\n")), comments=r.random() < 0.5, multiline=r.random() < 0.5),
    lambda r: behaviour.normal(framing=r.choice(("", "close", "chunked")), usage=r.choice(("own", "finish", "own"))),
    lambda r: behaviour.normal(close=r.choice(("silent", "header"))),
    lambda r: behaviour.normal(gap=0.01),
)


class Case:
    """Request n: what is asked, what the providers will do, whether the client leaves."""

    def __init__(self, seed: int, number: int):
        rng = random.Random(f"{seed}:{number}")
        self.number = number
        self.stream = rng.random() < 0.7
        self.chat = rng.random() < 0.8
        self.choices = rng.choice((1, 1, 1, 2))
        self.prompt = f"soak {seed} {number} " + "word " * rng.randrange(0, 30)
        self.leaves = rng.choice(("FIN", "RST")) if rng.random() < 0.05 else ""
        self.scripts = [[rng.choice(FAULTS if rng.random() < 0.35 else WELL)(rng) for _ in range(rng.randrange(0, 3))] for _ in range(2)]
        self.model = "small" if rng.random() < 0.01 else "big"
        ask = {"model": self.model, "stream": self.stream, "n": self.choices}
        if self.stream and rng.random() < 0.5:
            ask["stream_options"] = {"include_usage": True}
        if self.model == "small":
            ask |= {"max_tokens": 8, "n": 1}
            self.choices, self.chat = 1, True
        ask |= {"messages": [{"role": "user", "content": self.prompt}]} if self.chat else {"prompt": self.prompt}
        self.ask = ask

    @property
    def body(self) -> bytes:
        return json.dumps(self.ask).encode()

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self.chat else "/v1/completions"

    def expected(self) -> dict[int, str]:
        return {index: answers.text_for(self.prompt, index) for index in range(self.choices)}


class Soak:
    def __init__(self, seed: int, folder: pathlib.Path, with_engine: bool):
        self.seed, self.with_engine = seed, with_engine
        self.standins = [StandIn(KEYS[name], (config.UPSTREAM_NAME,)).start() for name in ("STANDIN_KEY", "SECOND_KEY")]
        self.settings = self._settings()
        self.gateway = Gateway(folder, self.settings, KEYS)
        self.numbers = itertools.count()
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.reloads = self.kills = 0
        self.rss_warm = self.rss_most = 0

    def _settings(self) -> dict:
        limits = {"first_token": config.short(0.4), "gap": config.short(0.4), "whole": config.short(0.4), "total": config.short(3.0)}
        settings = config.two(*self.standins, limits)
        if self.with_engine:
            settings["endpoints"]["local"] = config.local()
            settings["models"]["small"] = [f"local/{config.ENGINE_MODEL}", f"standin/{config.SHOWN_NAME}"]
        else:
            settings["models"]["small"] = settings["models"]["big"]
        return settings

    # ---- one request -----------------------------------------------------------------------------------------------------------

    def work(self) -> None:
        peer = None
        while not self.ending.is_set():
            with self.lock:
                case = Case(self.seed, next(self.numbers))
            for standin, script in zip(self.standins, case.scripts):
                if script:
                    standin.for_prompt(case.prompt, *script)
            peer = peer or Raw(self.gateway.port)
            try:
                outcome, kept = self._ask(peer, case)
            except Exception as error:  # a fault of the gateway or of this file: both end the proof
                outcome, kept = "unexpected", False
                self._fault(case, repr(error))
            with self.lock:
                self.outcomes[outcome] += 1
            if not kept:
                peer.socket.close()
                peer = None

    def _fault(self, case: Case, text: str) -> None:
        with self.lock:
            self.faults.append(f"request {case.number}: {text}")

    def _ask(self, peer: Raw, case: Case) -> tuple[str, bool]:
        peer.send(request(case.body, path=case.path))
        if case.leaves:
            if case.number % 2:
                peer.receive()
            if case.leaves == "RST":
                peer.reset()
            return "left", False
        head = peer.head()
        if head.field("transfer-encoding") is None:
            head.body = peer.exactly(int(head.field("content-length")))
            return self._judge_whole(case, head), (head.field("connection") or "") != "close"
        data, whole = peer.stream(head)
        if whole:
            return self._judge_stream(case, data), True
        if "[DONE]" in data:
            self._fault(case, "an end mark in a stream that was cut")
        return "error in the stream" if '"error"' in data[-1] else "cut", False

    def _judge_whole(self, case: Case, answer) -> str:
        document = answer.json
        if answer.status != 200:
            if not document["error"]["message"]:
                self._fault(case, f"{answer.status} without a message")
            return str(answer.status)
        if case.stream:
            self._fault(case, "a whole answer to a request for a stream")
        if case.model == "big":
            said = {choice["index"]: (choice["message"]["content"] if case.chat else choice["text"]) for choice in document["choices"]}
            if said != case.expected() or not all(choice["finish_reason"] for choice in document["choices"]):
                self._fault(case, f"a wrong whole answer: {document}")
        return "complete"

    def _judge_stream(self, case: Case, data: list[str]) -> str:
        objects = [json.loads(text) for text in data if text != "[DONE]"]
        if objects and "error" in objects[-1]:
            if "[DONE]" in data:
                self._fault(case, "an error and an end mark")
            return "error in the stream"
        if data[-1:] != ["[DONE]"]:
            self._fault(case, f"a well-framed stream with neither end mark nor error: {data[-2:]}")
            return "unexpected"
        said: dict[int, str] = collections.defaultdict(str)
        finished, usage = set(), 0
        for chunk in objects:
            usage += bool(chunk.get("usage"))
            for choice in chunk["choices"]:
                said[choice["index"]] += (choice["delta"].get("content") if case.chat else choice["text"]) or ""
                finished |= {choice["index"]} if choice["finish_reason"] else set()
        if case.model == "big" and dict(said) != case.expected():
            self._fault(case, f"a truncated or mixed stream was complete: {dict(said)}")
        if finished != set(range(case.choices)):
            self._fault(case, f"complete with finish reasons of {finished} only")
        if usage and "stream_options" not in case.ask:
            self._fault(case, "usage that was not asked for")
        return "complete"

    # ---- around them -----------------------------------------------------------------------------------------------------------

    def disturb(self, until_time: float, began: float) -> None:
        """Reloads, kills and watches memory until the time is over."""
        rng, pause = random.Random(f"{self.seed}:disturb"), threading.Event()
        next_reload, next_kill = began + RELOAD_EVERY, began + KILL_EVERY
        fifth = began + (until_time - began) / 5
        while (now := time.monotonic()) < until_time and not self.faults and self.gateway.process.poll() is None:
            if now >= next_reload:
                self.reloads += 1
                more = {f"extra-{self.reloads}": self.settings["models"]["big"]}
                bad = rng.random() < 0.2
                self.gateway.reload("models: [" if bad else {**self.settings, "models": {**self.settings["models"], **more}})
                next_reload += RELOAD_EVERY
            if self.with_engine and now >= next_kill:
                for pid in self.gateway.engine_pids():
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                self.kills += 1
                next_kill += KILL_EVERY
            rss = self.gateway.rss_bytes()
            self.rss_most = max(self.rss_most, rss)
            if now < fifth:
                self.rss_warm = max(self.rss_warm, rss)
            pause.wait(0.1)

    def run(self, seconds: float) -> None:
        workers = [threading.Thread(target=self.work) for _ in range(WORKERS)]
        began = time.monotonic()
        for worker in workers:
            worker.start()
        self.disturb(began + seconds, began)
        self.ending.set()
        for worker in workers:
            worker.join(120 * PATIENCE)
            if worker.is_alive():
                self.faults.append("a request hangs")
                return
        self._judge_books()

    def _judge_books(self) -> None:
        asked = sum(self.outcomes.values())
        lines = self.gateway.wait_lines(asked)
        if len(lines) != asked:
            self.faults.append(f"{len(lines)} lines in the access log for {asked} requests")
        complete = sum(line["outcome"] == "complete" for line in lines)
        # One that left may have been answered whole before the gateway noticed.
        if not self.outcomes["complete"] <= complete <= self.outcomes["complete"] + self.outcomes["left"]:
            self.faults.append(f"{complete} complete lines for {self.outcomes['complete']} complete answers")
        counted = self.gateway.token_counts()
        logged = {"input": sum(line.get("input_tokens") or 0 for line in lines), "output": sum(line.get("output_tokens") or 0 for line in lines)}
        if counted != logged:
            self.faults.append(f"metrics count {counted}, the access log {logged}")
        if not self.with_engine:
            seen = sum(len(standin.asked()) for standin in self.standins)
            attempts = sum(line.get("attempts") or 0 for line in lines)
            # A kept connection that ends without a byte of an answer may have been closed while idle: it is replaced once.
            dropped = sum(record.behaviour is not None and bool(record.behaviour.drop) for standin in self.standins for record in standin.asked())
            if not attempts <= seen + self.outcomes["left"] or seen > attempts + dropped:
                self.faults.append(f"the providers saw {seen} requests, {dropped} of them dropped, the log knows of {attempts} attempts")
        if self.rss_most > self.rss_warm + RSS_GROWTH:
            self.faults.append(f"memory grew from {self.rss_warm // MIB} to {self.rss_most // MIB} MiB")
        for standin in self.standins:
            self.faults += standin.violations
        idle = lambda: self.gateway.metric("thalweg_endpoint_running") == 0
        until(idle, "every slot is given back")

    def end(self) -> None:
        try:
            self.gateway.stop()
        except AssertionError as error:
            self.faults.append(str(error))
        for standin in self.standins:
            standin.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0], epilog="example: soak.py --minutes 10 --seed 7")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, printed")
    parser.add_argument("--no-engine", action="store_true", help="stand-ins only; attempts are then compared too")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4))
    with_engine = not options.no_engine and ENGINE.exists() and MODEL.exists()
    print(f"seed {seed}, {options.minutes} min, {'with' if with_engine else 'without'} the engine", flush=True)
    with tempfile.TemporaryDirectory(prefix="thalweg-soak-") as folder:
        soak = Soak(seed, pathlib.Path(folder), with_engine)
        try:
            soak.run(options.minutes * 60)
        except Exception as error:  # a proof that could not be finished did not hold
            soak.faults.append(f"the books could not be read: {error!r}")
        finally:
            soak.end()
    for outcome, count in soak.outcomes.most_common():
        print(f"{count:8d}  {outcome}")
    print(f"{soak.reloads} reloads, {soak.kills} engine kills, memory {soak.rss_warm // MIB} MiB warm, {soak.rss_most // MIB} MiB at most")
    for fault in soak.faults[:20]:
        print(f"FAULT {fault}")
    print(f"PROOF count={sum(soak.outcomes.values())} seed={seed} note={'failed' if soak.faults else 'held'},"
          f"complete:{soak.outcomes['complete']},reloads:{soak.reloads},kills:{soak.kills},rss_mib:{soak.rss_most // MIB}")
    return 1 if soak.faults else 0


if __name__ == "__main__":
    sys.exit(main())
