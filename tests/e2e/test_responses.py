"""OpenAI's Responses through its unmodified client, over endpoints that speak chat completions, over Anthropic's API and over the engine."""

import json

import openai
import pytest

import config
from provider import answers, behaviour
from raw import Raw, frames, request
from waiting import until

PROMPT = "Where does it run?"
TEXT = answers.text_for(PROMPT)
ASK = {"model": "big", "input": PROMPT}
WEATHER = {"type": "function", "name": "weather", "description": "The weather in a place", "strict": True, "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"], "additionalProperties": False}}
CALLS = (("weather", '{"place": "Zürich \\"HB\\" \\u6771"}'), ("weather", '{"place": "東京"}'))


@pytest.fixture
def responses(gateway, python):
    return python(gateway.base_url).responses


def sent(standin) -> dict:
    return standin.asked()[-1].json


def test_a_whole_answer(gateway, standin, responses):
    answer = responses.create(**ASK, instructions="Be brief.", metadata={"team": "x"})
    assert answer.output_text == TEXT and answer.status == "completed" and answer.model == config.SHOWN_NAME and answer.id.startswith("resp_")
    assert answer.instructions == "Be brief." and answer.metadata == {"team": "x"} and answer.error is None
    expected = answers.usage_for({"messages": [{"role": "user", "content": PROMPT}]}, [TEXT])
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (expected["prompt_tokens"], expected["completion_tokens"])
    assert answer.usage.input_tokens_details.cached_tokens == 3
    assert [message["role"] for message in sent(standin)["messages"]] == ["system", "user"]
    line = gateway.wait_lines(1)[0]
    assert (line["path"], line["outcome"], line["output_tokens"]) == ("/v1/responses", "complete", expected["completion_tokens"])


def test_a_streamed_answer(gateway, standin, responses):
    with responses.stream(**ASK) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == TEXT and len(deltas) == len(answers.pieces_of(TEXT)), "a delta was buffered or lost"
    assert final.output_text == TEXT and final.status == "completed" and final.usage.output_tokens == len(deltas)
    with Raw(gateway.port) as peer:
        raw = peer.send(request(json.dumps({**ASK, "stream": True}).encode(), path="/v1/responses")).answer()
    numbers = [json.loads(line[6:])["sequence_number"] for line in raw.body.decode().splitlines() if line.startswith("data: ")]
    assert numbers == list(range(len(numbers))) and b"[DONE]" not in raw.body


@pytest.mark.parametrize("split", [1, 3, 7])
def test_streamed_tool_calls_arrive_whole(standin, responses, split):
    standin.always(behaviour.normal(tool_calls=CALLS, split_arguments=split))
    with responses.stream(**ASK, tools=[WEATHER]) as stream:
        list(stream)
        final = stream.get_final_response()
    assert [(item.type, item.name, json.loads(item.arguments)) for item in final.output] == [
        ("function_call", name, json.loads(arguments)) for name, arguments in CALLS]
    assert len({item.call_id for item in final.output}) == 2


def test_tool_calls_and_their_results(standin, responses):
    standin.next(behaviour.normal(tool_calls=CALLS))
    first = responses.create(**ASK, tools=[WEATHER], tool_choice="required", parallel_tool_calls=True)
    results = [{"type": "function_call_output", "call_id": item.call_id, "output": f"{n} °C"} for n, item in enumerate(first.output)]
    responses.create(model="big", tools=[WEATHER], input=[{"role": "user", "content": PROMPT}, *[item.model_dump() for item in first.output], *results])
    roles = [message["role"] for message in sent(standin)["messages"]]
    assert roles == ["user", "assistant", "tool", "tool"]
    assert [json.loads(call["function"]["arguments"]) for call in sent(standin)["messages"][1]["tool_calls"]] == [json.loads(a) for _, a in CALLS]


