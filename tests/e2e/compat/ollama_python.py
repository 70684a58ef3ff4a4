"""`ollama` for Python, over Ollama's own API."""

from __future__ import annotations

import contextlib

import httpx
import ollama

from compat.client import DESCRIPTION, PATIENT, TURNS, WEATHER, City, Client, Failure, Outcome, temperature_in


class Ollama(Client):
    name = "`ollama` for Python"
    surface = "Ollama's chat"
    tools = [{"type": "function", "function": {"name": "weather", "description": DESCRIPTION, "parameters": WEATHER}}]

    def __init__(self, url: str):
        self.url = url
        self.client = ollama.Client(host=url, timeout=PATIENT)

    def failure(self, error: Exception) -> Failure:
        if isinstance(error, httpx.TimeoutException):
            return Failure("timeout", str(error))
        if isinstance(error, ollama.ResponseError):
            return Failure("refused" if error.status_code == 400 else "other", error.error, error.status_code)
        return Failure("other", repr(error))

    @staticmethod
    def ask_for(model, prompt, tokens, **more) -> dict:
        return {"model": model, "messages": [{"role": "user", "content": prompt, **more}], "options": {"num_predict": tokens}}

    def answer(self, model, prompt, tokens, seconds):
        client = ollama.Client(host=self.url, timeout=seconds)
        return Outcome(text=client.chat(**self.ask_for(model, prompt, tokens)).message.content)

    def stream(self, model, prompt, tokens, leave_after):
        outcome = Outcome()
        with contextlib.closing(self.client.chat(**self.ask_for(model, prompt, tokens), stream=True)) as parts:
            for part in parts:
                if part.message.content:
                    outcome.text += part.message.content
                    outcome.pieces += 1
                    if outcome.pieces == leave_after:
                        break
        return outcome

    def look(self, model, prompt, image, tokens):
        return Outcome(text=self.client.chat(**self.ask_for(model, prompt, tokens, images=[image])).message.content)

    def fill(self, model, prompt, tokens):
        answer = self.client.chat(**self.ask_for(model, prompt, tokens), format=City.model_json_schema())
        return Outcome(city=City.model_validate_json(answer.message.content).city)

    def use_tools(self, model, prompt, tokens):
        ask, outcome = self.ask_for(model, prompt, tokens), Outcome()
        for _ in range(TURNS):
            message = self.client.chat(**ask, tools=self.tools).message
            if not message.tool_calls:
                outcome.text = message.content
                return outcome
            ask["messages"].append(message)
            for call in message.tool_calls:
                outcome.calls.append(call.function.arguments["city"])
                ask["messages"].append({"role": "tool", "tool_name": call.function.name, "content": temperature_in(outcome.calls[-1])})
        return outcome
