"""HTTP/1.1 as bytes: what two servers could read differently is refused and the connection closed (request smuggling); what is
allowed, odd as it looks, works."""

import pytest

from provider import answers
from raw import Raw, chat, request

BODY = chat(prompt="Where does it run?")
SIZE = str(len(BODY)).encode()
TEXT = answers.text_for("Where does it run?")
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ONE_CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

AMBIGUOUS = {
    "both lengths": HEAD + b"Content-Length: " + SIZE + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + ONE_CHUNK + b"0\r\n\r\n",
    "both lengths the other way round": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: " + SIZE + b"\r\n\r\n" + ONE_CHUNK + b"0\r\n\r\n",
    "two different lengths": HEAD + b"Content-Length: " + SIZE + b"\r\nContent-Length: 5\r\n\r\n" + BODY,
    "two equal lengths": HEAD + (b"Content-Length: " + SIZE + b"\r\n") * 2 + b"\r\n" + BODY,
    "a list of lengths": HEAD + b"Content-Length: " + SIZE + b", " + SIZE + b"\r\n\r\n" + BODY,
    "a signed length": HEAD + b"Content-Length: +" + SIZE + b"\r\n\r\n" + BODY,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n" + BODY,
    "a hexadecimal length": HEAD + b"Content-Length: 0x10\r\n\r\n" + BODY,
    "a length beyond 64 bits": HEAD + b"Content-Length: 18446744073709551617\r\n\r\n" + BODY,
    "a length with a word": HEAD + b"Content-Length: 12abc\r\n\r\n" + BODY,
    "an empty length": HEAD + b"Content-Length: \r\n\r\n" + BODY,
    "obs-fold": HEAD + b"X-A: b\r\n c\r\nContent-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "obs-fold that hides a length": HEAD + b"X-A: b\r\n Content-Length: 3\r\nContent-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "a blank before the colon": HEAD + b"Content-Length : " + SIZE + b"\r\n\r\n" + BODY,
    "a blank first field line": b"POST /v1/chat/completions HTTP/1.1\r\n Host: x\r\nHost: 127.0.0.1\r\nContent-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "an unknown transfer coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + ONE_CHUNK + b"0\r\n\r\n",
    "chunked not last": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + ONE_CHUNK + b"0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + ONE_CHUNK + b"0\r\n\r\n",
    "a chunked look-alike": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + ONE_CHUNK + b"0\r\n\r\n",
    "a chunk size that is no number": CHUNKED + b"zz\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a signed chunk size": CHUNKED + b"+%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    "a chunk size beyond 64 bits": CHUNKED + b"10000000000000000f\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk ended by LF": CHUNKED + b"%x\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    "no Host": b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "two Hosts": HEAD + b"Host: evil.example\r\nContent-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "bare LF": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: " + SIZE + b"\n\n" + BODY,
    "bare CR in a value": HEAD + b"X-A: b\rX-B: c\r\nContent-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "NUL in a value": HEAD + b"X-A: b\0c\r\nContent-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "a control character in a name": HEAD + b"X\x01A: b\r\nContent-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "a field without a colon": HEAD + b"NoColon\r\nContent-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "two blanks in the request line": HEAD.replace(b" HTTP", b"  HTTP") + b"Content-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "HTTP/9.9": HEAD.replace(b"HTTP/1.1", b"HTTP/9.9") + b"Content-Length: " + SIZE + b"\r\n\r\n" + BODY,
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"\0" * 189,
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "chunked in HTTP/1.0": HEAD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + ONE_CHUNK + b"0\r\n\r\n",
}