def test_tools_in_a_namespace(standin, responses):
    crm = {"type": "namespace", "name": "crm", "description": "Customers", "tools": [{**WEATHER, "name": "find"}]}
    standin.next(behaviour.normal(tool_calls=(("crm__find", '{"place": "Bern"}'),)))
    with responses.stream(**ASK, tools=[crm, {**WEATHER, "name": "find"}]) as stream:
        list(stream)
        call = stream.get_final_response().output[0]
    assert (call.namespace, call.name) == ("crm", "find")
    assert [tool["function"]["name"] for tool in sent(standin)["tools"]] == ["crm__find", "find"]
    responses.create(model="big", tools=[crm], input=[{"role": "user", "content": PROMPT}, call.model_dump(exclude={"parsed_arguments"}),
                                                      {"type": "function_call_output", "call_id": call.call_id, "output": "7"}])
    assert sent(standin)["messages"][1]["tool_calls"][0]["function"]["name"] == "crm__find"


def test_an_image_and_a_schema(standin, responses):
    schema = {"type": "object", "properties": {"city": {"type": "integer"}}, "required": ["city"], "additionalProperties": False}
    answer = responses.create(model="big", input=[{"role": "user", "content": [
        {"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}]}],
        text={"format": {"type": "json_schema", "name": "c", "schema": schema, "strict": True}})
    assert json.loads(answer.output_text) == {"city": 7}
    parts = sent(standin)["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url"] and sent(standin)["response_format"]["json_schema"]["schema"] == schema


REFUSED = {"previous_response_id": {"previous_response_id": "resp_1"}, "background": {"background": True}, "conversation": {"conversation": "conv_1"},
           "tools": {"tools": [{"type": "web_search"}]}, "x_future": {"extra_body": {"x_future": 1}}}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_carried_is_refused_by_name(standin, responses, name):
    with pytest.raises(openai.BadRequestError) as caught:
        responses.create(**ASK, **REFUSED[name])
    assert name in caught.value.message and standin.asked() == []


@pytest.mark.parametrize("status, kind", [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)])
def test_errors(standin, responses, status, kind):
    standin.always(behaviour.refuse(status))
    with pytest.raises(kind):
        responses.create(**ASK)


def test_an_error_in_the_stream_is_an_event(gateway, standin, responses):
    standin.always(behaviour.normal(end="fin", frames=4))
    with pytest.raises(openai.APIError):
        with responses.stream(**ASK) as stream:
            list(stream)
    assert gateway.wait_lines(1)[0]["outcome"] != "complete"


def test_a_client_that_leaves_ends_the_request_upstream(standin, responses):
    standin.always(behaviour.normal(gap=0.2))
    stream = responses.create(**ASK, stream=True)
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    stream.close()
    until(lambda: standin.asked()[0].gone_at, "the endpoint sees it")


@pytest.mark.parametrize("stream", [False, True])
def test_over_anthropics_api(start, claude, python, stream):
    responses = python(start(config.claude_only(claude)).base_url).responses
    claude.always(behaviour.normal(tool_calls=CALLS, split_arguments=2))
    if stream:
        with responses.stream(**ASK, tools=[WEATHER]) as events:
            list(events)
            final = events.get_final_response()
    else:
        final = responses.create(**ASK, tools=[WEATHER])
    assert [json.loads(item.arguments) for item in final.output] == [json.loads(arguments) for _, arguments in CALLS]
    assert final.model == config.SHOWN_CLAUDE and final.usage.output_tokens > 0
    claude.always(behaviour.normal())
    assert responses.create(**ASK).output_text == TEXT


def test_over_the_engine(engine, python):
    responses = python(engine.base_url).responses
    whole = responses.create(model="small", input="Say hello.", max_output_tokens=8, temperature=0)
    *_, last = responses.create(model="small", input="Say hello.", max_output_tokens=8, temperature=0, stream=True)
    final = last.response
    assert whole.output_text == final.output_text != "" and whole.status == final.status
    if whole.status == "incomplete":
        assert whole.incomplete_details.reason == "max_output_tokens"
