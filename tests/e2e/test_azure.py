"""OpenAI's API at Azure: its v1 and its dated form. The stand-in takes their paths, versions and `api-key` only."""

import openai
import pytest

import config
from conftest import KEYS
from provider import answers, behaviour
from reading import fold
from standin import DatedAzure, StandIn
from waiting import until

PROMPT = "Where does it run?"
ASK = {"model": "big", "messages": [{"role": "user", "content": PROMPT}]}


@pytest.fixture(params=["azure", "azure-dated"])
def cloud(request):
    standin = StandIn(KEYS["STANDIN_KEY"], (config.UPSTREAM_NAME,), api=request.param).start()
    yield standin
    standin.stop()
    assert standin.violations == []


@pytest.fixture
def gateway(start, cloud):
    dated = {"api_version": DatedAzure.version} if cloud.api is DatedAzure else {}
    return start({**config.settings({"azure": config.azure(cloud, "STANDIN_KEY", **dated)}, {"big": [f"azure/{config.SHOWN_NAME}"]}),
                  "probe_interval": "100ms"})


def test_chats_completions_and_embeddings_find_their_paths(gateway, cloud, python):
    client = python(gateway.base_url)
    whole = client.chat.completions.create(**ASK)
    assert whole.choices[0].message.content == answers.text_for(PROMPT) and whole.model == config.SHOWN_NAME
    assert fold(client.chat.completions.create(**ASK, stream=True)).text == answers.text_for(PROMPT)
    assert client.completions.create(model="big", prompt=PROMPT).choices[0].text == answers.text_for(PROMPT)
    assert all(record.json["model"] == config.UPSTREAM_NAME for record in cloud.asked())
    line = gateway.wait_lines(3)[0]
    assert (line["endpoint"], line["outcome"]) == ("azure", "complete")
    assert b'gen_ai_provider_name="azure.ai.openai"' in gateway.get("/metrics").body


def test_probes_ask_for_the_models(gateway, cloud):
    until(lambda: sum(not record.asks and record.status == 200 for record in cloud.records) >= 2, "two probes are answered")


def test_a_filtered_prompt_is_refused_as_azure_words_it(gateway, cloud, python):
    cloud.always(behaviour.refuse(400, error={
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", "type": None, "param": "prompt",
        "code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}))
    with pytest.raises(openai.BadRequestError) as caught:
        python(gateway.base_url).chat.completions.create(**ASK)
    assert caught.value.code == "content_filter" and len(cloud.asked()) == 1
