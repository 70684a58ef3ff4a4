"""Ollama's API through its unmodified client, over endpoints that speak chat completions, over Anthropic's API and over the engine."""

import base64
import datetime
import json
import pathlib

import ollama
import pytest

import config
from gateway import MODEL, Key
from provider import answers, behaviour
from raw import Raw, request
from waiting import until

PROMPT = "Where does it run?"
TEXT = answers.text_for(PROMPT)
MESSAGES = [{"role": "user", "content": PROMPT}]
ASK = {"model": "big", "messages": MESSAGES}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "The weather in a place", "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}}
CALLS = (("weather", '{"place": "Zürich \\"HB\\" \\u6771"}'), ("weather", '{"place": "東京"}'))
PIXEL = bytes.fromhex("89504e470d0a1a0a")
SCHEMA = {"type": "object", "properties": {"city": {"type": "integer"}}, "required": ["city"]}


def client(gateway, key: str | None = None, **more) -> ollama.Client:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return ollama.Client(host=gateway.url, headers=headers, trust_env=False, **more)


def sent(standin) -> dict:
    return standin.asked()[-1].json


def arguments_of(message) -> list[dict]:
    return [dict(call.function.arguments) for call in message.tool_calls]


# ---- Chat ----------------------------------------------------------------------------------------------------------------------


def test_a_whole_chat(gateway, standin):
    answer = client(gateway).chat(**ASK)
    expected = answers.usage_for({"messages": MESSAGES}, [TEXT])
    assert answer.message.content == TEXT and answer.message.role == "assistant" and answer.model == config.SHOWN_NAME
    assert answer.done is True and answer.done_reason == "stop"
    assert (answer.prompt_eval_count, answer.eval_count) == (expected["prompt_tokens"], expected["completion_tokens"])
    assert answer.total_duration > 0
    # Of a server that answers whole nobody knows when it began, nor whether it loaded a model.
    assert answer.load_duration is answer.prompt_eval_duration is answer.eval_duration is None
    assert datetime.datetime.fromisoformat(answer.created_at.replace("Z", "+00:00")).year >= 2024
    assert sent(standin) == {"model": config.UPSTREAM_NAME, "messages": MESSAGES, "stream": False}
    line = gateway.wait_lines(1)[0]
    assert (line["path"], line["outcome"], line["output_tokens"]) == ("/api/chat", "complete", expected["completion_tokens"])


def test_a_streamed_chat(gateway, standin):
    parts = list(client(gateway).chat(**ASK, stream=True))
    pieces = [part.message.content for part in parts[:-1]]
    last = parts[-1]
    assert pieces == answers.pieces_of(TEXT), "a piece was buffered or lost"
    assert [part.done for part in parts] == [False] * len(pieces) + [True] and last.message.content == ""
    assert last.done_reason == "stop" and last.eval_count == len(pieces)
    assert last.total_duration >= last.prompt_eval_duration + last.eval_duration > 0 and last.load_duration is None
    assert sent(standin)["stream_options"] == {"include_usage": True}


