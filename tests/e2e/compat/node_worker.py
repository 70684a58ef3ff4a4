"""The clients for Node: one process answers for all of them (node/worker.mjs), each a row of its own."""

from __future__ import annotations

import json
import os
import pathlib
import queue
import shutil
import subprocess
import threading

from compat.client import PATIENT, Client, Failure, Outcome

SCRIPTS = pathlib.Path(__file__).with_name("node")


class Worker:
    def __init__(self, clients: pathlib.Path, folder: pathlib.Path):
        """`clients`: has `node` and node_modules. `folder`: empty; modules are looked up from where a script lies, so the scripts go there."""
        for script in SCRIPTS.glob("*.mjs"):
            shutil.copy(script, folder)
        (folder / "node_modules").symlink_to(clients / "node_modules")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "ANTHROPIC_", "NODE_"))}
        self.said = folder / "stderr"
        with open(self.said, "wb") as stderr:
            self.process = subprocess.Popen([str(clients / "node"), str(folder / "worker.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=stderr, env=environment)
        self.lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(b"")

    def ask(self, client: str, url: str, method: str, arguments: dict) -> dict:
        self.process.stdin.write(json.dumps({"client": client, "url": url, "method": method, "arguments": arguments}).encode() + b"\n")
        self.process.stdin.flush()
        try:
            line = self.lines.get(timeout=2 * PATIENT)
        except queue.Empty:
            raise AssertionError(f"no answer of {client}; it said {self.said.read_text()}") from None
        if not line:
            raise AssertionError(f"the Node clients ended with {self.process.wait()}: {self.said.read_text()}")
        return json.loads(line)

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.kill()  # a client may keep its connections open for a while
        self.process.wait()


class NodeClient(Client):
    """One client of the worker's."""
    worker: Worker  # set when it runs
    key = ""        # what the worker calls it

    def __init__(self, url: str):
        self.url = url

    def ask(self, method, **arguments):
        said = self.worker.ask(self.key, self.url, method, arguments)
        failed = said.pop("failure", None)
        return Outcome(**said, failure=Failure(**failed) if failed else None)

    def _in_node(self, *_, **__):
        raise NotImplementedError("ask() sends it to the worker")

    answer = stream = look = fill = use_tools = failure = _in_node


def node_client(name: str, surface: str, key: str) -> type[NodeClient]:
    return type(key, (NodeClient,), {"name": name, "surface": surface, "key": key})
