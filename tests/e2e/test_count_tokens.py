"""Tokens counted through Anthropic's unmodified client: by endpoints of its API, by the real engine, and by nobody else."""

import anthropic
import pytest

import config
from provider import behaviour, messages
from test_messages import client

ASK = {"model": "big", "messages": [{"role": "user", "content": "Where does it run?"}], "system": "Be brief."}


@pytest.fixture
def gateway(start, claude):
    return start(config.claude_only(claude))


def test_an_endpoint_of_the_api_counts(gateway, claude):
    with client(gateway) as caller:
        count = caller.messages.count_tokens(**ASK, tools=[{"name": "f", "input_schema": {"type": "object"}}])
    assert count.input_tokens == messages.input_tokens(messages.usage_of(ASK, behaviour.normal()))
    record = claude.asked()[-1]
    assert record.path == "/v1/messages/count_tokens" and record.json["model"] == config.UPSTREAM_CLAUDE
    line = gateway.wait_lines(1)[0]
    assert (line["path"], line["outcome"], line["endpoint"]) == ("/v1/messages/count_tokens", "complete", "claude")
    assert gateway.metric("thalweg_unreported_usage_total") == 0


def test_refusals_keep_their_shape(gateway, claude):
    claude.always(behaviour.refuse(529, error={"type": "overloaded_error", "message": "Overloaded"}))
    with client(gateway) as caller, pytest.raises(anthropic.APIStatusError) as caught:
        caller.messages.count_tokens(**ASK)
    assert caught.value.status_code == 529 and caught.value.body["error"]["type"] == "overloaded_error"


def test_the_engine_counts_with_its_own_tokenizer(engine):
    ask = {**ASK, "model": "small"}
    with client(engine) as caller:
        count = caller.messages.count_tokens(**ask).input_tokens
        longer = caller.messages.count_tokens(**{**ask, "messages": [{"role": "user", "content": "Where does it run? " * 10}]}).input_tokens
        answer = caller.messages.create(**ask, max_tokens=1)
    used = answer.usage
    assert count == used.input_tokens + (used.cache_read_input_tokens or 0) and longer > count + 40


def test_nobody_counts_at_an_openai_compatible_server(start, standin):
    with client(start(config.one(standin))) as caller, pytest.raises(anthropic.BadRequestError) as caught:
        caller.messages.count_tokens(**ASK)
    assert "count_tokens" in caught.value.message and standin.asked() == []


def test_the_one_that_counts_is_found(start, standin, claude):
    with client(start(config.claude_second(standin, claude))) as caller:
        assert caller.messages.count_tokens(**ASK).input_tokens > 0
    assert standin.asked() == [] and len(claude.asked()) == 1
