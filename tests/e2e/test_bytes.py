"""Bytes pass unchanged but for a closed list of edits: what the provider received is the caller's body with `model` and, for streams,
`stream_options.include_usage` replaced in place, and nothing else. The expected bodies are written out by hand."""

import base64
import json
import os

import pytest

import config
from raw import Raw, request

NEW = config.UPSTREAM_NAME.encode()


def forwarded(gateway, standin, body: bytes, path: str = "/v1/chat/completions") -> bytes:
    with Raw(gateway.port) as peer:
        answer = peer.send(request(body, path=path)).answer()
    assert answer.status == 200, answer.body
    return standin.asked()[-1].body


# Each holds `"big"` once, as the model: the expected body is the same with the name replaced.
BODIES = {
    "plain": b'{"model":"big","messages":[{"role":"user","content":"x"}]}',
    "odd white space": b' \t\r\n{ "messages" :\n\n[ {"role" :"user" , "content":\t"x"} ]\r\n,"model"  :   "big"  } \n',
    "keys in another order": b'{"temperature":0.5,"messages":[{"content":"x","role":"user"}],"seed":1,"model":"big"}',
    "escapes as they were": b'{"model":"big","messages":[{"role":"user","content":"\\u0041\\/\\b\\f\\n\\r\\t\\"\\\\\\u00e9\\ud83d\\udeb0\\u2028"}]}',
    "raw unicode": '{"model":"big","messages":[{"role":"user","content":"é 東京 🚰 \u2028 \u0000x"}]}'.replace("\u0000", "\u007f").encode(),
    "numbers as they were": b'{"model":"big","messages":[{"role":"user","content":"x"}],"temperature":1.0000000000000000000001e-0,'
                            b'"seed":12345678901234567890,"top_p":0.10,"logit_bias":{"50256":-100,"1":1E+2}}',
    "unknown fields": b'{"model":"big","x_future":{"deep":[1,{"a":null}],"b":true},"messages":[{"role":"user","content":"x","x_more":[]}]}',
    "a decoy model further in": b'{"metadata":{"model":"big2"},"messages":[{"role":"user","content":"\\"model\\":\\"big2\\""}],"model":"big"}',
    "empty containers": b'{"model":"big","messages":[{"role":"user","content":""}],"stop":[],"metadata":{},"tools":[]}',
    "null fields": b'{"model":"big","messages":[{"role":"user","content":"x"}],"stop":null,"stream":null,"stream_options":null,"n":null}',
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_passes_byte_for_byte_but_for_the_model(gateway, standin, name):
    standin.extra_fields = frozenset(("x_future",))
    body = BODIES[name]
    assert body.count(b'"big"') == 1
    assert forwarded(gateway, standin, body) == body.replace(b'"big"', b'"' + NEW + b'"')


def test_a_model_written_with_escapes_is_the_same_model(gateway, standin):
    body = b'{"mod\\u0065l":"b\\u0069g","messages":[{"role":"user","content":"x"}]}'
    got = forwarded(gateway, standin, body)
    assert json.loads(got)["model"] == config.UPSTREAM_NAME and got.endswith(b',"messages":[{"role":"user","content":"x"}]}')


def test_completions_pass_byte_for_byte_too(gateway, standin):
    body = b'{ "prompt" : ["a", "b\\u00e9"] , "model":"big", "echo" : false }'
    assert forwarded(gateway, standin, body, "/v1/completions") == body.replace(b'"big"', b'"' + NEW + b'"')


def without_usage_edit(body: bytes) -> dict:
    document = json.loads(body)
    options = document.get("stream_options")
    assert options["include_usage"] is True
    del options["include_usage"]
    if not options:
        del document["stream_options"]
    return document


STREAMED = {
    "no stream_options": b'{"model":"big","stream":true,"messages":[{"role":"user","content":"x \\u00e9"}],"seed":1.50}',
    "other options kept": b'{"model":"big","stream_options":{"include_obfuscation": false},"stream":true,"messages":[{"role":"user","content":"x"}]}',
    "empty options": b'{"model":"big","stream_options":{ },"stream":true,"messages":[{"role":"user","content":"x"}]}',
    "null options": b'{"model":"big","stream_options":null,"stream":true,"messages":[{"role":"user","content":"x"}]}',
    "asked for not": b'{"model":"big","stream_options":{"include_usage":false},"stream":true,"messages":[{"role":"user","content":"x"}]}',
}


@pytest.mark.parametrize("body", STREAMED.values(), ids=STREAMED.keys())
def test_a_streams_body_gains_include_usage_and_nothing_else(gateway, standin, body):
    got = forwarded(gateway, standin, body)
    expected = json.loads(body.replace(b'"big"', b'"' + NEW + b'"'))
    options = expected.pop("stream_options", None) or {}
    options.pop("include_usage", None)
    if options:
        expected["stream_options"] = options
    assert without_usage_edit(got) == expected
    # The bytes outside the two edited members are the caller's.
    messages = body[body.index(b'"messages"'):].split(b"]")[0]
    assert messages in got
    if b"1.50" in body:
        assert b'"seed":1.50' in got


def test_a_stream_that_asks_for_usage_passes_byte_for_byte(gateway, standin):
    body = b'{"stream_options" : {"include_usage":true} ,"model":"big","stream":true,"messages":[{"role":"user","content":"x"}]}'
    assert forwarded(gateway, standin, body) == body.replace(b'"big"', b'"' + NEW + b'"')


def test_image_parts_pass_byte_identically(gateway, standin, python, node):
    image = "data:image/png;base64," + base64.b64encode(os.urandom(300_000)).decode()
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": image, "detail": "high"}}]
    ask = {"model": "big", "messages": [{"role": "user", "content": content}]}
    python(gateway.base_url).chat.completions.create(**ask)
    raw = json.dumps(ask).encode()
    assert forwarded(gateway, standin, raw) == raw.replace(b'"big"', b'"' + NEW + b'"')
    assert standin.asked()[0].json["messages"][0]["content"] == content


def test_a_body_of_twenty_megabytes_passes_byte_identically(gateway, standin):
    """1 MB bodies were refused by a peer (ai-gateway#805); the limit here is 32 MiB."""
    image = b"data:image/png;base64," + base64.b64encode(os.urandom(15_000_000))
    body = b'{"model":"big","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"' + image + b'"}}]}]}'
    assert forwarded(gateway, standin, body) == body.replace(b'"big"', b'"' + NEW + b'"')


def test_a_chunked_body_arrives_as_it_was(gateway, standin):
    body = BODIES["escapes as they were"]
    parts = [body[start:start + 7] for start in range(0, len(body), 7)]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    with Raw(gateway.port) as peer:
        peer.send(request(b"", "Transfer-Encoding: chunked", "Content-Type: application/json", length=False) + chunked)
        assert peer.answer().status == 200
    assert standin.asked()[0].body == body.replace(b'"big"', b'"' + NEW + b'"')
