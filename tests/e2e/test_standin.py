"""The stand-in itself, asked directly by the unmodified clients of both APIs: what the other tests lean on."""

import json
import socket

import anthropic
import openai
import pytest

from provider import answers, behaviour, messages
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


# ---- Anthropic's API -----------------------------------------------------------------------------------------------------------

CLAUDE = "claude-test-20260101"
MESSAGE = {"model": CLAUDE, "max_tokens": 4096, "messages": [{"role": "user", "content": "Where does it run?"}]}
WEATHER = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
OLDER = {"x-api-key": "sk-ant", "anthropic-version": "2023-06-01"}
NEWER = {"Authorization": "Bearer sk-ant", "anthropic-version": "2026-10-21"}


@pytest.fixture
def claude_provider():
    standin = StandIn("sk-ant", (CLAUDE,), closed_headers=None, api="anthropic").start()
    yield standin
    standin.stop()


def claude_client(provider, key: str = "sk-ant", **more) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=provider.url.removesuffix("/v1"), api_key=key, max_retries=0,
                               http_client=anthropic.DefaultHttpxClient(trust_env=False), **more)


@pytest.fixture
def ask_claude(claude_provider):
    with claude_client(claude_provider) as client:
        yield client.messages


def stream_until_error(ask, **more) -> tuple[list[str], str, Exception | None]:
    """The types of the events, the text, and the error that the client raised, if any."""
    kinds, text = [], ""
    try:
        for event in ask.create(**{**MESSAGE, **more}, stream=True):
            kinds.append(event.type)
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
    except Exception as error:  # whatever the client raises is what an application sees
        return kinds, text, error
    return kinds, text, None


def test_claudes_client_takes_its_whole_answer(claude_provider, ask_claude):
    answer = ask_claude.with_raw_response.create(**MESSAGE)
    message = answer.parse()
    assert [block.text for block in message.content] == [TEXT] and message.stop_reason == "end_turn" and message.model == CLAUDE
    assert message.usage.output_tokens == len(answers.pieces_of(TEXT)) and message._request_id == "req_standin_1"
    assert "x-request-id" not in answer.headers
    assert messages.input_tokens(message.usage.to_dict()) == answers.usage_for(MESSAGE, [TEXT])["prompt_tokens"]
    assert claude_provider.violations == []


@pytest.mark.parametrize("how", [{}, {"piece": 1}, {"newline": "\r\n", "comments": True, "piece": 7}, {"multiline": True}, {"framing": "close"}],
                         ids=["plain", "byte by byte", "CRLF and comments", "several data lines", "ended by closing"])
def test_claudes_client_takes_its_stream_however_it_is_cut_into_bytes(claude_provider, ask_claude, how):
    claude_provider.always(behaviour.normal(**how))
    with ask_claude.stream(**MESSAGE) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert pieces == answers.pieces_of(TEXT) and message.stop_reason == "end_turn"
    assert message.usage.to_dict() == messages.usage_of(MESSAGE, behaviour.normal())


def test_a_stream_has_the_apis_events_in_their_order(claude_provider):
    status, _, body = _ask_claude(claude_provider, {**MESSAGE, "stream": True}, NEWER)
    lines = body.decode().split("\n")
    named = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    documents = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    deltas = len(answers.pieces_of(TEXT))
    assert status == 200 and named == [document["type"] for document in documents] == [
        "message_start", "content_block_start", "ping", *["content_block_delta"] * deltas, "content_block_stop", "message_delta", "message_stop"]
    assert documents[0]["message"]["usage"]["output_tokens"] == 1 and documents[0]["message"]["content"] == []
    assert documents[-2]["usage"]["output_tokens"] == deltas


def test_tools_of_claudes_client_stream_and_come_whole(claude_provider, ask_claude):
    claude_provider.always(messages.said(tool_calls=(("weather", ARGUMENTS), ("weather", "")), split_arguments=3, text="I look."))
    whole = ask_claude.create(**MESSAGE, tools=[WEATHER], tool_choice={"type": "any"})
    with ask_claude.stream(**MESSAGE, tools=[WEATHER]) as stream:
        seen = list(stream)
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        assert message.content[0].text == "I look." and message.stop_reason == "tool_use"
        assert [(block.id, block.name, block.input) for block in message.content[1:]] == [
            ("toolu_0", "weather", json.loads(ARGUMENTS)), ("toolu_1", "weather", {})]
    fragments = [event.partial_json for event in seen if event.type == "input_json"]
    assert fragments[0] == fragments[-1] == "" and "".join(fragments) == ARGUMENTS
    assert claude_provider.violations == []


