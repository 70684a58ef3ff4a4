"""The real engine with the default model, through both unmodified clients."""

import json

import openai
import pytest

import config
from reading import fold
from waiting import until

ASK = {"model": "small", "messages": [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}], "max_tokens": 24}
SURE = {"temperature": 0, "seed": 1}


def test_both_clients_get_an_answer(engine, python, node):
    answer = python(engine.base_url).chat.completions.create(**ASK, **SURE)
    other = node.chat(engine.base_url, **ASK, **SURE)["answer"]
    for whole in (answer.model_dump(), other):
        assert "Paris" in whole["choices"][0]["message"]["content"]
        assert whole["choices"][0]["finish_reason"] in ("stop", "length")
        assert whole["model"] == config.ENGINE_MODEL and whole["object"] == "chat.completion"
        assert whole["usage"]["prompt_tokens"] > 5 and 0 < whole["usage"]["completion_tokens"] <= 24


def test_a_stream_says_what_the_whole_answer_says(engine, python, node):
    """The engine always streams; the gateway folds for callers who do not."""
    whole = python(engine.base_url).chat.completions.create(**ASK, **SURE)
    stream = fold(python(engine.base_url).chat.completions.create(**ASK, **SURE, stream=True, stream_options={"include_usage": True}))
    other = fold(node.chat(engine.base_url, **ASK, **SURE, stream=True)["chunks"])
    assert stream.text == other.text == whole.choices[0].message.content
    assert stream.finishes == {0: whole.choices[0].finish_reason}
    assert stream.frames > 3 and stream.models == {config.ENGINE_MODEL}
    assert stream.usage["completion_tokens"] == whole.usage.completion_tokens and other.usage is None


def test_choices_take_a_slot_each_so_that_the_next_request_waits_its_turn(start, python):
    """Two choices fill an engine of two slots: whoever comes then waits here, where it may go elsewhere, not there."""
    gateway = start(config.engine_only(limits={"wait": "300s"})).wait_ready()
    client = python(gateway.base_url)
    both = client.chat.completions.create(**{**ASK, "max_tokens": 100}, n=2, stream=True, extra_body={"ignore_eos": True})
    first = next(iter(both))
    assert first.choices
    short = client.chat.completions.create(**{**ASK, "max_tokens": 1})
    assert short.choices[0].finish_reason == "length"
    assert gateway.metric("thalweg_waits_total") >= 1, "it was sent into the engine's own queue"
    both.close()


SCHEMA = {"type": "object", "additionalProperties": False, "required": ["city", "population", "capital"],
          "properties": {"city": {"type": "string", "maxLength": 20}, "population": {"type": "integer"}, "capital": {"type": "boolean"}}}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_follows_its_json_schema(engine, python, stream):
    form = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": SCHEMA}}
    ask = {**ASK, "max_tokens": 128, "messages": [{"role": "user", "content": "Describe Paris as JSON."}], **SURE}
    client = python(engine.base_url)
    if stream:
        text = fold(client.chat.completions.create(**ask, response_format=form, stream=True)).text
    else:
        text = client.chat.completions.create(**ask, response_format=form).choices[0].message.content
    value = json.loads(text)
    assert set(value) == {"city", "population", "capital"}
    assert isinstance(value["city"], str) and len(value["city"]) <= 20
    assert isinstance(value["population"], int) and isinstance(value["capital"], bool)


def test_tools_are_refused_by_name_because_the_models_template_ignores_them(engine, python, node):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            python(engine.base_url).chat.completions.create(**ASK, tools=tools, stream=stream)
        assert "tools" in caught.value.message and caught.value.type == "invalid_request_error"
    told = node.chat(engine.base_url, **ASK, tools=tools)["error"]
    assert told["class"] == "BadRequestError" and "tools" in told["message"]


def test_images_are_refused_because_the_model_cannot_see(engine, python):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    with pytest.raises(openai.BadRequestError) as caught:
        python(engine.base_url).chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": [image]}]})
    assert "image" in caught.value.message


