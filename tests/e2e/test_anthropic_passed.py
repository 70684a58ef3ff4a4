"""Messages that pass to endpoints of Anthropic's API as they are: bytes, streams, errors, and what only its issuer can read. What is
expected follows docs/formats/anthropic.md; the stand-in refuses, and records, whatever Anthropic's API would."""

import json
import re

import anthropic
import pytest

import config
from conftest import KEYS
from provider import answers, behaviour, messages
from raw import Raw, RawAnswer, request
from standin import sse_frame
from waiting import until

PROMPT = "Where does it run?"
TEXT = answers.text_for(PROMPT)
ASK = {"model": "big", "messages": [{"role": "user", "content": PROMPT}]}
MESSAGE = {**ASK, "max_tokens": 256}
CALLS = (("weather", '{"city": "Z\\u00fcrich \\ud83d\\udeb0", "note": "a \\"quote\\" 東京"}'), ("weather", '{"city": "Bern"}'), ("weather", ""))
THINKING = messages.said(thinking="A river has a deepest line.")


@pytest.fixture
def gateway(start, claude):
    """`big` on one stand-in for Anthropic's API."""
    return start(config.claude_only(claude))


def client(gateway, **more) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, api_key="any", max_retries=0, http_client=anthropic.DefaultHttpxClient(trust_env=False), **more)


def sent(standin) -> dict:
    return standin.asked()[-1].json


def text(words: str) -> dict:
    return {"type": "text", "text": words}


# ---- messages pass as they are -------------------------------------------------------------------------------------------------

UPSTREAM, SHOWN = (b'"%s"' % name.encode() for name in (config.UPSTREAM_CLAUDE, config.SHOWN_CLAUDE))


def ask_raw(gateway, body: bytes | dict, *fields: str) -> RawAnswer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with Raw(gateway.port) as peer:
        return peer.send(request(data, *fields, path="/v1/messages")).answer()


