"""Before the first byte a failed endpoint is replaced by the next one; after it, never. `big` is the first stand-in, else the second."""

import openai
import pytest

import config
from provider import answers, behaviour
from waiting import until
from raw import chat
from reading import fold_until_error

ASK = {"model": "big", "messages": [{"role": "user", "content": "Where does it run?"}]}
TEXT = answers.text_for("Where does it run?")

BEFORE_THE_FIRST_BYTE = {
    "a reset": behaviour.drop("rst"), "an end without a byte": behaviour.drop("fin"),
    "503": behaviour.overload(503), "529": behaviour.overload(529), "500": behaviour.overload(500), "429": behaviour.overload(429, "30"),
    "silence before the head": behaviour.stall("head"), "silence after the head": behaviour.stall("first"),
    "an HTML page": behaviour.html(), "a cut after the head": behaviour.cut(0),
}
BEFORE_THE_FIRST_TOKEN = {
    "a cut after the role": behaviour.cut(1), "silence after the role": behaviour.stall("middle", 1),
    "an error at once": behaviour.lie("error", 0), "an error after the role": behaviour.lie("error", 1), "[DONE] at once": behaviour.lie("only_done"),
}


def running(start, standin, second):
    return start(config.two(standin, second, {"first_token": config.short(0.5), "whole": config.short(0.5), "gap": config.short(0.5)}))


@pytest.mark.parametrize("fault", BEFORE_THE_FIRST_BYTE.values(), ids=BEFORE_THE_FIRST_BYTE.keys())
def test_a_whole_answer_comes_from_the_second_endpoint(start, standin, second, python, fault):
    standin.always(fault)
    answer = python(running(start, standin, second).base_url).chat.completions.create(**ASK)
    assert answer.choices[0].message.content == TEXT
    assert len(second.asked()) == 1 and standin.asked()


@pytest.mark.parametrize("fault", [*BEFORE_THE_FIRST_BYTE.values(), *BEFORE_THE_FIRST_TOKEN.values()],
                         ids=[*BEFORE_THE_FIRST_BYTE, *BEFORE_THE_FIRST_TOKEN])
def test_a_stream_comes_whole_from_the_second_endpoint(start, standin, second, python, fault):
    standin.always(fault)
    gateway = running(start, standin, second)
    folded = fold_until_error(python(gateway.base_url).chat.completions.create(**ASK, stream=True))
    assert folded.error is None and folded.text == TEXT and folded.finishes == {0: "stop"}
    assert folded.frames == len(answers.pieces_of(TEXT)) + 2, "frames of the failed attempt are mixed in"
    assert len(second.asked()) == 1
    line = gateway.wait_lines(1)[0]
    assert line["endpoint"] == "second" and line["attempts"] >= 2
    failed = line["failed"].split(", ")
    assert len(failed) == line["attempts"] - 1 and failed[0].startswith("standin: "), line
    assert "second" not in line["failed"]


def test_a_refused_connection_fails_over(start, standin, second, python):
    standin.refuse_connections()
    assert python(running(start, standin, second).base_url).chat.completions.create(**ASK).choices[0].message.content == TEXT
    assert len(second.asked()) == 1
    standin.accept_connections()


@pytest.mark.parametrize("fault", [behaviour.overload(500), behaviour.drop("rst")], ids=["500", "reset"])
def test_an_outage_of_the_first_endpoint_is_invisible_under_load(start, standin, second, fault):
    """The second endpoint is well: however fast requests come, none may be told of the first one's outage."""
    standin.always(fault)
    standin.for_probes(fault)
    gateway = running(start, standin, second)
    statuses = [gateway.post("/v1/chat/completions", chat()).status for _ in range(60)]
    assert statuses == [200] * 60, f"{60 - statuses.count(200)} of 60 failed although an endpoint was well"
    assert len(second.asked()) == 60

    def left_alone() -> bool:
        before = len(standin.asked())
        return gateway.post("/v1/chat/completions", chat()).status == 200 and len(standin.asked()) == before

    until(left_alone, "its breaker is open: requests go to the second at once")


def test_both_clients_see_one_plain_success(start, standin, second, node):
    standin.always(behaviour.drop("rst"))
    outcome = node.chat(running(start, standin, second).base_url, **ASK)
    assert outcome["answer"]["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize("fault", [behaviour.cut(4, "fin"), behaviour.cut(4, "rst"), behaviour.stall("middle", 4), behaviour.lie("error", 4)],
                         ids=["FIN", "RST", "silence", "error"])
def test_nothing_fails_over_after_the_first_token(start, standin, second, python, fault):
    standin.always(fault)
    folded = fold_until_error(python(running(start, standin, second).base_url).chat.completions.create(**ASK, stream=True))
    assert folded.error is not None and TEXT.startswith(folded.text) and folded.text
    assert second.asked() == []


def test_a_context_rejection_goes_to_another_model_only(start, standin, second, python):
    """Another endpoint's model is another candidate; the same one must not see the same prompt again."""
    standin.always(behaviour.context_exceeded())
    second.models = ("large-context",)
    settings = config.two(standin, second)
    settings["endpoints"]["second"]["models"] = {"large": {"name": "large-context", "context": 131072, "capabilities": config.CAPABILITIES}}
    settings["models"]["big"] = [f"standin/{config.SHOWN_NAME}", "second/large"]
    answer = python(start(settings).base_url).chat.completions.create(**ASK)
    assert answer.model == "large" and (len(standin.asked()), len(second.asked())) == (1, 1)


def test_a_callers_fault_is_not_tried_elsewhere(start, standin, second, python):
    standin.always(behaviour.refuse(422, error={"message": "no", "type": "invalid_request_error", "param": "seed", "code": "x"}))
    with pytest.raises(openai.UnprocessableEntityError):
        python(running(start, standin, second).base_url).chat.completions.create(**ASK)
    assert (len(standin.asked()), len(second.asked())) == (1, 0)


def test_the_body_is_the_same_for_the_second_endpoint_but_for_its_own_model_name(start, standin, second):
    standin.always(behaviour.drop("rst"))
    second.models = ("other-name",)
    settings = config.two(standin, second)
    settings["endpoints"]["second"]["models"][config.SHOWN_NAME]["name"] = "other-name"
    body = b'{ "messages":[{"role":"user","content":"\\u00e9 1.50"}] ,"seed":7, "model" : "big" }'
    answer = start(settings).post("/v1/chat/completions", body)
    assert answer.status == 200 and answer.json["model"] == config.SHOWN_NAME
    assert standin.asked()[0].body == body.replace(b"big", config.UPSTREAM_NAME.encode())
    assert second.asked()[0].body == body.replace(b"big", b"other-name")
