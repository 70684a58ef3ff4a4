"""Limits at their edge, seen from outside: what is exactly as much as allowed passes, one more is refused and told so. Limits that one
room holds alone have their edge in that room's tests; bodies, JSON levels, connections and streams are in test_edge.py and test_slow.py."""

import collections
import contextlib
import fcntl
import hashlib
import http.server
import json
import os
import resource
import struct
import subprocess
import termios
import threading

import pytest

import config
from gateway import PROGRAM
from provider import answers, behaviour
from raw import Raw, chat, request
from test_tls import certificate, pki  # noqa: F401 (a fixture)
from waiting import PATIENCE, until

KIB, MIB = 1024, 1024 * 1024


class Provider:
    """A server whose answers are given byte for byte, and which can let a number of requests wait for each other. Counts connections."""

    def __init__(self):
        self.lock = threading.Lock()
        self.together = threading.Barrier(1)  # so many requests for an answer are answered together
        self.answer = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}).encode()
        self.models = json.dumps(answers.models([config.UPSTREAM_NAME])).encode()
        self.probed = 0
        self.connections = collections.Counter()  # "opened" and "closed": those on which an answer was asked for
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            asked = False

            def reply(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.reply(provider.models)
                provider.probed += 1

            def do_POST(self) -> None:
                if not self.asked:
                    self.asked = True
                    provider.count("opened")
                self.rfile.read(int(self.headers["Content-Length"]))
                provider.together.wait(20 * PATIENCE)
                self.reply(provider.answer)

            def handle(self) -> None:
                with contextlib.suppress(OSError):  # the gateway may leave in the middle
                    super().handle()
                if self.asked:
                    provider.count("closed")

            def log_message(self, *_) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def count(self, what: str) -> None:
        with self.lock:
            self.connections[what] += 1


@pytest.fixture
def provider():
    made = Provider()
    yield made
    made.server.shutdown()
    made.server.server_close()


def outcome(gateway, body: bytes = chat()):
    with Raw(gateway.port) as peer:
        return peer.send(request(body)).answer()


# ---- What a caller may send --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits, most", [({}, 32 * KIB), ({"head": "1KiB"}, KIB), ({"head": "256KiB"}, 256 * KIB)], ids=["default", "1KiB", "256KiB"])
def test_a_head_of_the_limit_passes_and_one_byte_more_is_431(start, standin, limits, most):
    gateway = start(config.one(standin, limits=limits))
    head = lambda size: request(b"", "X-Pad: " + "a" * (size - len(request(b"", "X-Pad: ", method="GET", path="/healthz"))), method="GET", path="/healthz")
    assert len(head(most)) == most
    with Raw(gateway.port) as peer:
        assert peer.send(head(most)).answer().status == 200
        refused = peer.send(head(most + 1)).answer()
        assert refused.status == 431 and f"{most} bytes" in refused.error["message"]
        assert peer.ended()


def test_a_hundred_fields_pass_and_one_more_is_431(gateway):
    def fields(count: int) -> bytes:
        sent = request(b"", *(f"X-{number}: a" for number in range(count - 2)), method="GET", path="/healthz")  # and Host, Authorization
        assert sent.count(b": ") == count
        return sent
    with Raw(gateway.port) as peer:
        assert peer.send(fields(100)).answer().status == 200
        refused = peer.send(fields(101)).answer()
        assert refused.status == 431 and "100 fields" in refused.error["message"]


def test_a_body_that_trickles_is_timed_out_in_all_though_each_piece_comes_in_time(start, standin):
    """docs/security.md: ten times limits.body_timeout for all of a body."""
    gateway = start(config.one(standin, limits={"body_timeout": config.short(0.3)}))
    with Raw(gateway.port) as peer:
        peer.send(request(b"", "Content-Type: application/json", "Content-Length: 1000000", length=False))
        peer.socket.settimeout(0.02)
        sent = 0
        while not peer.buffer:
            peer.send(b" ")
            sent += 1
            assert sent < 10_000, "a body may trickle without end"
            with contextlib.suppress(TimeoutError):
                if not peer.receive():
                    break
        assert peer.buffer.startswith(b"HTTP/1.1 408 ")
    assert standin.asked() == []


def test_a_chunked_body_that_fits_limits_held_passes_as_one_with_a_length_does(start, standin):
    gateway = start(config.one(standin, limits={"body": "9MiB", "held": "9248KiB", "answer": "1MiB"}))
    body = chat().ljust(17 * MIB // 2)
    assert outcome(gateway, body).status == 200
    with Raw(gateway.port) as peer:
        peer.send(request(b"", "Content-Type: application/json", "Transfer-Encoding: chunked", length=False))
        assert peer.send(b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n").answer().status == 200


def test_a_kept_connection_has_the_limits_of_the_configuration_in_force(start, standin):
    gateway = start(config.one(standin, limits={"head": "4KiB"}))
    long = request(b"", "X-Pad: " + "a" * 5000, method="GET", path="/healthz")
    short = request(b"", method="GET", path="/healthz")
    with Raw(gateway.port) as peer:
        assert peer.send(short).answer().status == 200
        gateway.reload({**config.one(standin, limits={"head": "64KiB"})})
        until(lambda: gateway.metric("thalweg_config_reloads_total") == 1, "it is in force")
        assert peer.send(short).answer().status == 200  # was begun under the old one
        assert peer.send(long).answer().status == 200


def test_a_connection_above_the_limit_is_told_why(start, standin):
    gateway = start(config.one(standin, limits={"connections": 4}))
    with contextlib.ExitStack() as open_ones:
        peers = [open_ones.enter_context(Raw(gateway.port)) for _ in range(4)]
        for peer in peers:
            assert peer.send(request(b"", method="GET", path="/healthz")).answer().status == 200
        with Raw(gateway.port) as one_more:
            refused = one_more.answer()
            assert refused.status == 503 and refused.field("retry-after") and "limits.connections" in refused.error["message"]
            assert one_more.ended()
        metrics = peers[0].send(request(b"", method="GET", path="/metrics")).answer().body.decode()
        assert "thalweg_overloaded_total 1\n" in metrics


def test_few_open_files_bound_the_connections_and_say_so(start, standin):
    gateway = start(config.one(standin), files=128)  # 64 for itself, and two for each of 32 connections
    assert "32 connections at a time" in gateway.stderr() and "ulimit -n" in gateway.stderr()
    with contextlib.ExitStack() as open_ones:
        for _ in range(32):
            peer = open_ones.enter_context(Raw(gateway.port))
            assert peer.send(request(b"", method="GET", path="/healthz")).answer().status == 200
        assert peer.send(request(chat())).answer().status == 200
        with Raw(gateway.port) as one_more:
            assert one_more.answer().status == 503


def test_files_that_ran_out_are_not_the_endpoints_fault(gateway, standin):
    """Ten requests, each without a file for its connection to the endpoint: three failures would close it to everybody."""
    if b"__ubsan_vptr" in PROGRAM.read_bytes():
        pytest.skip("UBSan's look at an object's class opens a pipe, and takes the object for broken where it cannot")
    pid = gateway.process.pid
    with Raw(gateway.port) as peer:
        assert peer.send(request(b"", method="GET", path="/healthz")).answer().status == 200
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, usual[1]))
        for _ in range(10):
            answer = peer.send(request(chat())).answer()
            assert answer.status == 503 and "files" in answer.error["message"]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        assert peer.send(request(chat())).answer().status == 200
        assert len(standin.asked()) == 1


# ---- What an endpoint may answer ---------------------------------------------------------------------------------------------------


def test_a_whole_answer_of_the_limit_passes_and_one_byte_more_is_an_error(start, provider):
    endpoint = config.settings({"standin": {"place": "cloud", "api": "openai", "url": provider.url, "models": {config.SHOWN_NAME: {}}}},
                               {"big": [f"standin/{config.SHOWN_NAME}"]}, limits={"answer": "1MiB"})
    gateway = start(endpoint)
    provider.answer = provider.answer.ljust(MIB)
    assert outcome(gateway).status == 200
    provider.answer += b" "
    refused = outcome(gateway)
    assert refused.status == 502 and "limits.answer" in refused.error["message"]
    assert gateway.wait_lines(2)[1]["attempts"] == 1, "what breaks a limit here breaks it elsewhere"


# A program that takes the engine's arguments and streams as many bytes as the prompt says, every frame and its empty line counted.
ENGINE = r"""#!/usr/bin/env python3
import http.server, json, socketserver, sys

def frame(choice): return b"data: " + json.dumps({"choices": [{"index": 0, **choice}]}).encode() + b"\n\n"
FINISH = frame({"delta": {}, "finish_reason": "stop"}) + b"data: [DONE]\n\n"

def stream(size):
    left = size - len(FINISH)
    empty = len(frame({"delta": {"content": ""}, "finish_reason": None}))
    while left:
        part = left if left < 4096 else 2048
        yield frame({"delta": {"content": "x" * (part - empty)}, "finish_reason": None})
        left -= part
    yield FINISH

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def begin(self, kind):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.send_header("Content-Type", kind)
        self.end_headers()
    def do_GET(self):
        self.begin("application/json")
        self.wfile.write(b'{"status": "ok"}')
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.begin("text/event-stream")
        for part in stream(int(request["messages"][-1]["content"])):
            self.wfile.write(part)
    def address_string(self): return "gateway"

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): pass

Server(sys.argv[sys.argv.index("--host") + 1], Handler).serve_forever()
"""


def test_of_an_answer_that_is_put_together_limits_answer_counts_the_stream(start, tmp_path):
    program, model = tmp_path / "engine.py", tmp_path / "model.gguf"
    program.write_text(ENGINE)
    program.chmod(0o755)
    model.write_bytes(b"GGUF")
    engine = {"program": str(program), "sandbox": "off", "memory": "16GiB", "models": {"m": {"file": str(model)}}}
    gateway = start(config.settings({"local": {"place": "here", "engine": engine}}, {"big": ["local/m"]}, limits={"answer": "1MiB"}))
    until(lambda: gateway.metric("thalweg_endpoint_health", endpoint="local", health="healthy") == 1, "the engine is healthy", 60)
    whole = outcome(gateway, chat(prompt=str(MIB)))
    assert whole.status == 200 and set(whole.json["choices"][0]["message"]["content"]) == {"x"}
    refused = outcome(gateway, chat(prompt=str(MIB + 1)))
    assert refused.status == 502 and "limits.answer" in refused.error["message"]


EVENT_STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def frame(size: int) -> str:
    """A frame with text, of so many bytes, its empty line included."""
    begin, end = 'data: {"choices":[{"index":0,"delta":{"content":"', '"},"finish_reason":null}]}\n\n'
    return begin + "x" * (size - len(begin) - len(end)) + end


FINISH = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def test_a_frame_of_8_mib_passes_and_one_byte_more_is_an_error(gateway, standin):
    standin.next(behaviour.normal(raw=EVENT_STREAM + frame(8 * MIB) + FINISH))
    with Raw(gateway.port) as peer:
        data, ended_well = peer.send(request(chat(stream=True))).stream()
    assert ended_well and data[-1] == "[DONE]"
    assert len(json.loads(data[0])["choices"][0]["delta"]["content"]) > 8 * MIB - 100

    standin.next(behaviour.normal(raw=EVENT_STREAM + frame(8 * MIB + 1) + FINISH))
    refused = outcome(gateway, chat(stream=True))
    assert refused.status == 502 and refused.error["type"] == "server_error" and "8 MiB" in refused.error["message"]

    standin.next(behaviour.normal(raw=EVENT_STREAM + frame(100) + frame(8 * MIB + 1) + FINISH))
    with Raw(gateway.port) as peer:
        data, ended_well = peer.send(request(chat(stream=True))).stream()
    assert not ended_well and data[-1] != "[DONE]" and json.loads(data[-1])["error"]["message"]
    assert len(standin.asked()) == 3


@pytest.mark.parametrize("stream", [True, False], ids=["a stream", "a whole answer"])
def test_what_an_endpoint_makes_the_gateway_hold_counts_in_limits_held(start, standin, stream):
    """Half a frame, or half an answer, that never ends: 2 MiB are held of it, and what comes beyond that is refused as our overload."""
    gateway = start(config.one(standin, limits={"held": "2112KiB", "answer": "1MiB", "body": "1MiB"}))
    half = frame(MIB - 1000)[:-3] if stream else "{" + " " * (MIB - 1000)
    whole = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {2 * MIB}\r\n\r\n"
    standin.always(behaviour.normal(raw=(EVENT_STREAM if stream else whole) + half, end="hold"))
    first, second = Raw(gateway.port), Raw(gateway.port)
    for number, peer in enumerate((first, second), 1):
        peer.send(request(chat(stream=stream)))
        until(lambda: gateway.metric("thalweg_held_bytes") > number * (MIB - 2000), "it is held")
    refused = outcome(gateway, chat(stream=stream))
    assert refused.status == 503 and refused.field("retry-after") and "as many bytes as it may" in refused.error["message"]
    for peer in (first, second):
        peer.socket.close()
    until(lambda: gateway.metric("thalweg_held_bytes") == 0, "nothing is held")


def refusal(size: int) -> str:
    """A 400 whose body has so many bytes: an error object, and blank space behind it."""
    body = json.dumps({"error": {"message": "too hot", "type": "invalid_request_error", "param": "temperature", "code": "hot"}}).ljust(size)
    return f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n{body[:-1]} "


def test_of_a_refusal_64_kib_are_read(gateway, standin):
    """The error object of a refusal is passed on if it ends within 64 KiB; of a longer one only some words are."""
    standin.next(behaviour.normal(raw=refusal(64 * KIB)))
    assert outcome(gateway).error["code"] == "hot"
    # An object that ends with the 65,536th byte, and one that ends with the byte behind it.
    for size, code in ((64 * KIB, "hot"), (64 * KIB + 1, "upstream_refused")):
        body = '{"error":{"message":"' + "x" * (size - 61) + '","type":"server_error","code":"hot"}}'
        body = body[:21] + "x" * (size - len(body)) + body[21:]
        assert len(body) == size
        standin.next(behaviour.normal(raw=f"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n{body}"))
        answer = outcome(gateway)
        assert answer.status == 400 and answer.error["code"] == code
        if code != "hot":
            assert len(answer.error["message"]) == KIB


def raw_answer(*fields: str) -> str:
    body = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]})
    return "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", *fields]) + "\r\n\r\n" + body


