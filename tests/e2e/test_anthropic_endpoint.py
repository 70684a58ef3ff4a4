"""Endpoints of Anthropic's API: chat completions written as messages for them. What is expected follows docs/formats/anthropic.md; the
stand-in refuses, and records, whatever Anthropic's API would."""

import json
import re

import openai
import pytest

import config
from conftest import KEYS
from provider import answers, behaviour, messages
from raw import Raw, chat, frames, request
from reading import fold, fold_until_error
from waiting import until

PROMPT = "Where does it run?"
TEXT = answers.text_for(PROMPT)
ASK = {"model": "big", "messages": [{"role": "user", "content": PROMPT}]}
MESSAGE = {**ASK, "max_tokens": 256}
PIXEL = "iVBORw0KGgo="
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
# Escapes, characters beyond ASCII and the BMP, nested quotes: a fragment of 1 ends inside each of them.
ARGUMENTS = '{"city": "Z\\u00fcrich \\ud83d\\udeb0", "note": "a \\"quote\\", a \\\\ and a \\n", "raw": "東京 🚰", "inner": "{\\"k\\": [1, 2.50]}"}'
CALLS = (("weather", ARGUMENTS), ("weather", '{"city": "Bern"}'), ("weather", ""))
THINKING = messages.said(thinking="A river has a deepest line.")
SCHEMA = {"type": "object", "properties": {"city": {"type": "integer"}}, "required": ["city"], "additionalProperties": False}


@pytest.fixture
def gateway(start, claude):
    """`big` on one stand-in for Anthropic's API."""
    return start(config.claude_only(claude))


@pytest.fixture
def chats(gateway, python):
    """The unmodified client for chat completions."""
    return python(gateway.base_url).chat.completions


def sent(standin) -> dict:
    return standin.asked()[-1].json


def blocks(content) -> list[dict]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def turns(body: dict) -> list[tuple[str, list[dict]]]:
    """The messages as the API reads them: those of one role that follow each other are one, a string is a text block."""
    joined: list[tuple[str, list[dict]]] = []
    for message in body["messages"]:
        if joined and joined[-1][0] == message["role"]:
            joined[-1][1].extend(blocks(message["content"]))
        else:
            joined.append((message["role"], list(blocks(message["content"]))))
    return joined


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def raised(call, **params) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        call(**params)
    return caught.value


# ---- chat completions out: what is asked ---------------------------------------------------------------------------------------


def test_a_whole_chat(gateway, claude, chats):
    answer = chats.create(**ASK)
    choice, usage = answer.choices[0], messages.usage_of(MESSAGE, behaviour.normal())
    assert (choice.message.content, choice.message.role, choice.finish_reason, choice.index) == (TEXT, "assistant", "stop", 0)
    assert answer.id.startswith("chatcmpl-") and answer.object == "chat.completion" and answer.model == config.SHOWN_CLAUDE and answer.created > 0
    assert not choice.message.tool_calls
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (messages.input_tokens(usage), usage["output_tokens"])
    assert answer.usage.total_tokens == messages.input_tokens(usage) + usage["output_tokens"]
    assert answer.usage.prompt_tokens_details.cached_tokens == usage["cache_read_input_tokens"]
    record = claude.asked()[0]
    assert record.path == "/v1/messages" and set(record.json) <= {"model", "max_tokens", "messages", "stream"}
    assert record.json["model"] == config.UPSTREAM_CLAUDE and turns(record.json) == [("user", [text(PROMPT)])]
    assert record.header("anthropic-version") == "2023-06-01" and record.header("x-api-key") == KEYS["CLAUDE_KEY"]
    assert record.header("authorization") is None and record.header("anthropic-beta") is None


def test_the_endpoint_is_probed_in_its_own_way(start, claude):
    gateway = start(config.claude_only(claude, probe_interval="100ms"))
    claude.wait_for(lambda: [record for record in claude.records if record.path.startswith("/v1/models") and record.answered], "a probe")
    until(lambda: gateway.metric("thalweg_endpoint_health", endpoint="claude", health="healthy") == 1, "it is healthy")


LIMITS = {"max_completion_tokens": ({"max_completion_tokens": 33}, 33), "max_tokens": ({"max_tokens": 44}, 44), "none": ({}, 1024)}


