"""Anthropic's Messages through its unmodified client, over an endpoint that speaks chat completions, and over the real engine."""

import json

import anthropic
import pytest

import config
from gateway import Key
from provider import answers, behaviour
from waiting import until

ASK = {"model": "big", "max_tokens": 256, "messages": [{"role": "user", "content": "Where does it run?"}]}
TEXT = answers.text_for("Where does it run?")
WEATHER = {"name": "weather", "description": "The weather in a place", "input_schema": {
    "type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}
CALLS = (("weather", '{"place": "Zürich \\"HB\\" \\u6771"}'), ("weather", '{"place": "東京"}'))


def client(gateway, key: str = "any", **more) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0, http_client=anthropic.DefaultHttpxClient(trust_env=False), **more)


def sent(standin) -> dict:
    return json.loads(standin.asked()[-1].body)


def test_a_whole_answer(gateway, standin):
    message = client(gateway).messages.create(**ASK)
    assert [block.text for block in message.content] == [TEXT]
    assert message.role == "assistant" and message.type == "message" and message.model == config.SHOWN_NAME
    assert message.stop_reason == "end_turn" and message.id.startswith("msg_")
    expected = answers.usage_for({"messages": ASK["messages"]}, [TEXT])
    assert message.usage.output_tokens == expected["completion_tokens"]
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (expected["prompt_tokens"] - 3, 3)
    line = gateway.wait_lines(1)[0]
    assert line["path"] == "/v1/messages" and line["outcome"] == "complete" and line["output_tokens"] == expected["completion_tokens"]
    assert message._request_id == line["request"]
    assert sent(standin) == {"model": config.UPSTREAM_NAME, "messages": ASK["messages"], "max_tokens": 256}


def test_a_streamed_answer(gateway, standin):
    with client(gateway).messages.stream(**ASK) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert "".join(pieces) == TEXT and len(pieces) == len(answers.pieces_of(TEXT)), "a delta was buffered or lost"
    assert [block.text for block in message.content] == [TEXT] and message.stop_reason == "end_turn"
    expected = answers.usage_for({"messages": ASK["messages"]}, [TEXT])
    assert (message.usage.output_tokens, message.usage.input_tokens) == (expected["completion_tokens"], expected["prompt_tokens"] - 3)
    assert sent(standin)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("split", [1, 3, 7])
def test_streamed_tool_calls_arrive_whole(gateway, standin, split):
    """In fragments of few characters, which cut escapes in two."""
    standin.always(behaviour.normal(tool_calls=CALLS, split_arguments=split))
    with client(gateway).messages.stream(**ASK, tools=[WEATHER]) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
    assert [(block.type, block.name, block.input) for block in message.content] == [
        ("tool_use", name, json.loads(arguments)) for name, arguments in CALLS]
    assert len({block.id for block in message.content}) == 2 and message.stop_reason == "tool_use"
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2


def test_whole_tool_calls_and_their_results(gateway, standin):
    standin.next(behaviour.normal(tool_calls=CALLS))
    messages = client(gateway).messages
    first = messages.create(**ASK, tools=[WEATHER], tool_choice={"type": "any", "disable_parallel_tool_use": True})
    assert [block.input for block in first.content] == [json.loads(arguments) for _, arguments in CALLS]
    assert first.stop_reason == "tool_use"
    body = sent(standin)
    assert body["tools"] == [{"type": "function", "function": {
        "name": "weather", "description": WEATHER["description"], "parameters": WEATHER["input_schema"]}}]
    assert body["tool_choice"] == "required" and body["parallel_tool_calls"] is False

    results = [{"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": f"{n} °C"}, {"type": "text", "text": "dry"}]}
               for n, block in enumerate(first.content)]
    messages.create(**{**ASK, "messages": [*ASK["messages"], {"role": "assistant", "content": first.model_dump()["content"]},
                                           {"role": "user", "content": [*results, {"type": "text", "text": "And now?"}]}]}, tools=[WEATHER])
    user, assistant, one, two, last = sent(standin)["messages"]
    assert user == ASK["messages"][0] and assistant["content"] is None
    assert [(call["id"], json.loads(call["function"]["arguments"])) for call in assistant["tool_calls"]] == [
        (block.id, block.input) for block in first.content]
    assert one == {"role": "tool", "tool_call_id": first.content[0].id, "content": "0 °C\n\ndry"} and two["content"] == "1 °C\n\ndry"
    assert last == {"role": "user", "content": "And now?"}


