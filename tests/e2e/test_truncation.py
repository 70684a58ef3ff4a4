"""A stream that broke is an error to the caller and in the log, never a success. Each provider fault has its own test row; both
clients must raise, from what they were sent alone."""

import pytest

import config
from provider import answers, behaviour
from raw import Raw, chat, request
from reading import fold_until_error

PROMPT = "Where does it run?"
ASK = {"model": "big", "messages": [{"role": "user", "content": PROMPT}]}

# After some content has reached the caller: too late for another endpoint.
FAULTS = {
    "cut by FIN": behaviour.cut(5, "fin"),
    "cut by RST": behaviour.cut(5, "rst"),
    "[DONE] without a finish reason": behaviour.lie("no_finish"),
    "an error object inside": behaviour.lie("error", 5, error={"message": "the model crashed", "type": "server_error", "param": None, "code": "crash"}),
    "a frame that is no JSON": behaviour.lie("garbage", 5),
    "cut with a length-less body": behaviour.cut(5, "fin", framing="close"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_both_clients_raise_on_a_broken_stream(gateway, standin, python, node, fault):
    standin.always(fault)
    folded = fold_until_error(python(gateway.base_url).chat.completions.create(**ASK, stream=True))
    other = node.chat(gateway.base_url, **ASK, stream=True)
    assert folded.error is not None, "the Python client took the broken stream for a whole answer"
    assert "error" in other, "the Node client took the broken stream for a whole answer"
    assert folded.finishes == {}
    assert answers.text_for(PROMPT).startswith(folded.text) and folded.text
    for line in gateway.wait_lines(2):
        assert line["outcome"] != "complete" and line["error"], line


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_broken_stream_has_no_end_mark(gateway, standin, fault):
    standin.always(fault)
    with Raw(gateway.port) as peer:
        data, _ = peer.send(request(chat(prompt=PROMPT, stream=True))).stream()
    assert "[DONE]" not in data
    assert data[-1].startswith('{"error"'), data[-1]
    assert len(standin.asked()) == 1, "a second endpoint request after bytes had reached the caller"


def test_the_providers_own_words_about_a_failed_stream_reach_the_caller(gateway, standin, python):
    standin.always(FAULTS["an error object inside"])
    folded = fold_until_error(python(gateway.base_url).chat.completions.create(**ASK, stream=True))
    assert "the model crashed" in str(folded.error)


@pytest.mark.parametrize("fault", [behaviour.stall("middle", 5), behaviour.stall("middle", 1)], ids=["after content", "after the role only"])
def test_a_stream_that_falls_silent_ends_with_an_error(start, standin, python, fault):
    gateway = start(config.one(standin, {"gap": config.short(0.4), "first_token": config.short(0.4), "whole": config.short(0.4)}))
    standin.always(fault)
    folded = fold_until_error(_stream(python(gateway.base_url)))
    assert folded.error is not None
    record = standin.asked()[0]
    standin.wait_for(lambda: record.gone_at, "the gateway leaves the silent provider")


def test_a_slow_drip_is_no_silence(start, standin, python):
    """Each gap is below the limit, their sum far above: separate time-outs, not one."""
    gateway = start(config.one(standin, {"gap": config.short(1.0), "first_token": config.short(1.0), "whole": config.short(1.0)}))
    standin.always(behaviour.normal(gap=0.15))
    folded = fold_until_error(_stream(python(gateway.base_url)))
    assert folded.error is None and folded.text == answers.text_for(PROMPT)


def test_an_endless_drip_ends_at_the_total_limit(start, standin, python):
    gateway = start(config.one(standin, {"total": config.short(1.0)}))
    standin.always(behaviour.normal(gap=0.05, repeat=1000))
    folded = fold_until_error(_stream(python(gateway.base_url)))
    assert folded.error is not None and folded.finishes == {}


# For callers that do not stream: nothing has been sent, so the status itself must tell.
WHOLE_FAULTS = {
    "cut by FIN": (behaviour.cut(0, "fin"), 502), "cut by RST": (behaviour.cut(0, "rst"), 502),
    "Content-Length too long": (behaviour.normal(length_error=+50), 502),
    "Content-Length too short": (behaviour.normal(length_error=-20), 502),
    "an HTML page": (behaviour.html(), 502), "half a JSON object": (behaviour.invalid_json(), 502),
    "no byte": (behaviour.drop("fin"), 502), "a reset": (behaviour.drop("rst"), 502),
    "bytes that are no HTTP": (behaviour.normal(raw="SSH-2.0-OpenSSH_9.2\r\n"), 502),
}


@pytest.mark.parametrize("fault, status", WHOLE_FAULTS.values(), ids=WHOLE_FAULTS.keys())
def test_a_broken_whole_answer_is_a_bad_gateway(gateway, standin, python, fault, status):
    standin.always(fault)
    answer = gateway.post("/v1/chat/completions", chat())
    assert answer.status == status and answer.json["error"]["message"]
    assert b"<html" not in answer.body.lower()
    assert gateway.wait_lines(1)[0]["outcome"] != "complete"


STREAM_HEAD_FAULTS = {
    "an HTML page": behaviour.html(), "no byte": behaviour.drop("fin"), "cut after the head": behaviour.cut(0),
    "[DONE] at once": behaviour.lie("only_done"), "JSON declared as a stream, cut": behaviour.invalid_json("text/event-stream"),
}


@pytest.mark.parametrize("fault", STREAM_HEAD_FAULTS.values(), ids=STREAM_HEAD_FAULTS.keys())
def test_a_stream_broken_before_its_first_content_is_an_error_status(gateway, standin, fault):
    """Nothing has reached the caller, so it can still be told by status, which clients understand best."""
    standin.always(fault)
    with Raw(gateway.port) as peer:
        answer = peer.send(request(chat(stream=True))).answer()
    assert answer.status == 502 and answer.error["message"]


def _stream(client):
    """The call itself may raise where nothing was sent yet; either way it is the stream's error."""
    yield from client.chat.completions.create(**ASK, stream=True)
