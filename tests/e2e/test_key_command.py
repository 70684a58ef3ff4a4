"""Keys that a program gives, and the caller's fields that go along."""

import openai
import pytest

import config
from conftest import KEYS
from waiting import until

ASK = {"model": "big", "messages": [{"role": "user", "content": "Where does it run?"}]}
OTHER = "sk-renewed-canary-77b1e0"


def keyed(standin, script: str, **more) -> dict:
    settings = config.one(standin, **more)
    endpoint = settings["endpoints"]["standin"]
    del endpoint["key"]
    endpoint["key_command"] = {"run": ["/bin/sh", "-c", script]}
    return {**settings, "probe_interval": "100ms"}


def test_the_programs_key_is_sent(start, standin, python, tmp_path):
    runs = tmp_path / "runs"
    gateway = start(keyed(standin, f"echo x >> {runs}; printf %s \"$STANDIN_KEY\"")).wait_ready()
    client = python(gateway.base_url)
    for _ in range(5):
        client.chat.completions.create(**ASK)
    assert {record.header("authorization") for record in standin.asked()} == {f"Bearer {KEYS['STANDIN_KEY']}"}
    assert runs.read_text() == "x\n", "it is asked once, not for every request"
    gateway.reload({**keyed(standin, f"echo x >> {runs}; printf %s \"$STANDIN_KEY\""), "limits": {"wait": "9s"}})
    client.chat.completions.create(**ASK)
    assert runs.read_text() == "x\n", "a reload keeps the key"
    assert KEYS["STANDIN_KEY"] not in gateway.stderr()


@pytest.mark.violations
def test_a_key_is_renewed_before_it_expires(start, standin, python, tmp_path):
    key = tmp_path / "key"
    key.write_text(KEYS["STANDIN_KEY"])
    gateway = start(keyed(standin, f"printf '{{\"access_token\": \"%s\", \"expires_in\": 5}}' \"$(cat {key})\"")).wait_ready()
    client = python(gateway.base_url)
    client.chat.completions.create(**ASK)
    key.write_text(OTHER)
    standin.key = OTHER
    until(lambda: any(record.header("authorization") == f"Bearer {OTHER}" for record in standin.records), "probes carry the new key", 30)
    client.chat.completions.create(**ASK)
    assert KEYS["STANDIN_KEY"] not in gateway.stderr() and OTHER not in gateway.stderr()


def test_an_endpoint_without_its_key_is_down(start, standin, second, python, tmp_path):
    """Nothing is sent without the key; once the program gives one, it is up."""
    mark = tmp_path / "mark"
    settings = config.two(standin, second)
    settings["endpoints"]["standin"].pop("key")
    settings["endpoints"]["standin"]["key_command"] = {"run": ["/bin/sh", "-c", f"[ -e {mark} ] && echo $STANDIN_KEY"]}
    settings["models"]["first"] = [f"standin/{config.SHOWN_NAME}"]
    gateway = start({**settings, "probe_interval": "100ms"})
    client = python(gateway.base_url, max_retries=0)
    client.chat.completions.create(**ASK)
    assert len(second.asked()) == 1 and standin.asked() == []
    with pytest.raises(openai.APIStatusError, match="is down"):
        client.chat.completions.create(**{**ASK, "model": "first"})
    until(lambda: "key_command /bin/sh: it ended with exit code 1; run it by hand to see why" in gateway.stderr(), "the log says so")
    mark.touch()
    until(lambda: gateway.metric("thalweg_endpoint_health", endpoint="standin", health="healthy") == 1, "it has its key", 30)
    client.chat.completions.create(**ASK)
    assert len(standin.asked()) == 1 and standin.asked()[0].header("authorization") == f"Bearer {KEYS['STANDIN_KEY']}"


@pytest.mark.parametrize("version, field", [("2023-06-01", "x-api-key"), ("2026-10-21", "authorization")])
def test_it_serves_anthropics_api_too(start, claude, python, version, field):
    settings = config.claude_only(claude)
    settings["endpoints"]["claude"].pop("key")
    settings["endpoints"]["claude"]["key_command"] = {"run": ["/bin/sh", "-c", "echo $CLAUDE_KEY"]}
    gateway = start({**settings, "probe_interval": "100ms"}).wait_ready()
    answer = gateway.post("/v1/messages", {"model": "big", "max_tokens": 16, "messages": ASK["messages"]}, {"anthropic-version": version})
    assert answer.status == 200
    assert KEYS["CLAUDE_KEY"] in claude.asked()[0].header(field)


def test_named_fields_go_along_and_no_others(start, standin):
    standin.closed_headers = standin.closed_headers | {"traceparent", "x-session-id"}
    settings = config.one(standin)
    settings["endpoints"]["standin"]["forward_headers"] = ["traceparent", "X-Session-Id", "X-Absent"]
    gateway = start(settings)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert gateway.post("/v1/chat/completions", ASK, {"Traceparent": trace, "x-session-id": "s-1", "x-other": "no", "Cookie": "no"}).status == 200
    [record] = standin.asked()
    assert (record.header("traceparent"), record.header("x-session-id"), record.header("x-absent")) == (trace, "s-1", None)
    assert gateway.post("/v1/chat/completions", ASK).status == 200
    assert standin.asked()[1].header("traceparent") is None


def test_fields_go_along_with_each_attempt_to_those_that_name_them(start, standin, second):
    second.closed_headers = second.closed_headers | {"x-session-id"}
    settings = config.two(standin, second)
    settings["endpoints"]["second"]["forward_headers"] = ["X-Session-Id"]
    gateway = start(settings)
    from provider import behaviour
    standin.next(behaviour.refuse(500))
    assert gateway.post("/v1/chat/completions", ASK, {"X-Session-Id": "s-1"}).status == 200
    assert standin.asked()[0].header("x-session-id") is None
    assert second.asked()[0].header("x-session-id") == "s-1"
