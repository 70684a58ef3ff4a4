"""Every unmodified client over every kind of endpoint, in nine cases each, and docs/compatibility.md, which says what came of it."""

import pytest

import config
from compat import cases, endpoints, page, refusals
from compat.node_worker import NodeClient, Worker
from compat.roster import CLIENTS
from gateway import CACHE

KINDS = list(endpoints.KINDS)
CELLS: dict[tuple[str, tuple[str, str], str], str] = {}


def named(client) -> str:
    return f"{client.name} {client.surface}".replace("`", "")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    made = endpoints.endpoints()
    gateway = endpoints.start(tmp_path_factory.mktemp("gateway"), made)
    yield {kind.kind: kind for kind in made}
    gateway.stop()
    for kind in made:
        kind.stop()


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    NodeClient.worker = Worker(CACHE / "clients/node", tmp_path_factory.mktemp("node"))
    yield
    NodeClient.worker.stop()


@pytest.fixture(scope="module")
def made(kinds, worker):
    """made(class) -> the client, once."""
    known: dict[type, object] = {}
    url = kinds[KINDS[0]].gateway.url
    return lambda client: known.get(client) or known.setdefault(client, client(url))


@pytest.mark.engine
@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("client", CLIENTS, ids=named)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.replace("`", ""))
def test_a_client_over_an_endpoint(kind, client, case, kinds, made):
    cell = cases.run(case, made(client), kinds[kind])
    CELLS[kind, (client.name, client.surface), case.name] = cell


@pytest.mark.engine
def test_the_page_says_what_the_run_says(request):
    if len(CELLS) < len(KINDS) * len(CLIENTS) * len(cases.CASES):
        if request.session.testsfailed:
            pytest.fail("not every client works: see above")
        pytest.skip("not every cell was run")
    page.check(page.clients_part(CELLS, KINDS, [case.name for case in cases.CASES]), 0)


def test_only_words_that_the_documents_list_are_a_refusal():
    lacking = 'no endpoint can serve "m": here/m lacks tools; ask for another model'
    unsaid = 'no endpoint can serve "m": here/m speaks an API (openai) that cannot say what the request says; ask for another model'
    why = "mcp_servers: this cannot be carried to an endpoint that speaks chat completions; leave it out"
    for words in (lacking, f"{unsaid} ({why})"):
        assert refusals.listed(words), words
    for words in ("", "the server had an error", f"sorry: {lacking}", why, unsaid, f"{unsaid} (no reason)"):
        assert not refusals.listed(words), words


@pytest.mark.parametrize("surface, body", [
    ("/v1/responses", {"input": "x", "conversation": "c"}), ("/v1/responses", {"input": "x", "tools": [{"type": "web_search"}]}),
    ("/v1/responses", {"input": "x", "previous_response_id": "r"}), ("/v1/messages", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9,
                                                                                     "mcp_servers": []})])
def test_what_cannot_be_carried_is_refused_in_listed_words(start, standin, surface, body):
    answer = start(config.one(standin)).post(surface, {"model": "big", **body})
    assert answer.status == 400 and refusals.listed(answer.json["error"]["message"]), answer.json
