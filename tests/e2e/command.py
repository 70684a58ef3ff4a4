"""Runs one command of the program, and stands where `thalweg chat` expects its gateway: what the command line does by itself."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gateway import PROGRAM, to_yaml
from waiting import PATIENCE

# One endpoint that nobody asks: the discard port.
NOWHERE = {"places": {"cloud": {"kind": "cloud", "country": "US", "operator": "Example"}},
           "endpoints": {"far": {"place": "cloud", "api": "openai", "url": "http://127.0.0.1:9/v1", "models": {"m": {"context": 8192}}}},
           "models": {"big": ["far/m"]}}


def command(*arguments: str | bytes, environment: dict | None = None, **more) -> subprocess.CompletedProcess:
    return subprocess.run([str(PROGRAM), *arguments], **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
                          env={**os.environ, **(environment or {})}, timeout=60 * PATIENCE, check=False)


def write(file: pathlib.Path, settings: dict) -> str:
    file.write_text(to_yaml(settings) + "\n", encoding="utf-8")
    return str(file)


def delta(text: str) -> dict:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


class Listener:
    """Answers health with 200 and a chat with the given frames (JSON values, then [DONE]), or with `status` and a body. Keeps what it was asked."""

    def __init__(self, *frames, status: int = 200, body: bytes = b""):
        self.asked: list[tuple[str, str | None]] = []
        asked = self.asked
        if status == 200:
            body = b"".join(b"data: " + part + b"\n\n" for part in [*(json.dumps(frame).encode() for frame in frames), b"[DONE]"])

        class Handler(BaseHTTPRequestHandler):
            def answer(self, code: int, sent: bytes) -> None:
                asked.append((self.path, self.headers["Authorization"]))
                self.send_response(code)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def do_GET(self):
                self.answer(200, b"{}")

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(status, body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()