@pytest.mark.parametrize("limit, expected", LIMITS.values(), ids=LIMITS.keys())
def test_the_limit_of_tokens_is_the_callers_else_the_configurations(claude, chats, limit, expected):
    chats.create(**ASK, **limit)
    assert sent(claude)["max_tokens"] == expected and "max_completion_tokens" not in sent(claude)


def test_a_model_without_a_configured_output_gets_4096_tokens(start, claude, python):
    models = {config.SHOWN_CLAUDE: {"name": config.UPSTREAM_CLAUDE, "context": 200000}}
    gateway = start(config.settings({"claude": config.claude(claude, "CLAUDE_KEY", models=models)}, {"big": [f"claude/{config.SHOWN_CLAUDE}"]}))
    python(gateway.base_url).chat.completions.create(**ASK)
    assert sent(claude)["max_tokens"] == 4096


SETTINGS = {
    "sampling": ({"temperature": 0.5, "top_p": 0.25, "top_k": 5}, {"temperature": 0.5, "top_p": 0.25, "top_k": 5}),
    "a stop": ({"stop": "END"}, {"stop_sequences": ["END"]}),
    "stops": ({"stop": ["END", "FIN"]}, {"stop_sequences": ["END", "FIN"]}),
    "a user": ({"user": "u-1"}, {"metadata": {"user_id": "u-1"}}),
    "a safety identifier": ({"safety_identifier": "u-2"}, {"metadata": {"user_id": "u-2"}}),
    "a schema": ({"response_format": {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": SCHEMA}}},
                 {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
    "nothing to carry": ({"n": 1, "logprobs": False, "logit_bias": {}, "frequency_penalty": 0, "presence_penalty": 0, "stop": None, "seed": None,
                          "tools": None, "response_format": {"type": "text"}}, {}),
}


@pytest.mark.parametrize("asked, expected", SETTINGS.values(), ids=SETTINGS.keys())
def test_settings_are_carried(claude, chats, asked, expected):
    answer = chats.with_raw_response.create(**ASK, extra_body=asked)
    body = sent(claude)
    assert {name: value for name, value in body.items() if name not in ("model", "max_tokens", "messages", "stream")} == expected
    assert "thalweg-dropped" not in answer.headers


def test_an_answer_follows_its_schema(chats):
    answer = chats.create(**ASK, response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}})
    assert json.loads(answer.choices[0].message.content) == {"city": 7}


def test_leading_instructions_are_the_system_and_later_ones_keep_their_place(claude, chats):
    chats.create(model="big", messages=[
        {"role": "system", "content": "Be\nbrief."}, {"role": "developer", "content": [{"type": "text", "text": "And kind."}]},
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}, {"role": "developer", "content": "Now rhyme."},
        {"role": "user", "content": [{"type": "text", "text": "Go"}, {"type": "text", "text": "on"}]}])
    assert sent(claude)["system"] == [text("Be\nbrief."), text("And kind.")]
    assert turns(sent(claude)) == [("user", [text("Hi")]), ("assistant", [text("Yes?")]), ("system", [text("Now rhyme.")]),
                                   ("user", [text("Go"), text("on")])]


def test_images_and_files_are_carried(start, claude, python):
    settings = config.settings({"claude": config.claude(claude, "CLAUDE_KEY", models=config.EVERYTHING)}, {"big": [f"claude/{config.SHOWN_CLAUDE}"]})
    answer = python(start(settings).base_url).chat.completions.with_raw_response.create(model="big", messages=[{"role": "user", "content": [
        {"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://e.example/a.png"}},
        {"type": "file", "file": {"filename": "a \"plan\".pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}]}])
    assert turns(sent(claude)) == [("user", [
        text("Look"), {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "image", "source": {"type": "url", "url": "https://e.example/a.png"}},
        {"type": "document", "title": "a \"plan\".pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}])]
    assert "detail" in answer.headers["thalweg-dropped"]


CHOICES = {
    "auto": ({"tool_choice": "auto"}, {"type": "auto"}), "none": ({"tool_choice": "none"}, {"type": "none"}),
    "required": ({"tool_choice": "required"}, {"type": "any"}),
    "a named one": ({"tool_choice": {"type": "function", "function": {"name": "weather"}}}, {"type": "tool", "name": "weather"}),
    "one at a time": ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
    "one, and one is required": ({"tool_choice": "required", "parallel_tool_calls": False}, {"type": "any", "disable_parallel_tool_use": True}),
    "none, one at a time": ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
}


@pytest.mark.parametrize("choice, expected", CHOICES.values(), ids=CHOICES.keys())
def test_tools_and_their_choice_are_carried(claude, chats, choice, expected):
    chats.create(**ASK, tools=[{"type": "function", "function": {**TOOLS[0]["function"], "strict": True}}], **choice)
    function = TOOLS[0]["function"]
    assert sent(claude)["tools"] == [{"name": "weather", "description": function["description"], "strict": True, "input_schema": function["parameters"]}]
    assert sent(claude)["tool_choice"] == expected


def test_a_tool_without_parameters_is_one_that_takes_an_object(claude, chats):
    """The endpoint demands a schema of every tool."""
    chats.create(**ASK, tools=[{"type": "function", "function": {"name": "now"}}])
    assert sent(claude)["tools"][0]["input_schema"]["type"] == "object"


@pytest.mark.parametrize("content", [None, "", "I look."], ids=["no text", "an empty text", "a text"])
def test_tool_calls_and_their_results_are_one_turn_each(claude, chats, content):
    results = [{"role": "tool", "tool_call_id": "call_1", "content": "12 °C"},
               {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "dry"}]}]
    calls = [{"id": f"call_{number}", "type": "function", "function": {"name": "weather", "arguments": arguments}}
             for number, arguments in ((1, ARGUMENTS), (2, '{"city": "Bern"}'))]
    chats.create(model="big", tools=TOOLS, messages=[*ASK["messages"], {"role": "assistant", "content": content, "tool_calls": calls}, *results,
                                                    {"role": "user", "content": "And now?"}])
    user, assistant, last = turns(sent(claude))
    assert user == ("user", [text(PROMPT)])
    assert assistant == ("assistant", [*([text(content)] if content else []),
                                       {"type": "tool_use", "id": "call_1", "name": "weather", "input": json.loads(ARGUMENTS)},
                                       {"type": "tool_use", "id": "call_2", "name": "weather", "input": {"city": "Bern"}}])
    assert last[0] == "user" and last[1][2:] == [text("And now?")]
    assert [(block["type"], block["tool_use_id"], blocks(block["content"])) for block in last[1][:2]] == [
        ("tool_result", "call_1", [text("12 °C")]), ("tool_result", "call_2", [text("dry")])]
    carried = [message for message in sent(claude)["messages"] if isinstance(message["content"], list)
               and any(block["type"] == "tool_result" for block in message["content"])]
    assert len(carried) == 1, "the results are spread over messages"


HINTS = {"seed": 7, "metadata": {"team": "x"}, "service_tier": "auto", "prompt_cache_key": "k", "prompt_cache_retention": "24h",
         "prediction": {"type": "content", "content": "x"}, "reasoning_effort": "low", "verbosity": "low"}


@pytest.mark.parametrize("stream", [False, True])
def test_hints_are_dropped_and_named(gateway, claude, stream):
    body = {**json.loads(chat(prompt=PROMPT, stream=stream)), **HINTS}
    body["messages"] = [{**body["messages"][0], "name": "ann"}]
    with Raw(gateway.port) as peer:
        answer = peer.send(request(json.dumps(body).encode())).answer()
    named = answer.field("thalweg-dropped").split(", ")
    assert answer.status == 200 and set(HINTS) <= set(named) and len(named) == len(HINTS) + 1 and any(hint.endswith("name") for hint in named)
    assert set(sent(claude)) <= {"model", "messages", "max_tokens", "stream"} and set(sent(claude)["messages"][0]) == {"role", "content"}


def part(kind: str, **inside) -> dict:
    return {"messages": [{"role": "user", "content": [{"type": kind, kind: inside}]}]}


def called(arguments: str) -> dict:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    return {"tools": TOOLS, "messages": [*ASK["messages"], {"role": "assistant", "content": None, "tool_calls": [call]},
                                         {"role": "tool", "tool_call_id": "call_1", "content": "x"}]}


# What the request has, what the refusal names, and whether the other API's stand-in takes it.
NOT_CARRIED = {
    "a bias": ({"logit_bias": {"50256": -100}}, "logit_bias", True), "a frequency penalty": ({"frequency_penalty": 0.5}, "frequency_penalty", True),
    "a presence penalty": ({"presence_penalty": -1}, "presence_penalty", True), "several choices": ({"n": 2}, r"n\b", True),
    "log probabilities": ({"logprobs": True}, "logprobs", True), "functions": ({"functions": [{"name": "weather"}]}, "functions", True),
    "any JSON object": ({"response_format": {"type": "json_object"}}, "response_format|json_object", True),
    "an unlisted field": ({"x_future": {"deep": 1}}, "x_future", True),
    "arguments that are no object": (called("[1]"), "arguments", True),
    "a file of the provider's": (part("file", file_id="file-1"), "file", False),
    "audio": (part("input_audio", data="AA==", format="wav"), "(input_)?audio", False),
    "a tool of another type": ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools", False),
}


@pytest.mark.parametrize("field, named, _", NOT_CARRIED.values(), ids=NOT_CARRIED.keys())
def test_what_a_message_cannot_say_is_refused_by_name(claude, chats, field, named, _):
    error = raised(chats.create, **ASK, extra_body=field)
    assert type(error) is openai.BadRequestError and re.search(rf"\b({named})", error.message), error.message
    assert error.type == "invalid_request_error" and claude.asked() == []


@pytest.mark.parametrize("field", [field for field, _, taken in NOT_CARRIED.values() if taken], ids=[name for name, row in NOT_CARRIED.items() if row[2]])
@pytest.mark.parametrize("stream", [False, True])
def test_what_a_message_cannot_say_runs_where_it_can_be_said(start, claude, standin, python, field, stream):
    standin.extra_fields = frozenset(("x_future",))
    chats = python(start(config.claude_first(claude, standin)).base_url).chat.completions
    answer = chats.create(**ASK, stream=stream, extra_body=field)
    assert (fold(answer).models if stream else {answer.model}) == {config.SHOWN_NAME}
    assert claude.asked() == [] and all(standin.asked()[0].json[name] == value for name, value in field.items())


def test_completions_and_embeddings_are_not_carried(gateway, claude):
    for path, body in (("/v1/completions", {"model": "big", "prompt": "x"}), ("/v1/embeddings", {"model": "big", "input": "x"})):
        assert gateway.post(path, body).status == 400
    assert claude.asked() == []


# ---- chat completions out: what is answered ------------------------------------------------------------------------------------


def test_a_streamed_chat(gateway, claude, chats, node):
    chunks = [chunk.model_dump() for chunk in chats.create(**ASK, stream=True)]
    said = [chunk["choices"][0]["delta"]["content"] for chunk in chunks if chunk["choices"][0]["delta"].get("content")]
    assert said == answers.pieces_of(TEXT), "a delta was merged, split or lost"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert fold(chunks).finishes == {0: "stop"} and fold(chunks).models == {config.SHOWN_CLAUDE} and fold(chunks).usage is None
    assert len({chunk["id"] for chunk in chunks}) == 1 and chunks[0]["id"].startswith("chatcmpl-")
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    other = fold(node.chat(gateway.base_url, **ASK, stream=True)["chunks"])
    assert other.text == TEXT and other.finishes == {0: "stop"}
    assert sent(claude)["stream"] is True and "stream_options" not in sent(claude)


def test_usage_closes_a_stream_when_it_was_asked_for(claude, chats):
    chunks = [chunk.model_dump() for chunk in chats.create(**ASK, stream=True, stream_options={"include_usage": True})]
    usage = messages.usage_of(MESSAGE, behaviour.normal())
    assert chunks[-1]["choices"] == [] and all(chunk["choices"] and not chunk.get("usage") for chunk in chunks[:-1])
    told = chunks[-1]["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"]) == (messages.input_tokens(usage), usage["output_tokens"])
    assert told["total_tokens"] == told["prompt_tokens"] + told["completion_tokens"]
    assert told["prompt_tokens_details"]["cached_tokens"] == usage["cache_read_input_tokens"]
    for options in ({}, {"stream_options": {"include_usage": False}}):
        assert all(chunk.choices and chunk.usage is None for chunk in chats.create(**ASK, stream=True, **options))


def test_a_stream_is_a_chats_alone(gateway, claude):
    for how in (behaviour.normal(), messages.said(future=True), behaviour.lie("no_done")):
        claude.next(how)
        with Raw(gateway.port) as peer:
            body = peer.send(request(chat(prompt=PROMPT, stream=True))).answer().body
        data = frames(body)
        assert data[-1] == "[DONE]" and data.count("[DONE]") == 1 and b"event:" not in body
        assert fold(json.loads(frame) for frame in data[:-1]).text == TEXT
        assert not any(name in body for name in (b"message_start", b"ping", b"content_block", b"future", config.UPSTREAM_CLAUDE.encode()))


CUTS = {"byte by byte": {"piece": 1}, "three bytes": {"piece": 3}, "CRLF": {"newline": "\r\n"}, "CR": {"newline": "\r", "piece": 5},
        "comments": {"comments": True}, "several data lines": {"multiline": True, "piece": 2}, "ended by closing": {"framing": "close", "piece": 11}}


@pytest.mark.parametrize("how", CUTS.values(), ids=CUTS.keys())
def test_the_text_is_the_same_however_the_stream_is_cut_into_bytes(claude, chats, how):
    claude.always(messages.said(future=True, **how))
    folded = fold(chats.create(**ASK, stream=True))
    assert folded.text == TEXT and folded.finishes == {0: "stop"}


@pytest.mark.parametrize("split", [1, 3, 7, 10_000])
def test_streamed_tool_calls_join_to_the_models_arguments(gateway, claude, chats, node, split):
    claude.always(behaviour.normal(tool_calls=CALLS, split_arguments=split))
    folded = fold(chats.create(**ASK, tools=TOOLS, stream=True))
    other = fold(node.chat(gateway.base_url, **ASK, tools=TOOLS, stream=True)["chunks"])
    assert folded.tools == other.tools == {
        index: {"id": f"toolu_{index}", "name": name, "arguments": arguments or "{}"} for index, (name, arguments) in enumerate(CALLS)}
    assert folded.finishes == other.finishes == {0: "tool_calls"} and folded.text == ""


def test_whole_tool_calls(claude, chats):
    claude.always(messages.said(tool_calls=CALLS, text="I look."))
    choice = chats.create(**ASK, tools=TOOLS).choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content == "I look."
    assert [(call.id, call.type, call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls] == [
        (f"toolu_{index}", "function", name, json.loads(arguments or "{}")) for index, (name, arguments) in enumerate(CALLS)]
    assert choice.message.tool_calls[2].function.arguments == "{}"


def test_thinking_is_reasoning_content(gateway, claude, chats):
    claude.always(THINKING)
    answer = chats.create(**ASK).model_dump()
    message = answer["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == (THINKING.thinking, TEXT)
    thought = len(answers.pieces_of(THINKING.thinking))
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == thought
    with Raw(gateway.port) as peer:
        body = peer.send(request(chat(prompt=PROMPT, stream=True))).answer().body
    deltas = [json.loads(frame)["choices"][0]["delta"] for frame in frames(body)[:-1]]
    said = [delta["reasoning_content"] for delta in deltas if delta.get("reasoning_content")]
    assert said == answers.pieces_of(THINKING.thinking) and "".join(delta.get("content") or "" for delta in deltas) == TEXT
    assert THINKING.signature not in json.dumps(answer) and THINKING.signature.encode() not in body


STOPS = {"end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
         "refusal": "content_filter"}


@pytest.mark.parametrize("reason", STOPS)
def test_the_stop_reason_is_the_finish_reason(claude, chats, reason):
    claude.always(messages.said(stop_reason=reason, stop_sequence="END" if reason == "stop_sequence" else None))
    assert chats.create(**ASK).choices[0].finish_reason == STOPS[reason]
    assert fold(chats.create(**ASK, stream=True)).finishes == {0: STOPS[reason]}


# ---- chat completions out: what goes wrong -------------------------------------------------------------------------------------

REFUSALS = {400: openai.BadRequestError, 413: openai.APIStatusError, 422: openai.UnprocessableEntityError}


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_keeps_its_status_and_words(claude, chats, status, stream):
    claude.always(behaviour.refuse(status, error={"type": messages.error_type(status), "message": "Your seed is unlucky."}))
    error = raised(chats.create, **ASK, stream=stream)
    assert isinstance(error, REFUSALS[status]) and error.status_code == status and "Your seed is unlucky." in error.message and error.type
    assert len(claude.asked()) == 1, "a caller's fault was asked again"


@pytest.mark.parametrize("status", [401, 403])
def test_the_endpoints_credentials_error_is_not_the_callers(claude, chats, status):
    claude.always(behaviour.refuse(status, error={"type": messages.error_type(status), "message": f"invalid x-api-key {KEYS['CLAUDE_KEY']}"}))
    error = raised(chats.create, **ASK)
    assert type(error) is openai.InternalServerError and error.status_code == 502 and "refused its own key" in error.message
    assert "canary" not in str(error.body)


def test_a_rate_limit_keeps_its_retry_after_and_class(claude, chats):
    claude.always(behaviour.overload(429, "120"))
    error = raised(chats.create, **ASK)
    assert type(error) is openai.RateLimitError and 100 <= int(error.response.headers["retry-after"]) <= 120


@pytest.mark.parametrize("fault, statuses", [(behaviour.overload(529), (503, 529)), (behaviour.overload(500), (500, 502)), (behaviour.drop("rst"), (502,)),
                                             (behaviour.html(), (502,)), (behaviour.invalid_json(), (502,)), (behaviour.cut(0), (502,)),
                                             (behaviour.normal(length_error=50), (502,))],
                         ids=["529", "500", "reset", "HTML", "half a JSON object", "cut", "too short"])
def test_a_failed_endpoint_is_an_internal_server_error_class(claude, chats, fault, statuses):
    claude.always(fault)
    error = raised(chats.create, **ASK)
    assert type(error) is openai.InternalServerError and error.status_code in statuses and error.type


@pytest.mark.parametrize("stream, limit", [(True, "first_token"), (False, "whole")])
def test_a_silent_endpoint_is_a_gateway_time_out(start, claude, python, stream, limit):
    """Events that say nothing yet are no token."""
    gateway = start(config.claude_only(claude, {limit: config.short(0.4)}))
    claude.always(behaviour.stall("middle" if stream else "head", 3))
    error = raised(python(gateway.base_url).chat.completions.create, **ASK, stream=stream)
    assert error.status_code == 504 and error.type


def test_a_prompt_that_is_too_long_is_told_so(claude, chats):
    claude.always(messages.context_exceeded())
    error = raised(chats.create, **ASK)
    assert type(error) is openai.BadRequestError and messages.CONTEXT_REFUSAL in error.message
    assert len(claude.asked()) == 1, "it was resent unchanged to the same model"


BEFORE_THE_FIRST_BYTE = {
    "a reset": behaviour.drop("rst"), "an end without a byte": behaviour.drop("fin"), "529": behaviour.overload(529), "500": behaviour.overload(500),
    "429": behaviour.overload(429, "30"), "too long a prompt": messages.context_exceeded(), "silence before the head": behaviour.stall("head"),
    "an HTML page": behaviour.html(), "a wrong key there": behaviour.refuse(401),
}
BEFORE_THE_FIRST_TOKEN = {
    "a cut after the head": behaviour.cut(0), "a cut after the block's start": behaviour.cut(3), "silence after the ping": behaviour.stall("middle", 3),
    "an error at once": behaviour.lie("error", 0), "an error after the ping": behaviour.lie("error", 3), "an end at once": behaviour.lie("only_done"),
}
SHORT = {"first_token": config.short(0.5), "whole": config.short(0.5), "gap": config.short(0.5)}


@pytest.mark.parametrize("fault", BEFORE_THE_FIRST_BYTE.values(), ids=BEFORE_THE_FIRST_BYTE.keys())
def test_a_whole_chat_fails_over_to_the_other_api(start, claude, standin, python, fault):
    claude.always(fault)
    answer = python(start(config.claude_first(claude, standin, SHORT)).base_url).chat.completions.create(**ASK)
    assert answer.choices[0].message.content == TEXT and answer.model == config.SHOWN_NAME
    assert claude.asked() and sent(standin)["messages"] == ASK["messages"] and "max_tokens" not in sent(standin)


@pytest.mark.parametrize("fault", [*BEFORE_THE_FIRST_BYTE.values(), *BEFORE_THE_FIRST_TOKEN.values()],
                         ids=[*BEFORE_THE_FIRST_BYTE, *BEFORE_THE_FIRST_TOKEN])
def test_a_streamed_chat_fails_over_to_the_other_api(start, claude, standin, python, fault):
    claude.always(fault)
    gateway = start(config.claude_first(claude, standin, SHORT))
    folded = fold_until_error(python(gateway.base_url).chat.completions.create(**ASK, stream=True))
    assert folded.error is None and folded.text == TEXT and folded.finishes == {0: "stop"}
    assert folded.models == {config.SHOWN_NAME}, "frames of the failed attempt are mixed in"
    line = gateway.wait_lines(1)[0]
    assert line["endpoint"] == "standin" and line["failed"].startswith("claude: ")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [None, behaviour.overload(503), behaviour.cut(1)], ids=["refused connection", "503", "cut"])
def test_the_other_api_fails_over_to_this_one(start, claude, standin, python, fault, stream):
    standin.refuse_connections() if fault is None else standin.always(fault)
    chats = python(start(config.claude_second(standin, claude)).base_url).chat.completions
    if stream:
        folded = fold_until_error(chats.create(**ASK, stream=True))
        assert folded.error is None and (folded.text, folded.models) == (TEXT, {config.SHOWN_CLAUDE})
    else:
        answer = chats.create(**ASK)
        assert (answer.choices[0].message.content, answer.model) == (TEXT, config.SHOWN_CLAUDE)
    assert sent(claude)["max_tokens"] == 1024
    if fault is None:
        standin.accept_connections()


@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_connection_fails_over_to_the_other_api(start, claude, standin, python, stream):
    claude.refuse_connections()
    answer = python(start(config.claude_first(claude, standin)).base_url).chat.completions.create(**ASK, stream=stream)
    assert (fold(answer).text if stream else answer.choices[0].message.content) == TEXT
    claude.accept_connections()


AFTER_THE_FIRST_TOKEN = {"FIN": behaviour.cut(6, "fin"), "RST": behaviour.cut(6, "rst"), "an error": behaviour.lie("error", 6),
                         "no JSON": behaviour.lie("garbage", 6), "no stop reason": behaviour.lie("no_finish"),
                         "a length-less body": behaviour.cut(6, "fin", framing="close")}


@pytest.mark.parametrize("fault", AFTER_THE_FIRST_TOKEN.values(), ids=AFTER_THE_FIRST_TOKEN.keys())
def test_a_broken_stream_is_an_error_and_never_ends_well(start, claude, standin, python, node, fault):
    claude.always(fault)
    gateway = start(config.claude_first(claude, standin))
    folded = fold_until_error(python(gateway.base_url).chat.completions.create(**ASK, stream=True))
    assert isinstance(folded.error, Exception) and folded.finishes == {} and folded.text and TEXT.startswith(folded.text)
    assert "error" in node.chat(gateway.base_url, **ASK, stream=True)
    with Raw(gateway.port) as peer:
        data, ended_well = peer.send(request(chat(prompt=PROMPT, stream=True))).stream()
    assert "[DONE]" not in data and data[-1].startswith('{"error"') and not ended_well
    assert standin.asked() == [] and gateway.wait_lines(3)[0]["outcome"] == "truncated"


def test_the_endpoints_words_about_a_failed_stream_reach_the_caller(claude, chats):
    claude.always(behaviour.lie("error", 6, error={"type": "api_error", "message": "the model crashed"}))
    error = fold_until_error(chats.create(**ASK, stream=True)).error
    assert isinstance(error, openai.APIError) and "the model crashed" in str(error)


@pytest.mark.parametrize("how", ["no_done", "hold"])
def test_a_stream_that_told_its_stop_reason_is_complete(gateway, claude, chats, how):
    claude.always(behaviour.lie(how))
    folded = fold_until_error(chats.create(**ASK, stream=True))
    assert folded.error is None and folded.text == TEXT and folded.finishes == {0: "stop"}
    assert gateway.wait_lines(1)[0]["outcome"] == "complete"


def test_a_tool_call_cut_midway_is_an_error(claude, chats):
    claude.always(behaviour.cut(10, tool_calls=CALLS, split_arguments=3))
    folded = fold_until_error(chats.create(**ASK, tools=TOOLS, stream=True))
    assert folded.error is not None and folded.finishes == {} and ARGUMENTS.startswith(folded.tools[0]["arguments"]) and len(folded.tools) == 1


def test_a_caller_that_leaves_cancels_the_endpoint(gateway, claude, chats):
    claude.always(behaviour.stall("middle", 6))
    stream = chats.create(**ASK, stream=True)
    next(iter(stream))
    stream.close()
    claude.wait_for(lambda: claude.asked()[0].gone_at, "the endpoint sees it", 5)
    assert gateway.wait_lines(1)[0]["outcome"] == "client_gone"
