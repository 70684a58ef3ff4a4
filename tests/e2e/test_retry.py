"""Retries are few, late enough and only where safe; an endpoint that keeps failing is left alone until it is well again."""

import email.utils
import time

import openai
import pytest

import config
from provider import answers, behaviour
from reading import fold
from waiting import PATIENCE, until

ASK = {"model": "big", "messages": [{"role": "user", "content": "Where does it run?"}]}
TEXT = answers.text_for("Where does it run?")


def outcome(client, **more) -> int:
    """The status that a caller sees."""
    try:
        client.chat.completions.create(**ASK, **more)
        return 200
    except openai.APIStatusError as error:
        return error.status_code


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_endpoint_is_asked_again_after_its_retry_after_not_before(gateway, standin, python, status):
    standin.next(behaviour.overload(status, "1"))
    answer = python(gateway.base_url).chat.completions.create(**ASK)
    assert answer.choices[0].message.content == TEXT
    first, second = standin.asked()
    assert second.at - first.at >= 0.99, "asked again before Retry-After was over"


@pytest.mark.parametrize("status", [429, 503])
def test_a_date_in_retry_after_holds_like_seconds(gateway, standin, python, status):
    """Proxies in front of endpoints send the date form (RFC 9110, section 10.2.3)."""
    until_then = int(time.time()) + 2
    standin.next(behaviour.overload(status, email.utils.formatdate(until_then, usegmt=True)))
    assert python(gateway.base_url).chat.completions.create(**ASK).choices[0].message.content == TEXT
    assert time.time() >= until_then, "asked again before the date"
    assert len(standin.asked()) == 2


def test_a_date_beyond_all_waiting_is_told_at_once(gateway, standin, python):
    date = email.utils.formatdate(time.time() + 3600, usegmt=True)
    standin.always(behaviour.overload(429, date))
    with pytest.raises(openai.RateLimitError) as caught:
        python(gateway.base_url).chat.completions.create(**ASK)
    assert caught.value.response.headers["retry-after"] == date
    assert len(standin.asked()) == 1


@pytest.mark.parametrize("fault", [behaviour.overload(503), behaviour.overload(500), behaviour.drop("rst"), behaviour.cut(0)],
                         ids=["503", "500", "reset", "cut"])
def test_one_passing_fault_is_invisible_to_the_caller(gateway, standin, python, fault):
    standin.next(fault)
    assert python(gateway.base_url).chat.completions.create(**ASK).choices[0].message.content == TEXT
    assert len(standin.asked()) == 2


def test_a_failed_attempt_does_not_keep_the_slot_that_the_next_one_needs(start, standin, python):
    """The first answer ends in good order, but without a finish reason."""
    settings = config.one(standin, limits={"wait": "5s"})
    settings["endpoints"]["standin"]["slots"] = 1
    gateway = start(settings)
    standin.next(behaviour.cut(1, framing="close"))
    client = python(gateway.base_url)
    assert fold(client.chat.completions.create(**ASK, stream=True)).text == TEXT
    assert len(standin.asked()) == 2


REQUESTS = 60
BUCKET, PER_RETRY = 10, 10  # a bucket of ten, refilled by one retry for every ten requests (docs/reliability.md)


def test_the_retry_budget_bounds_what_an_outage_multiplies(gateway, standin, python):
    """Always busy and asking to come back at once: the breaker does not count that, so the budget alone bounds it."""
    standin.always(behaviour.overload(429, "0"))
    client = python(gateway.base_url)
    statuses = [outcome(client) for _ in range(REQUESTS)]
    assert set(statuses) == {429}
    retries = len(standin.asked()) - REQUESTS
    assert 0 < retries <= BUCKET + REQUESTS // PER_RETRY


@pytest.mark.parametrize("status", [500, 503], ids=["500", "503 that names no time"])
def test_a_failing_endpoint_gets_fewer_requests_than_callers_send(gateway, standin, python, status):
    standin.always(behaviour.overload(status))
    client = python(gateway.base_url)
    statuses = [outcome(client) for _ in range(REQUESTS)]
    assert 200 not in statuses and min(statuses) >= 500
    assert len(standin.asked()) < REQUESTS // 2, "the breaker did not open"


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_silent_endpoint_is_never_asked_twice(start, standin, python, stream):
    gateway = start(config.one(standin, {"first_token": config.short(0.4), "whole": config.short(0.4)}))
    for asked, where in enumerate(("head", "first"), 1):
        standin.always(behaviour.stall(where))
        assert outcome(python(gateway.base_url), stream=stream) == 504
        assert len(standin.asked()) == asked


@pytest.mark.parametrize("stream", [False, True])
def test_two_silent_endpoints_are_asked_once_each(start, standin, second, python, stream):
    gateway = start(config.two(standin, second, {"first_token": config.short(0.4), "whole": config.short(0.4)}))
    for provider in (standin, second):
        provider.always(behaviour.stall("head"))
    assert outcome(python(gateway.base_url), stream=stream) == 504
    assert (len(standin.asked()), len(second.asked())) == (1, 1)


@pytest.mark.parametrize("fault", [behaviour.overload(500), behaviour.drop("rst")], ids=["500", "reset"])
def test_the_breaker_opens_after_failures_and_closes_after_recovery(start, standin, second, python, fault):
    gateway = start(config.two(standin, second))
    client = python(gateway.base_url)
    standin.always(fault)
    standin.for_probes(fault)

    def left_alone() -> bool:
        before = len(standin.asked())
        return [outcome(client) for _ in range(5)] == [200] * 5 and len(standin.asked()) == before

    until(left_alone, "the failing endpoint is left alone")
    standin.always(behaviour.normal())
    standin.for_probes(behaviour.normal())

    def back() -> bool:
        before = len(standin.asked())
        client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)
        return len(standin.asked()) == before + 2

    until(back, "the recovered endpoint is preferred again", 30)


def test_a_lone_endpoint_with_an_open_breaker_is_answered_for_at_once(gateway, standin, python):
    """503 without asking: no caller waits for what is known to fail."""
    standin.always(behaviour.drop("rst"))
    standin.for_probes(behaviour.drop("rst"))
    client = python(gateway.base_url)

    def answered_without_asking() -> bool:
        before = len(standin.asked())
        status = outcome(client)
        return len(standin.asked()) == before and status == 503

    until(answered_without_asking, "a 503 without a request to the endpoint")
    standin.always(behaviour.normal())
    standin.for_probes(behaviour.normal())
    until(lambda: outcome(client) == 200, "the endpoint is tried again and answers", 30)


def test_an_endpoint_that_was_down_at_the_start_is_used_once_it_is_up(start, standin, python):
    standin.refuse_connections()
    gateway = start(config.one(standin))
    client = python(gateway.base_url)
    assert outcome(client) in (502, 503)
    standin.accept_connections()
    until(lambda: outcome(client) == 200, "the endpoint that came up answers", 30)


def test_a_busy_endpoint_that_asks_for_an_hour_is_not_waited_for(gateway, standin, python):
    standin.always(behaviour.overload(503, "3600"))
    began = time.monotonic()
    assert outcome(python(gateway.base_url)) == 503
    assert len(standin.asked()) == 1 and time.monotonic() - began < 20 * PATIENCE
