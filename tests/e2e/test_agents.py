"""The unmodified coding agents, each on one task over every kind of endpoint, and their part of docs/compatibility.md."""

import json

import pytest

from compat import coding_agents, endpoints, page, refusals
from provider import behaviour

KINDS = list(endpoints.KINDS)
CONTEXT = 200_000  # tokens; an agent's tools alone are 20,000
LAST_WORDS = "It says goodbye now."
CELLS: dict[tuple[tuple[str, str], str], str] = {}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    if not coding_agents.NODE.exists():
        pytest.skip(f"no coding agents in {coding_agents.AGENTS}; scripts/agents.sh installs them")
    made = endpoints.endpoints()
    gateway = endpoints.start(tmp_path_factory.mktemp("gateway"), made, CONTEXT)
    yield {kind.kind: kind for kind in made}
    gateway.stop()
    for kind in made:
        kind.stop()


@pytest.mark.engine
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.replace("`", ""))
@pytest.mark.parametrize("agent", coding_agents.ROSTER, ids=lambda agent: agent.package)
def test_an_agent_changes_a_file(agent, kind, kinds, tmp_path):
    endpoint = kinds[kind]
    worker = agent(endpoint.gateway.url, endpoint.model, tmp_path)
    calls = [behaviour.normal(tool_calls=((tool, json.dumps(arguments)),)) for tool, arguments in worker.script()]
    endpoint.will(*calls, behaviour.normal(text=LAST_WORDS))
    try:
        done = worker.do(coding_agents.TASK)
        if done.well:
            assert done.text == LAST_WORDS and worker.note.read_text() == "goodbye\n"
            endpoint.check_conversation(len(calls) + 1)
            cell = "works"
        else:
            assert refusals.listed(done.text), f"neither done nor refused: {done.text}"
            assert worker.note.read_text() == "hello\n"
            cell = f"refused: {done.text}"
    finally:
        endpoint.settled()
    CELLS[(agent.name, agent.surface), kind] = cell


@pytest.mark.engine
def test_the_page_says_what_the_run_says(kinds):
    if len(CELLS) < len(KINDS) * len(coding_agents.ROSTER):
        pytest.skip("not every cell was run, or not every one came out well")
    page.check(page.agents_part(coding_agents.ROSTER, CELLS, KINDS), 1)


def test_the_page_names_the_agents_that_are_pinned():
    assert page.halves()[1].startswith(page.agents_head(coding_agents.ROSTER))
