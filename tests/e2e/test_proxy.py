"""Tunnels through an HTTP proxy: it sees the server's name and TLS, and a refusal of its own is no answer of the endpoint."""

import base64
import contextlib
import socket
import threading

import openai
import pytest

import config
from conftest import KEYS
from provider import answers
from reading import fold
from standin import StandIn
from test_tls import certificate, pki  # noqa: F401 (a fixture)

ASK = {"model": "big", "messages": [{"role": "user", "content": "Where does it run?"}]}
TEXT = answers.text_for("Where does it run?")


class Proxy:
    """Takes CONNECT and carries bytes. `answer`: what it says instead of opening the tunnel."""

    def __init__(self, answer: bytes | None = None, piece: int = 4096):
        self.answer, self.piece, self.heads = answer, piece, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += caller.recv(1)
            self.heads.append(head.decode())
            if self.answer is not None:
                caller.sendall(self.answer)
                caller.recv(1)
                return
            host, port = head.split(b" ")[1].rsplit(b":", 1)
            with socket.create_connection((host.decode(), int(port))) as server:
                for byte in (said := b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n"):
                    caller.sendall(bytes([byte])) if self.piece == 1 else None
                if self.piece != 1:
                    caller.sendall(said)
                back = threading.Thread(target=self.carry, args=(server, caller), daemon=True)
                back.start()
                self.carry(caller, server)
                back.join(30)

    @staticmethod
    def carry(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)
            sink.shutdown(socket.SHUT_WR)

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def secure(pki):
    standin = StandIn(KEYS["STANDIN_KEY"], (config.UPSTREAM_NAME,), tls=certificate(pki, "good", "DNS:localhost", "authority")).start()
    yield standin
    standin.stop()
    assert standin.violations == []


def through(start, pki, secure, proxy: Proxy, user: str = "", **more):
    settings = config.one(secure, **more)
    settings["endpoints"]["standin"].update(url=secure.url.replace("127.0.0.1", "localhost"), ca_file=str(pki / "authority.pem"),
                                            proxy=f"http://{user}127.0.0.1:{proxy.port}")
    return start(settings)


@pytest.mark.parametrize("piece", [4096, 1])
def test_answers_come_through_a_tunnel(start, pki, secure, python, piece):
    proxy = Proxy(piece=piece)
    client = python(through(start, pki, secure, proxy, "user:p%40ss@").base_url)
    assert client.chat.completions.create(**ASK).choices[0].message.content == TEXT
    assert fold(client.chat.completions.create(**ASK, stream=True)).text == TEXT
    lines = proxy.heads[0].split("\r\n")
    assert lines[0] == f"CONNECT localhost:{secure.port} HTTP/1.1" and lines[1] == f"Host: localhost:{secure.port}"
    assert lines[2] == "Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss").decode() and lines[3:] == ["", ""]
    assert all(KEYS["STANDIN_KEY"] not in head for head in proxy.heads)
    assert all(record.header("proxy-authorization") is None for record in secure.records)
    proxy.stop()


REFUSALS = {
    "asks for a password": b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "says no": b"HTTP/1.1 403 Forbidden\r\n\r\n",
    "speaks something else": b"SSH-2.0-x\r\n\r\n", "says too much": b"HTTP/1.1 200 OK\r\n\r\nmore", "has no end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000,
    "hangs up": b"",
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_proxy_that_opens_no_tunnel_is_an_endpoint_that_cannot_be_reached(start, pki, secure, second, python, answer):
    proxy = Proxy(answer)
    settings = config.two(secure, second)
    settings["endpoints"]["standin"].update(url=secure.url.replace("127.0.0.1", "localhost"), ca_file=str(pki / "authority.pem"),
                                            proxy=f"http://127.0.0.1:{proxy.port}", timeouts={"connect": config.short(2)})
    if answer == b"":
        proxy.stop()
    assert python(start(settings).base_url).chat.completions.create(**ASK).choices[0].message.content == TEXT
    assert secure.records == [] and len(second.asked()) == 1
    if answer != b"":
        proxy.stop()


def test_the_proxy_of_all_is_not_for_this_machine(start, standin, python):
    """Nor does anything listen there."""
    settings = {**config.one(standin), "proxy": {"url": "http://127.0.0.1:1"}}
    assert python(start(settings).base_url).chat.completions.create(**ASK).choices[0].message.content == TEXT