def test_system_images_documents_and_settings_are_carried(gateway, standin):
    pixel = "iVBORw0KGgo="
    client(gateway).messages.create(
        model="big", max_tokens=9, system=[{"type": "text", "text": "Be\nbrief."}, {"type": "text", "text": "And kind.", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["END"], extra_body={"temperature": 0.5},
        messages=[{"role": "user", "content": [
            {"type": "text", "text": "Look"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": pixel}},
            {"type": "image", "source": {"type": "url", "url": "https://e.example/a.png"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A document."}}]},
            {"role": "assistant", "content": [{"type": "text", "text": "I "}, {"type": "text", "text": "see"}]}])
    body = sent(standin)
    assert body["messages"] == [
        {"role": "system", "content": "Be\nbrief.\n\nAnd kind."},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}},
                                     {"type": "image_url", "image_url": {"url": "https://e.example/a.png"}}, {"type": "text", "text": "A document."}]},
        {"role": "assistant", "content": "I see"}]
    assert (body["stop"], body["temperature"], body["max_tokens"]) == (["END"], 0.5, 9)


def test_an_answer_follows_its_schema(gateway, standin):
    schema = {"type": "object", "properties": {"city": {"type": "integer"}}, "required": ["city"], "additionalProperties": False}
    message = client(gateway).messages.create(**ASK, output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(message.content[0].text) == {"city": 7}
    assert sent(standin)["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def test_hints_are_dropped_and_named(gateway, standin):
    answer = client(gateway).messages.with_raw_response.create(
        **ASK, thinking={"type": "enabled", "budget_tokens": 1024}, metadata={"user_id": "u"}, extra_body={"top_k": 5})
    assert sorted(answer.headers["thalweg-dropped"].split(", ")) == ["metadata", "thinking", "top_k"]
    assert set(sent(standin)) == {"model", "messages", "max_tokens"}


MEANINGS = {
    "a container": ({"container": "c_1"}, "container"),
    "a provider's own tool": ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
    "an unknown field": ({"mcp_servers": []}, "mcp_servers"),
    "a region": ({"inference_geo": "us"}, "inference_geo"),
    "signed thinking": ({"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "sig"}]}]}, "messages.0.content.0"),
    "a file": ({"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]}, "messages.0.content.0.source"),
}


@pytest.mark.parametrize("field, named", MEANINGS.values(), ids=MEANINGS.keys())
def test_what_a_chat_completion_cannot_say_is_refused_by_name(gateway, standin, field, named):
    with pytest.raises(anthropic.BadRequestError) as caught:
        client(gateway).messages.create(**ASK, extra_body=field)
    assert named in caught.value.body["error"]["message"]
    assert caught.value.body["error"]["type"] == "invalid_request_error" and standin.asked() == []


ERRORS = {400: anthropic.BadRequestError, 422: anthropic.UnprocessableEntityError, 429: anthropic.RateLimitError,
          500: anthropic.InternalServerError}


@pytest.mark.parametrize("status", [400, 422, 429, 500])
def test_errors_are_the_clients_own(gateway, standin, status):
    standin.always(behaviour.refuse(status, "90", error={"message": "no such luck", "type": "x", "param": None, "code": "y"}))
    with pytest.raises(ERRORS[status]) as caught:
        client(gateway).messages.create(**ASK)
    assert caught.value.body["type"] == "error" and "no such luck" in caught.value.body["error"]["message"]
    assert caught.value.response.headers["request-id"] == caught.value.body["request_id"]


def test_a_model_that_is_not_there_and_a_wrong_key(start, standin):
    key = Key("dev", ["big"])
    gateway = start(config.one(standin, keys=[key.settings]))
    with pytest.raises(anthropic.NotFoundError) as caught:
        client(gateway, key.text).messages.create(**{**ASK, "model": "none"})
    assert caught.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.AuthenticationError) as caught:
        client(gateway, "tw_dev_wrong").messages.create(**ASK)
    assert caught.value.body["error"]["type"] == "authentication_error"
    older = gateway.post("/v1/messages", ASK, {"x-api-key": key.text, "anthropic-version": "2023-06-01"})
    assert older.status == 200 and older.json["content"][0]["text"] == TEXT
    assert gateway.post("/v1/messages", ASK, {"x-api-key": "tw_dev_wrong"}).status == 401


@pytest.mark.parametrize("fault", [behaviour.cut(4), behaviour.lie("error", 4), behaviour.lie("no_finish")], ids=["cut", "error", "no finish reason"])
def test_a_broken_stream_is_an_error_event_and_never_ends_well(gateway, standin, fault):
    standin.always(fault)
    seen = []
    with pytest.raises(anthropic.APIError):
        with client(gateway).messages.stream(**ASK) as stream:
            for event in stream:
                seen.append(event.type)
    assert seen and "message_stop" not in seen


def test_a_stream_without_an_end_mark_is_finished(gateway, standin):
    standin.always(behaviour.lie("no_done"))
    with client(gateway).messages.stream(**ASK) as stream:
        message = stream.get_final_message()
    assert message.content[0].text == TEXT and message.stop_reason == "end_turn"


def test_a_failover_begins_the_message_anew(start, standin, second):
    standin.always(behaviour.cut(1))
    with client(start(config.two(standin, second))).messages.stream(**ASK) as stream:
        events = [event.type for event in stream]
        message = stream.get_final_message()
    assert message.content[0].text == TEXT and events.count("message_start") == 1


def test_a_caller_that_leaves_cancels_the_endpoint(gateway, standin):
    standin.always(behaviour.normal(gap=0.2))
    with client(gateway).messages.stream(**ASK) as stream:
        next(iter(stream.text_stream))
    standin.wait_for(lambda: standin.asked()[0].gone_at, "the endpoint sees it")
    until(lambda: gateway.wait_lines(1)[0]["outcome"] == "client_gone", "it is logged")


@pytest.mark.parametrize("stream", [False, True])
def test_the_engine_answers_too(engine, stream):
    ask = {"model": "small", "max_tokens": 24, "messages": [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}],
           "extra_body": {"temperature": 0}}
    messages = client(engine).messages
    if stream:
        with messages.stream(**ask) as events:
            message = events.get_final_message()
    else:
        message = messages.create(**ask)
    assert "Paris" in message.content[0].text and message.model == config.ENGINE_MODEL
    assert message.usage.input_tokens + message.usage.cache_read_input_tokens > 5 and 0 < message.usage.output_tokens <= 24
    with pytest.raises(anthropic.BadRequestError, match="tools"):
        messages.create(**ask, tools=[WEATHER])


def test_a_translated_request_counts_in_limits_held(start, standin):
    """The caller's body and what is written from it: 3 MiB fit into 8 once, and twice no more."""
    gateway = start(config.one(standin, limits={"held": "8MiB", "body": "5MiB", "answer": "1MiB"}))
    ask = lambda size: gateway.post("/v1/messages", {**ASK, "messages": [{"role": "user", "content": "x" * size}]})
    assert ask(3 << 20).status != 503
    refused = ask(4400 << 10)
    assert refused.status == 503 and refused.json["error"]["type"] == "overloaded_error" and refused.headers["retry-after"]
    until(lambda: gateway.metric("thalweg_held_bytes") == 0, "all is given back")
