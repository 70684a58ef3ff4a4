"""Reranking: scores unchanged at every path that clients use, and never by two models under one name."""

import json

import pytest

import config
from provider import answers, behaviour

QUERY = "Where does a river begin?"
DOCUMENTS = ["At its source.", {"text": "東京 and \U0001f6b0", "title": "elsewhere"}, "In a spring."]


def ranks(endpoint: dict) -> dict:
    endpoint["models"][config.SHOWN_NAME]["capabilities"] = ["rerank"]
    return endpoint


@pytest.fixture
def ranker(start, standin):
    settings = config.one(standin)
    ranks(settings["endpoints"]["standin"])
    settings["models"] = {"ranker": [f"standin/{config.SHOWN_NAME}"]}
    return start(settings)


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank"])
def test_scores_arrive_as_they_are(ranker, standin, path):
    answer = ranker.post(path, {"model": "ranker", "query": QUERY, "documents": DOCUMENTS, "top_n": 2, "return_documents": True})
    scores = answers.scores_for(QUERY, DOCUMENTS)
    best = sorted(range(3), key=lambda index: -scores[index])[:2]
    assert answer.status == 200 and answer.json["model"] == config.SHOWN_NAME
    assert answer.json["results"] == [{"index": index, "relevance_score": scores[index], "document": DOCUMENTS[index]} for index in best]
    assert [record.path for record in standin.asked()] == ["/v1/rerank"]
    line = ranker.wait_lines(1)[0]
    assert line["path"] == path and line["outcome"] == "complete" and line["input_tokens"] == 15 and line["output_tokens"] == 0
    assert ranker.metric("gen_ai_client_token_usage_count", gen_ai_operation_name="rerank", gen_ai_token_type="input") == 1


def test_bytes_pass_unchanged_but_for_the_models_name(ranker, standin):
    body = b'{ "documents":[ "a\\u00e9", {"x":[1], "text":"b"}] ,"model" : "ranker","query":"q" }'
    assert ranker.post("/v1/rerank", body).status == 200
    assert standin.asked()[0].body == body.replace(b"ranker", config.UPSTREAM_NAME.encode())


def test_an_answer_without_tokens_says_nothing_of_them(ranker, standin):
    cohere = json.dumps({"id": "1", "results": [{"index": 0, "relevance_score": 0.5}], "meta": {"billed_units": {"search_units": 1}}})
    standin.next(behaviour.normal(raw=f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(cohere)}\r\n\r\n{cohere}"))
    answer = ranker.post("/v2/rerank", {"model": "ranker", "query": QUERY, "documents": ["a"]})
    assert answer.status == 200 and answer.body.decode() == cohere
    assert "input_tokens" not in ranker.wait_lines(1)[0]
    assert ranker.metric("thalweg_usage_unreported_total", gen_ai_operation_name="rerank") == 1


def test_an_answer_of_another_api_is_not_passed_on(ranker, standin):
    other = json.dumps({"data": [{"index": 0, "relevance_score": 0.5}]})
    standin.always(behaviour.normal(raw=f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(other)}\r\n\r\n{other}"))
    assert ranker.post("/v1/rerank", {"model": "ranker", "query": QUERY, "documents": ["a"]}).status == 502


BAD = {
    "query": {"documents": ["a"]}, "documents": {"query": "q"}, "documents[1]": {"query": "q", "documents": ["a", 1]},
    "top_n": {"query": "q", "documents": ["a"], "top_n": -1}, "texts": {"query": "q", "documents": ["a"], "texts": ["a"]},
}


@pytest.mark.parametrize("parameter", BAD)
def test_what_is_no_request_is_refused_by_name(ranker, standin, parameter):
    answer = ranker.post("/v1/rerank", {"model": "ranker", **BAD[parameter]})
    assert answer.status == 400 and answer.json["error"]["param"] == parameter and standin.asked() == []


def test_only_models_that_rank_are_asked(ranker, start, standin):
    chat = {"model": "ranker", "messages": [{"role": "user", "content": "x"}]}
    assert "lacks chat" in ranker.post("/v1/chat/completions", chat).json["error"]["message"]
    request = {"model": "auto", "query": QUERY, "documents": ["a"]}
    assert ranker.post("/v1/rerank", request).status == 404
    other = start(config.one(standin)).post("/v1/rerank", {**request, "model": "big"})
    assert other.status == 400 and "lacks rerank" in other.json["error"]["message"] and standin.asked() == []


def test_many_documents_are_no_long_prompt(ranker, standin):
    """2,000 documents of 100 bytes are beyond twice the context of 8,192 tokens together, and none of them is alone."""
    request = {"model": "ranker", "query": QUERY, "documents": ["water " * 16] * 2000}
    assert len(ranker.post("/v1/rerank", request).json["results"]) == 2000
    long = ranker.post("/v1/rerank", {**request, "documents": ["water " * 11000]})
    assert long.status == 400 and long.json["error"]["code"] == "context_length_exceeded" and len(standin.asked()) == 1


def test_a_failure_goes_to_another_place_with_the_same_model(start, standin, second):
    settings = config.two(standin, second)
    for endpoint in settings["endpoints"].values():
        ranks(endpoint)
    standin.always(behaviour.overload(500))
    answer = start(settings).post("/v1/rerank", {"model": "big", "query": QUERY, "documents": ["a", "b"]})
    assert sorted(result["index"] for result in answer.json["results"]) == [0, 1] and len(second.asked()) == 1


def test_the_engine_is_started_for_scores_and_told_texts(start_engine):
    """The default model is not made for ranking: its scores mean nothing, but the engine's whole way is the same."""
    engine = config.local()
    engine["engine"]["models"][config.ENGINE_MODEL]["capabilities"] = ["rerank"]
    gateway = start_engine(config.settings({"local": engine}, {"ranker": [f"local/{config.ENGINE_MODEL}"]}))
    arguments = open(f"/proc/{gateway.engine_pids()[0]}/cmdline", "rb").read().split(b"\0")
    assert b"--reranking" in arguments
    # Beyond llama-server's own batch of 512 tokens.
    documents = ["a stone", {"text": "a river", "title": "t"}, "water " * 700]
    answer = gateway.post("/v1/rerank", {"model": "ranker", "query": QUERY, "documents": documents, "top_n": 3, "return_documents": True})
    assert answer.status == 200, answer.body
    assert sorted(result["index"] for result in answer.json["results"]) == [0, 1, 2] and answer.json["model"] == config.ENGINE_MODEL
    assert answer.headers["Thalweg-Dropped"] == "documents.*, return_documents"
    assert gateway.wait_lines(1)[0]["input_tokens"] > 700
    image = gateway.post("/v1/rerank", {"model": "ranker", "query": QUERY, "documents": [{"image": "https://e.example/a.png"}]})
    assert image.status == 400 and "documents[0]: an engine ranks texts" in image.json["error"]["message"]
