"""The nine cases: what a client is asked, and what must hold for any client over any kind of endpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from compat import refusals
from compat.client import PATIENT, TEMPERATURES, Client, Outcome
from compat.endpoints import Endpoint
from provider import answers, behaviour
from waiting import PATIENCE

PROMPT = "What is the capital of France? Answer in one sentence."
TEXT = answers.text_for(PROMPT)
TOKENS = 64                                # more than the engine needs for any of its answers: some clients take one cut short for an error
STORY, STORY_TOKENS = "Tell me a long story about a river, from its spring to the sea.", 1000  # lasts until the client leaves
TOO_LONG = "The river runs on and on. " * 1700  # 44,200 characters: by any estimate above the engine's 2,048 and the stand-ins' 8,192 tokens
GIVE_UP = 0.3 * PATIENCE                   # seconds
# The smallest PNG: one black pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
CITY_CALLS = tuple(("weather", f'{{"city": "{city}"}}') for city in TEMPERATURES)
SAID_AFTER = "Zürich and Bern: \"cool\"."


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    ask: Callable[[Client, Endpoint], Outcome]
    check: Callable[[Outcome, Endpoint], None]
    logged: str = "complete"  # the outcome of the last request in the access log


def ask_plain(client: Client, endpoint: Endpoint) -> Outcome:
    endpoint.will(behaviour.normal())
    return client.ask("answer", model=endpoint.model, prompt=PROMPT, tokens=TOKENS, seconds=PATIENT)


def ask_streamed(client: Client, endpoint: Endpoint) -> Outcome:
    endpoint.will(behaviour.normal())
    return client.ask("stream", model=endpoint.model, prompt=PROMPT, tokens=TOKENS, leave_after=0)


def check_plain(outcome: Outcome, endpoint: Endpoint) -> None:
    endpoint.check_text(outcome.text, TEXT)


def check_streamed(outcome: Outcome, endpoint: Endpoint) -> None:
    endpoint.check_text(outcome.text, TEXT)
    assert outcome.pieces > 1, "the answer came in one piece"


def ask_tools(calls: tuple) -> Callable[[Client, Endpoint], Outcome]:
    def ask(client: Client, endpoint: Endpoint) -> Outcome:
        endpoint.will(behaviour.normal(tool_calls=calls), behaviour.normal(text=SAID_AFTER))
        return client.ask("use_tools", model=endpoint.model, prompt="How warm is it there?", tokens=TOKENS)
    return ask


def check_tools(calls: tuple) -> Callable[[Outcome, Endpoint], None]:
    cities = list(TEMPERATURES)[:len(calls)]

    def check(outcome: Outcome, endpoint: Endpoint) -> None:
        assert outcome.calls == cities
        endpoint.check_text(outcome.text, SAID_AFTER)
        endpoint.check_sent(*(TEMPERATURES[city] for city in cities))
    return check


def ask_image(client: Client, endpoint: Endpoint) -> Outcome:
    endpoint.will(behaviour.normal(text=TEXT))
    return client.ask("look", model=endpoint.model, prompt="What is this?", image=PIXEL, tokens=TOKENS)


def check_image(outcome: Outcome, endpoint: Endpoint) -> None:
    endpoint.check_text(outcome.text, TEXT)
    endpoint.check_sent(PIXEL)


def ask_schema(client: Client, endpoint: Endpoint) -> Outcome:
    endpoint.will(behaviour.normal())
    return client.ask("fill", model=endpoint.model, prompt="Which city do you like?", tokens=TOKENS)


def check_schema(outcome: Outcome, endpoint: Endpoint) -> None:
    assert outcome.city in ("Bern", "Basel")
    endpoint.check_sent("enum")


def ask_error(client: Client, endpoint: Endpoint) -> Outcome:
    endpoint.will(endpoint.exceeded())
    return client.ask("answer", model=endpoint.model, prompt=TOO_LONG, tokens=TOKENS, seconds=PATIENT)


def check_error(outcome: Outcome, endpoint: Endpoint) -> None:
    """The client's own error for a bad request, with the words of who refused."""
    assert outcome.failure and (outcome.failure.kind, outcome.failure.status) == ("refused", 400), outcome
    assert endpoint.too_long in outcome.failure.message, outcome


def ask_cancel(client: Client, endpoint: Endpoint) -> Outcome:
    endpoint.will(behaviour.stall("middle", 8))
    return client.ask("stream", model=endpoint.model, prompt=STORY, tokens=STORY_TOKENS, leave_after=2)


def check_cancel(outcome: Outcome, endpoint: Endpoint) -> None:
    assert outcome.pieces == 2
    endpoint.check_left()


def ask_timeout(client: Client, endpoint: Endpoint) -> Outcome:
    with endpoint.silent():
        return client.ask("answer", model=endpoint.model, prompt=PROMPT, tokens=TOKENS, seconds=GIVE_UP)


def check_timeout(outcome: Outcome, endpoint: Endpoint) -> None:
    assert outcome.failure and outcome.failure.kind == "timeout", outcome
    endpoint.check_left()


CASES = [
    Case("plain", ask_plain, check_plain),
    Case("streamed", ask_streamed, check_streamed),
    Case("tools", ask_tools(CITY_CALLS[:1]), check_tools(CITY_CALLS[:1])),
    Case("parallel tools", ask_tools(CITY_CALLS), check_tools(CITY_CALLS)),
    Case("image", ask_image, check_image),
    Case("JSON schema", ask_schema, check_schema),
    Case("error", ask_error, check_error, "failed"),
    Case("cancel", ask_cancel, check_cancel, "client_gone"),
    Case("time-out", ask_timeout, check_timeout, "client_gone"),
]


def run(case: Case, client: Client, endpoint: Endpoint) -> str:
    """The cell of the table: `works`, or `refused: ` and the words. What is neither is an AssertionError."""
    lines, asked = len(endpoint.gateway.lines_of_requests()), endpoint.asked()
    try:
        outcome = case.ask(client, endpoint)
        # One line for each request that an endpoint got, or for the one that none got. The last tells how the case ended.
        logged = endpoint.gateway.wait_lines(lines + max(1, endpoint.asked() - asked))[-1]
        if case.name != "error" and outcome.failure and outcome.failure.kind == "refused":
            assert refusals.listed(outcome.failure.message), f"no document lists this refusal: {outcome.failure.message}"
            return f"refused: {outcome.failure.message}"
        assert logged["outcome"] == case.logged, (logged, outcome)
        if case.logged == "complete":
            assert outcome.failure is None, outcome
        case.check(outcome, endpoint)
        return "works"
    finally:
        endpoint.settled()
