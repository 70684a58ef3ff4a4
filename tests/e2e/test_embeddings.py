"""Embeddings through both unmodified clients: floats and base64 unchanged, and never by two models under one name."""

import json
import subprocess

import openai
import pytest

import config
from gateway import PROGRAM, to_yaml
from provider import answers, behaviour

TEXTS = ["Where does it run?", "東京 and \U0001f6b0"]


def vectors(standin, **more) -> dict:
    """`vectors` is answered by one stand-in."""
    settings = config.one(standin, **more)
    settings["endpoints"]["standin"]["models"][config.SHOWN_NAME]["capabilities"] = ["embeddings"]
    settings["models"] = {"vectors": [f"standin/{config.SHOWN_NAME}"]}
    return settings


@pytest.fixture
def embedding(start, standin):
    return start(vectors(standin))


def test_floats_arrive_as_they_are(embedding, standin, python):
    answer = python(embedding.base_url).embeddings.create(model="vectors", input=TEXTS, encoding_format="float", dimensions=4)
    assert [entry.embedding for entry in answer.data] == [answers.vector_for(text, 4) for text in TEXTS]
    assert answer.model == config.SHOWN_NAME and answer.usage.prompt_tokens == 7
    line = embedding.wait_lines(1)[0]
    assert line["path"] == "/v1/embeddings" and line["outcome"] == "complete" and line["input_tokens"] == 7
    assert embedding.metric("gen_ai_client_token_usage_count", gen_ai_operation_name="embeddings") > 0
    assert json.loads(standin.asked()[0].body) == {"input": TEXTS, "model": config.UPSTREAM_NAME, "encoding_format": "float", "dimensions": 4}


def test_base64_arrives_as_it_is(embedding, python):
    """What the clients ask for when they are not told otherwise, and decode themselves."""
    answer = python(embedding.base_url).embeddings.create(model="vectors", input=TEXTS[1])
    assert list(answer.data[0].embedding) == answers.vector_for(TEXTS[1])


def test_bytes_pass_unchanged_but_for_the_models_name(embedding, standin):
    body = b'{ "input":["a\\u00e9", "b"] ,"model" : "vectors","user":"u" }'
    answer = embedding.post("/v1/embeddings", body)
    assert answer.status == 200 and standin.asked()[0].body == body.replace(b"vectors", config.UPSTREAM_NAME.encode())


BAD = {
    "no input": {"model": "vectors"}, "an empty list": {"model": "vectors", "input": []}, "a number": {"model": "vectors", "input": 7},
    "mixed": {"model": "vectors", "input": ["a", 1]},
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_what_is_no_input_is_refused_by_name(embedding, standin, body):
    answer = embedding.post("/v1/embeddings", body)
    assert answer.status == 400 and answer.json["error"]["param"].startswith("input") and standin.asked() == []


def test_only_models_that_embed_are_asked(start, standin, python):
    """Chat models are not asked for vectors nor the other way round, and `auto` never chooses between spaces of vectors."""
    gateway = start(vectors(standin))
    client = python(gateway.base_url)
    with pytest.raises(openai.BadRequestError, match="chat"):
        client.chat.completions.create(model="vectors", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="auto", input="x")
    chat = start(config.one(standin))
    with pytest.raises(openai.BadRequestError, match="embeddings"):
        python(chat.base_url).embeddings.create(model="big", input="x")


def test_a_failure_goes_to_another_place_with_the_same_model(start, standin, second, python):
    settings = config.two(standin, second)
    for endpoint in settings["endpoints"].values():
        endpoint["models"][config.SHOWN_NAME]["capabilities"] = ["embeddings"]
    standin.always(behaviour.overload(500))
    answer = python(start(settings).base_url).embeddings.create(model="big", input=TEXTS[0])
    assert list(answer.data[0].embedding) == answers.vector_for(TEXTS[0]) and len(second.asked()) == 1


def test_a_configuration_that_mixes_models_under_one_name_is_refused(standin, second, tmp_path):
    settings = config.two(standin, second)
    for endpoint in settings["endpoints"].values():
        endpoint["models"][config.SHOWN_NAME]["capabilities"] = ["embeddings"]
    settings["endpoints"]["second"]["models"][config.SHOWN_NAME]["name"] = "another-model"
    file = tmp_path / "thalweg.yaml"
    file.write_text(to_yaml(settings) + "\n")
    environment = {"STANDIN_KEY": "x", "SECOND_KEY": "x", "PATH": "/usr/bin:/bin"}
    told = subprocess.run([PROGRAM, "config", "check", file], capture_output=True, text=True, env=environment)
    assert told.returncode == 2 and "cannot be compared" in told.stderr + told.stdout


def test_the_engine_makes_vectors_of_its_own_model(start_engine, python):
    engine = config.local(arguments=["--pooling", "mean"])
    engine["engine"]["models"][config.ENGINE_MODEL]["capabilities"] = ["embeddings"]
    gateway = start_engine(config.settings({"local": engine}, {"vectors": [f"local/{config.ENGINE_MODEL}"]}))
    client = python(gateway.base_url)
    one, other = (client.embeddings.create(model="vectors", input=text).data[0].embedding for text in ("a river", "a stone"))
    assert len(one) == len(other) > 100 and list(one) != list(other)
    long = client.embeddings.create(model="vectors", input="water " * 1500)
    assert long.usage.prompt_tokens > 1024, "a long input was cut"
