"""What is refused at the edge, and how early: by key, origin, host and length before a byte of the body, then by what the body says."""

import re

import pytest

import config
from gateway import Key
from raw import Raw, chat, request

# Sent instead of a body: a gateway that waits for the body before it judges the head would hang until its time-out.
UNSENT = ("Content-Type: application/json", "Content-Length: 1000000")


def judged_from_the_head(port: int, *fields: str, **more):
    with Raw(port) as peer:
        answer = peer.send(request(b"", *fields, length=False, **more)).answer()
        assert peer.ended(), "the connection stays open with a body that was never read on its way"
    return answer


@pytest.fixture
def guarded(start, standin):
    return start(config.one(standin, keys=[Key("dev", ["big"]).settings]))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/models", "/v1/models/big"])
@pytest.mark.parametrize("key", ["", "right"])
def test_a_path_that_takes_no_body_reads_none_with_or_without_a_key(guarded, path, key):
    key = Key("dev", ["big"]).text if key else ""
    open_to_all = path in ("/healthz", "/readyz")
    assert judged_from_the_head(guarded.port, *UNSENT, method="GET", path=path, key=key).status == (400 if key or open_to_all else 401)


def test_a_preflight_reads_no_body(start, standin):
    gateway = start(config.one(standin, allow_origins=["https://app.example"]))
    preflight = ("Origin: https://app.example", "Access-Control-Request-Method: POST", *UNSENT)
    assert judged_from_the_head(gateway.port, *preflight, method="OPTIONS", key="").status == 400


@pytest.mark.parametrize("expects", [(), ("Expect: 100-continue",)], ids=["silent", "Expect: 100-continue"])
@pytest.mark.parametrize("key", ["", "wrong", "tw_dev_wrong", "tw__x", "tw_dev_" + "A" * 43])
def test_a_wrong_key_is_refused_before_the_body_is_read(guarded, standin, key, expects):
    answer = judged_from_the_head(guarded.port, *UNSENT, *expects, key=key)
    assert answer.status == 401 and answer.field("www-authenticate").startswith("Bearer")
    assert answer.error["type"] == "authentication_error"
    assert standin.asked() == []


def test_an_accepted_key_is_asked_for_its_body(guarded):
    with Raw(guarded.port) as peer:
        body = chat()
        peer.send(request(b"", "Expect: 100-continue", "Content-Type: application/json", f"Content-Length: {len(body)}",
                          key=Key("dev", []).text, length=False))
        assert peer.head().status == 100
        assert peer.send(body).answer().status == 200


def test_another_scheme_than_bearer_is_refused_and_bearer_is_case_blind(guarded):
    text = Key("dev", []).text
    for scheme, status in (("Basic", 401), ("bearer", 200), ("BEARER", 200)):
        with Raw(guarded.port) as peer:
            peer.send(request(chat(), f"Authorization: {scheme} {text}", key=""))
            assert peer.answer().status == status


def test_an_origin_that_is_not_listed_is_refused_before_the_body(gateway, standin):
    """A page in a browser can send requests to loopback; reading its answer is not needed to do harm."""
    for origin in ("http://evil.example", "null", "http://127.0.0.1.evil.example", "http://localhost:1"):
        answer = judged_from_the_head(gateway.port, f"Origin: {origin}", *UNSENT)
        assert answer.status == 403 and answer.error["type"] == "permission_error"
        assert answer.field("access-control-allow-origin") is None
    assert standin.asked() == []


def test_a_listed_origin_is_served_and_told_so(start, standin):
    gateway = start(config.one(standin, allow_origins=["https://app.example"]))
    for stream in (False, True):
        with Raw(gateway.port) as peer:
            answer = peer.send(request(chat(stream=stream), "Origin: https://app.example")).answer()
        assert answer.status == 200 and answer.field("access-control-allow-origin") == "https://app.example"
        assert "origin" in (answer.field("vary") or "").lower()
    with Raw(gateway.port) as peer:
        preflight = peer.send(request(b"", "Origin: https://app.example", "Access-Control-Request-Method: POST",
                                      "Access-Control-Request-Headers: authorization, content-type", method="OPTIONS", key="")).answer()
    assert preflight.status == 204 and preflight.field("access-control-allow-origin") == "https://app.example"
    assert "POST" in preflight.field("access-control-allow-methods")
    assert judged_from_the_head(gateway.port, "Origin: http://app.example", *UNSENT).status == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.1", "0.0.0.0"])
def test_a_host_that_is_not_loopback_is_refused_before_the_body(gateway, standin, host):
    """DNS rebinding: the browser believes that the page's own host answers."""
    assert judged_from_the_head(gateway.port, *UNSENT, host=host).status == 403
    with Raw(gateway.port) as peer:
        assert peer.send(request(b"", method="GET", path="/v1/models", host=host)).answer().status == 403
    assert standin.asked() == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:{port}", "localhost", "LOCALHOST:{port}", "[::1]:{port}", "127.0.0.2"])
def test_loopback_hosts_are_served(gateway, host):
    with Raw(gateway.port) as peer:
        assert peer.send(request(chat(), host=host.format(port=gateway.port))).answer().status == 200


def test_a_listed_host_is_served(start, standin):
    gateway = start(config.one(standin, allow_hosts=["gateway.example"]))
    for host, status in (("gateway.example", 200), ("GATEWAY.example:8080", 200), ("other.example", 403)):
        with Raw(gateway.port) as peer:
            assert peer.send(request(chat(), host=host)).answer().status == status


LIMIT = 4096


