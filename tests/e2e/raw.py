"""Bytes on a socket, for what no HTTP client would send, and the strict reading of what comes back."""

from __future__ import annotations

import dataclasses
import json
import socket
import struct

from waiting import PATIENCE


@dataclasses.dataclass
class RawAnswer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def field(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def error(self) -> dict:
        return self.json["error"]


class Raw:
    """One connection. Every read has a deadline."""

    def __init__(self, port: int, receive_buffer: int = 0):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20 * PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def send(self, data: bytes) -> "Raw":
        """What the peer no longer takes is dropped: it may have answered and closed already."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def receive(self) -> bytes:
        """More bytes; empty at the end of the connection, however it ended."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return data

    def until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`."""
        while mark not in self.buffer:
            if not self.receive():
                raise AssertionError(f"the connection ended before {mark!r}; there was {self.buffer[-400:]!r}")
        end = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data

    def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            if not self.receive():
                raise AssertionError(f"the connection ended {size - len(self.buffer)} bytes early")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def head(self) -> RawAnswer:
        """The next answer's head; 1xx answers are returned as they come."""
        lines = self.until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        version, status, *_ = lines[0].split(" ")
        assert version == "HTTP/1.1", lines[0]
        fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        return RawAnswer(int(status), fields, b"")

    def answer(self, of: str = "POST") -> RawAnswer:
        """The next whole answer, under exactly one framing."""
        answer = self.head()
        length, chunked = answer.field("content-length"), answer.field("transfer-encoding")
        assert not (length and chunked), "an answer with two framings"
        if of == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            return answer
        if chunked:
            assert chunked.lower() == "chunked"
            answer.body = b"".join(iter(self._chunk, b""))
        elif length is not None:
            answer.body = self.exactly(int(length))
        else:
            while self.receive():
                pass
            answer.body, self.buffer = self.buffer, b""
        return answer

    def stream(self, head: RawAnswer | None = None) -> tuple[list[str], bool]:
        """A streamed answer's frames, and whether its framing ended well; False: the connection was cut behind them."""
        head, body = head or self.head(), b""
        assert head.status == 200 and head.field("transfer-encoding") == "chunked", head
        try:
            for part in iter(self._chunk, b""):
                body += part
        except AssertionError:
            return frames(body), False
        return frames(body), True

    def _chunk(self) -> bytes:
        size = int(self.until(b"\r\n").split(b";")[0], 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def ended(self) -> bool:
        """Waits for the end of the connection; False when more bytes come."""
        return not self.buffer and not self.receive()

    def reset(self) -> None:
        """Leaves with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def request(body: bytes = b"", *fields: str, method: str = "POST", path: str = "/v1/chat/completions", host: str = "127.0.0.1",
            key: str = "any", length: bool = True) -> bytes:
    """A well-formed request; `fields` are whole lines."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if length and (body or method == "POST"):
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def chat(model: str = "big", prompt: str = "Hello", **more) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}], **more}).encode()


def frames(body: bytes) -> list[str]:
    """The `data` of each event of a server-sent stream, by the rules of the HTML standard."""
    events, data = [], []
    for line in body.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            events.append("\n".join(data))
            data = []
    assert not data, "the last event has no empty line behind it"
    return events