def test_an_endpoints_head_may_have_64_kib_and_a_hundred_fields(gateway, standin):
    head = raw_answer("X-Pad: ").index("\r\n\r\n") + 4
    many = lambda count: raw_answer(*(f"X-{number}: a" for number in range(count - 2)))
    long = lambda size: raw_answer("X-Pad: " + "a" * (size - head))
    assert long(64 * KIB).index("\r\n\r\n") + 4 == 64 * KIB
    for fits, too_much in ((long(64 * KIB), long(64 * KIB + 1)), (many(100), many(101))):
        standin.next(behaviour.normal(raw=fits))
        assert outcome(gateway).status == 200
        standin.always(behaviour.normal(raw=too_much))
        assert outcome(gateway).status == 502
        until(lambda: outcome(gateway).status == 503, "its breaker opens")  # it failed four times
        standin.always(behaviour.normal())
        until(lambda: outcome(gateway).status == 200, "the endpoint is well again", 30)


@pytest.mark.parametrize("size, read", [(4 * MIB, True), (4 * MIB + 1, False)], ids=["4 MiB", "one byte more"])
def test_a_models_list_is_read_up_to_4_mib(start, provider, size, read):
    """It tells that the model takes 10 tokens: whoever has read it refuses a longer prompt."""
    told = {**answers.model(config.UPSTREAM_NAME), "max_model_len": 10}
    provider.models = json.dumps({"object": "list", "data": [told]}).encode().rjust(size)
    endpoint = {"place": "cloud", "api": "openai", "url": provider.url, "models": {config.SHOWN_NAME: {"name": config.UPSTREAM_NAME}}}
    gateway = start({**config.settings({"standin": endpoint}, {"big": [f"standin/{config.SHOWN_NAME}"]}), "probe_interval": "100ms"})
    until(lambda: provider.probed >= 2, "two probes", 20)
    long = chat(prompt="word " * 1000)
    if read:
        until(lambda: outcome(gateway, long).status == 400, "the list is read")
        assert outcome(gateway, long).error["code"] == "context_length_exceeded"
    else:
        assert gateway.metric("thalweg_endpoint_health", endpoint="standin", health="healthy") == 1
        assert outcome(gateway, long).status == 200


