"""Tool calls on the stand-in: arguments arrive as fragments that may end anywhere, and must join to exactly what the model said."""

import json

import openai
import pytest

import config
from provider import behaviour
from reading import fold, fold_until_error

TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather of a city",
                                           "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
ASK = {"model": "big", "messages": [{"role": "user", "content": "How is the weather?"}], "tools": TOOLS, "tool_choice": "auto"}
# Escapes, characters beyond ASCII and the BMP, nested quotes, and a JSON text inside JSON: a fragment of 1 ends inside each of them.
ARGUMENTS = ('{"city": "Z\\u00fcrich \\ud83d\\udeb0", "note": "a \\"quote\\", a \\\\ and a \\n", "raw": "東京 🚰",'
             ' "inner": "{\\"k\\": [1, 2.50, 1e400]}"}')
CALLS = (("weather", ARGUMENTS), ("weather", '{"city": "Bern"}'), ("weather", ""))
EXPECTED = {index: {"id": f"call_{index}", "name": name, "arguments": arguments} for index, (name, arguments) in enumerate(CALLS)}


@pytest.mark.parametrize("how", [{"split_arguments": 1}, {"split_arguments": 1, "piece": 1}, {"split_arguments": 4, "newline": "\r\n", "piece": 3},
                                 {"split_arguments": 10_000}], ids=["one character", "one character, one byte", "four characters, CRLF", "whole"])
def test_fragments_join_to_the_models_arguments_with_both_clients(gateway, standin, python, node, how):
    standin.always(behaviour.normal(tool_calls=CALLS, **how))
    folded = fold(python(gateway.base_url).chat.completions.create(**ASK, stream=True))
    other = fold(node.chat(gateway.base_url, **ASK, stream=True)["chunks"])
    assert folded.tools == other.tools == EXPECTED
    assert folded.finishes == other.finishes == {0: "tool_calls"}


def test_whole_tool_calls_equal_the_folded_ones(gateway, standin, python, node):
    standin.always(behaviour.normal(tool_calls=CALLS))
    answer = python(gateway.base_url).chat.completions.create(**ASK).model_dump()
    other = node.chat(gateway.base_url, **ASK)["answer"]
    for whole in (answer, other):
        said = whole["choices"][0]["message"]["tool_calls"]
        assert {index: {"id": call["id"], **call["function"]} for index, call in enumerate(said)} == EXPECTED
        assert whole["choices"][0]["finish_reason"] == "tool_calls"


def test_the_providers_tools_and_a_tools_answer_reach_it_unchanged(gateway, standin, python):
    messages = [*ASK["messages"],
                {"role": "assistant", "content": None, "tool_calls": [{"id": "call_9", "type": "function",
                                                                         "function": {"name": "weather", "arguments": ARGUMENTS}}]},
                {"role": "tool", "tool_call_id": "call_9", "content": "12 °C"}]
    python(gateway.base_url).chat.completions.create(**{**ASK, "messages": messages}, parallel_tool_calls=False)
    sent = standin.asked()[0].json
    assert sent["messages"] == messages and sent["tools"] == TOOLS and sent["parallel_tool_calls"] is False


@pytest.mark.parametrize("how", ["fin", "rst", "stall"])
def test_a_tool_call_cut_midway_is_an_error_never_a_success(start, standin, python, node, how):
    gateway = start(config.one(standin, {"gap": config.short(0.4)}))
    fault = {"tool_calls": CALLS, "split_arguments": 3}
    standin.always(behaviour.stall("middle", 12, **fault) if how == "stall" else behaviour.cut(12, how, **fault))
    folded = fold_until_error(python(gateway.base_url).chat.completions.create(**ASK, stream=True))
    other = node.chat(gateway.base_url, **ASK, stream=True)
    assert folded.error is not None and "error" in other
    assert folded.finishes == {} and folded.tools[0]["arguments"] != ARGUMENTS
    with pytest.raises(json.JSONDecodeError):
        json.loads(folded.tools[0]["arguments"])
    assert [line["outcome"] for line in gateway.wait_lines(2)].count("complete") == 0
    assert len(standin.asked()) == 2, "a tool call was asked for again after a part of it had been delivered"


def test_a_model_without_tools_in_its_configuration_refuses_them_by_name(start, standin, python):
    """Capabilities of a remote endpoint come from the configuration: a request with tools never goes where they would be ignored."""
    settings = config.one(standin)
    settings["endpoints"]["standin"]["models"][config.SHOWN_NAME]["capabilities"] = ["chat"]
    client = python(start(settings).base_url)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**ASK)
    assert "tools" in caught.value.message
    assert standin.asked() == []
    assert client.chat.completions.create(**{name: ASK[name] for name in ("model", "messages")}).choices


def test_a_request_with_tools_goes_to_the_endpoint_that_knows_them(start, standin, second, python):
    settings = config.two(standin, second)
    settings["endpoints"]["standin"]["models"][config.SHOWN_NAME]["capabilities"] = ["chat"]
    client = python(start(settings).base_url)
    second.always(behaviour.normal(tool_calls=CALLS))
    assert client.chat.completions.create(**ASK).choices[0].finish_reason == "tool_calls"
    assert (len(standin.asked()), len(second.asked())) == (0, 1)