BODIES = {
    "odd white space": b' \t{ "max_tokens" :\n64, "messages":[ {"role" :"user" , "content":\t"x"} ]\r\n,"model"  :   "big"  } \n',
    "escapes as they were": b'{"model":"big","max_tokens":64,"messages":[{"content":"\\u0041\\/\\n\\u00e9\\ud83d\\udeb0","role":"user"}]}',
    "numbers as they were": b'{"temperature":1.0e-0,"model":"big","max_tokens":64,"top_p":0.10,"top_k":5,"messages":[{"role":"user","content":"x"}]}',
    "an unknown field": b'{"x_future":{"model":"big2","deep":[1.50,{"a":null}]},"max_tokens":64,"model":"big","messages":[{"role":"user","content":"x"}]}',
    "blocks with all their members": b'{"model":"big","max_tokens":64,"system":[{"text":"s","type":"text","cache_control":{"type":"ephemeral"}}],'
                                     b'"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]}',
    "what a chat cannot say": b'{"model":"big","max_tokens":64,"inference_geo":"us","metadata":{"user_id":"u"},"messages":[{"role":"user","content":"x"}]}',
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_passes_byte_for_byte_but_for_the_model(gateway, claude, name):
    claude.extra_fields = frozenset(("x_future",))
    body = BODIES[name]
    assert body.count(b'"big"') == 1
    answer = ask_raw(gateway, body)
    assert answer.status == 200, answer.body
    assert claude.asked()[-1].body == body.replace(b'"big"', UPSTREAM) and answer.field("thalweg-dropped") is None


def whole_bytes(asked: dict, how) -> bytes:
    """What the stand-in says."""
    return json.dumps(messages.whole(asked, how), ensure_ascii=False).encode()


def streamed_bytes(asked: dict, how) -> bytes:
    """What the stand-in says, frame by frame."""
    said = [(event, json.dumps(document, ensure_ascii=False)) for event, document in messages.Messages.frames(asked, how)]
    return b"".join(sse_frame(data, how, event) for event, data in [*said, *messages.Messages.last_frames(how)])


SAID = {"text": messages.said(answer_keys={"x_more": [1.5, None]}), "tools": messages.said(tool_calls=CALLS, split_arguments=3),
        "thinking": THINKING, "what nobody knows yet": messages.said(future=True, stop_reason="future_reason")}


@pytest.mark.parametrize("how", SAID.values(), ids=SAID.keys())
@pytest.mark.parametrize("piece", [0, 1])
def test_answers_come_back_byte_for_byte_but_for_the_model(gateway, claude, how, piece):
    claude.always(messages.said(**{**vars(how), "piece": piece}))
    tools = [{"name": "weather", "input_schema": {"type": "object"}}]
    whole = ask_raw(gateway, {**MESSAGE, "tools": tools})
    assert whole.body == whole_bytes(sent(claude), how).replace(UPSTREAM, SHOWN)
    streamed = ask_raw(gateway, {**MESSAGE, "tools": tools, "stream": True})
    assert streamed.body == streamed_bytes(sent(claude), how).replace(UPSTREAM, SHOWN)
    assert SHOWN in streamed.body and streamed.field("content-type").startswith("text/event-stream")


def test_the_unmodified_client_gets_its_answers(gateway, claude):
    with client(gateway) as caller:
        answer = caller.messages.with_raw_response.create(**MESSAGE)
        message = answer.parse()
        with caller.messages.stream(**MESSAGE) as stream:
            pieces = list(stream.text_stream)
            streamed = stream.get_final_message()
    assert pieces == answers.pieces_of(TEXT), "a delta was merged, split or lost"
    for got in (message, streamed):
        assert [block.text for block in got.content] == [TEXT] and got.model == config.SHOWN_CLAUDE and got.stop_reason == "end_turn"
        assert got.usage.to_dict() == messages.usage_of(MESSAGE, behaviour.normal())
    assert "thalweg-dropped" not in answer.headers
    assert gateway.wait_lines(2)[0]["path"] == "/v1/messages"


def test_signed_thinking_passes_and_comes_back(gateway, claude):
    claude.always(THINKING)
    with client(gateway) as caller:
        for stream in (False, True):
            ask = {**MESSAGE, "max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}}
            if stream:
                with caller.messages.stream(**ask) as events:
                    first = events.get_final_message()
            else:
                first = caller.messages.create(**ask)
            assert (first.content[0].thinking, first.content[0].signature) == (THINKING.thinking, THINKING.signature)
            caller.messages.create(**{**ask, "messages": [*ASK["messages"], first.to_param(), {"role": "user", "content": "And then?"}]})
            assert sent(claude)["messages"][1]["content"][0] == {"type": "thinking", "thinking": THINKING.thinking, "signature": THINKING.signature}


VERSIONS = {
    "none": ([], "2023-06-01", None), "the older": (["anthropic-version: 2023-06-01", "x-api-key: any"], "2023-06-01", None),
    "the newer": (["anthropic-version: 2026-10-21"], "2026-10-21", None),
    "with betas": (["anthropic-version: 2026-10-21", "anthropic-beta: a-2026-01-01,b-2026-02-02"], "2026-10-21", "a-2026-01-01,b-2026-02-02"),
    "betas alone": (["anthropic-beta: a-2026-01-01"], "2023-06-01", "a-2026-01-01"),
}


@pytest.mark.parametrize("fields, version, beta", VERSIONS.values(), ids=VERSIONS.keys())
def test_the_callers_version_and_betas_arrive_with_the_endpoints_key(gateway, claude, fields, version, beta):
    assert ask_raw(gateway, MESSAGE, *fields).status == 200
    record = claude.asked()[0]
    assert record.header("anthropic-version") == version and record.header("anthropic-beta") == beta
    key = KEYS["CLAUDE_KEY"]
    assert (record.header("x-api-key"), record.header("authorization")) == ((key, None) if version == "2023-06-01" else (None, f"Bearer {key}"))


ERRORS = {400: anthropic.BadRequestError, 413: anthropic.APIStatusError, 422: anthropic.UnprocessableEntityError, 429: anthropic.RateLimitError,
          529: anthropic.InternalServerError}


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_keep_their_shape_and_type(gateway, claude, status, stream):
    error = {"type": messages.error_type(status), "message": "no such luck", "details": {"error_code": "unlucky"}}
    claude.always(behaviour.refuse(status, "120", error=error))
    with client(gateway) as caller, pytest.raises(ERRORS[status]) as caught:
        caller.messages.create(**MESSAGE, stream=stream)
    assert caught.value.status_code == status and caught.value.body["type"] == "error" and caught.value.body["error"] == error


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_refused_there_is_not_the_callers(gateway, claude, status):
    claude.always(behaviour.refuse(status, error={"type": messages.error_type(status), "message": f"invalid x-api-key {KEYS['CLAUDE_KEY']}"}))
    with client(gateway) as caller, pytest.raises(anthropic.InternalServerError) as caught:
        caller.messages.create(**MESSAGE)
    assert caught.value.status_code == 502 and "canary" not in str(caught.value.body) and caught.value.body["error"]["type"] == "api_error"


@pytest.mark.parametrize("fault", [behaviour.cut(6), behaviour.cut(6, "rst"), behaviour.lie("error", 6), behaviour.lie("garbage", 6),
                                   behaviour.lie("no_finish")], ids=["FIN", "RST", "an error", "no JSON", "no stop reason"])
def test_a_broken_stream_of_messages_is_an_error_event(gateway, claude, fault):
    claude.always(fault)
    seen = []
    with client(gateway) as caller, pytest.raises(anthropic.APIError) as caught:
        for event in caller.messages.create(**MESSAGE, stream=True):
            seen.append(event.type)
    assert "content_block_delta" in seen and "message_stop" not in seen
    if fault.end == "error":
        assert caught.value.body["error"]["type"] == "overloaded_error"
    assert gateway.wait_lines(1)[0]["outcome"] == "truncated"


@pytest.mark.parametrize("how", ["no_done", "hold"])
def test_a_message_that_told_its_stop_reason_is_complete(gateway, claude, how):
    claude.always(behaviour.lie(how))
    with client(gateway) as caller, caller.messages.stream(**MESSAGE) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_message().content[0].text == TEXT
    assert kinds.count("message_stop") == 1 and gateway.wait_lines(1)[0]["outcome"] == "complete"


@pytest.mark.parametrize("stream", [False, True])
def test_a_message_fails_over_to_the_other_api_and_hints_are_dropped_only_there(start, claude, standin, stream):
    gateway = start(config.claude_first(claude, standin))
    ask = {**MESSAGE, "top_k": 5, "stream": stream}
    passed = ask_raw(gateway, ask)
    assert passed.status == 200 and passed.field("thalweg-dropped") is None and sent(claude)["top_k"] == 5
    claude.always(behaviour.drop("rst"))
    translated = ask_raw(gateway, ask)
    assert translated.status == 200 and translated.field("thalweg-dropped") == "top_k" and "top_k" not in sent(standin)
    assert json.dumps(answers.pieces_of(TEXT)[0])[1:-1].encode() in translated.body


@pytest.mark.parametrize("stream", [False, True])
def test_a_message_fails_over_from_the_other_api(start, claude, standin, stream):
    standin.always(behaviour.overload(503))
    answer = ask_raw(start(config.claude_second(standin, claude)), {**MESSAGE, "top_k": 5, "stream": stream})
    expected = (streamed_bytes if stream else whole_bytes)(sent(claude), behaviour.normal())
    assert answer.body == expected.replace(UPSTREAM, SHOWN) and answer.field("thalweg-dropped") is None
    assert sent(claude) == {**MESSAGE, "top_k": 5, "stream": stream, "model": config.UPSTREAM_CLAUDE}


SAYABLE_HERE_ONLY = {
    "a region": {"inference_geo": "us"}, "a tool of the provider's": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "a document's context": {"messages": [{"role": "user", "content": [
        {"type": "document", "context": "old", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}]}]},
}


def everywhere(settings: dict) -> dict:
    """Every endpoint of Anthropic's API can do all."""
    for endpoint in settings["endpoints"].values():
        if endpoint["api"] == "anthropic":
            endpoint["models"] = config.EVERYTHING
    return settings


@pytest.mark.parametrize("field", SAYABLE_HERE_ONLY.values(), ids=SAYABLE_HERE_ONLY.keys())
def test_what_a_chat_cannot_say_goes_where_it_can_be_said(start, claude, standin, field):
    gateway = start(everywhere(config.claude_second(standin, claude)))
    assert ask_raw(gateway, MESSAGE).status == 200 and len(standin.asked()) == 1
    assert ask_raw(gateway, {**MESSAGE, **field}).status == 200
    assert len(standin.asked()) == 1 and sent(claude) == {**MESSAGE, **field, "model": config.UPSTREAM_CLAUDE}


# ---- what only its issuer can read ---------------------------------------------------------------------------------------------


def after(*content) -> dict:
    """A conversation whose assistant said that."""
    return {"messages": [*ASK["messages"], {"role": "assistant", "content": list(content)}, {"role": "user", "content": PROMPT}]}


SIGNED = after({"type": "thinking", "thinking": "x", "signature": messages.SIGNATURE}, text("Yes."))
SEARCHED = {"type": "web_search_result", "url": "https://e.example", "title": "e", "encrypted_content": "RW5j"}
BOUND = {
    "signed thinking": SIGNED, "redacted thinking": after({"type": "redacted_thinking", "data": "RW5j"}, text("Yes.")),
    "encrypted content": after({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
                               {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [SEARCHED]}, text("Yes.")),
    "a file": {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}, text(PROMPT)]}]},
    "a container": {"container": "container_1"},
}