# ---- Asking again ------------------------------------------------------------------------------------------------------------------


def test_a_request_has_four_attempts_and_no_fifth(gateway, standin):
    standin.next(*[behaviour.overload(429, "0")] * 3)
    assert outcome(gateway).status == 200
    assert len(standin.asked()) == 4
    standin.next(*[behaviour.overload(429, "0")] * 4)
    assert outcome(gateway).status == 429
    assert len(standin.asked()) == 8
    assert [line["attempts"] for line in gateway.wait_lines(2)] == [4, 4]


def test_there_are_ten_retries_and_one_more_for_every_ten_requests(start, standin):
    """One bucket; each shard counts its own requests towards the refill."""
    gateway = start(config.one(standin, shards=1))
    standin.always(behaviour.overload(429, "0"))
    retries = []
    for number in range(1, 32):
        assert outcome(gateway).status == 429
        retries.append(len(standin.asked()) - number)
    assert retries[3:9] == [10] * 6, "three each of the first three requests, one of the fourth"
    assert retries[9:19] == [11] * 10 and retries[19:29] == [12] * 10 and retries[29:] == [13] * 2


def test_the_bucket_of_retries_is_one_for_all_shards(start, standin):
    gateway = start(config.one(standin, shards=4))
    standin.always(behaviour.overload(429, "0"))
    for _ in range(16):  # a connection each: they spread over the shards
        assert outcome(gateway).status == 429
    assert len(standin.asked()) - 16 <= 11