def test_a_chat_streams_unless_it_is_told_not_to(gateway):
    with Raw(gateway.port) as peer:
        raw = peer.send(request(json.dumps(ASK).encode(), path="/api/chat")).answer()
    assert raw.field("Content-Type") == "application/x-ndjson"
    lines = [json.loads(line) for line in raw.body.decode().splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == TEXT and raw.body.endswith(b"}\n")
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


def test_comments_of_a_stream_are_no_lines(standin, gateway):
    standin.always(behaviour.normal(comments=True, multiline=True))
    assert "".join(part.message.content for part in client(gateway).chat(**ASK, stream=True)) == TEXT


@pytest.mark.parametrize("split", [1, 3, 7])
def test_streamed_tool_calls_arrive_whole(gateway, standin, split):
    """In fragments of few characters, which cut escapes in two."""
    standin.always(behaviour.normal(tool_calls=CALLS, split_arguments=split))
    parts = list(client(gateway).chat(**ASK, tools=[WEATHER], stream=True))
    calls = [call for part in parts for call in part.message.tool_calls or []]
    assert [(call.function.name, dict(call.function.arguments)) for call in calls] == [(name, json.loads(text)) for name, text in CALLS]
    assert len(parts) == 3 and parts[-1].done_reason == "stop"


def test_parallel_tool_calls_and_their_results(gateway, standin):
    standin.next(behaviour.normal(tool_calls=CALLS))
    first = client(gateway).chat(**ASK, tools=[WEATHER])
    assert arguments_of(first.message) == [json.loads(text) for _, text in CALLS]
    assert sent(standin)["tools"] == [WEATHER]
    results = [{"role": "tool", "tool_name": "weather", "content": f"{n} °C"} for n in range(2)]
    client(gateway).chat(model="big", messages=[*MESSAGES, first.message, *results], tools=[WEATHER])
    user, assistant, one, two = sent(standin)["messages"]
    assert user == MESSAGES[0] and [json.loads(call["function"]["arguments"]) for call in assistant["tool_calls"]] == [json.loads(a) for _, a in CALLS]
    ids = [call["id"] for call in assistant["tool_calls"]]
    assert len(set(ids)) == 2 and [(m["tool_call_id"], m["content"]) for m in (one, two)] == [(ids[0], "0 °C"), (ids[1], "1 °C")]


def test_a_python_function_is_a_tool(gateway, standin):
    def add(a: int, b: int) -> int:
        """
        Adds.

        Args:
          a: One
          b: Two
        """
        return a + b

    standin.always(behaviour.normal(tool_calls=(("add", '{"a": 1, "b": 2}'),)))
    answer = client(gateway).chat(**ASK, tools=[add])
    assert [add(**arguments) for arguments in arguments_of(answer.message)] == [3]


def test_an_image(gateway, standin):
    client(gateway).chat(model="big", messages=[{"role": "user", "content": "Look", "images": [PIXEL, base64.b64encode(PIXEL).decode()]}])
    text, *images = sent(standin)["messages"][0]["content"]
    url = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    assert text == {"type": "text", "text": "Look"} and images == [{"type": "image_url", "image_url": {"url": url}}] * 2


def test_an_answer_follows_its_schema(gateway, standin):
    answer = client(gateway).chat(**ASK, format=SCHEMA)
    assert json.loads(answer.message.content) == {"city": 7}
    assert sent(standin)["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    client(gateway).chat(**ASK, format={**SCHEMA, "additionalProperties": False})
    assert sent(standin)["response_format"]["json_schema"]["strict"] is True
    client(gateway).chat(**ASK, format="json")
    assert sent(standin)["response_format"] == {"type": "json_object"}


def test_options_are_carried_where_they_are_known(gateway, standin):
    options = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "num_predict": 9, "stop": ["END"], "presence_penalty": 0.1, "frequency_penalty": 0.2}
    with Raw(gateway.port) as peer:
        body = {**ASK, "stream": False, "keep_alive": "5m", "think": True, "options": {**options, "top_k": 5, "min_p": 0.1, "num_ctx": 4096}}
        raw = peer.send(request(json.dumps(body).encode(), path="/api/chat")).answer()
    assert raw.status == 200
    assert raw.field("Thalweg-Dropped") == "options.num_ctx, keep_alive, think, options.top_k, options.min_p"
    del options["num_predict"]
    assert sent(standin) == {"model": config.UPSTREAM_NAME, "messages": MESSAGES, "stream": False, "max_tokens": 9, **options}


def test_log_probabilities(gateway, standin):
    answer = client(gateway).chat(**ASK, logprobs=True, top_logprobs=2)
    assert [entry.token for entry in answer.logprobs] == answers.pieces_of(TEXT) and len(answer.logprobs[0].top_logprobs) == 2
    parts = list(client(gateway).chat(**ASK, logprobs=True, top_logprobs=2, stream=True))
    assert [entry.token for part in parts for entry in part.logprobs or []] == answers.pieces_of(TEXT)


# ---- Generate ------------------------------------------------------------------------------------------------------------------


def test_generate(gateway, standin):
    answer = client(gateway).generate("big", PROMPT, system="Be brief.")
    assert answer.response == TEXT and answer.done and answer.done_reason == "stop" and answer.context is None and answer.eval_count > 0
    assert sent(standin)["messages"] == [{"role": "system", "content": "Be brief."}, *MESSAGES]
    parts = list(client(gateway).generate("big", PROMPT, stream=True))
    assert [part.response for part in parts] == [*answers.pieces_of(TEXT), ""] and parts[-1].done


@pytest.mark.parametrize("stream", [False, True])
def test_a_raw_prompt_goes_as_it_is(gateway, standin, stream):
    answer = client(gateway).generate("big", PROMPT, suffix="\n", raw=True, stream=stream)
    text = "".join(part.response for part in answer) if stream else answer.response
    assert text == TEXT and standin.asked()[-1].path == "/v1/completions"
    assert (sent(standin)["prompt"], sent(standin)["suffix"]) == (PROMPT, "\n")
    assert gateway.metric("gen_ai_client_token_usage_count", gen_ai_operation_name="text_completion") > 0


# ---- Embeddings ----------------------------------------------------------------------------------------------------------------


def test_embeddings(start, standin):
    settings = config.one(standin)
    settings["endpoints"]["standin"]["models"][config.SHOWN_NAME]["capabilities"] = ["embeddings"]
    api = client(start(settings))
    texts = ["one", "東京"]
    answer = api.embed("big", texts, dimensions=4, truncate=False)
    assert [list(vector) for vector in answer.embeddings] == [answers.vector_for(text, 4) for text in texts]
    assert answer.model == config.SHOWN_NAME and answer.prompt_eval_count == 2 and answer.total_duration > 0
    assert [list(vector) for vector in api.embed("big", "one").embeddings] == [answers.vector_for("one")]
    assert list(api.embeddings("big", "one").embedding) == answers.vector_for("one")
    assert list(api.embed("big", "").embeddings) == [] and len(standin.asked()) == 3
    assert api.show("big").capabilities == ["embedding"]
    with pytest.raises(ollama.ResponseError) as caught:
        api.embed("auto", "one")
    assert caught.value.status_code == 404


# ---- Models --------------------------------------------------------------------------------------------------------------------


def test_models(gateway, standin):
    api = client(gateway)
    models = {model.model: model for model in api.list().models}
    assert set(models) == {"big", "auto"} and models["big"].size is None and models["big"].modified_at is None
    assert len({model.digest for model in models.values()}) == 2 and all(len(model.digest) == 64 for model in models.values())
    about = api.show("big:latest")
    assert about.capabilities == ["completion", "tools", "vision"]
    assert about.modelinfo[f"{about.modelinfo['general.architecture']}.context_length"] == 8192
    assert list(api.ps().models) == []
    assert gateway.get("/api/version").json == {"version": "0.20.0"}
    assert api.chat(**{**ASK, "model": "big:latest"}).message.content == TEXT
    for model in ("nobody", "nobody:latest", "big:other"):
        for ask in (api.show, lambda name: api.chat(name, MESSAGES), lambda name: api.generate(name)):
            with pytest.raises(ollama.ResponseError, match=f'model "{model.removesuffix(":latest") if ask != api.show else model}" not found') as caught:
                ask(model)
            assert caught.value.status_code == 404


def test_the_root_says_what_clients_look_for(start, standin):
    key = Key("laptop", ["big"])
    gateway = start(config.one(standin, keys=[key.settings]))
    with Raw(gateway.port) as peer:
        raw = peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").answer(of="GET")
        assert (raw.status, raw.body) == (200, b"Ollama is running")
    with Raw(gateway.port) as peer:
        head = peer.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").answer(of="HEAD")
        assert (head.status, head.field("Content-Length"), head.body) == (200, "17", b"")


def test_keys_and_their_models(start, standin):
    key = Key("laptop", ["big"])
    settings = config.one(standin, keys=[key.settings])
    settings["models"]["other"] = [f"standin/{config.SHOWN_NAME}"]
    gateway = start(settings)
    for ask in (lambda api: api.chat(**ASK), lambda api: api.list(), lambda api: api.show("big")):
        with pytest.raises(ollama.ResponseError) as caught:
            ask(client(gateway))
        assert caught.value.status_code == 401 and "key" in caught.value.error
    api = client(gateway, key.text)
    assert api.chat(**ASK).message.content == TEXT and {model.model for model in api.list().models} == {"big", "auto"}
    with pytest.raises(ollama.ResponseError, match="not found"):
        api.show("other")


@pytest.mark.parametrize("size, status", [(65536, 200), (65537, 413)])
def test_a_request_to_show_a_model_is_short(gateway, size, status):
    head = json.dumps({"model": "big", "verbose": ""}).encode()
    body = head.replace(b'""', b'"' + b"x" * (size - len(head)) + b'"')
    with Raw(gateway.port) as peer:
        assert peer.send(request(body, path="/api/show")).answer().status == status


# ---- Loading -------------------------------------------------------------------------------------------------------------------


def test_loading_asks_nobody(gateway, standin):
    api = client(gateway)
    for answer, reason in ((api.chat("big"), "load"), (api.chat("big", keep_alive=0), "unload"), (api.generate("big"), "load"),
                           (api.generate("big", keep_alive="0s"), "unload"), (api.generate("big", keep_alive=-1), "load")):
        assert answer.done and answer.done_reason == reason and answer.model == "big"
    assert standin.asked() == [] and {line["outcome"] for line in gateway.wait_lines(5)} == {"complete"}
    parts = list(api.chat("big", stream=True))
    assert len(parts) == 1 and parts[0].done_reason == "load"


# ---- Faults --------------------------------------------------------------------------------------------------------------------

REFUSED = {
    "template": {"template": "{{ .Prompt }}"}, "context": {"context": [1, 2]}, "width": {"width": 64}, "options.x_future": {"options": {"x_future": 1}},
    "keep_alive": {"keep_alive": "soon"}, "format": {"format": "yaml"}, "think": {"think": "hard"}, "images": {"images": [b"no image"]},
    "options.temperature": {"options": {"temperature": "hot"}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_carried_is_refused_by_name(gateway, standin, name):
    with Raw(gateway.port) as peer:
        fields = {key: [base64.b64encode(v).decode() for v in value] if key == "images" else value for key, value in REFUSED[name].items()}
        raw = peer.send(request(json.dumps({"model": "big", "prompt": PROMPT, **fields}).encode(), path="/api/generate")).answer()
    assert raw.status == 400 and list(raw.json) == ["error"] and name in raw.json["error"] and standin.asked() == []


@pytest.mark.parametrize("path, hint", [("/api/pull", "configuration"), ("/api/chatt", "/api/chat")])
def test_other_paths_say_what_would_work(gateway, path, hint):
    answer = gateway.post(path, {"model": "big"})
    assert answer.status == 404 and hint in answer.json["error"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 429, 500])
def test_errors(gateway, standin, status, stream):
    standin.always(behaviour.refuse(status))
    with pytest.raises(ollama.ResponseError) as caught:
        list(client(gateway).chat(**ASK, stream=stream))
    assert caught.value.status_code == status and f"stand-in {status}" in caught.value.error


@pytest.mark.parametrize("how", ["fin", "error", "garbage"])
def test_an_error_in_the_stream_is_a_line(gateway, standin, how):
    standin.always(behaviour.normal(end=how, frames=4))
    parts = []
    with pytest.raises(ollama.ResponseError) as caught:
        for part in client(gateway).chat(**ASK, stream=True):
            parts.append(part)
    assert caught.value.error and parts and not any(part.done for part in parts)
    assert gateway.wait_lines(1)[0]["outcome"] != "complete"


def test_a_stream_without_an_end_mark_gets_its_last_line(gateway, standin):
    standin.always(behaviour.lie("no_done"))
    parts = list(client(gateway).chat(**ASK, stream=True))
    assert parts[-1].done and "".join(part.message.content for part in parts) == TEXT


def test_arguments_that_are_no_object_are_a_malformed_answer(gateway, standin):
    standin.always(behaviour.normal(tool_calls=(("weather", "[1, 2"),)))
    with pytest.raises(ollama.ResponseError) as caught:
        client(gateway).chat(**ASK, tools=[WEATHER])
    assert caught.value.status_code == 502
    with pytest.raises(ollama.ResponseError):
        list(client(gateway).chat(**ASK, tools=[WEATHER], stream=True))


def test_a_client_that_leaves_ends_the_request_upstream(gateway, standin):
    standin.always(behaviour.normal(gap=0.2))
    stream = client(gateway).chat(**ASK, stream=True)
    next(stream)
    stream.close()
    until(lambda: standin.asked()[0].gone_at, "the endpoint sees it")


def test_a_silent_endpoint_is_a_time_out(start, standin):
    standin.always(behaviour.stall("first"))
    gateway = start(config.one(standin, {"first_token": config.short(0.3)}))
    with pytest.raises(ollama.ResponseError) as caught:
        list(client(gateway).chat(**ASK, stream=True))
    assert caught.value.status_code == 504


# ---- Over other endpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_over_anthropics_api(start, claude, stream):
    api = client(start(config.claude_only(claude)))
    claude.always(behaviour.normal(tool_calls=CALLS, split_arguments=2))
    answer = api.chat(**ASK, tools=[WEATHER], stream=stream, options={"top_k": 5, "min_p": 0.1})
    parts = list(answer) if stream else [answer]
    calls = [call for part in parts for call in part.message.tool_calls or []]
    assert [dict(call.function.arguments) for call in calls] == [json.loads(text) for _, text in CALLS]
    assert parts[-1].done_reason == "stop" and parts[-1].model == config.SHOWN_CLAUDE and parts[-1].eval_count > 0
    assert sent(claude)["top_k"] == 5 and "min_p" not in sent(claude)
    claude.always(behaviour.normal())
    answer = api.chat(**ASK, stream=stream)
    assert "".join(part.message.content for part in (answer if stream else [answer])) == TEXT


@pytest.mark.parametrize("stream", [False, True])
def test_an_image_and_an_error_over_anthropics_api(start, claude, stream):
    api = client(start(config.claude_only(claude)))
    list(api.chat("big", [{"role": "user", "content": "Look", "images": [PIXEL]}], stream=stream))
    assert sent(claude)["messages"][0]["content"][1]["source"]["media_type"] == "image/png"
    claude.always(behaviour.normal(end="error", frames=4) if stream else behaviour.refuse(400))
    with pytest.raises(ollama.ResponseError) as caught:
        list(api.chat(**ASK, stream=stream))
    assert caught.value.error and not caught.value.error.startswith("{")


def test_over_the_engine(engine):
    api = client(engine)
    ask = {"model": "small", "messages": [{"role": "user", "content": "Say hello."}],
           "options": {"num_predict": 8, "temperature": 0, "top_k": 1, "min_p": 0.05, "repeat_penalty": 1.0, "num_keep": 4, "num_ctx": 512}, "think": False}
    whole = api.chat(**ask)
    parts = list(api.chat(**ask, stream=True))
    assert whole.message.content == "".join(part.message.content for part in parts) != ""
    for last in (whole, parts[-1]):
        assert last.done_reason in ("stop", "length") and last.eval_count <= 8 and last.prompt_eval_count > 0
        assert last.load_duration == 0 and last.prompt_eval_duration > 0 and last.eval_duration > 0
    raw = api.generate("small", "Once upon a time", raw=True, options={"num_predict": 4, "temperature": 0})
    assert raw.response and raw.eval_count == 4 and raw.done_reason == "length"
    answer = api.chat(**{**ask, "options": {"num_predict": 64, "temperature": 0}}, format=SCHEMA)
    assert answer.done_reason == "length" or isinstance(json.loads(answer.message.content)["city"], int)
    with pytest.raises(ollama.ResponseError, match="suffix") as caught:
        api.generate("small", "a", suffix="b")
    assert caught.value.status_code == 400


def test_the_engines_model_is_listed(engine):
    api = client(engine)
    file = pathlib.Path(MODEL).stat()
    model = next(model for model in api.list().models if model.model == "small")
    assert model.size == file.st_size and model.details.format == "gguf" and abs(model.modified_at.timestamp() - file.st_mtime) < 1
    loaded = api.ps().models[0]
    assert loaded.model == "small" and loaded.digest == model.digest and loaded.context_length > 0 and loaded.size is None
    assert loaded.expires_at.year > 2200
