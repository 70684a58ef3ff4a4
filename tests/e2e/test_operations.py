"""What operators see: health, readiness, metrics and the access log, and that they agree with what was sent."""

import os
import re
import subprocess

import openai
import pytest

import config
from conftest import KEYS
from gateway import PROGRAM, Key, to_yaml
from provider import answers, behaviour
from raw import chat
from reading import fold, fold_until_error
from waiting import PATIENCE, until

ASK = {"model": "big", "messages": [{"role": "user", "content": "Where does it run?"}]}


def test_health_needs_no_key_and_metrics_and_models_do(start, standin):
    key = Key("dev", ["big"])
    gateway = start(config.one(standin, keys=[key.settings]))
    assert gateway.get("/healthz").status == 200
    assert gateway.get("/readyz").status in (200, 503)
    for path in ("/v1/models", "/metrics"):
        assert gateway.get(path).status == 401
        assert gateway.get(path, headers={"Authorization": f"Bearer {key.text}"}).status == 200


@pytest.mark.parametrize("with_keys, told", [(False, "keys"), (True, "--insecure-listen")])
def test_listening_beyond_loopback_is_refused_without_keys_and_consent(standin, tmp_path, with_keys, told):
    settings = config.one(standin, **({"keys": [Key("dev", ["big"]).settings]} if with_keys else {}))
    (tmp_path / "thalweg.yaml").write_text(to_yaml(settings) + "\n")
    done = subprocess.run([str(PROGRAM), "serve", "--config", str(tmp_path / "thalweg.yaml"), "--listen", "0.0.0.0:0"], capture_output=True,
                          env={**os.environ, **KEYS}, timeout=30 * PATIENCE, check=False)
    assert done.returncode == 2 and told in done.stderr.decode() and b"listening" not in done.stdout


def test_ready_means_that_an_endpoint_can_answer(gateway):
    until(lambda: gateway.get("/readyz").status == 200, "ready")


@pytest.mark.engine
def test_a_gateway_whose_only_engine_cannot_start_is_alive_but_not_ready(start, tmp_path):
    """An engine that always dies: the model file is none."""
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 100)
    gateway = start(config.settings({"local": config.local(models={config.ENGINE_MODEL: {"file": str(tmp_path / "broken.gguf")}})},
                                    {"small": [f"local/{config.ENGINE_MODEL}"]}))
    assert gateway.get("/healthz").status == 200
    assert gateway.get("/readyz").status == 503
    answer = gateway.post("/v1/chat/completions", chat("small"))
    assert answer.status == 503 and answer.json["error"]["message"]


SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\])*",?)*\})? (NaN|[+-]?Inf|[-+0-9.eE]+)')


def test_metrics_are_the_prometheus_text_format_with_the_genai_names(gateway, python):
    python(gateway.base_url).chat.completions.create(**ASK)
    answer = gateway.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text, typed = answer.body.decode(), {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in typed, f"{name} has two TYPE lines"
            typed[name] = kind
        elif line and not line.startswith("#"):
            assert SAMPLE.fullmatch(line), line
            name = re.split(r"[{ ]", line)[0]
            assert any(name == known or (kind == "histogram" and name in (f"{known}_bucket", f"{known}_sum", f"{known}_count"))
                       for known, kind in typed.items()), f"{name} has no TYPE"
    assert any(name.startswith("gen_ai_server_request_duration") for name in typed)
    assert any(name.startswith("gen_ai_server_time_to_first_token") for name in typed)
    assert 'gen_ai_response_model="gpt-test"' in text and 'gen_ai_request_model="gpt-test"' in text


def test_counted_tokens_and_logged_lines_equal_what_was_sent(gateway, standin, python):
    client = python(gateway.base_url)
    sent = {"input": 0, "output": 0}
    for number in range(12):
        ask = {"model": "big", "messages": [{"role": "user", "content": f"Question {number}: " + "word " * number}]}
        if number % 2:
            fold(client.chat.completions.create(**ask, stream=True))
        else:
            client.chat.completions.create(**ask)
        usage = answers.usage_for(ask, [answers.text_for(ask["messages"][0]["content"])])
        sent["input"] += usage["prompt_tokens"]
        sent["output"] += usage["completion_tokens"]
    lines = gateway.wait_lines(12)
    assert len(lines) == 12
    assert sum(line["input_tokens"] for line in lines) == sent["input"] and sum(line["output_tokens"] for line in lines) == sent["output"]
    counted = gateway.token_counts()
    assert counted == sent


def test_an_answer_without_usage_is_counted_as_unknown_not_as_zero(gateway, standin, python):
    standin.always(behaviour.normal(usage="never"))
    fold(python(gateway.base_url).chat.completions.create(**ASK, stream=True))
    line = gateway.wait_lines(1)[0]
    assert line.get("input_tokens") is None and line.get("output_tokens") is None
    assert gateway.metric("thalweg_usage_unreported_total", endpoint="standin") == 1


def test_each_request_has_one_line_with_what_happened(gateway, standin, python):
    client = python(gateway.base_url)
    client.chat.completions.create(**ASK)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**{**ASK, "model": "none"})
    gateway.post("/v1/chat/completions", b"{")
    standin.next(behaviour.cut(4))
    fold_until_error(client.chat.completions.create(**ASK, stream=True))
    lines = gateway.wait_lines(4)
    assert [line["status"] for line in lines] == [200, 404, 400, 200]
    assert lines[0]["outcome"] == "complete" and lines[0]["endpoint"] == "standin" and lines[0]["model"] == config.SHOWN_NAME
    assert lines[0]["attempts"] == 1 and lines[0]["finish_reason"] == "stop"
    assert lines[1]["error"] == "model_not_found" and lines[2]["error"] == "invalid_request"
    assert lines[3]["outcome"] == "truncated"
    assert len({line["request"] for line in lines}) == 4


def test_a_key_is_named_in_its_line_by_id_and_tenant(start, standin, python):
    key = Key("dev", ["big"], tenant="research")
    gateway = start(config.one(standin, keys=[key.settings]))
    python(gateway.base_url, key.text).chat.completions.create(**ASK)
    line = gateway.wait_lines(1)[0]
    assert (line["key"], line["tenant"]) == ("dev", "research")