@pytest.mark.parametrize("asked_for", ["60", "100000000000", "99999999999999999999999"])
def test_a_retry_after_beyond_limits_wait_is_not_waited_for(start, standin, asked_for):
    standin.always(behaviour.overload(503, asked_for))
    gateway = start(config.one(standin, limits={"wait": "59s"}))
    assert outcome(gateway).status == 503 and gateway.metric("thalweg_waits_total") == 0


def test_a_retry_after_within_limits_wait_is_waited_for(start, standin):
    standin.always(behaviour.overload(503, "60"))
    gateway = start(config.one(standin, limits={"wait": "61s"}))
    with Raw(gateway.port) as peer:
        peer.send(request(chat()))
        until(lambda: gateway.metric("thalweg_waits_total") == 1, "the request waits")
    assert len(standin.asked()) == 1


# ---- What is kept ------------------------------------------------------------------------------------------------------------------


def all_at_once(gateway, provider, count: int) -> None:
    provider.together = threading.Barrier(count)
    peers = [Raw(gateway.port) for _ in range(count)]
    for peer in peers:
        peer.send(request(chat()))
    for peer in peers:
        assert peer.answer().status == 200
        peer.socket.close()


def test_64_idle_connections_are_kept_to_an_endpoint_and_no_more(start, provider):
    endpoint = {"place": "cloud", "api": "openai", "url": provider.url, "slots": 100, "models": {config.SHOWN_NAME: {}}}
    gateway = start(config.settings({"standin": endpoint}, {"big": [f"standin/{config.SHOWN_NAME}"]}, shards=1))
    all_at_once(gateway, provider, 67)
    until(lambda: provider.connections["closed"] == 3, "three connections are closed")
    all_at_once(gateway, provider, 64)
    assert provider.connections == {"opened": 67, "closed": 3}, "the 64 others were used again"
    all_at_once(gateway, provider, 65)
    until(lambda: provider.connections == {"opened": 68, "closed": 4}, "a 65th is made, and not kept")


