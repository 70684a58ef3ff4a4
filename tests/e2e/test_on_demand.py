"""Engines that load their models when a request needs them, within a budget of memory, and let them go again."""

import concurrent.futures
import threading

import ollama
import openai
import pytest

import config
from gateway import MODEL
from provider import answers
from waiting import until

pytestmark = pytest.mark.engine
ASK = {"messages": [{"role": "user", "content": "Say something."}], "max_tokens": 4}


def engine(name: str, **rules) -> dict:
    endpoint = config.local(load="demand", models={name: {"file": str(MODEL)}})
    endpoint["engine"].update(rules)
    return endpoint


def engines(memory: str | None = None, **rules_of) -> dict:
    """An engine for each name, with its rules; `all` may go to any of them, in that order."""
    settings = config.settings({name: engine(name, **rules) for name, rules in rules_of.items()},
                               {**{name: [f"{name}/{name}"] for name in rules_of}, "all": [f"{name}/{name}" for name in rules_of]})
    return {**settings, "probe_interval": "200ms", **({"engines": {"memory": memory}} if memory else {})}


def health(gateway, name: str) -> str:
    of = f'thalweg_endpoint_health{{endpoint="{name}",'
    [sample] = [sample for sample, value in gateway.metrics().items() if sample.startswith(of) and value == 1]
    return sample.split('health="')[1].split('"')[0]


def wait_for(gateway, name: str, state: str) -> None:
    until(lambda: health(gateway, name) == state, f"{name} is {state}", 60)


def loads(gateway, name: str) -> int:
    return int(gateway.metric("thalweg_engine_loads_total", endpoint=name))


# Two of them do not fit: each is said to need all of it. What one takes in truth is measured once it is loaded.
ALONE = {"memory": "3GiB"}


def test_a_model_is_loaded_by_its_first_request(start, python):
    gateway = start(engines(a={}, b={})).wait_ready()
    assert gateway.engine_pids() == [] and health(gateway, "a") == "unloaded"
    assert sorted(gateway.model_names()) == ["a", "all", "auto", "b"]
    client = python(gateway.base_url)
    assert client.chat.completions.create(model="a", **ASK).model == "a"
    assert len(gateway.engine_pids()) == 1
    assert health(gateway, "b") == "unloaded" and (loads(gateway, "a"), loads(gateway, "b")) == (1, 0)
    client.chat.completions.create(model="a", **ASK)
    assert loads(gateway, "a") == 1


def test_many_requests_load_it_once_and_all_are_answered(start, python):
    gateway = start(engines(a={}))
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        client = python(gateway.base_url)
        answered = list(pool.map(lambda _: client.chat.completions.create(model="a", **ASK).choices[0].finish_reason, range(12)))
    assert len(answered) == 12 and loads(gateway, "a") == 1 and len(gateway.engine_pids()) == 1


def test_the_time_of_loading_is_no_waiting_for_a_slot(start, python):
    gateway = start({**engines(a={}), "limits": {"wait": "700ms"}})  # less than it takes to load
    assert python(gateway.base_url).chat.completions.create(model="a", **ASK).model == "a"


def test_auto_takes_what_is_loaded(start, python):
    gateway = start(engines(a={}, b={}))
    client = python(gateway.base_url)
    client.chat.completions.create(model="b", **ASK)
    assert client.chat.completions.create(model="auto", **ASK).model == "b"
    assert client.chat.completions.create(model="all", **ASK).model == "a", "a name's order is the operator's wish"
    assert (loads(gateway, "a"), loads(gateway, "b")) == (1, 1)


def test_what_a_model_can_do_is_learnt_by_loading_it(start, python):
    """Its chat template knows no tools: told once it is loaded, and remembered when it is not."""
    gateway = start(engines(a={"unload_after": "1s"}))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    for _ in range(2):
        with pytest.raises(openai.BadRequestError, match="lacks tools"):
            python(gateway.base_url).chat.completions.create(model="a", **ASK, tools=tools)
        wait_for(gateway, "a", "unloaded")
    assert loads(gateway, "a") == 1


def test_an_idle_model_is_unloaded_and_loaded_again(start, python):
    gateway = start(engines(a={"unload_after": "1s"}, kept={"pin": True}))
    client = python(gateway.base_url)
    client.chat.completions.create(model="kept", **ASK)
    client.chat.completions.create(model="a", **ASK)
    wait_for(gateway, "a", "unloaded")
    until(lambda: len(gateway.engine_pids()) == 1, "its child is gone", 30)
    assert health(gateway, "kept") == "healthy"
    client.chat.completions.create(model="a", **ASK)
    assert (loads(gateway, "a"), loads(gateway, "kept")) == (2, 1)


