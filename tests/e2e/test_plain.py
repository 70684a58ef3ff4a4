"""One question, one whole answer, with both unmodified clients; what the caller asked for reaches the provider, what the provider
said reaches the caller."""

import json
import subprocess

import openai
import pytest

import config
from gateway import Key
from provider import answers, behaviour
from raw import chat

ASK = {"model": "big", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where does it run?"}]}
TEXT = answers.text_for("Where does it run?")


def test_both_clients_get_the_answer_and_its_usage(gateway, standin, python, node):
    answer = python(gateway.base_url).chat.completions.create(**ASK)
    other = node.chat(gateway.base_url, **ASK)["answer"]
    expected = answers.usage_for(standin.asked()[0].json, [TEXT])
    for whole in (answer.model_dump(), other):
        assert whole["choices"][0]["message"]["content"] == TEXT
        assert whole["choices"][0]["finish_reason"] == "stop"
        assert {name: whole["usage"][name] for name in expected if name.endswith("tokens")} == \
            {name: value for name, value in expected.items() if name.endswith("tokens")}


def test_the_answers_model_is_the_endpoints_configured_name_never_the_alias_or_the_upstream_name(gateway, standin, python):
    client = python(gateway.base_url)
    assert client.chat.completions.create(**ASK).model == config.SHOWN_NAME
    assert client.completions.create(model="big", prompt="x").model == config.SHOWN_NAME
    standin.next(behaviour.normal(model="something-else-entirely"))
    assert client.chat.completions.create(**ASK).model == config.SHOWN_NAME
    assert {record.json["model"] for record in standin.asked()} == {config.UPSTREAM_NAME}


def test_completions_are_answered(gateway, python, node):
    answer = python(gateway.base_url).completions.create(model="big", prompt="Once upon a time", max_tokens=20)
    other = node.run(gateway.base_url, {"call": "completions.create", "params": {"model": "big", "prompt": "Once upon a time"}})[0]["answer"]
    assert answer.choices[0].text == other["choices"][0]["text"] == answers.text_for("Once upon a time")
    assert answer.object == "text_completion"


def test_n_logprobs_stop_and_seed_reach_the_provider_and_its_answer_the_caller(gateway, standin, python, node):
    more = {"n": 3, "logprobs": True, "top_logprobs": 2, "stop": ["\n\n", "Ende"], "seed": 42, "temperature": 0.25}
    answer = python(gateway.base_url).chat.completions.create(**ASK, **more).model_dump()
    other = node.chat(gateway.base_url, **ASK, **more)["answer"]
    for record in standin.asked():
        assert {name: record.json[name] for name in more} == more
    for whole in (answer, other):
        assert [choice["message"]["content"] for choice in whole["choices"]] == [answers.text_for("Where does it run?", index) for index in range(3)]
        first = whole["choices"][0]["logprobs"]["content"]
        assert [token["token"] for token in first] == answers.pieces_of(TEXT)
        assert all(len(token["top_logprobs"]) == 2 and token["logprob"] == -0.25 for token in first)


def test_a_json_schema_reaches_the_provider(gateway, standin, python):
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "hot": {"type": "boolean"}}, "required": ["city", "hot"]}
    form = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": schema}}
    answer = python(gateway.base_url).chat.completions.create(**ASK, response_format=form)
    assert json.loads(answer.choices[0].message.content) == {"city": "Zürich", "hot": True}
    assert standin.asked()[0].json["response_format"] == form


@pytest.mark.parametrize("how", [{"framing": "chunked", "piece": 1}, {"framing": "close"}, {"close": "header"}],
                         ids=["chunks of one byte", "ended by closing", "Connection: close"])
def test_an_answer_is_whole_under_every_framing(gateway, standin, python, how):
    standin.always(behaviour.normal(**how))
    client = python(gateway.base_url)
    for _ in range(2):
        assert client.chat.completions.create(**ASK).choices[0].message.content == TEXT


def test_unknown_parts_of_an_answer_are_kept(gateway, standin, python):
    standin.next(behaviour.normal(answer_keys={"service_tier": "default", "vendor": {"big": 12345678901234567890, "text": "\u2028ü"}}))
    answer = python(gateway.base_url).chat.completions.create(**ASK)
    assert answer.service_tier == "default"
    assert answer.model_extra["vendor"] == {"big": 12345678901234567890, "text": "\u2028ü"}


def test_connections_to_the_provider_are_reused(gateway, standin, python):
    client = python(gateway.base_url)
    for _ in range(5):
        client.chat.completions.create(**ASK)
    assert len({record.connection for record in standin.asked()}) < 5


def test_a_connection_that_the_provider_closed_while_idle_costs_no_answer(gateway, standin, python):
    """The race of every keep-alive pool: the provider closes right after its answer, the next request finds a dead connection."""
    standin.always(behaviour.normal(close="silent"))
    client = python(gateway.base_url)
    for _ in range(20):
        assert client.chat.completions.create(**ASK).choices[0].message.content == TEXT


def test_models_are_listed_and_found_by_both_clients(gateway, python, node):
    client = python(gateway.base_url)
    assert "big" in [model.id for model in client.models.list()]
    found = client.models.retrieve("big")
    assert (found.id, found.object) == ("big", "model")
    listed, retrieved = node.run(gateway.base_url, {"call": "models.list", "params": []}, {"call": "models.retrieve", "params": ["big"]})
    assert "big" in [model["id"] for model in listed["answer"]] and retrieved["answer"]["id"] == "big"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_a_key_sees_and_uses_its_own_models_only(start, standin, python):
    narrow, wide = Key("narrow", ["big"]), Key("wide", ["big", "other"])
    settings = config.one(standin, keys=[narrow.settings, wide.settings])
    settings["models"]["other"] = [f"standin/{config.SHOWN_NAME}"]
    running = start(settings)
    client = python(running.base_url, narrow.text)
    assert [model.id for model in client.models.list()] == ["big", "auto"]
    assert sorted(model.id for model in python(running.base_url, wide.text).models.list()) in (["big", "other"], ["auto", "big", "other"])
    for call in (lambda: client.models.retrieve("other"), lambda: client.chat.completions.create(**{**ASK, "model": "other"})):
        with pytest.raises(openai.NotFoundError):
            call()
    assert standin.asked() == []


def test_auto_means_any_chat_model_that_the_key_may_use(gateway, python):
    assert python(gateway.base_url).chat.completions.create(**{**ASK, "model": "auto"}).choices[0].message.content == TEXT


def test_plain_curl_works_without_a_content_type_of_json(gateway):
    """`curl -d` sends application/x-www-form-urlencoded."""
    done = subprocess.run(["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "30", "-d", chat(prompt="Where does it run?").decode(),
                           f"{gateway.base_url}/chat/completions"], capture_output=True, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == TEXT
