"""Errors are the clients' own typed exceptions, with `param`, `code` and `type` set, whether they come from the gateway or from
the provider behind it."""

import json

import openai
import pytest

import config
from gateway import Key
from provider import behaviour
from raw import chat

ASK = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}


def raised(call, **params) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        call(**params)
    return caught.value


def test_a_wrong_key_is_an_authentication_error(start, standin, python, node):
    gateway = start(config.one(standin, keys=[Key("dev", ["big"]).settings]))
    for key in ("any", Key("other", []).text, Key("dev", []).text[:-1] + "x", "tw_dev_"):
        error = raised(python(gateway.base_url, key).chat.completions.create, **ASK)
        assert type(error) is openai.AuthenticationError and error.status_code == 401
        assert error.code and error.type
        assert key not in error.message
    told = node.chat(gateway.base_url, "tw_dev_wrong", **ASK)["error"]
    assert told["class"] == "AuthenticationError" and told["code"] == error.code and told["type"] == error.type
    assert standin.asked() == []


def test_a_right_key_is_accepted(start, standin, python, node):
    key = Key("dev", ["big"])
    gateway = start(config.one(standin, keys=[key.settings]))
    assert python(gateway.base_url, key.text).chat.completions.create(**ASK).choices
    assert "answer" in node.chat(gateway.base_url, key.text, **ASK)


def test_a_page_that_may_not_call_is_a_permission_error(gateway, standin, python):
    client = python(gateway.base_url, default_headers={"Origin": "https://evil.example"})
    error = raised(client.chat.completions.create, **ASK)
    assert type(error) is openai.PermissionDeniedError and error.type == "permission_error" and error.code
    assert standin.asked() == []


def test_an_unknown_model_is_not_found_and_names_it(gateway, python, node):
    error = raised(python(gateway.base_url).chat.completions.create, **{**ASK, "model": "bgi"})
    assert type(error) is openai.NotFoundError and error.code == "model_not_found" and error.param == "model" and "bgi" in error.message
    told = node.chat(gateway.base_url, **{**ASK, "model": "bgi"})["error"]
    assert (told["class"], told["code"], told["param"]) == ("NotFoundError", "model_not_found", "model")


WRONG = {
    "no messages": ({"messages": []}, "messages"),
    "messages is a string": ({"messages": "hello"}, "messages"),
    "stream is a word": ({"stream": "yes"}, "stream"),
    "n is a word": ({"n": "two"}, "n"),
}