def test_one_makes_room_for_another(start, python):
    gateway = start(engines("3GiB", a=ALONE, b=ALONE))
    client = python(gateway.base_url)
    for model in ("a", "b"):
        assert client.chat.completions.create(model=model, **ASK).model == model
        assert len(gateway.engine_pids()) == 1
    # By now it was measured, and there is room for both.
    assert client.chat.completions.create(model="a", **ASK).model == "a"
    assert len(gateway.engine_pids()) == 2
    assert (loads(gateway, "a"), loads(gateway, "b")) == (2, 1)


def test_a_busy_model_is_not_unloaded_for_another(start, python):
    gateway = start({**engines("3GiB", a=ALONE, b=ALONE), "limits": {"wait": "300s"}})
    client = python(gateway.base_url, timeout=300)
    stream = iter(client.chat.completions.create(model="a", messages=ASK["messages"], max_tokens=200, stream=True,
                                                 extra_body={"ignore_eos": True}))
    next(stream)
    [running] = gateway.engine_pids()
    others = []
    other = threading.Thread(target=lambda: others.append(client.chat.completions.create(model="b", **ASK).model))
    other.start()
    until(lambda: gateway.metric("thalweg_waits_total") >= 2, "it waits for memory", 30)
    assert gateway.engine_pids() == [running]
    assert [chunk.choices[0].finish_reason for chunk in stream if chunk.choices][-1] == "length"
    other.join(120)
    assert others == ["b"]


def test_what_finds_no_memory_in_time_goes_elsewhere_or_is_told(start, python, standin):
    settings = engines("3GiB", a={**ALONE, "load": "start"}, b=ALONE)
    settings["endpoints"]["standin"] = config.remote(standin, "STANDIN_KEY")
    settings["models"]["mixed"] = ["b/b", f"standin/{config.SHOWN_NAME}"]
    gateway = start({**settings, "limits": {"wait": "1s"}}).wait_ready()
    client = python(gateway.base_url, max_retries=0)
    with pytest.raises(openai.APIStatusError, match="b/b is not loaded") as caught:
        client.chat.completions.create(model="b", **ASK)
    assert caught.value.status_code == 503
    assert client.chat.completions.create(model="mixed", **ASK).choices[0].message.content == answers.text_for("Say something.")


def test_a_model_that_cannot_be_loaded_is_down_for_a_while(start, python, tmp_path, standin):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    settings = engines(a={"models": {"a": {"file": str(broken)}}})
    settings["endpoints"]["standin"] = config.remote(standin, "STANDIN_KEY")
    settings["models"]["mixed"] = ["a/a", f"standin/{config.SHOWN_NAME}"]
    gateway = start(settings)
    client = python(gateway.base_url, max_retries=0)
    with pytest.raises(openai.APIStatusError, match="a/a is down") as caught:
        client.chat.completions.create(model="a", **ASK)
    assert caught.value.status_code == 503 and "down: the engine ended with exit code" in gateway.stderr()
    assert client.chat.completions.create(model="mixed", **ASK).choices[0].message.content == answers.text_for("Say something.")
    wait_for(gateway, "a", "unloaded")  # and may be tried again


def test_a_reload_changes_the_rules_of_what_runs(start, python):
    gateway = start(engines(a={}, b={}))
    client = python(gateway.base_url)
    client.chat.completions.create(model="a", **ASK)
    before = gateway.engine_pids()
    gateway.reload(engines(a={"unload_after": "1s"}, b={"load": "start"}))
    wait_for(gateway, "b", "healthy")
    wait_for(gateway, "a", "unloaded")
    until(lambda: len(gateway.engine_pids()) == 1, "its child is gone", 30)
    assert gateway.engine_pids() != before
    gateway.reload(engines(a={"load": "start"}, b={"unload_after": "1s"}))
    wait_for(gateway, "a", "healthy")
    wait_for(gateway, "b", "unloaded")


def test_ollamas_callers_say_how_long_a_model_stays(start):
    gateway = start(engines(a={})).wait_ready()
    api = ollama.Client(host=gateway.base_url.removesuffix("/v1"))
    assert api.ps().models == [] and api.chat("a").done_reason == "load"
    wait_for(gateway, "a", "healthy")
    assert [(model.model, model.expires_at) for model in api.ps().models if model.model == "a"] == [("a", None)]
    answer = api.chat("a", ASK["messages"], options={"num_predict": 2}, keep_alive="1s")
    assert answer.load_duration == 0
    wait_for(gateway, "a", "unloaded")
    answer = api.chat("a", ASK["messages"], options={"num_predict": 2}, keep_alive=-1)
    assert 0 < answer.load_duration < answer.total_duration
    assert api.generate("a", keep_alive=0).done_reason == "unload"
    wait_for(gateway, "a", "unloaded")
    assert loads(gateway, "a") == 2
