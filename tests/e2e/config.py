"""Configurations of the end-to-end tests, as the maps that become thalweg.yaml."""

from __future__ import annotations

import copy

from gateway import ENGINE, MODEL
from waiting import PATIENCE

# Long enough that only a fault runs into them; tests of a time-out set their own.
PATIENT = {"connect": "10s", "first_token": "60s", "gap": "60s", "whole": "60s", "total": "300s"}
CAPABILITIES = ["chat", "completions", "tools", "json_schema", "images", "logprobs", "n"]
UPSTREAM_NAME = "gpt-test-2026-01-01"  # what the stand-in calls it
SHOWN_NAME = "gpt-test"                # what answers carry
UPSTREAM_CLAUDE = "claude-test-20260101"
SHOWN_CLAUDE = "claude-test"
ENGINE_MODEL = "smollm2-135m"


def short(seconds: float) -> str:
    """A time-out that a test waits out."""
    return f"{int(seconds * 1000 * PATIENCE)}ms"


def remote(standin, key: str, timeouts: dict | None = None, **changes) -> dict:
    """An endpoint that is a stand-in. `key`: the environment variable that holds its key."""
    return {"place": "cloud", "api": "openai", "url": standin.url, "key": "${" + key + "}", "slots": 64,
            "timeouts": {**PATIENT, **(timeouts or {})},
            "models": {SHOWN_NAME: {"name": UPSTREAM_NAME, "context": 8192, "capabilities": CAPABILITIES}}, **changes}


EVERYTHING = {SHOWN_CLAUDE: {"name": UPSTREAM_CLAUDE, "context": 200000, "output": 1024, "capabilities": [
    "chat", "tools", "json_schema", "images", "files", "hosted_tools"]}}


def claude(standin, key: str, timeouts: dict | None = None, **changes) -> dict:
    """An endpoint that is a stand-in for Anthropic's API."""
    return {"place": "cloud", "api": "anthropic", "url": standin.url, "key": "${" + key + "}", "slots": 64,
            "timeouts": {**PATIENT, **(timeouts or {})},
            "models": {SHOWN_CLAUDE: {"name": UPSTREAM_CLAUDE, "context": 200000, "output": 1024}}, **changes}


def azure(standin, key: str, **changes) -> dict:
    """An endpoint that is a stand-in for OpenAI's API at Azure."""
    return remote(standin, key, api="azure", **changes)


def local(**changes) -> dict:
    """The real engine with the default model."""
    engine = {"program": str(ENGINE), "context": 2048, "slots": 2, "models": {ENGINE_MODEL: {"file": str(MODEL)}}, **changes}
    return {"place": "here", "engine": engine}


def settings(endpoints: dict, models: dict, **more) -> dict:
    return copy.deepcopy({
        "listen": "127.0.0.1:0",
        "places": {"here": {"kind": "device", "country": "DE"}, "cloud": {"kind": "cloud", "country": "US", "operator": "Example"}},
        "endpoints": endpoints, "models": models, **more})


def one(standin, timeouts: dict | None = None, **more) -> dict:
    """`big` is answered by one stand-in."""
    return settings({"standin": remote(standin, "STANDIN_KEY", timeouts)}, {"big": [f"standin/{SHOWN_NAME}"]}, **more)


def two(first, second, timeouts: dict | None = None, **more) -> dict:
    """`big` is answered by the first stand-in, else by the second."""
    return settings({"standin": remote(first, "STANDIN_KEY", timeouts), "second": remote(second, "SECOND_KEY", timeouts)},
                    {"big": [f"standin/{SHOWN_NAME}", f"second/{SHOWN_NAME}"]}, **more)


def engine_only(**more) -> dict:
    return settings({"local": local()}, {"small": [f"local/{ENGINE_MODEL}"]}, **more)


def engine_first(standin, **more) -> dict:
    """`mixed` is answered by the engine, else by the stand-in."""
    return settings({"local": local(), "standin": remote(standin, "STANDIN_KEY")},
                    {"small": [f"local/{ENGINE_MODEL}"], "mixed": [f"local/{ENGINE_MODEL}", f"standin/{SHOWN_NAME}"]}, **more)


def claude_only(claude_standin, timeouts: dict | None = None, **more) -> dict:
    """`big` is answered by one stand-in for Anthropic's API."""
    return settings({"claude": claude(claude_standin, "CLAUDE_KEY", timeouts)}, {"big": [f"claude/{SHOWN_CLAUDE}"]}, **more)


def claude_first(claude_standin, standin, timeouts: dict | None = None, **more) -> dict:
    """`big` is answered by Anthropic's API, else by OpenAI's."""
    return settings({"claude": claude(claude_standin, "CLAUDE_KEY", timeouts), "standin": remote(standin, "STANDIN_KEY", timeouts)},
                    {"big": [f"claude/{SHOWN_CLAUDE}", f"standin/{SHOWN_NAME}"]}, **more)


def claude_second(standin, claude_standin, timeouts: dict | None = None, **more) -> dict:
    """`big` is answered by OpenAI's API, else by Anthropic's."""
    return {**claude_first(claude_standin, standin, timeouts, **more), "models": {"big": [f"standin/{SHOWN_NAME}", f"claude/{SHOWN_CLAUDE}"]}}


def two_claudes(first, second, timeouts: dict | None = None, **changes) -> dict:
    """`big` is answered by the first stand-in for Anthropic's API, else by the second, which has another key. `changes` of both endpoints."""
    return settings({"claude": claude(first, "CLAUDE_KEY", timeouts, **changes), "other": claude(second, "OTHER_CLAUDE_KEY", timeouts, **changes)},
                    {"big": [f"claude/{SHOWN_CLAUDE}", f"other/{SHOWN_CLAUDE}"]})