def padded(size: int) -> bytes:
    body = chat(prompt="")
    return body.replace(b'"content": ""', b'"content": "' + b"x" * (size - len(body)) + b'"')


def test_a_body_of_the_limit_passes_and_one_byte_more_is_413_unread(start, standin):
    gateway = start(config.one(standin, limits={"body": f"{LIMIT // 1024}KiB"}))
    assert len(padded(LIMIT)) == LIMIT
    with Raw(gateway.port) as peer:
        assert peer.send(request(padded(LIMIT))).answer().status == 200
    answer = judged_from_the_head(gateway.port, "Content-Type: application/json", f"Content-Length: {LIMIT + 1}")
    assert answer.status == 413 and str(LIMIT) in answer.error["message"].replace(" ", "")
    assert len(standin.asked()) == 1


def test_a_chunked_body_is_stopped_at_the_limit(start, standin):
    gateway = start(config.one(standin, limits={"body": f"{LIMIT // 1024}KiB"}))
    fields = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    for size, status in ((LIMIT, 200), (LIMIT + 1, 413)):
        body = padded(size)
        with Raw(gateway.port) as peer:
            peer.send(request(b"", *fields, length=False) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            assert peer.answer().status == status
    assert len(standin.asked()) == 1


DEFAULT_LIMIT = 32 * 1024 * 1024


def test_the_default_limit_is_32_mib(gateway):
    answer = judged_from_the_head(gateway.port, "Content-Type: application/json", f"Content-Length: {DEFAULT_LIMIT + 1}")
    assert answer.status == 413


def body_with(text: bytes) -> bytes:
    return b'{"model":"big","messages":[{"role":"user","content":"' + text + b'"}]}'


# (body, the offset of the fault's first byte), counted by hand or with index().
def _at(body: bytes, mark: bytes) -> tuple[bytes, int]:
    return body, body.index(mark)


BROKEN = {
    "a key twice": (b'{"model":"big","messages":[{"role":"user","content":"x"}],"model":"big"}', None),
    "a key twice, once escaped": (b'{"model":"big","messages":[{"role":"user","content":"x"}],"mod\\u0065l":"small"}', None),
    "a key twice, deep": (b'{"model":"big","messages":[{"role":"user","content":"x","role":"system"}]}', None),
    "a key twice in an unknown field": (b'{"model":"big","messages":[{"role":"user","content":"x"}],"x":[{"a":1,"a":2}]}', None),
    "invalid UTF-8": _at(body_with(b"ab\xffcd"), b"\xff"),
    "overlong UTF-8": _at(body_with(b"ab\xc0\xafcd"), b"\xc0"),
    "a surrogate in UTF-8": _at(body_with(b"ab\xed\xa0\x80cd"), b"\xed"),
    "beyond U+10FFFF": _at(body_with(b"ab\xf4\x90\x80\x80cd"), b"\xf4"),
    "cut UTF-8": _at(body_with(b"ab\xe2\x82"), b"\xe2"),
    "a lone high surrogate": _at(body_with(b"ab\\ud83d cd"), b"\\ud83d"),
    "a lone low surrogate": _at(body_with(b"ab\\ude00 cd"), b"\\ude00"),
    "two high surrogates": _at(body_with(b"ab\\ud83d\\ud83d"), b"\\ud83d"),
    "a byte order mark": (b"\xef\xbb\xbf" + body_with(b"x"), 0),
    "bytes behind the end": (body_with(b"x") + b" {}", len(body_with(b"x")) + 1),
    "a control character": _at(body_with(b"a\x01b"), b"\x01"),
    "a wrong escape": _at(body_with(b"a\\x41b"), b"\\x41"),
    "a comma too many": (b'{"model":"big","messages":[{"role":"user","content":"x"}],}', None),
    "an unfinished body": (b'{"model":"big","messages":[{"role":"user","content":"x"', None),
    "an empty body": (b" ", None),
    "not an object": (b'["model"]', None),
    "NaN": (b'{"model":"big","messages":[{"role":"user","content":"x"}],"temperature":NaN}', None),
    "too deep": (b'{"model":"big","messages":[{"role":"user","content":"x"}],"x":' + b"[" * 200 + b"]" * 200 + b"}", None),
}
TOLERANCE = 6  # an offset may name the token's first byte or the byte at which it went wrong


@pytest.mark.parametrize("body, offset", BROKEN.values(), ids=BROKEN.keys())
def test_a_body_that_two_readers_could_read_differently_is_400_with_the_offset(gateway, standin, body, offset):
    with Raw(gateway.port) as peer:
        answer = peer.send(request(body)).answer()
        assert answer.status == 400 and answer.error["type"] == "invalid_request_error"
        # The body was read whole, so the connection is good for the next request.
        assert peer.send(request(chat())).answer().status == 200
    assert len(standin.asked()) == 1
    if offset is not None:
        named = re.search(r"at byte (\d+)", answer.error["message"])
        assert named, answer.error["message"]
        assert offset <= int(named[1]) <= offset + TOLERANCE, f"{answer.error['message']!r}, not {offset}"


def test_the_deepest_allowed_nesting_passes(gateway, standin):
    """docs/formats/openai.md: more than 128 levels are refused. The body's own object is the first level."""
    standin.extra_fields = frozenset(("x",))
    body = lambda levels: b'{"model":"big","messages":[{"role":"user","content":"x"}],"x":' + b"[" * levels + b"]" * levels + b"}"
    for levels, status in ((127, 200), (128, 400)):
        with Raw(gateway.port) as peer:
            assert peer.send(request(body(levels))).answer().status == status
