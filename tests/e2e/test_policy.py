"""Rules hold for every request, at every attempt, in every API: what they forbid gets no byte, and the caller is told which rule it was."""

import json

import anthropic
import openai
import pytest

import config
from command import command, write
from gateway import Key
from provider import behaviour
from waiting import until

ASK = {"model": "big", "messages": [{"role": "user", "content": "Where does it run?"}]}
IMAGE = {"role": "user", "content": [{"type": "text", "text": "What is it?"},
                                     {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]}


def ruled(settings: dict, groups: dict | None = None, **rules) -> dict:
    return {**settings, "policy": {"rules": rules, **({"groups": groups} if groups else {})}}


def europe(standin, second, **rules) -> dict:
    """`big` is answered in the US, else in Germany."""
    settings = config.two(standin, second)
    settings["places"]["frankfurt"] = {"kind": "cloud", "country": "DE", "operator": "Example"}
    settings["endpoints"]["second"]["place"] = "frankfurt"
    return ruled(settings, **rules)


ONLY_EUROPE = {"places": {"only": {"countries": ["EU"]}}}


# ---- Where ---------------------------------------------------------------------------------------------------------------------


def test_a_forbidden_place_gets_nothing_not_even_a_probe(start, standin, python):
    gateway = start(ruled(config.one(standin), europe=ONLY_EUROPE))
    with pytest.raises(openai.PermissionDeniedError) as refused:
        python(gateway.base_url).chat.completions.create(**ASK)
    assert refused.value.type == "permission_error" and refused.value.code == "forbidden"
    assert "rule europe" in refused.value.body["message"] and "stands in US" in refused.value.body["message"]
    assert standin.records == []
    line = gateway.wait_lines(1)[0]
    assert line["status"] == 403 and line["error"] == "forbidden" and line["attempts"] == 0


def test_the_place_inside_the_rules_is_taken_though_another_is_preferred(start, standin, second, python):
    gateway = start(europe(standin, second, europe=ONLY_EUROPE))
    assert python(gateway.base_url).chat.completions.create(**ASK).choices
    assert standin.records == [] and len(second.asked()) == 1


@pytest.mark.parametrize("fault", [behaviour.drop("rst"), behaviour.overload(503), behaviour.overload(429, "60"), behaviour.html()],
                         ids=["reset", "503", "429", "html"])
@pytest.mark.parametrize("stream", [False, True])
def test_no_failover_leads_out_of_the_rules(start, standin, second, python, fault, stream):
    gateway = start(europe(standin, second, europe=ONLY_EUROPE))
    second.always(fault)
    with pytest.raises(openai.APIStatusError) as failed:
        list(python(gateway.base_url).chat.completions.create(**ASK, stream=stream))
    assert failed.value.status_code != 403
    assert standin.records == [] and second.asked()


def test_an_unknown_fact_denies(start, standin, python):
    settings = ruled(config.one(standin), **{"not-there": {"places": {"never": {"countries": ["CN"]}}}})
    del settings["places"]["cloud"]["country"]
    gateway = start(settings)
    with pytest.raises(openai.PermissionDeniedError, match="country is not known"):
        python(gateway.base_url).chat.completions.create(**ASK)
    assert standin.records == []


@pytest.mark.engine
def test_local_only_runs_on_the_engine(start_engine, standin, python):
    settings = config.engine_first(standin)
    settings["models"]["mixed"].reverse()
    gateway = start_engine(ruled(settings, home={"when": {"models": ["mixed"]}, "local_only": True, "zero_retention": True}))
    answer = python(gateway.base_url).chat.completions.create(model="mixed", messages=ASK["messages"], max_tokens=4)
    assert answer.model == config.ENGINE_MODEL and standin.asked() == []


# ---- Who and what --------------------------------------------------------------------------------------------------------------


def test_a_rule_binds_the_tenants_that_it_names(start, standin, second, python):
    clinic, bank = Key("ward", ["big"], tenant="clinic"), Key("teller", ["big"], tenant="bank")
    settings = {**europe(standin, second, patients={"when": {"tenants": ["clinic"]}, **ONLY_EUROPE}),
                "keys": [clinic.settings, bank.settings]}
    gateway = start(settings)
    assert python(gateway.base_url, clinic.text).chat.completions.create(**ASK).choices
    assert standin.asked() == [] and len(second.asked()) == 1
    assert python(gateway.base_url, bank.text).chat.completions.create(**ASK).choices
    assert len(standin.asked()) == 1


@pytest.mark.parametrize("asked", ["big", "auto", "other"])
def test_no_other_name_leads_around_a_rule_about_a_model(start, standin, python, asked):
    settings = config.one(standin)
    settings["models"]["other"] = settings["models"]["big"]
    gateway = start(ruled(settings, large={"when": {"models": [config.SHOWN_NAME]}, **ONLY_EUROPE}))
    with pytest.raises(openai.PermissionDeniedError, match="rule large"):
        python(gateway.base_url).chat.completions.create(**{**ASK, "model": asked})
    assert standin.asked() == []


def test_every_rule_that_had_a_part_is_named(start, standin, python):
    gateway = start(ruled(config.one(standin), groups={"nordic": ["DK", "FI", "IS", "NO", "SE"]},
                          north={"places": {"only": {"countries": ["nordic"]}}}, kept={"zero_retention": True},
                          home={"local_only": True}, fine={"places": {"only": {"kinds": ["cloud"]}}}))
    with pytest.raises(openai.PermissionDeniedError) as refused:
        python(gateway.base_url).chat.completions.create(**ASK)
    said = refused.value.body["message"]
    assert all(rule in said for rule in ("north", "kept")) and "fine" not in said
    assert "home" not in said, "the stand-in is on this machine"


# ---- What is written into requests ---------------------------------------------------------------------------------------------


def kept(standin, **more) -> dict:
    settings = config.one(standin)
    settings["endpoints"]["standin"]["zero_retention"] = True
    settings["endpoints"]["standin"]["models"][config.SHOWN_NAME]["capabilities"].append("store")
    return ruled(settings, kept={"zero_retention": True, **more})


def test_nothing_is_stored_where_nothing_may_be_kept(start, standin, python):
    gateway = start(kept(standin))
    client = python(gateway.base_url)
    assert client.chat.completions.create(**ASK).choices
    assert client.responses.create(model="big", input="Where?").output
    assert [json.loads(record.body)["store"] for record in standin.asked()] == [False, False]
    with pytest.raises(openai.PermissionDeniedError, match="leave store out of the request"):
        client.chat.completions.create(**ASK, store=True)
    assert len(standin.asked()) == 2


def test_the_lowest_cap_is_written_whatever_the_api(start, standin, python):
    gateway = start(ruled(config.one(standin), high={"output_tokens": 50}, low={"when": {"models": ["big"]}, "output_tokens": 7}))
    client = python(gateway.base_url)
    client.chat.completions.create(**ASK)
    client.chat.completions.create(**ASK, max_tokens=40)
    client.chat.completions.create(**ASK, max_tokens=3)
    client.chat.completions.create(**ASK, max_completion_tokens=40)
    client.responses.create(model="big", input="Where?", max_output_tokens=40)
    anthropic.Anthropic(base_url=gateway.base_url.removesuffix("/v1"), api_key="any").messages.create(**ASK, max_tokens=40)
    gateway.post("/api/chat", {**ASK, "stream": False, "options": {"num_predict": 40}})
    client.completions.create(model="big", prompt="Where?", max_tokens=40)
    sent = [json.loads(record.body) for record in standin.asked()]
    assert [body.get("max_completion_tokens", body.get("max_tokens")) for body in sent] == [7, 7, 3, 7, 7, 7, 7, 7]


def test_the_cap_goes_to_anthropics_api_too(start, claude, python):
    gateway = start(ruled(config.claude_only(claude), low={"output_tokens": 7}))
    python(gateway.base_url).chat.completions.create(**ASK)
    anthropic.Anthropic(base_url=gateway.base_url.removesuffix("/v1"), api_key="any").messages.create(**ASK, max_tokens=40)
    assert [json.loads(record.body)["max_tokens"] for record in claude.asked()] == [7, 7]


def test_what_is_not_read_goes_nowhere_where_something_must_be_written(start, standin):
    files = {"files": {"endpoints": ["standin"], "paths": ["/v1/files/*"], "methods": ["GET"]}}
    gateway = start({**kept(standin), "passthrough": files})
    answer = gateway.get("/v1/files/file-3")
    assert answer.status == 403 and "request that nobody read" in answer.json["error"]["message"]
    assert [record for record in standin.records if record.path.startswith("/v1/files")] == []


# ---- The answer, in the caller's words -----------------------------------------------------------------------------------------


def test_a_use_is_refused_in_every_api(start, standin, python):
    gateway = start(ruled(config.one(standin), blind={"uses": {"never": ["images"]}}))
    client = python(gateway.base_url)
    with pytest.raises(openai.PermissionDeniedError, match="leave images out of the request"):
        client.chat.completions.create(model="big", messages=[IMAGE])
    with pytest.raises(openai.PermissionDeniedError, match="rule blind"):
        client.responses.create(model="big", input=[{"role": "user", "content": [
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}]}])
    with pytest.raises(anthropic.PermissionDeniedError) as refused:
        anthropic.Anthropic(base_url=gateway.base_url.removesuffix("/v1"), api_key="any", max_retries=0).messages.create(
            model="big", max_tokens=9, messages=[{"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]}])
    assert refused.value.body["error"]["type"] == "permission_error" and "rule blind" in refused.value.body["error"]["message"]
    answer = gateway.post("/api/chat", {"model": "big", "messages": [{"role": "user", "content": "x", "images": ["iVBORw0KGgo="]}]})
    assert answer.status == 403 and "rule blind" in answer.json["error"]
    assert standin.asked() == []
    assert client.chat.completions.create(**ASK).choices


def test_what_thalweg_does_not_know_may_be_anything(start, standin, python):
    gateway = start(ruled(config.one(standin), careful={"uses": {"never": ["hosted_tools"]}}))
    client = python(gateway.base_url)
    with pytest.raises(openai.PermissionDeniedError, match="leave other out of the request"):
        client.chat.completions.create(**ASK, extra_body={"plugins": [{"id": "web"}]})
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(model="big", messages=[{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://x.example/y.png"}}]}], extra_body={"plugins": []})
    assert client.chat.completions.create(**ASK, temperature=0.5, seed=7, user="u").choices
    assert len(standin.asked()) == 1


def test_nothing_is_fetched_from_elsewhere_under_local_only(start, standin, python):
    gateway = start(ruled(config.one(standin), home={"local_only": True}))
    client = python(gateway.base_url)
    picture = {"type": "image_url", "image_url": {"url": "https://x.example/y.png"}}
    with pytest.raises(openai.PermissionDeniedError, match="remote_urls"):
        client.chat.completions.create(model="big", messages=[{"role": "user", "content": [picture]}])
    assert standin.asked() == []
    assert client.chat.completions.create(model="big", messages=[IMAGE]).choices


def test_a_rule_holds_with_the_next_request_and_a_running_answer_ends_as_it_began(start, standin, python):
    gateway = start(config.one(standin))
    standin.next(behaviour.normal(gap=0.05))
    stream = iter(python(gateway.base_url).chat.completions.create(**ASK, stream=True))
    next(stream)
    gateway.reload(ruled(config.one(standin), europe=ONLY_EUROPE))

    def refused() -> bool:
        return gateway.post("/v1/chat/completions", ASK).status == 403

    until(refused, "the rule holds")
    assert any(chunk.choices and chunk.choices[0].finish_reason for chunk in stream)


def test_a_dry_run_says_which_rule(tmp_path, standin):
    file = tmp_path / "thalweg.yaml"
    write(file, ruled(config.one(standin), europe=ONLY_EUROPE, home={"local_only": True}))
    ask = tmp_path / "ask.json"
    ask.write_text(json.dumps(ASK))
    keys = {"STANDIN_KEY": "sk-x"}
    done = command("place", "-c", str(file), str(ask), environment=keys, text=True)
    assert done.returncode == 1 and "stands in US (rule europe)" in done.stdout
    told = json.loads(command("place", "-c", str(file), "--json", str(ask), environment=keys).stdout)
    assert told["denial"] == "forbidden" and told["candidates"][0]["verdict"] == "forbidden"
    assert told["candidates"][0]["rules"] == ["europe"]
