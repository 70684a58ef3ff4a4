"""The kinds of endpoint, each behind a model of its own of one gateway: the stand-ins do as a case says, the engine as it can."""

from __future__ import annotations

import contextlib
import json
import os
import signal

import config
from conftest import KEYS
from gateway import Gateway
from provider.behaviour import Behaviour, context_exceeded, normal
from provider.checks import HEADERS_UPSTREAM
from provider.messages import context_exceeded as claude_context_exceeded
from standin import StandIn
from waiting import until


class Endpoint:
    """`kind`: as configured, a heading of the page. `model`: the gateway's name for what this endpoint serves."""
    too_long = "does not fit"  # what is said of a prompt beyond the context: here the gateway sees it itself

    def __init__(self, kind: str, model: str):
        self.kind, self.model, self.gateway = kind, model, None

    def asked(self) -> int:
        """How many requests it was seen to get."""
        return 0

    def will(self, *behaviours: Behaviour) -> None:
        """What the next requests meet, one each; the last holds on."""

    def stop(self) -> None:
        """Ends what stands in for it."""

    def settled(self) -> None:
        """Nothing is left of the last case; what was wrong in it is raised."""

    def exceeded(self) -> Behaviour:
        return normal()

    @contextlib.contextmanager
    def silent(self):
        """While nothing is answered."""
        pids = self.gateway.engine_pids()
        assert pids, "the engine does not run"
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def check_text(self, text: str, expected: str) -> None:
        assert text, "the engine said nothing"

    def check_sent(self, *words: str) -> None:
        """That the last request held these words."""

    def check_conversation(self, requests: int) -> None:
        """That it was asked so often, each time with all that was said before."""

    def check_left(self) -> None:
        """That the endpoint saw the client leave."""


class Provider(Endpoint):
    """A stand-in."""

    def __init__(self, kind: str, model: str, api: str, key: str, served: str):
        super().__init__(kind, model)
        self.standin = StandIn(KEYS[key], (served,), closed_headers=HEADERS_UPSTREAM, api=api).start()
        self.too_long = "prompt is too long" if api == "anthropic" else "maximum context length"
        self.exceeded = claude_context_exceeded if api == "anthropic" else context_exceeded

    def asked(self):
        return len(self.standin.asked())

    def will(self, *behaviours):
        self.standin.next(*behaviours[:-1])
        self.standin.always(behaviours[-1])

    def stop(self):
        self.standin.stop()

    def settled(self):
        self.standin.forget()
        violations, self.standin.violations = self.standin.violations, []
        assert violations == []

    @contextlib.contextmanager
    def silent(self):
        self.will(Behaviour(stall="head"))
        yield

    def check_text(self, text, expected):
        assert text == expected

    def check_sent(self, *words):
        sent = json.dumps(self.standin.asked()[-1].json, ensure_ascii=False)
        for word in words:
            assert word in sent, f"{word} did not arrive"

    def check_conversation(self, requests):
        sizes = [len(record.body) for record in self.standin.asked()[-requests:]]
        assert len(sizes) == requests and sizes == sorted(sizes)

    def check_left(self):
        until(lambda: self.standin.asked()[-1].gone_at, "the endpoint sees that the client left")


# How each is called on the page, and made.
KINDS = {
    "the engine": lambda kind: Endpoint(kind, "on-engine"),
    "`api: openai`": lambda kind: Provider(kind, "on-openai", "openai", "STANDIN_KEY", config.UPSTREAM_NAME),
    "`api: azure`": lambda kind: Provider(kind, "on-azure", "azure", "SECOND_KEY", config.UPSTREAM_NAME),
    "`api: anthropic`": lambda kind: Provider(kind, "on-anthropic", "anthropic", "CLAUDE_KEY", config.UPSTREAM_CLAUDE),
}


def endpoints() -> list[Endpoint]:
    return [make(kind) for kind, make in KINDS.items()]


def start(folder, kinds: list[Endpoint], context: int = 8192) -> Gateway:
    """One gateway over all of them; its engine answers before this returns. `context`: the hosted models' tokens."""
    _, hosted, azure, claude = (getattr(kind, "standin", None) for kind in kinds)
    models = {config.SHOWN_NAME: {"name": config.UPSTREAM_NAME, "context": context, "capabilities": config.CAPABILITIES}}
    gateway = Gateway(folder, config.settings(
        {"engine": config.local(arguments=["--temp", "0"]), "openai": config.remote(hosted, "STANDIN_KEY", models=models),
         "azure": config.azure(azure, "SECOND_KEY", models=models), "anthropic": config.claude(claude, "CLAUDE_KEY", models=config.EVERYTHING)},
        {"on-engine": [f"engine/{config.ENGINE_MODEL}"], "on-openai": [f"openai/{config.SHOWN_NAME}"],
         "on-azure": [f"azure/{config.SHOWN_NAME}"], "on-anthropic": [f"anthropic/{config.SHOWN_CLAUDE}"]}), KEYS)
    for kind in kinds:
        kind.gateway = gateway
    until(lambda: gateway.metric("thalweg_endpoint_health", endpoint="engine", health="healthy") == 1, "the engine is healthy", 60)
    return gateway