@pytest.mark.parametrize("bytes_sent", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous_http_is_refused_and_the_connection_closed(gateway, standin, bytes_sent):
    with Raw(gateway.port) as peer:
        answer = peer.send(bytes_sent + SMUGGLED).answer()
        assert answer.status == 400, answer
        assert (answer.field("connection") or "").lower() == "close"
        assert peer.ended(), f"more was answered: {peer.buffer[:200]!r}"
    assert standin.asked() == []


def test_a_whole_request_a_byte_at_a_time_is_answered(gateway):
    with Raw(gateway.port) as peer:
        for byte in request(BODY):
            peer.send(bytes([byte]))
        assert peer.answer().json["choices"][0]["message"]["content"] == TEXT


ALLOWED = {
    "chunk extensions": CHUNKED + b"%x;name=value\r\n%s\r\n0;last\r\n\r\n" % (len(BODY), BODY),
    "trailers": CHUNKED + ONE_CHUNK + b"0\r\nX-Trailer: 1\r\n\r\n",
    "chunk sizes with zeros and capitals": CHUNKED + b"000%X\r\n%s\r\n0000\r\n\r\n" % (len(BODY), BODY),
    "blank lines before the request": b"\r\n\r\n" + request(BODY),
    "absolute form": request(BODY).replace(b"/v1/chat", b"http://127.0.0.1/v1/chat", 1),
    "a query": request(BODY, path="/v1/chat/completions?a=b"),
    "odd case and blanks": request(BODY, length=False)[:-len(BODY) - 2] + b"cOnTeNt-LeNgTh:   " + SIZE + b"  \r\n\r\n" + BODY,
}


@pytest.mark.parametrize("bytes_sent", ALLOWED.values(), ids=ALLOWED.keys())
def test_odd_but_clear_http_is_answered_and_the_connection_kept(gateway, bytes_sent):
    with Raw(gateway.port) as peer:
        assert peer.send(bytes_sent).answer().json["choices"][0]["message"]["content"] == TEXT
        assert peer.send(request(method="GET", path="/healthz")).answer().status == 200


def test_pipelined_requests_are_answered_in_order(gateway, standin):
    prompts = [f"question {number}" for number in range(5)]
    with Raw(gateway.port) as peer:
        peer.send(b"".join(request(chat(prompt=prompt, stream=number % 2 == 1)) for number, prompt in enumerate(prompts)))
        for number, prompt in enumerate(prompts):
            answer = peer.answer()
            assert answer.status == 200
            first = answers.pieces_of(answers.text_for(prompt))[1].strip()
            assert first.rstrip(":").encode() in answer.body, f"answer {number} is not of its question"
        peer.send(request(method="GET", path="/healthz"))
        assert peer.answer().status == 200
    assert [answers.prompt_of(record.json) for record in standin.asked()] == prompts


def test_connection_close_and_http_1_0_are_honoured(gateway):
    with Raw(gateway.port) as peer:
        answer = peer.send(request(BODY, "Connection: close")).answer()
        assert answer.status == 200 and answer.field("connection") == "close" and peer.ended()
    with Raw(gateway.port) as peer:
        answer = peer.send(request(BODY).replace(b"HTTP/1.1", b"HTTP/1.0")).answer()
        assert answer.json["choices"] and peer.ended()


def test_a_stream_to_http_1_0_is_ended_by_closing_not_by_chunks(gateway):
    with Raw(gateway.port) as peer:
        answer = peer.send(request(chat(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0")).answer()
        assert answer.field("transfer-encoding") is None and answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("method, path, allowed", [("GET", "/v1/chat/completions", "POST"), ("POST", "/v1/models", "GET"), ("DELETE", "/v1/models/big", "GET")])
def test_a_wrong_method_is_405_and_names_the_right_one(gateway, method, path, allowed):
    with Raw(gateway.port) as peer:
        answer = peer.send(request(method=method, path=path)).answer()
        assert answer.status == 405 and answer.error["type"] == "invalid_request_error" and allowed in answer.error["message"]
        # RFC 9110, 15.5.6: a 405 must carry Allow.
        assert allowed in (answer.field("allow") or "")


def test_unknown_paths_are_told_what_would_work(gateway):
    with Raw(gateway.port) as peer:
        answer = peer.send(request(method="GET", path="/chat/completions")).answer()
        assert answer.status == 404 and "/v1" in answer.error["message"] and answer.error["code"]
        answer = peer.send(request(method="GET", path="/v1/chat/completion")).answer()
        assert answer.status == 404 and "/v1/chat/completions" in answer.error["message"]


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/metrics"])
def test_head_answers_like_get_without_the_body(gateway, path):
    with Raw(gateway.port) as peer:
        shown = peer.send(request(method="GET", path=path)).answer()
        head = peer.send(request(method="HEAD", path=path)).answer("HEAD")
        assert (head.status, head.field("content-type")) == (shown.status, shown.field("content-type"))
        assert int(head.field("content-length")) > 0
        assert peer.send(request(method="GET", path="/healthz")).answer().status == 200  # no stray body in between


def test_heads_over_the_limit_are_431(gateway):
    for fields in (["X-Long: " + "a" * 40_000], [f"X-{number}: a" for number in range(200)]):
        with Raw(gateway.port) as peer:
            assert peer.send(request(BODY, *fields)).answer().status == 431 and peer.ended()
    with Raw(gateway.port) as peer:
        assert peer.send(request(BODY, "X-Long: " + "a" * 20_000)).answer().status == 200


def test_a_post_without_a_body_is_told_so(gateway):
    with Raw(gateway.port) as peer:
        answer = peer.send(request(b"", length=False)).answer()
        assert answer.status in (400, 411) and answer.error["message"]
