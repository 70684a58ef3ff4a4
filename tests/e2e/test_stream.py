"""Streamed answers with both unmodified clients: every fragment, at once, whatever bytes the provider cut it into."""

import json

import pytest

import config
from provider import answers, behaviour
from raw import Raw, chat, frames, request
from reading import fold, fold_until_error

ASK = {"model": "big", "messages": [{"role": "user", "content": "Where does it run?"}], "stream": True}
TEXT = answers.text_for("Where does it run?")

CUTS = {
    "one frame a write": {}, "byte by byte": {"piece": 1}, "three bytes": {"piece": 3}, "large pieces": {"piece": 1000},
    "CRLF": {"newline": "\r\n"}, "CRLF byte by byte": {"newline": "\r\n", "piece": 1}, "CR": {"newline": "\r", "piece": 5},
    "comments": {"comments": True}, "several data lines": {"multiline": True, "piece": 2}, "ended by closing": {"framing": "close", "piece": 11},
}


@pytest.mark.parametrize("how", CUTS.values(), ids=CUTS.keys())
def test_the_text_is_the_same_however_the_stream_is_cut_into_bytes(gateway, standin, python, how):
    standin.always(behaviour.normal(**how))
    folded = fold(python(gateway.base_url).chat.completions.create(**ASK))
    assert folded.text == TEXT and folded.finishes == {0: "stop"} and folded.models == {config.SHOWN_NAME}


def test_both_clients_get_every_fragment(gateway, node, python):
    folded = fold(python(gateway.base_url).chat.completions.create(**ASK))
    other = fold(node.chat(gateway.base_url, **ASK)["chunks"])
    assert folded.text == other.text == TEXT
    assert folded.frames == other.frames == len(answers.pieces_of(TEXT)) + 2  # role, pieces, finish: none merged, none lost


def test_completions_stream_too(gateway, node, python):
    params = {"model": "big", "prompt": "Once upon a time", "stream": True}
    folded = fold(python(gateway.base_url).completions.create(**params))
    other = fold(node.run(gateway.base_url, {"call": "completions.create", "params": params})[0]["chunks"])
    assert folded.text == other.text == answers.text_for("Once upon a time")
    assert folded.models == {config.SHOWN_NAME}


def test_the_usage_frame_is_withheld_unless_asked_for(gateway, standin, python, node):
    client = python(gateway.base_url)
    expected = answers.usage_for({"messages": ASK["messages"]}, [TEXT])
    asked = fold(client.chat.completions.create(**ASK, stream_options={"include_usage": True}))
    assert asked.usage["completion_tokens"] == expected["completion_tokens"] and asked.usage["prompt_tokens"] == expected["prompt_tokens"]
    for options in ({}, {"stream_options": {"include_usage": False}}):
        chunks = [chunk.model_dump() for chunk in client.chat.completions.create(**ASK, **options)]
        assert fold(chunks).text == TEXT and fold(chunks).usage is None
        assert all(chunk["choices"] for chunk in chunks), "a frame without choices reached a caller that did not ask for usage"
    assert all(chunk["choices"] for chunk in node.chat(gateway.base_url, **ASK)["chunks"])
    # The gateway itself always asks: it must count.
    assert all(record.json["stream_options"]["include_usage"] is True for record in standin.asked())


def test_usage_in_the_finish_frame_is_understood(gateway, standin, python):
    standin.always(behaviour.normal(usage="finish"))
    folded = fold(python(gateway.base_url).chat.completions.create(**ASK))
    assert folded.text == TEXT and folded.finishes == {0: "stop"}
    line = gateway.wait_lines(1)[0]
    expected = answers.usage_for({"messages": ASK["messages"]}, [TEXT])
    assert (line["input_tokens"], line["output_tokens"]) == (expected["prompt_tokens"], expected["completion_tokens"])


def test_several_choices_and_logprobs_stream(gateway, python):
    folded = fold(python(gateway.base_url).chat.completions.create(**ASK, n=2, logprobs=True, top_logprobs=1))
    assert folded.texts == {0: TEXT, 1: answers.text_for("Where does it run?", 1)}
    assert folded.finishes == {0: "stop", 1: "stop"}
    assert {token["token"] for token in folded.logprobs} == {piece for text in folded.texts.values() for piece in answers.pieces_of(text)}


def test_fragments_arrive_while_the_answer_is_still_being_made(gateway, standin):
    """A gateway that collects deltas would show nothing: the provider says two frames and then waits."""
    standin.next(behaviour.stall("middle", 4))
    with Raw(gateway.port) as peer:
        peer.send(request(chat(prompt="Where does it run?", stream=True)))
        assert peer.head().status == 200
        first = answers.pieces_of(TEXT)[0]
        peer.until(json.dumps(first, ensure_ascii=False).encode())
        assert not standin.asked()[0].answered


def test_a_finished_stream_without_end_mark_is_completed_at_once(gateway, standin, python, node):
    """Held open by the provider: only the gateway can end it. `total` is far away, so a time-out would fail this by its deadline."""
    for how in ("no_done", "hold"):
        standin.next(behaviour.lie(how), behaviour.lie(how))
        folded = fold_until_error(python(gateway.base_url, timeout=15).chat.completions.create(**ASK))
        assert folded.error is None and folded.text == TEXT and folded.finishes == {0: "stop"}
        other = node.chat(gateway.base_url, **ASK)
        assert "error" not in other and fold(other["chunks"]).text == TEXT


def test_a_stream_ends_with_exactly_one_end_mark(gateway, standin):
    for how in (behaviour.normal(), behaviour.lie("no_done")):
        standin.next(how)
        with Raw(gateway.port) as peer:
            data = frames(peer.send(request(chat(stream=True))).answer().body)
        assert data[-1] == "[DONE]" and data.count("[DONE]") == 1


def test_a_stream_is_an_event_stream_that_nobody_may_cache(gateway):
    with Raw(gateway.port) as peer:
        head = peer.send(request(chat(stream=True))).head()
    assert head.field("content-type").startswith("text/event-stream")
    assert "no-cache" in head.field("cache-control") or "no-store" in head.field("cache-control")


def test_a_streams_line_in_the_access_log_counts_what_was_sent(gateway, python):
    fold(python(gateway.base_url).chat.completions.create(**ASK))
    line = gateway.wait_lines(1)[0]
    expected = answers.usage_for({"messages": ASK["messages"]}, [TEXT])
    assert line["status"] == 200 and line["outcome"] == "complete" and line["stream"] is True
    assert (line["input_tokens"], line["output_tokens"]) == (expected["prompt_tokens"], expected["completion_tokens"])
