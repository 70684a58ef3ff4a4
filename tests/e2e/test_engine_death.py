"""The engine is a child process and may die at any time: the gateway lives, tells the truth about what was cut, and starts it again."""

import os
import pathlib
import signal

import openai
import pytest

import config
from provider import answers, behaviour
from raw import Raw, chat, frames, request
from reading import fold_until_error
from waiting import until

LONG = {"model": "small", "messages": [{"role": "user", "content": "Tell a very long story about a river."}], "max_tokens": 1500}


def kill(gateway) -> int:
    """Kills the engine's process, a child of the gateway that this test started."""
    pids = []
    until(lambda: pids.extend(gateway.engine_pids()) or pids, "an engine runs under the gateway", 60)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # the sandbox's parent ended with it
    return pids[0]


def answered(gateway) -> bool:
    answer = gateway.post("/v1/chat/completions", chat("small", "Hi", max_tokens=4))
    return answer.status == 200


def test_an_engine_killed_mid_answer_is_an_error_and_the_next_requests_succeed(start_engine, python, node):
    gateway = start_engine(config.engine_only())
    killed = []

    def chunks():
        for number, chunk in enumerate(python(gateway.base_url).chat.completions.create(**LONG, stream=True)):
            yield chunk
            if number == 5:
                killed.append(kill(gateway))

    folded = fold_until_error(chunks())
    assert killed and folded.error is not None and folded.finishes == {}, "a killed engine's answer was taken for whole"
    assert isinstance(folded.error, openai.APIError)
    assert gateway.process.poll() is None
    until(lambda: answered(gateway), "the engine is running again", 60)
    assert killed[0] not in gateway.engine_pids()
    assert "answer" in node.chat(gateway.base_url, model="small", messages=[{"role": "user", "content": "Hi"}], max_tokens=4)
    assert any(line["outcome"] in ("truncated", "failed") for line in gateway.lines() if line["method"] == "POST")


def test_a_folded_answer_of_a_killed_engine_is_no_success(start_engine):
    """Nothing was sent to this caller yet, and no other endpoint is there: an error status, or after a retry a whole answer."""
    gateway = start_engine(config.engine_only())
    with Raw(gateway.port) as peer:
        peer.send(request(chat("small", "Tell a very long story about a river.", max_tokens=1500)))
        until(lambda: gateway.metric("thalweg_endpoint_running", endpoint="local") >= 1, "the engine works on it")
        kill(gateway)
        answer = peer.answer()
    assert answer.status in (502, 503) or (answer.status == 200 and answer.json["choices"][0]["finish_reason"] and answer.json["usage"]["completion_tokens"] > 100)
    until(lambda: answered(gateway), "the engine is running again", 60)


def test_a_request_that_has_sent_nothing_fails_over_when_the_engine_dies(start_engine, standin):
    """The prompt is long, so that the kill comes before the first token."""
    gateway = start_engine(config.engine_first(standin))
    prompt = " ".join(f"number {number}" for number in range(350))
    with Raw(gateway.port) as peer:
        peer.send(request(chat("mixed", prompt, stream=True)))
        until(lambda: gateway.metric("thalweg_endpoint_running", endpoint="local") >= 1, "the engine works on it")
        kill(gateway)
        data = frames(peer.answer().body)
    assert data[-1] == "[DONE]"
    record = standin.wait_asked(1)[0]
    assert answers.prompt_of(record.json) == prompt


def test_while_the_engine_is_away_its_requests_go_elsewhere(start_engine, standin):
    gateway = start_engine(config.engine_first(standin))
    kill(gateway)
    until(lambda: gateway.post("/v1/chat/completions", chat("mixed", "Hi", max_tokens=4)).status == 200 and standin.asked(), "the stand-in answers")
    until(lambda: answered(gateway), "the engine is running again", 60)


def test_repeated_deaths_are_met_with_a_growing_back_off_and_the_gateway_lives(start_engine):
    gateway = start_engine(config.engine_only())
    for _ in range(3):
        kill(gateway)
        until(gateway.engine_pids, "the engine is started again", 60)
    assert gateway.get("/healthz").status == 200
    until(lambda: answered(gateway), "the engine is running again", 60)


def test_the_engines_child_ends_with_the_gateway_even_when_that_is_killed(start_engine, tmp_path):
    gateway = start_engine(config.engine_only())
    children = gateway.descendants()
    assert children
    gateway.process.kill()
    gateway.process.wait()
    until(lambda: not any(_alive(pid) for pid in children), f"the children {children} end")
    gateway.stop = lambda: None  # it was killed: there is no clean end to judge


def test_the_engine_has_no_network_and_listens_on_a_private_socket(start_engine):
    gateway = start_engine(config.engine_only())
    pids = gateway.engine_pids()
    own = os.readlink("/proc/self/ns/net")
    arguments = pathlib.Path(f"/proc/{pids[-1]}/cmdline").read_bytes().decode(errors="replace")
    assert ".sock" in arguments
    inodes = {link.split("[")[1].rstrip("]") for link in _links(pids[-1]) if link.startswith("socket:")}
    if os.readlink(f"/proc/{pids[-1]}/ns/net") == own:
        tcp = [line.split()[9] for table in ("tcp", "tcp6", "udp", "udp6") for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        assert not inodes & set(tcp), "the engine holds a network socket"


def _links(pid: int) -> list[str]:
    return [os.readlink(file) for file in pathlib.Path(f"/proc/{pid}/fd").iterdir()]


def _alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False
