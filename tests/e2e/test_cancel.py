"""A client that leaves stops the work upstream at once: nobody pays for tokens that nobody reads."""

import openai
import pytest

import config
from provider import answers, behaviour
from raw import Raw, chat, request

ASK = {"model": "big", "messages": [{"role": "user", "content": "Where does it run?"}]}
PROMPT = 5.0  # seconds; far below the time-outs of the configuration (60 s), which would cancel too


def cancelled(standin, record) -> None:
    standin.wait_for(lambda: record.gone_at, "the provider sees the cancel", PROMPT)
    assert not record.answered


def test_a_python_client_that_closes_its_stream_cancels(gateway, standin, python):
    standin.always(behaviour.stall("middle", 4))
    stream = python(gateway.base_url).chat.completions.create(**ASK, stream=True)
    next(iter(stream))
    stream.close()
    cancelled(standin, standin.asked()[0])
    line = gateway.wait_lines(1)[0]
    assert line["outcome"] == "client_gone"


def test_a_node_client_that_aborts_cancels(gateway, standin, node):
    standin.always(behaviour.stall("middle", 4))
    outcome = node.run(gateway.base_url, {"call": "chat.completions.create", "params": {**ASK, "stream": True}, "cancel_after": 2})[0]
    assert len(outcome["chunks"]) == 2
    cancelled(standin, standin.asked()[0])


@pytest.mark.parametrize("where", ["head", "first", "middle"])
@pytest.mark.parametrize("leave", ["FIN", "RST"])
def test_leaving_cancels_wherever_the_provider_is(gateway, standin, where, leave):
    standin.always(behaviour.stall(where, 4))
    with Raw(gateway.port) as peer:
        peer.send(request(chat(stream=True)))
        record = standin.wait_asked(1)[0]
        if where == "middle":
            peer.until(b"data: ")
        peer.reset() if leave == "RST" else peer.socket.close()
        cancelled(standin, record)


def test_leaving_a_whole_answer_cancels_too(gateway, standin, python):
    standin.always(behaviour.stall("head"))
    with pytest.raises(openai.APITimeoutError):
        python(gateway.base_url, timeout=0.5).chat.completions.create(**ASK)
    cancelled(standin, standin.wait_asked(1)[0])


def test_leaving_a_stream_that_is_being_sent_cancels(gateway, standin):
    standin.always(behaviour.normal(gap=0.02, repeat=500))
    with Raw(gateway.port) as peer:
        peer.send(request(chat(stream=True))).until(b"data: ")
        peer.socket.close()
        cancelled(standin, standin.asked()[0])


def test_a_cancelled_request_goes_nowhere_else(start, standin, second):
    gateway = start(config.two(standin, second))
    standin.always(behaviour.stall("head"))
    with Raw(gateway.port) as peer:
        peer.send(request(chat()))
        record = standin.wait_asked(1)[0]
        peer.socket.close()
        cancelled(standin, record)
    gateway.wait_lines(1)
    assert second.asked() == []


def test_many_cancels_leave_no_slot_taken(start, standin):
    settings = config.one(standin)
    settings["endpoints"]["standin"]["slots"] = 2
    gateway = start(settings)
    standin.always(behaviour.stall("middle", 4))
    for number in range(1, 11):
        with Raw(gateway.port) as peer:
            peer.send(request(chat(stream=True))).until(b"data: ")
            record = standin.wait_asked(number)[-1]
        cancelled(standin, record)
    standin.always(behaviour.normal())
    with Raw(gateway.port) as peer:
        assert peer.send(request(chat())).answer().status == 200


def test_a_request_that_waits_for_a_slot_gets_it_when_another_leaves(start, standin):
    settings = config.one(standin)
    settings["endpoints"]["standin"]["slots"] = 1
    gateway = start(settings)
    standin.next(behaviour.stall("middle", 4))
    with Raw(gateway.port) as first, Raw(gateway.port) as waiting:
        first.send(request(chat(stream=True))).until(b"data: ")
        waiting.send(request(chat(prompt="Where does it run?")))
        first.socket.close()
        answer = waiting.answer()
    assert answer.json["choices"][0]["message"]["content"] == answers.text_for("Where does it run?")
    assert len(standin.asked()) == 2
