"""The stand-in itself, asked directly by both unmodified clients: what the other tests lean on."""

import json
import socket

import openai
import pytest

from provider import answers, behaviour
from reading import fold, fold_until_error
from standin import StandIn

MODEL = "gpt-test-2026-01-01"
ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Where does it run?"}]}
TEXT = answers.text_for("Where does it run?")
ARGUMENTS = json.dumps({"city": "Zürich \U0001f6b0", "note": "a \"quote\" and a \\ slash"})
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]


@pytest.fixture
def provider():
    """Takes any headers: the clients send their own."""
    standin = StandIn("sk-direct", (MODEL,), closed_headers=None).start()
    yield standin
    standin.stop()


@pytest.fixture
def client(provider, python):
    return python(provider.url, "sk-direct")


def test_both_clients_take_its_whole_answer(provider, client, node):
    answer = client.chat.completions.create(**ASK)
    other = node.chat(provider.url, "sk-direct", **ASK)["answer"]
    assert answer.choices[0].message.content == other["choices"][0]["message"]["content"] == TEXT
    assert answer.usage.completion_tokens == other["usage"]["completion_tokens"] == len(answers.pieces_of(TEXT))
    assert provider.violations == []


@pytest.mark.parametrize("how", [{}, {"piece": 1}, {"newline": "\r\n", "comments": True, "piece": 7}, {"multiline": True}, {"framing": "close"}],
                         ids=["plain", "byte by byte", "CRLF and comments", "several data lines", "ended by closing"])
def test_both_clients_take_its_stream_however_it_is_cut_into_bytes(provider, client, node, how):
    provider.always(behaviour.normal(**how))
    streamed = fold(client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}))
    other = fold(node.chat(provider.url, "sk-direct", **ASK, stream=True)["chunks"])
    assert streamed.text == other.text == TEXT
    assert streamed.finishes == other.finishes == {0: "stop"}
    assert streamed.usage["completion_tokens"] == len(answers.pieces_of(TEXT)) and other.usage is None


def test_tool_fragments_join_to_the_arguments(provider, client, node):
    provider.always(behaviour.normal(tool_calls=(("weather", ARGUMENTS), ("weather", '{"city":"Bern"}')), split_arguments=3))
    streamed = fold(client.chat.completions.create(**ASK, tools=TOOLS, stream=True))
    other = fold(node.chat(provider.url, "sk-direct", **ASK, tools=TOOLS, stream=True)["chunks"])
    assert streamed.tools == other.tools
    assert streamed.tools[0] == {"id": "call_0", "name": "weather", "arguments": ARGUMENTS}
    assert streamed.tools[1]["arguments"] == '{"city":"Bern"}'


def test_n_logprobs_and_schema_are_answered(client):
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "hot": {"type": "boolean"}}}
    several = client.chat.completions.create(**ASK, n=2, logprobs=True, top_logprobs=2)
    assert [choice.message.content for choice in several.choices] == [TEXT, answers.text_for("Where does it run?", 1)]
    assert len(several.choices[0].logprobs.content[0].top_logprobs) == 2
    formatted = client.chat.completions.create(**ASK, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}})
    assert json.loads(formatted.choices[0].message.content) == {"city": "Zürich", "hot": True}


@pytest.mark.parametrize("status, wanted", [(400, openai.BadRequestError), (401, openai.AuthenticationError), (429, openai.RateLimitError),
                                            (500, openai.InternalServerError), (503, openai.InternalServerError), (529, openai.InternalServerError)])
def test_it_overloads_and_refuses_on_command(provider, client, status, wanted):
    provider.next(behaviour.overload(status, "3"))
    with pytest.raises(wanted) as caught:
        client.chat.completions.create(**ASK)
    assert caught.value.status_code == status and caught.value.response.headers["retry-after"] == "3"


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_it_cuts_on_command(provider, client, how):
    provider.next(behaviour.cut(3, how), behaviour.drop(how))
    cut = fold_until_error(client.chat.completions.create(**ASK, stream=True))
    assert cut.frames == 3 and cut.error is not None
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASK)


def test_an_error_inside_its_stream_is_raised_by_both_clients(provider, client, node):
    provider.always(behaviour.lie("error", frames=2, error={"message": "broken", "type": "server_error", "param": None, "code": "boom"}))
    streamed = fold_until_error(client.chat.completions.create(**ASK, stream=True))
    other = node.chat(provider.url, "sk-direct", **ASK, stream=True)
    assert streamed.frames == len(other["chunks"]) == 2
    assert isinstance(streamed.error, openai.APIError) and streamed.error.code == other["error"]["code"] == "boom"