def many_models(standin, names: list[str], alias: str) -> dict:
    """Endpoints with these models, 256 each; callers may ask for the last one as `alias`."""
    parts = [names[start:start + 256] for start in range(0, len(names), 256)]
    return config.settings({f"e{number}": {"place": "cloud", "api": "openai", "url": standin.url, "key": "${STANDIN_KEY}", "models": {name: {} for name in part}}
                            for number, part in enumerate(parts)}, {alias: [f"e{len(parts) - 1}/{names[-1]}"]})


def test_a_process_knows_4096_pairs_of_endpoint_and_model_in_its_life(start, standin):
    """Each has numbers of its own in /metrics, which stay when it leaves the configuration."""
    names = [f"m{number}" for number in range(4095)]
    gateway = start(many_models(standin, names, "first"))
    gateway.reload(many_models(standin, names[:-1] + ["the-4096th"], "second"))
    until(lambda: "second" in gateway.model_names(), "the 4096th pair is taken", 30)
    gateway.reload(many_models(standin, names[:-1] + ["the-4097th"], "third"))
    until(lambda: "this process has seen 4096 pairs of endpoint and model; restart it" in gateway.stderr(), "the 4097th pair is refused", 30)
    assert "second" in gateway.model_names(), "the configuration in force stays"
    gateway.reload(many_models(standin, names, "fourth"))
    until(lambda: "fourth" in gateway.model_names(), "what is known already is taken still", 30)