@pytest.mark.parametrize("change, param", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_a_bad_request_that_names_it(gateway, standin, python, node, change, param):
    error = raised(python(gateway.base_url).chat.completions.create, **{**ASK, "extra_body": change})
    assert type(error) is openai.BadRequestError and error.param == param and error.type == "invalid_request_error"
    assert node.chat(gateway.base_url, **{**ASK, **change})["error"]["class"] == "BadRequestError"
    assert standin.asked() == []


REFUSALS = {
    400: openai.BadRequestError, 403: openai.PermissionDeniedError, 404: openai.NotFoundError, 409: openai.ConflictError,
    422: openai.UnprocessableEntityError, 429: openai.RateLimitError,
}


@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_refusal_of_the_provider_keeps_status_code_type_param_and_words(gateway, standin, python, node, status):
    said = {"message": "Your seed is unlucky.", "type": "odd_error", "param": "seed", "code": "unlucky"}
    standin.always(behaviour.refuse(status, error=said))
    error = raised(python(gateway.base_url).chat.completions.create, **ASK)
    told = node.chat(gateway.base_url, **ASK)["error"]
    assert type(error) is REFUSALS[status]
    assert (error.type, error.param, error.code) == (told["type"], told["param"], told["code"]) == ("odd_error", "seed", "unlucky")
    assert "Your seed is unlucky." in error.message and "Your seed is unlucky." in told["message"]
    assert len(standin.asked()) == 2, "a caller's fault was asked again"


@pytest.mark.parametrize("refusal, code", [(behaviour.context_exceeded(), "context_length_exceeded"), (behaviour.content_filtered(), "content_filter")])
def test_a_context_or_content_refusal_keeps_its_code(gateway, standin, python, refusal, code):
    standin.always(refusal)
    error = raised(python(gateway.base_url).chat.completions.create, **ASK)
    assert type(error) is openai.BadRequestError and error.code == code
    assert len(standin.asked()) == 1, "it was resent unchanged to the same model"


@pytest.mark.parametrize("refusal", [behaviour.context_exceeded(), behaviour.content_filtered()], ids=["context", "content"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_under_status_200_is_not_resent_to_the_same_model(gateway, standin, python, refusal, stream):
    """Some servers begin their answer before they judge the request."""
    body = json.dumps({"error": refusal.error})
    kind = "text/event-stream" if stream else "application/json"
    text = f"data: {body}\n\n" if stream else body
    standin.always(behaviour.normal(raw=f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\n\r\n{text}"))
    error = raised(python(gateway.base_url).chat.completions.create, **ASK, stream=stream)
    assert refusal.error["message"] in error.message
    assert len(standin.asked()) == 1, "it was resent unchanged to the same model"


def test_a_rate_limit_keeps_its_retry_after_and_class(gateway, standin, python, node):
    standin.always(behaviour.overload(429, "120"))  # longer than anyone waits: it must be passed on at once
    error = raised(python(gateway.base_url).chat.completions.create, **ASK)
    assert type(error) is openai.RateLimitError and error.code == "rate_limit_exceeded"
    assert 100 <= int(error.response.headers["retry-after"]) <= 120
    assert node.chat(gateway.base_url, **ASK)["error"]["class"] == "RateLimitError"


def test_the_providers_credentials_error_is_not_the_callers(gateway, standin, python):
    """401 from the provider means that *our* key there is wrong: the caller must not be told that its own key is."""
    standin.always(behaviour.refuse(401, error={"message": "Incorrect API key provided: sk-standin-canary-1f6e0c", "type": "invalid_request_error",
                                                 "param": None, "code": "invalid_api_key"}))
    error = raised(python(gateway.base_url).chat.completions.create, **ASK)
    assert error.status_code in (502, 503) and "canary" not in str(error.body)


@pytest.mark.parametrize("fault, statuses", [(behaviour.drop("rst"), (502,)), (behaviour.overload(503), (503,)), (behaviour.overload(500), (500, 502)),
                                             (behaviour.overload(529), (503, 529))], ids=["reset", "503", "500", "529"])
def test_a_failed_provider_is_an_internal_server_error_class(gateway, standin, python, node, fault, statuses):
    standin.always(fault)
    error = raised(python(gateway.base_url).chat.completions.create, **ASK)
    assert type(error) is openai.InternalServerError and error.status_code in statuses and error.type
    assert node.chat(gateway.base_url, **ASK)["error"]["class"] == "InternalServerError"


@pytest.mark.parametrize("stream, limit", [(True, "first_token"), (False, "whole")])
def test_a_silent_provider_is_a_gateway_time_out(start, standin, python, stream, limit):
    """A stream by its time to the first token; a whole answer, which is silent while it is made, by its own limit."""
    gateway = start(config.one(standin, {limit: config.short(0.4)}))
    standin.always(behaviour.stall("head"))
    error = raised(python(gateway.base_url).chat.completions.create, **ASK, stream=stream)
    assert error.status_code == 504 and error.type


def test_a_closed_provider_is_unavailable(start, standin, python):
    standin.refuse_connections()
    gateway = start(config.one(standin))
    error = raised(python(gateway.base_url).chat.completions.create, **ASK)
    assert type(error) is openai.InternalServerError and error.status_code in (502, 503)
    standin.accept_connections()


def test_every_answer_names_its_request_so_that_a_line_of_the_log_can_be_found(gateway, standin, python):
    answer = python(gateway.base_url).chat.completions.with_raw_response.create(**ASK)
    error = raised(python(gateway.base_url).chat.completions.create, **{**ASK, "model": "none"})
    assert answer.request_id and error.request_id and answer.request_id != error.request_id
    logged = [str(line) for line in gateway.wait_lines(2)]
    for name in (answer.request_id, error.request_id):
        assert any(name in line for line in logged)


def test_an_error_names_no_internal_address(gateway, standin):
    standin.always(behaviour.drop("rst"))
    answer = gateway.post("/v1/chat/completions", chat())
    assert str(standin.port) not in answer.body.decode() and "127.0.0.1" not in answer.body.decode()
