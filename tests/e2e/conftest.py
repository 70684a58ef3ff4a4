"""Fixtures: stand-ins that fail the test on any violation it did not expect, and gateways that must end cleanly."""

from __future__ import annotations

import openai
import pytest

import config
from gateway import CACHE, ENGINE, MODEL, PROGRAM, Gateway
from node_client import NodeClient
from provider.checks import HEADERS_UPSTREAM
from standin import StandIn
from waiting import PATIENCE, until

KEYS = {"STANDIN_KEY": "sk-standin-canary-1f6e0c", "SECOND_KEY": "sk-second-canary-93ab7d",
        "CLAUDE_KEY": "sk-ant-canary-5d20b8", "OTHER_CLAUDE_KEY": "sk-ant-other-canary-e7714c"}


def pytest_collection_modifyitems(items):
    for item in items:
        if "engine" in item.fixturenames or "start_engine" in item.fixturenames:
            item.add_marker("engine")


def pytest_runtest_setup(item):
    if item.get_closest_marker("engine"):
        for file, made_by in ((ENGINE, "make engine"), (MODEL, "make model")):
            if not file.exists():
                pytest.skip(f"{file} is not there; `{made_by}` provides it")


def _standin(request, key: str, model: str = config.UPSTREAM_NAME, api: str = "openai"):
    standin = StandIn(key, (model,), closed_headers=HEADERS_UPSTREAM, api=api).start()
    yield standin
    standin.stop()
    if not request.node.get_closest_marker("violations"):
        assert standin.violations == []


@pytest.fixture
def standin(request):
    """The first provider."""
    yield from _standin(request, KEYS["STANDIN_KEY"])


@pytest.fixture
def second(request):
    """Another provider, with a key of its own."""
    yield from _standin(request, KEYS["SECOND_KEY"])


@pytest.fixture
def claude(request):
    """A provider of Anthropic's API."""
    yield from _standin(request, KEYS["CLAUDE_KEY"], config.UPSTREAM_CLAUDE, "anthropic")


@pytest.fixture
def other_claude(request):
    """Another one, with a key of its own."""
    yield from _standin(request, KEYS["OTHER_CLAUDE_KEY"], config.UPSTREAM_CLAUDE, "anthropic")


@pytest.fixture
def start(tmp_path_factory):
    """start(settings) -> a running Gateway; ended, and judged, after the test."""
    started: list[Gateway] = []

    def begin(settings: dict, environment: dict[str, str] | None = None, arguments: tuple[str, ...] = (),
              files: int = 0) -> Gateway:
        if not PROGRAM.exists():
            pytest.fail(f"{PROGRAM} is not there; `make build` builds it, THALWEG_PROGRAM names another")
        gateway = Gateway(tmp_path_factory.mktemp("gateway"), settings, {**KEYS, **(environment or {})}, arguments, files)
        started.append(gateway)
        return gateway

    yield begin
    for gateway in started:
        gateway.stop()


@pytest.fixture
def gateway(start, standin):
    """`big` on one stand-in."""
    return start(config.one(standin))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """`small` on the real engine: started once a file, since loading the model takes a second."""
    gateway = Gateway(tmp_path_factory.mktemp("engine"), config.engine_only())
    try:
        yield gateway.wait_ready()
    finally:
        gateway.stop()


@pytest.fixture
def start_engine(start):
    """Like start, and waits until the engine itself can answer: /readyz is content with any endpoint."""
    def begin(settings: dict, **more) -> Gateway:
        gateway = start(settings, **more)
        until(lambda: gateway.metric("thalweg_endpoint_health", endpoint="local", health="healthy") == 1, "the engine is healthy", 60)
        return gateway

    return begin


def python_client(base_url: str, key: str = "any", **more) -> openai.OpenAI:
    """The unmodified client; without retries of its own, so that a test sees the gateway's."""
    return openai.OpenAI(base_url=base_url, api_key=key, **{"max_retries": 0, "timeout": 60 * PATIENCE, **more})


@pytest.fixture
def python():
    """python(base_url, key) -> the client for Python."""
    opened: list[openai.OpenAI] = []

    def make(base_url: str, key: str = "any", **more) -> openai.OpenAI:
        opened.append(python_client(base_url, key, **more))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture(scope="session")
def node() -> NodeClient:
    """The unmodified client for Node."""
    folder = CACHE / "clients/node"
    if not (folder / "node").exists():
        pytest.fail(f"no Node client under {folder}; scripts/clients.sh provides it")
    return NodeClient(folder)