def test_thinking_is_signed_and_what_is_unknown_does_no_harm(claude_provider, ask_claude):
    claude_provider.always(messages.said(thinking="A river, they say.", future=True))
    thinking = {"type": "enabled", "budget_tokens": 1024}
    whole = ask_claude.create(**MESSAGE, thinking=thinking)
    with ask_claude.stream(**MESSAGE, thinking=thinking) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        first, unknown, last = message.content
        assert (first.type, first.thinking, first.signature) == ("thinking", "A river, they say.", messages.SIGNATURE)
        assert unknown.type == "future_block" and last.text == TEXT
        assert whole.usage.output_tokens_details.thinking_tokens == 4
    ask_claude.create(**{**MESSAGE, "messages": [*MESSAGE["messages"], {"role": "assistant", "content": [first.to_dict(), last.to_dict()]},
                                                 {"role": "user", "content": "And then?"}]})
    assert claude_provider.violations == []


def test_a_schema_is_followed_and_models_are_listed(claude_provider, ask_claude):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
    answer = ask_claude.create(**MESSAGE, output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(answer.content[0].text) == {"city": "Zürich"}
    with claude_client(claude_provider) as client:
        assert [model.id for model in client.models.list()] == [CLAUDE]
        assert client.models.retrieve(CLAUDE).display_name
    assert claude_provider.violations == []


CREDENTIALS = {
    "a wrong key": (OLDER | {"x-api-key": "sk-wrong"}, 401), "a wrong bearer": (NEWER | {"Authorization": "Bearer sk-wrong"}, 401),
    "none": ({"anthropic-version": "2023-06-01"}, 401), "both": (OLDER | NEWER, 401),
    "the newer version's key with the older": (NEWER | {"anthropic-version": "2023-06-01"}, 401),
    "the older version's key with the newer": (OLDER | {"anthropic-version": "2026-10-21"}, 401),
    "no version": ({"x-api-key": "sk-ant"}, 400), "an unknown version": (OLDER | {"anthropic-version": "2023-01-01"}, 400),
}


@pytest.mark.parametrize("fields, wanted", CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_a_message_needs_a_version_and_the_one_credential_that_belongs_to_it(claude_provider, fields, wanted):
    status, head, body = _ask_claude(claude_provider, MESSAGE, fields)
    told = json.loads(body)
    assert status == wanted and told["type"] == "error" and told["error"]["type"] == messages.error_type(wanted)
    assert f"request-id: {told['request_id']}" in head and len(claude_provider.violations) == 1


@pytest.mark.parametrize("fields", [OLDER, NEWER], ids=["x-api-key", "bearer"])
def test_both_generations_of_credentials_are_taken(claude_provider, fields):
    claude_provider.closed_headers = frozenset(("host", "authorization", "content-type", "content-length", "connection"))
    assert _ask_claude(claude_provider, MESSAGE, fields | {"anthropic-beta": "files-api-2025-04-14"})[0] == 200
    assert claude_provider.violations == []
    assert _ask_claude(claude_provider, MESSAGE, fields | {"X-Stainless-Lang": "python"})[0] == 400
    assert "x-stainless-lang" in claude_provider.violations[0]


def _user(*blocks) -> dict:
    return {"role": "user", "content": list(blocks)}


PIXEL = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
FAULTS = {
    "an unknown field": ({"thalweg": 1}, "thalweg: Extra inputs are not permitted"),
    "a field of the other API": ({"stream_options": {}}, "stream_options: Extra inputs"),
    "no tokens": ({"max_tokens": 0}, "max_tokens"), "no messages": ({"messages": []}, "messages"),
    "a role of the other API": ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    "an empty text": ({"messages": [_user({"type": "text", "text": ""})]}, "non-empty"),
    "an empty content": ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
    "a member of the other API": ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "messages.0.name"),
    "a block of the other API": ({"messages": [_user({"type": "image_url", "image_url": {"url": "x"}})]}, "image_url"),
    "an image with a detail": ({"messages": [_user({"type": "image", "source": PIXEL, "detail": "low"})]}, "detail: Extra"),
    "a source without bytes": ({"messages": [_user({"type": "image", "source": PIXEL | {"data": "@"}})]}, "base64"),
    "a document of another type": ({"messages": [_user({"type": "document", "source": PIXEL})]}, "application/pdf"),
    "thinking without a signature": ({"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}]}, "signature"),
    "a tool's bad name": ({"tools": [WEATHER | {"name": "we ather"}]}, "pattern"),
    "a tool without a type in its schema": ({"tools": [WEATHER | {"input_schema": {}}]}, "'object'"),
    "a choice without tools": ({"tool_choice": {"type": "auto"}}, "tool_choice"),
    "a choice of the other API": ({"tools": [WEATHER], "tool_choice": {"type": "function"}}, "tool_choice"),
    "a format without a schema": ({"output_config": {"format": {"type": "json_schema"}}}, "schema"),
    "a stop of white space": ({"stop_sequences": ["\n"]}, "non-whitespace"), "a hot temperature": ({"temperature": 1.5}, "temperature"),
    "more metadata": ({"metadata": {"team": "x"}}, "metadata.team"), "a system of images": ({"system": [{"type": "image", "source": PIXEL}]}, "system"),
}


@pytest.mark.parametrize("change, told", FAULTS.values(), ids=FAULTS.keys())
def test_a_wrong_message_is_a_violation(claude_provider, ask_claude, change, told):
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask_claude.create(**MESSAGE, extra_body=change)
    assert told in caught.value.body["error"]["message"] and caught.value.body["error"]["type"] == "invalid_request_error"
    assert len(claude_provider.violations) == 1


def test_a_model_that_claude_does_not_know_is_not_found(claude_provider, ask_claude):
    with pytest.raises(anthropic.NotFoundError) as caught:
        ask_claude.create(**{**MESSAGE, "model": "other"})
    assert caught.value.body["error"]["type"] == "not_found_error" and len(claude_provider.violations) == 1


def _call(name: str) -> dict:
    return {"type": "tool_use", "id": name, "name": "weather", "input": {}}


def _result(name: str) -> dict:
    return {"type": "tool_result", "tool_use_id": name, "content": "12 °C"}


ASKED, CALLED = {"role": "user", "content": "x"}, {"role": "assistant", "content": [_call("a"), _call("b")]}
MORE = {"type": "text", "text": "And now?"}
TURNS = {
    "all answered": ([ASKED, CALLED, _user(_result("b"), _result("a"), MORE)], ""),
    "answered in several messages of one turn": ([ASKED, CALLED, _user(_result("a")), _user(_result("b")), _user(MORE)], ""),
    "one missing": ([ASKED, CALLED, _user(_result("a"), MORE)], "without `tool_result` blocks immediately after: b"),
    "none": ([ASKED, CALLED], "without `tool_result`"), "another turn between": ([ASKED, CALLED, {"role": "system", "content": "y"},
                                                                                   _user(_result("a"), _result("b"))], "without `tool_result`"),
    "behind a text": ([ASKED, CALLED, _user(_result("a"), MORE, _result("b"))], "without `tool_result`"),
    "a result of nothing": ([ASKED, CALLED, _user(_result("a"), _result("b"), _result("c"))], "unexpected `tool_use_id`"),
    "a result too late": ([ASKED, CALLED, _user(_result("a"), _result("b")), {"role": "assistant", "content": "y"}, _user(_result("a"))], "unexpected"),
    "two calls of one name": ([ASKED, {"role": "assistant", "content": [_call("a"), _call("a")]}, _user(_result("a"))], "unique"),
}


@pytest.mark.parametrize("turns, told", TURNS.values(), ids=TURNS.keys())
def test_a_tools_call_and_its_result_belong_together(claude_provider, ask_claude, turns, told):
    ask = {**MESSAGE, "messages": turns, "tools": [WEATHER]}
    if not told:
        assert ask_claude.create(**ask).content and claude_provider.violations == []
        return
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask_claude.create(**ask)
    assert told in caught.value.body["error"]["message"] and len(claude_provider.violations) == 1


@pytest.mark.parametrize("status, wanted, kind", [
    (400, anthropic.BadRequestError, "invalid_request_error"), (401, anthropic.AuthenticationError, "authentication_error"),
    (403, anthropic.PermissionDeniedError, "permission_error"), (404, anthropic.NotFoundError, "not_found_error"),
    (413, anthropic.APIStatusError, "request_too_large"), (429, anthropic.RateLimitError, "rate_limit_error"),
    (500, anthropic.InternalServerError, "api_error"), (529, anthropic.InternalServerError, "overloaded_error")])
def test_claude_refuses_on_command(claude_provider, ask_claude, status, wanted, kind):
    claude_provider.next(behaviour.overload(status, "3"))
    with pytest.raises(wanted) as caught:
        ask_claude.create(**MESSAGE)
    assert caught.value.status_code == status and caught.value.body["error"]["type"] == kind
    assert caught.value.response.headers["retry-after"] == "3" and caught.value.request_id == caught.value.body["request_id"]


def test_claude_refuses_a_prompt_that_is_too_long(claude_provider, ask_claude):
    claude_provider.next(messages.context_exceeded())
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: 208310 tokens > 200000 maximum"):
        ask_claude.create(**MESSAGE)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_claude_cuts_on_command(claude_provider, ask_claude, how):
    claude_provider.next(behaviour.cut(5, how), behaviour.drop(how))
    kinds, text, error = stream_until_error(ask_claude)
    assert error is not None and kinds == ["message_start", "content_block_start", "content_block_delta", "content_block_delta"]  # no ping: the client's
    assert text == "".join(answers.pieces_of(TEXT)[:2])
    with pytest.raises(anthropic.APIConnectionError):
        ask_claude.create(**MESSAGE)


def test_claude_lies_on_command(claude_provider, ask_claude):
    claude_provider.next(behaviour.lie("no_finish"), behaviour.lie("no_done"), behaviour.lie("only_done"), behaviour.lie("error", 4),
                         behaviour.lie("garbage", 4))
    kinds, text, _ = stream_until_error(ask_claude)
    assert "message_delta" not in kinds and kinds[-1] == "message_stop" and text == TEXT
    kinds, text, _ = stream_until_error(ask_claude)
    assert kinds[-1] == "message_delta" and text == TEXT
    assert stream_until_error(ask_claude)[0] == ["message_stop"]
    kinds, text, error = stream_until_error(ask_claude)
    assert isinstance(error, anthropic.APIStatusError) and error.body["error"]["type"] == "overloaded_error" and text == answers.pieces_of(TEXT)[0]
    assert isinstance(stream_until_error(ask_claude)[2], ValueError)


@pytest.mark.parametrize("where, frames", [("head", 0), ("first", 0), ("middle", 4)])
def test_claude_stalls_on_command_and_sees_the_caller_leave(claude_provider, where, frames):
    claude_provider.next(behaviour.stall(where, 4))
    with claude_client(claude_provider, timeout=0.3) as client:
        assert "timed out" in str(stream_until_error(client.messages)[2])
    claude_provider.wait_for(lambda: claude_provider.records[-1].gone_at, "the caller left")
    assert claude_provider.records[-1].frames_sent == frames


def _ask_claude(provider, document: dict, fields: dict) -> tuple[int, str, bytes]:
    """Status, head and body, on a connection of its own."""
    data = json.dumps(document).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    provider.always(behaviour.normal(framing="close"))
    with socket.create_connection(("127.0.0.1", provider.port)) as peer:
        peer.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: x\r\n{head}Content-Type: application/json\r\nConnection: close\r\n"
                     f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        answer = b""
        while b"\r\n\r\n" not in answer or not _is_all(answer):
            answer += (part := peer.recv(65536))
            if not part:
                break
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode("latin-1"), body


def _is_all(answer: bytes) -> bool:
    """Refusals say how long they are; what is answered well ends with its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return b"Content-Length: " in head and len(body) >= int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])


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