def test_completions_go_on_from_the_prompt(engine, python):
    answer = python(engine.base_url).completions.create(model="small", prompt="The capital of France is", max_tokens=8, **SURE)
    assert "Paris" in answer.choices[0].text and answer.object == "text_completion" and answer.model == config.ENGINE_MODEL


def test_stop_ends_the_answer_before_its_word(engine, python):
    client = python(engine.base_url)
    free = client.chat.completions.create(**ASK, **SURE).choices[0].message.content
    stopped = client.chat.completions.create(**ASK, **SURE, stop=["Paris"])
    assert "Paris" in free and "Paris" not in stopped.choices[0].message.content
    assert stopped.choices[0].finish_reason == "stop"


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(engine, python):
    ask = {**ASK, "messages": [{"role": "user", "content": "Invent a name for a river."}], "temperature": 1.5}
    said = [python(engine.base_url).chat.completions.create(**ask, seed=seed).choices[0].message.content for seed in (7, 7, 8, 9)]
    assert said[0] == said[1] and len(set(said)) > 1


def test_logprobs_are_those_of_the_answers_own_tokens(engine, python):
    answer = python(engine.base_url).chat.completions.create(**ASK, **SURE, logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) in (answer.usage.completion_tokens, answer.usage.completion_tokens - 1)
    assert "".join(token.token for token in tokens).strip() == answer.choices[0].message.content.strip()
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 3 for token in tokens)


def test_several_choices_come_folded_and_whole(engine, python):
    answer = python(engine.base_url).chat.completions.create(**{**ASK, "max_tokens": 8}, n=2, temperature=1.2, seed=3)
    assert sorted(choice.index for choice in answer.choices) == [0, 1]
    assert all(choice.message.content and choice.finish_reason for choice in answer.choices)


def test_a_prompt_beyond_the_context_is_a_clear_400(engine, python):
    with pytest.raises(openai.BadRequestError) as caught:
        python(engine.base_url).chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": "river " * 5000}]})
    assert caught.value.code == "context_length_exceeded"


def test_the_prefix_of_a_prefilled_answer_is_not_repeated(engine, python):
    messages = [*ASK["messages"], {"role": "assistant", "content": "The capital of France is"}]
    for stream in (False, True):
        client = python(engine.base_url)
        ask = {**ASK, **SURE, "messages": messages}
        text = fold(client.chat.completions.create(**ask, stream=True)).text if stream else client.chat.completions.create(**ask).choices[0].message.content
        assert "Paris" in text and not text.lstrip().startswith("The capital of France is")


def test_a_client_that_leaves_stops_the_engine(engine, python):
    """The whole answer would take many seconds; the slot must be free long before."""
    stream = python(engine.base_url).chat.completions.create(**{**ASK, "messages": [{"role": "user", "content": "Count to a thousand."}], "max_tokens": 1500}, stream=True)
    for number, _ in enumerate(stream):
        if number == 3:
            break
    assert engine.metric("thalweg_endpoint_running", endpoint="local") == 1
    stream.close()
    until(lambda: engine.metric("thalweg_endpoint_running", endpoint="local") == 0, "the slot is free", 5)


def test_unicode_survives_the_engine(engine, python):
    ask = {**ASK, "messages": [{"role": "user", "content": "Repeat: Zürich, 東京, 🚰"}], **SURE}
    whole = python(engine.base_url).chat.completions.create(**ask).choices[0].message.content
    streamed = fold(python(engine.base_url).chat.completions.create(**ask, stream=True)).text
    assert whole == streamed and "\ufffd" not in whole


def test_metrics_and_log_count_the_engines_tokens(engine, python):
    before = engine.token_counts()
    raw = python(engine.base_url).chat.completions.with_raw_response.create(**ASK, **SURE)
    answer = raw.parse()
    line = until(lambda: next((line for line in engine.lines() if line["request"] == raw.request_id), None), "the request's line")
    after = engine.token_counts()
    assert {kind: after[kind] - before[kind] for kind in after} == {"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}
    assert (line["input_tokens"], line["output_tokens"]) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert line["place"] == "here" and line["model"] == config.ENGINE_MODEL