def test_requests_are_refused_while_the_access_log_cannot_keep_up(start, standin, tmp_path):
    """A pipe that nobody reads stands for a full disk: once it is full, and so is what may wait for it, nothing new is begun."""
    pipe = tmp_path / "access.pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    gateway = start(config.one(standin, shards=1, log={"access": str(pipe)}))
    lie_in_pipe = lambda: struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))[0]
    for _ in ("what fills the pipe", "what waits"):
        with Raw(gateway.port) as peer:
            for _ in range(230):  # 5 MB of lines, more than may wait
                peer.send(request(method="GET", path="/nowhere") * 100)  # each leaves a line
                assert {peer.answer().status for _ in range(100)} == {404}
        until(lambda: lie_in_pipe() > 60 * KIB, "the pipe is full")
    for body in (chat(), chat(stream=True)):
        refused = outcome(gateway, body)
        assert refused.status == 503 and refused.field("retry-after") and "access log" in refused.error["message"]
    assert standin.asked() == []
    log = b""

    def served() -> bool:
        nonlocal log
        with contextlib.suppress(BlockingIOError):
            while part := os.read(reader, 65536):
                log += part
        return outcome(gateway).status == 200
    until(served, "a request is served again", 30)
    until(lambda: served() and b'"status":200' in log and log.endswith(b"\n"), "the log goes on", 30)
    assert all(json.loads(line)["status"] in (200, 404) for line in log.splitlines()), "no line is broken"
    assert len(log) > 250 * KIB
    gateway.stop()  # before its pipe goes
    os.close(reader)


# ---- What is fetched ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redirects, code", [(5, 0), (6, 1)])
def test_a_fetch_follows_five_redirects_and_no_sixth(pki, tmp_path, redirects, code):
    content = b"GGUF of the test"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            left = int(self.path.split("/")[1])
            self.send_response(302 if left else 200)
            if left:
                self.send_header("Location", f"/{left - 1}/tiny.gguf")
            self.send_header("Content-Length", "0" if left else str(len(content)))
            self.end_headers()
            self.wfile.write(b"" if left else content)

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = certificate(pki, f"files{redirects}", "IP:127.0.0.1", "authority").wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        ran = subprocess.run([str(PROGRAM), "model", "add", f"https://127.0.0.1:{server.server_port}/{redirects}/tiny.gguf", "--sha256",
                              hashlib.sha256(content).hexdigest()], capture_output=True, text=True, timeout=60 * PATIENCE,
                             env={**os.environ, "THALWEG_CACHE": str(tmp_path), "SSL_CERT_FILE": str(pki / "authority.pem")})
    finally:
        server.shutdown()
        server.server_close()
    assert ran.returncode == code, ran.stderr
    files = [file.name for file in (tmp_path / "models").iterdir()]
    if code == 0:
        assert files == ["tiny.gguf"]
    else:
        assert "more than 5 redirects" in ran.stderr
