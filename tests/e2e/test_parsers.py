"""The official clients' own readers of streams against whole answers: over every surface and endpoint, what they make of a stream is the
message that comes when nothing is streamed, however the stream was cut into pieces; and Python's and Node's are the same."""

import itertools
import json

import pytest

import config
from compat.node_worker import Worker
from compat.parsers_python import PARSERS, ChatParser
from conftest import KEYS
from gateway import CACHE, Gateway
from provider import answers, behaviour, messages
from provider.checks import HEADERS_UPSTREAM
from standin import StandIn

PROMPT = "Where does it run?"
# Escapes, characters beyond ASCII and the BMP, nested quotes: a fragment of one character ends inside each of them.
ARGUMENTS = '{"city": "Z\\u00fcrich \\ud83d\\udeb0", "note": "a \\"quote\\", a \\\\ and a \\n", "raw": "東京 🚰", "inner": "{\\"k\\": [1, 2.5]}"}'
CALLS = (("weather", ARGUMENTS), ("weather", '{"city": "Bern"}'), ("weather", "{}"))

CONTENTS = {
    "words": behaviour.normal(),
    "words, byte by byte": behaviour.normal(piece=1),
    "words, CRLF and comments": behaviour.normal(newline="\r\n", comments=True, piece=3),
    "a long text": behaviour.normal(repeat=40),
    "one word": behaviour.normal(text="Yes"),
    "escapes": behaviour.normal(text='"\\\n\t\u0001 \u2028 \U0001f6b0 </s> \\u0041'),
    "tool calls, a character each": behaviour.normal(tool_calls=CALLS, split_arguments=1),
    "tool calls, a byte each": behaviour.normal(tool_calls=CALLS, split_arguments=3, piece=1),
    "tool calls, whole": behaviour.normal(tool_calls=CALLS, split_arguments=10_000),
}
THOUGHTS = {"a thought before it": messages.said(thinking='First "think", Zürich 🚰.')}  # only Anthropic's API says them; OpenAI's reader of chats knows none
# What differs from request to request, and what a reader adds of its own.
OWN = {"id", "created", "created_at", "completed_at", "index", "parsed", "parsed_arguments", "parsed_output", "output_parsed", "output_text"}


def pruned(value):
    """Without OWN and what is null, arguments as what they are the text of: an object that comes whole is written in its endpoint's way.
    A content of no text is none: a stream begins before it is known whether there is any."""
    if isinstance(value, dict):
        return {name: json.loads(part) if name == "arguments" else pruned(part) for name, part in value.items()
                if part is not None and name not in OWN and (name, part) != ("content", "")}
    return [pruned(part) for part in value] if isinstance(value, list) else value


def strings(value):
    """Every text in it."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(part)


@pytest.fixture(scope="module")
def providers():
    made = {"openai": StandIn(KEYS["STANDIN_KEY"], (config.UPSTREAM_NAME,), closed_headers=HEADERS_UPSTREAM).start(),
            "anthropic": StandIn(KEYS["CLAUDE_KEY"], (config.UPSTREAM_CLAUDE,), closed_headers=HEADERS_UPSTREAM, api="anthropic").start()}
    yield made
    for standin in made.values():
        standin.stop()
        assert standin.violations == []


@pytest.fixture(scope="module")
def gateway(providers, tmp_path_factory):
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), config.settings(
        {"openai": config.remote(providers["openai"], "STANDIN_KEY"), "anthropic": config.claude(providers["anthropic"], "CLAUDE_KEY")},
        {"openai": [f"openai/{config.SHOWN_NAME}"], "anthropic": [f"anthropic/{config.SHOWN_CLAUDE}"]}), KEYS)
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    worker = Worker(CACHE / "clients/node", tmp_path_factory.mktemp("node"))
    yield worker
    worker.stop()


CHECKS = [*itertools.product(PARSERS, ["openai", "anthropic"], CONTENTS),
          *((parser, "anthropic", content) for parser in PARSERS if parser is not ChatParser for content in THOUGHTS)]


@pytest.mark.parametrize("parser, endpoint, content", CHECKS, ids=lambda part: getattr(part, "name", part))
def test_what_a_stream_becomes_is_the_whole_answer(parser, endpoint, content, providers, gateway, worker):
    said = {**CONTENTS, **THOUGHTS}[content]
    providers[endpoint].always(said)
    python = parser(gateway.url)
    read = {}
    for streamed in (False, True):
        asked = {"model": endpoint, "prompt": PROMPT, "streamed": streamed, "tools": bool(said.tool_calls)}
        read["Python", streamed] = pruned(python.message(**asked))
        read["Node", streamed] = pruned(worker.ask(f"{parser.name} parser", gateway.url, "message", asked))
    whole = read["Python", False]
    for how, message in read.items():
        assert message == whole, how
    expected = "東京 🚰" if said.tool_calls else said.thinking if content in THOUGHTS else answers.texts_for({"messages": [{"content": PROMPT}]}, said)[0]
    assert expected in strings(whole), "the answer is not what was said"
