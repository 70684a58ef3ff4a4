"""`langchain-openai`, over chat completions and over responses."""

from __future__ import annotations

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from compat.client import PATIENT, TURNS, City, Client, Outcome, temperature_in
from compat.openai_python import failure


@tool
def weather(city: str) -> str:
    """The temperature in a city"""
    return temperature_in(city)


class LangChain(Client):
    name, surface = "`langchain-openai`", "chat completions"
    over_responses = False

    def __init__(self, url: str):
        self.url = url

    def chat(self, model: str, tokens: int, seconds: float = PATIENT) -> ChatOpenAI:
        return ChatOpenAI(model=model, base_url=f"{self.url}/v1", api_key="any", max_tokens=tokens, timeout=seconds, max_retries=0,
                          use_responses_api=self.over_responses)

    def answer(self, model, prompt, tokens, seconds):
        return Outcome(text=self.chat(model, tokens, seconds).invoke(prompt).text)

    def stream(self, model, prompt, tokens, leave_after):
        outcome = Outcome()
        chunks = self.chat(model, tokens).stream(prompt)
        for chunk in chunks:
            if chunk.text:
                outcome.text += chunk.text
                outcome.pieces += 1
                if outcome.pieces == leave_after:
                    chunks.close()
                    break
        return outcome

    def look(self, model, prompt, image, tokens):
        content = [{"type": "text", "text": prompt}, {"type": "image", "base64": image, "mime_type": "image/png"}]
        return Outcome(text=self.chat(model, tokens).invoke([HumanMessage(content=content)]).text)

    def fill(self, model, prompt, tokens):
        return Outcome(city=self.chat(model, tokens).with_structured_output(City, method="json_schema").invoke(prompt).city)

    def use_tools(self, model, prompt, tokens):
        chat, messages, outcome = self.chat(model, tokens).bind_tools([weather]), [HumanMessage(content=prompt)], Outcome()
        for _ in range(TURNS):
            answer = chat.invoke(messages)
            if not answer.tool_calls:
                outcome.text = answer.text
                return outcome
            outcome.calls += [call["args"]["city"] for call in answer.tool_calls]
            messages += [answer, *[ToolMessage(temperature_in(call["args"]["city"]), tool_call_id=call["id"]) for call in answer.tool_calls]]
        return outcome

    def failure(self, error):
        return failure(error)


class LangChainResponses(LangChain):
    surface = "responses"
    over_responses = True