@pytest.mark.parametrize("field", BOUND.values(), ids=BOUND.keys())
def test_a_bound_request_goes_to_its_issuer_only(start, claude, standin, field):
    """The other API's endpoint is preferred, and well."""
    answer = ask_raw(start(everywhere(config.claude_second(standin, claude))), {**MESSAGE, **field})
    assert answer.status == 200, answer.body
    assert sent(claude) == {**MESSAGE, **field, "model": config.UPSTREAM_CLAUDE} and standin.asked() == []


@pytest.mark.parametrize("field", BOUND.values(), ids=BOUND.keys())
def test_a_bound_request_is_refused_where_its_issuer_is_none(start, standin, field):
    answer = ask_raw(start(config.one(standin)), {**MESSAGE, **field})
    assert answer.status == 400 and answer.error["type"] == "invalid_request_error" and standin.asked() == []


@pytest.mark.parametrize("fault", [None, behaviour.overload(503), behaviour.drop("rst")], ids=["refused connection", "503", "reset"])
def test_a_bound_request_goes_nowhere_else_when_its_issuer_is_down(start, claude, standin, fault):
    claude.refuse_connections() if fault is None else claude.always(fault)
    answer = ask_raw(start(config.claude_first(claude, standin)), {**MESSAGE, **SIGNED})
    assert answer.status in (502, 503) and answer.json["type"] == "error" and standin.asked() == []
    if fault is None:
        claude.accept_connections()


