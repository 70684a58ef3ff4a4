"""Credentials and prompts stay where they belong: a provider sees its own key and a closed list of fields; the logs see neither
keys nor text. Canaries are searched for as bytes."""

import openai
import pytest

import config
from conftest import KEYS
from gateway import Key
from provider import behaviour
from provider.checks import HEADERS_UPSTREAM
from raw import Raw, chat, request
from reading import fold, fold_until_error

ASK = {"model": "big", "messages": [{"role": "user", "content": "prompt-canary-77e1"}]}

# What callers, browsers and other proxies add: none of it is the provider's business.
STRAYS = ("Cookie: session=cookie-canary", "X-Api-Key: header-canary", "X-Forwarded-For: 10.9.8.7", "Forwarded: for=10.9.8.7",
          "Via: 1.1 internal-proxy", "OpenAI-Organization: org-canary", "OpenAI-Project: project-canary", "X-Stainless-Lang: python",
          "Referer: http://intranet.example/page", "X-Debug: header-canary", "Proxy-Authorization: Basic header-canary", "TE: trailers",
          "Baggage: user=header-canary")


def test_fields_upstream_are_a_closed_list(gateway, standin):
    with Raw(gateway.port) as peer:
        for stream in (False, True):
            assert peer.send(request(chat(stream=stream), *STRAYS, key="caller-canary")).answer().status == 200
    for record in standin.asked():
        names = {name.lower() for name, _ in record.headers}
        assert names <= HEADERS_UPSTREAM
        values = " ".join(value for _, value in record.headers)
        assert "canary" not in values.replace(KEYS["STANDIN_KEY"], "") and "10.9.8.7" not in values and "intranet" not in values
        assert record.header("host") == f"127.0.0.1:{standin.port}"


def test_credentials_never_travel_to_another_provider(start, standin, second, python):
    key = Key("dev", ["big"])
    gateway = start(config.two(standin, second, keys=[key.settings]))
    client = python(gateway.base_url, key.text)
    standin.next(behaviour.drop("rst"), behaviour.overload(503), behaviour.cut(0))
    for _ in range(3):  # each goes to the first, fails, and goes on to the second
        client.chat.completions.create(**ASK)
    assert standin.asked() and second.asked()
    for provider, own, other in ((standin, "STANDIN_KEY", "SECOND_KEY"), (second, "SECOND_KEY", "STANDIN_KEY")):
        for record in provider.records:  # probes too
            sent = repr(record.headers) + repr(record.body)
            assert record.header("authorization") == f"Bearer {KEYS[own]}"
            assert KEYS[other] not in sent and key.text not in sent and key.text.split("_", 2)[2] not in sent


def test_a_providers_fields_do_not_reach_the_caller_but_for_what_it_needs(gateway, standin):
    standin.always(behaviour.normal(headers=(("Set-Cookie", "provider-canary"), ("X-Internal-Node", "provider-canary"), ("Server", "provider-canary"),
                                             ("Access-Control-Allow-Origin", "*"), ("OpenAI-Organization", "org-canary"))))
    for stream in (False, True):
        with Raw(gateway.port) as peer:
            head = peer.send(request(chat(stream=stream))).head()
        assert "canary" not in repr(head.headers) and head.field("access-control-allow-origin") is None


def test_the_key_can_come_from_a_file(start, standin, python, tmp_path):
    settings = config.one(standin)
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text(KEYS["STANDIN_KEY"] + "\n")
    del settings["endpoints"]["standin"]["key"]
    settings["endpoints"]["standin"]["key_file"] = str(tmp_path / "key")
    assert python(start(settings).base_url).chat.completions.create(**ASK).choices


@pytest.mark.parametrize("level", ["info", "debug"])
def test_neither_secrets_nor_text_are_ever_logged(start, standin, second, python, level):
    """Through success, stream, refusal, failover, a cut, a bad body, a wrong key and a reload."""
    key = Key("dev", ["big"])
    settings = config.two(standin, second, keys=[key.settings], log={"level": level})
    gateway = start(settings)
    client = python(gateway.base_url, key.text)
    for provider in (standin, second):
        provider.always(behaviour.normal(text="answer-canary-52d0 and more"))
    client.chat.completions.create(**ASK, tools=[{"type": "function", "function": {"name": "tool_canary"}}], user="user-canary")
    fold(client.chat.completions.create(**ASK, stream=True))
    standin.next(behaviour.cut(3), behaviour.overload(503))
    fold_until_error(client.chat.completions.create(**ASK, stream=True))
    client.chat.completions.create(**ASK)
    refused = {"message": "refusal-canary prompt-canary-77e1", "type": "x", "param": None, "code": "x"}
    standin.next(behaviour.refuse(400, error=refused))
    for wrong in (lambda: client.chat.completions.create(**ASK), lambda: client.chat.completions.create(**{**ASK, "model": "no-model"}),
                  lambda: python(gateway.base_url, Key("other", []).text).chat.completions.create(**ASK)):
        with pytest.raises(openai.APIStatusError):
            wrong()
    gateway.post("/v1/chat/completions?api_key=query-canary", b'{"model":"big","messages":[{"role":"user","content":"body-canary-09aa', {"Authorization": f"Bearer {key.text}"})
    gateway.get("/v1/models?token=query-canary", headers={"Authorization": f"Bearer {key.text}", "Cookie": "cookie-canary"})
    gateway.reload({**settings, "models": {**settings["models"], "again": settings["models"]["big"]}})
    gateway.wait_lines(8)
    gateway.stop()
    written = gateway.access_log.read_text() + gateway.stderr() + "\n".join(gateway.stdout_lines)
    for secret in ("canary", key.text, key.text.split("_", 2)[2], Key("other", []).text, *KEYS.values(), key.settings["sha256"]):
        assert secret not in written, f"{secret} was logged"
    assert gateway.lines()[0]["key"] == "dev", "the key's id is no secret and should be there"


def test_the_access_log_is_readable_by_its_owner_and_group_only(gateway, python):
    python(gateway.base_url).chat.completions.create(**ASK)
    gateway.wait_lines(1)
    assert gateway.access_log.stat().st_mode & 0o007 == 0
