"""The stand-in as a program, commanded from outside: `POST /COMMAND` with JSON on the second address.

next, always, for_prompt {"prompt", "behaviours"}, for_probes   behaviours as the fields of Behaviour
refuse, accept, close_idle                                      connections
records, violations                                             what it saw, as JSON
"""

from __future__ import annotations

import argparse
import dataclasses
import http.server
import json
import threading

from provider.behaviour import Behaviour


def describe(record) -> dict:
    fields = dataclasses.asdict(record)
    fields["body"] = record.body.decode("latin-1")
    return fields


def command(standin, name: str, argument):
    behaviours = [Behaviour.from_json(fields) for fields in (argument if isinstance(argument, list) else argument.get("behaviours", []))]
    match name:
        case "next":
            standin.next(*behaviours)
        case "always":
            standin.always(behaviours[0])
        case "for_probes":
            standin.for_probes(behaviours[0])
        case "for_prompt":
            standin.for_prompt(argument["prompt"], *behaviours)
        case "refuse":
            standin.refuse_connections()
        case "accept":
            standin.accept_connections()
        case "close_idle":
            standin.close_idle_connections()
        case "records":
            return [describe(record) for record in standin.records]
        case "violations":
            return standin.violations
        case _:
            raise KeyError(f"no command is called {name!r}")
    return {}


def serve(standin, port: int = 0) -> http.server.ThreadingHTTPServer:
    """Starts the control address on its own thread."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"
            try:
                status, answer = 200, command(standin, self.path.strip("/"), json.loads(body))
            except (KeyError, TypeError, ValueError, IndexError) as error:
                status, answer = 400, {"error": str(error)}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> None:
    from standin import StandIn
    parser = argparse.ArgumentParser(description="A stand-in OpenAI provider on loopback.",
                                     epilog="example: standin.py --key sk-1 --model gpt-test --any-headers")
    parser.add_argument("--key", default="sk-standin")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--any-headers", action="store_true", help="take fields outside the gateway's closed list")
    options = parser.parse_args()
    standin = StandIn(options.key, tuple(options.model or ["gpt-test"]))
    if options.any_headers:
        standin.closed_headers = None
    standin.start()
    control = serve(standin)
    print(f"answering on {standin.url}", flush=True)
    print(f"commanded on http://127.0.0.1:{control.server_port}", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        standin.stop()
