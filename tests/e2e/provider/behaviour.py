"""How the stand-in treats one request. A test queues these; what is not queued is answered well.

One flat record, so that a behaviour travels through the control port as JSON. The functions below name the useful ones.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Behaviour:
    # Before anything is answered.
    drop: str = ""              # "fin" or "rst": end the connection without a byte
    stall: str = ""             # "head": no byte; "first": the head only; "middle": after `frames`; until the caller leaves
    status: int = 200
    error: dict | None = None   # the `error` object of a refusal; None: one that fits the status
    headers: tuple = ()         # more response fields, as (name, value)
    raw: str = ""               # these bytes (Latin-1) instead of any answer, then the connection ends; with end="hold" it stays

    # What is said.
    text: str | None = None     # None: answers.text_for(prompt)
    tool_calls: tuple = ()      # (name, arguments text) each
    repeat: int = 1             # the text so many times: huge answers
    model: str | None = None    # None: the model asked for
    answer_keys: dict | None = None  # more top-level keys in each object

    # How a stream is said.
    frames: int = 0             # frames sent before `end` strikes
    end: str = ""               # "", "fin", "rst", "error", "no_finish", "only_done", "no_done", "hold", "garbage"
    usage: str = "own"          # "own" frame when asked for, "finish": with the finish reason, "never", "always"
    gap: float = 0.0            # seconds between frames: a slow drip
    newline: str = "\n"
    comments: bool = False      # keep-alive comment lines between frames
    multiline: bool = False     # each frame's JSON over several `data:` lines
    piece: int = 0              # bytes a write (and a chunk); 0: one frame each
    split_arguments: int = 5    # characters a fragment of tool arguments

    # How it is framed.
    framing: str = ""           # "", "length", "chunked", "close"
    length_error: int = 0       # added to Content-Length
    close: str = ""             # "header": `Connection: close`; "silent": closed right after the answer, unannounced
    content_type: str = ""

    @staticmethod
    def from_json(fields: dict) -> "Behaviour":
        fields = dict(fields)
        if "tool_calls" in fields:
            fields["tool_calls"] = tuple(tuple(call) for call in fields["tool_calls"])
        if "headers" in fields:
            fields["headers"] = tuple(tuple(field) for field in fields["headers"])
        return Behaviour(**fields)


def normal(**changes) -> Behaviour:
    return Behaviour(**changes)


def cut(frames: int = 0, how: str = "fin", **changes) -> Behaviour:
    """Ends the connection after so many frames, before the last chunk: by FIN or RST. 0 frames: after the head."""
    return Behaviour(frames=frames, end=how, **changes)


def drop(how: str = "fin") -> Behaviour:
    """Takes the request and ends the connection without a byte."""
    return Behaviour(drop=how)


def stall(where: str = "head", frames: int = 2, **changes) -> Behaviour:
    """Says nothing more: before the head, before the first token, or in the middle."""
    return Behaviour(stall=where, frames=frames, **changes)


def refuse(status: int, retry_after: str = "", error: dict | None = None, **changes) -> Behaviour:
    headers = changes.pop("headers", ())
    if retry_after:
        headers = (*headers, ("Retry-After", retry_after))
    return Behaviour(status=status, error=error, headers=headers, **changes)


def overload(status: int = 503, retry_after: str = "") -> Behaviour:
    """429, 503, 500 or 529, with Retry-After if given."""
    return refuse(status, retry_after)


def context_exceeded() -> Behaviour:
    return refuse(400, error={"message": "This model's maximum context length is 8192 tokens.", "type": "invalid_request_error",
                              "param": "messages", "code": "context_length_exceeded"})


def content_filtered() -> Behaviour:
    return refuse(400, error={"message": "The response was filtered by the content policy.", "type": "invalid_request_error",
                              "param": "prompt", "code": "content_filter"})


def html(status: int = 200) -> Behaviour:
    """A lie that captive portals and broken balancers tell."""
    body = "<!doctype html><html><title>Welcome</title></html>"
    return Behaviour(raw=f"HTTP/1.1 {status} OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n{body}")


def invalid_json(declared: str = "application/json") -> Behaviour:
    body = '{"id": "chatcmpl-1", "object": "chat.completion", "choices": [{"index": 0, '
    return Behaviour(raw=f"HTTP/1.1 200 OK\r\nContent-Type: {declared}\r\nContent-Length: {len(body)}\r\n\r\n{body}")


def lie(how: str, frames: int = 3, **changes) -> Behaviour:
    """A stream that lies about its end.

    no_finish  [DONE] without any finish reason          only_done  [DONE] at once, nothing before
    no_done    finish reason, no [DONE], closed well     hold       finish reason, no [DONE], held open
    error      an error object inside the stream         garbage    a frame that is no JSON
    """
    return Behaviour(end=how, frames=frames, **changes)