@pytest.mark.parametrize("where, frames", [("head", 0), ("first", 0), ("middle", 2)])
def test_it_stalls_on_command_and_sees_the_caller_leave(provider, python, where, frames):
    provider.next(behaviour.stall(where, 2))
    stalled = python(provider.url, "sk-direct", timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        for _ in stalled.chat.completions.create(**ASK, stream=True):
            pass
    provider.wait_for(lambda: provider.records[-1].gone_at, "the caller left")
    assert provider.records[-1].frames_sent == frames


def test_it_lies_on_command(provider, client):
    provider.next(behaviour.lie("no_finish"), behaviour.lie("only_done"), behaviour.lie("no_done"), behaviour.normal(model="other", usage="finish"))
    assert fold(client.chat.completions.create(**ASK, stream=True)).finishes == {}
    assert fold(client.chat.completions.create(**ASK, stream=True)).frames == 0
    assert fold(client.chat.completions.create(**ASK, stream=True)).finishes == {0: "stop"}
    other = fold(client.chat.completions.create(**ASK, stream=True))
    assert other.models == {"other"} and other.usage is not None
    provider.next(behaviour.normal(length_error=+10), behaviour.invalid_json(), behaviour.html())

    def fresh():
        """On a connection of its own: the one before may just be closing."""
        return client.with_options(http_client=openai.DefaultHttpxClient())

    for _ in range(2):
        with pytest.raises((openai.APIError, ValueError)):
            fresh().chat.completions.create(**ASK)
    assert isinstance(fresh().chat.completions.create(**ASK), str)  # what a client makes of HTML


@pytest.mark.parametrize("body, told", [
    (b'{"model": "gpt-test-2026-01-01", "messages": []}', "non-empty"),
    (b'{"model": "other", "messages": [{"role": "user", "content": "x"}]}', "does not exist"),
    (b'{"model": "gpt-test-2026-01-01", "messages": [{"role": "king", "content": "x"}]}', "no known role"),
    (b'{"model": "gpt-test-2026-01-01", "model": "x", "messages": [{"role": "user", "content": "x"}]}', "duplicate"),
    (b'{"model": "gpt-test-2026-01-01", "thalweg": 1, "messages": [{"role": "user", "content": "x"}]}', "Unrecognized"),
    (b'{"model": "gpt-test-2026-01-01", "stream_options": {}, "messages": [{"role": "user", "content": "x"}]}', "only allowed"),
    (b'{"model": "gpt-test-2026-01-01", "messages": [{"role": "user", "content": "\xff"}]}', "strict JSON"),
])
def test_a_wrong_body_is_a_violation(provider, body, told):
    status, answer = _post(provider, body, "Bearer sk-direct")
    assert status >= 400 and told in answer["error"]["message"]
    assert len(provider.violations) == 1


def test_a_wrong_key_and_an_unlisted_field_are_violations(provider):
    body = json.dumps(ASK).encode()
    assert _post(provider, body, "Bearer sk-wrong")[0] == 401
    provider.closed_headers = frozenset(("host", "authorization", "content-type", "content-length"))
    assert _post(provider, body, "Bearer sk-direct", "X-Stainless-Lang: python\r\n")[0] == 400
    assert len(provider.violations) == 2 and "x-stainless-lang" in provider.violations[1]


def test_it_closes_idle_connections_right_after_an_answer(provider):
    provider.next(behaviour.normal(close="silent"), behaviour.normal(close="header"))
    for announced in (False, True):
        with socket.create_connection(("127.0.0.1", provider.port)) as peer:
            peer.sendall(_request(json.dumps(ASK).encode(), "Bearer sk-direct"))
            answer = b"".join(iter(lambda: peer.recv(65536), b""))
        assert (b"Connection: close" in answer) == announced and answer.endswith(b"}")


def test_connections_are_kept_and_refused_on_command(provider, client):
    client.chat.completions.create(**ASK)
    client.chat.completions.create(**ASK)
    assert [record.connection for record in provider.records] == [1, 1]
    provider.refuse_connections()
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASK)
    provider.accept_connections()
    assert client.chat.completions.create(**ASK).choices[0].message.content == TEXT


def _request(body: bytes, authorization: str, fields: str = "") -> bytes:
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n"
            f"{fields}Content-Length: {len(body)}\r\n\r\n").encode() + body


def _post(provider, body: bytes, authorization: str, fields: str = "") -> tuple[int, dict]:
    with socket.create_connection(("127.0.0.1", provider.port)) as peer:
        peer.sendall(_request(body, authorization, fields + "Connection: close\r\n"))
        data = b""
        while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < int(data.split(b"Content-Length: ")[1].split(b"\r\n")[0]):
            data += peer.recv(65536)
    return int(data.split()[1]), json.loads(data.split(b"\r\n\r\n", 1)[1])