def test_a_bound_request_is_refused_where_its_issuer_cannot_be_known(start, claude, other_claude):
    gateway = start(config.two_claudes(claude, other_claude))
    answer = ask_raw(gateway, {**MESSAGE, **SIGNED})
    assert answer.status == 400 and re.search("issuer|signed", answer.error["message"]) and answer.error["type"] == "invalid_request_error"
    assert claude.asked() == other_claude.asked() == []
    assert ask_raw(gateway, MESSAGE).status == 200, "what is not bound runs at any of them"


def test_endpoints_of_one_issuer_back_each_other(start, claude, other_claude):
    gateway = start(config.two_claudes(claude, other_claude, issuer="acme"))
    assert ask_raw(gateway, {**MESSAGE, **SIGNED}).status == 200 and len(claude.asked()) == 1
    claude.always(behaviour.drop("rst"))
    assert ask_raw(gateway, {**MESSAGE, **SIGNED}).status == 200 and sent(other_claude)["messages"] == SIGNED["messages"]


def test_endpoints_of_one_address_and_key_are_one_issuer(start, claude):
    endpoints = {name: config.claude(claude, "CLAUDE_KEY") for name in ("claude", "again")}
    gateway = start(config.settings(endpoints, {"big": [f"{name}/{config.SHOWN_CLAUDE}" for name in endpoints]}))
    assert ask_raw(gateway, {**MESSAGE, **SIGNED}).status == 200


# ---- what is counted -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"], ids=["passed", "translated"])
@pytest.mark.parametrize("stream", [False, True])
def test_tokens_are_counted_with_the_cached_among_the_input(gateway, claude, path, stream):
    claude.always(THINKING)
    assert gateway.post(path, {**MESSAGE, "stream": stream}).status == 200
    usage = messages.usage_of(MESSAGE, THINKING)
    line = gateway.wait_lines(1)[0]
    assert (line["input_tokens"], line["cached_input_tokens"], line["output_tokens"]) == (
        messages.input_tokens(usage), usage["cache_read_input_tokens"], usage["output_tokens"])
    assert (line["path"], line["endpoint"], line["model"], line["outcome"], line["stream"]) == (path, "claude", config.SHOWN_CLAUDE, "complete", stream)
    until(lambda: gateway.token_counts() == {"input": messages.input_tokens(usage), "output": usage["output_tokens"]}, "the metrics agree")
    assert gateway.metric("thalweg_tokens_total", type="cached_input") == usage["cache_read_input_tokens"]
