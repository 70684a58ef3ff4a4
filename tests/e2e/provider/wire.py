"""HTTP/1.1 over asyncio's byte streams, small enough to be wrong on purpose: exact bytes, chunk boundaries, FIN and RST are ours."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import struct

MAX_HEAD = 64 * 1024
SEND_BUFFER = 64 * 1024  # small, so that a peer that does not read is felt soon
FLUSH_LIMIT = 2.0        # seconds that an ordered end of the connection waits for a peer that does not read


class Closed(Exception):
    """The peer is gone."""


class Malformed(Exception):
    """The peer's bytes are no strict HTTP/1.1 request."""


@dataclasses.dataclass
class Head:
    method: str
    target: str
    headers: list[tuple[str, str]]
    raw: bytes

    def field(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.headers if key.lower() == name), default)


class Connection:
    """One accepted connection: its bytes in, its bytes out, and the moment that the peer left."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer
        self.buffer = bytearray()
        self.ended = False
        writer.transport.set_write_buffer_limits(high=256 * 1024)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    @property
    def socket(self):
        return self.writer.get_extra_info("socket")

    async def fill(self) -> None:
        """Waits for more bytes; Closed at the end of the stream or a reset."""
        try:
            data = await self.reader.read(65536)
        except (ConnectionError, OSError) as error:
            raise Closed(str(error)) from None
        if not data:
            raise Closed("end of stream")
        self.buffer += data

    async def until_gone(self) -> None:
        """Returns when the peer leaves. Bytes that come meanwhile are kept: they are the next request's."""
        try:
            while True:
                await self.fill()
        except Closed:
            return

    async def read_head(self) -> Head:
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if len(self.buffer) > MAX_HEAD:
                raise Malformed("the head is too long")
            await self.fill()
        raw = bytes(self.buffer[:end + 4])
        del self.buffer[:end + 4]
        lines = raw[:-4].decode("latin-1").split("\r\n")
        first = lines[0].split(" ")
        if len(first) != 3 or first[2] != "HTTP/1.1":
            raise Malformed(f"no HTTP/1.1 request line: {lines[0]!r}")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise Malformed(f"no header field: {line!r}")
            headers.append((name, value.strip()))
        return Head(first[0], first[1], headers, raw)

    async def read_body(self, head: Head) -> bytes:
        length, chunked = head.field("content-length"), head.field("transfer-encoding")
        if length and chunked:
            raise Malformed("both Content-Length and Transfer-Encoding")
        if chunked:
            return await self._read_chunks()
        size = int(length or 0)
        while len(self.buffer) < size:
            await self.fill()
        body = bytes(self.buffer[:size])
        del self.buffer[:size]
        return body

    async def _read_line(self) -> bytes:
        while (end := self.buffer.find(b"\r\n")) < 0:
            await self.fill()
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        return line

    async def _read_chunks(self) -> bytes:
        body = bytearray()
        while True:
            size = int(await self._read_line(), 16)
            while len(self.buffer) < size + 2:
                await self.fill()
            body += self.buffer[:size]
            if self.buffer[size:size + 2] != b"\r\n":
                raise Malformed("a chunk does not end with CRLF")
            del self.buffer[:size + 2]
            if size == 0:
                return bytes(body)

    async def write(self, data: bytes) -> None:
        if self.ended:
            raise Closed("we ended the connection")
        try:
            self.writer.write(data)
            await self.writer.drain()
        except (ConnectionError, OSError) as error:
            raise Closed(str(error)) from None

    async def _flushed(self) -> None:
        if self.writer.get_extra_info("ssl_object") is None:  # TLS transports have buffers of their own, which never count as empty
            self.writer.transport.set_write_buffer_limits(high=0)
        try:
            await asyncio.wait_for(self.writer.drain(), FLUSH_LIMIT)
        except (OSError, TimeoutError):
            pass  # the peer is gone, or reads nothing

    async def fin(self) -> None:
        """All bytes so far, then an orderly end."""
        if not self.ended:
            self.ended = True
            await self._flushed()
            self.writer.close()

    async def rst(self) -> None:
        """All bytes so far, then a reset."""
        if not self.ended:
            self.ended = True
            await self._flushed()
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass  # the peer was faster
            self.writer.transport.abort()


class AnswerBody:
    """Writes a body under one framing, in pieces of a chosen size: every byte boundary is reachable."""

    def __init__(self, connection: Connection, framing: str, piece: int = 0):
        self.connection, self.framing, self.piece = connection, framing, piece

    async def write(self, data: bytes) -> None:
        step = self.piece or len(data) or 1
        for start in range(0, len(data), step):
            part = data[start:start + step]
            if self.framing == "chunked":
                part = b"%x\r\n%s\r\n" % (len(part), part)
            await self.connection.write(part)

    async def end(self) -> None:
        if self.framing == "chunked":
            await self.connection.write(b"0\r\n\r\n")
        elif self.framing == "close":
            await self.connection.fin()


REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           413: "Content Too Large", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
           503: "Service Unavailable", 504: "Gateway Timeout", 529: "Overloaded"}


def response_head(status: int, fields: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
