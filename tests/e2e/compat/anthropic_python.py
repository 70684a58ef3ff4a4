"""`anthropic` for Python."""

from __future__ import annotations

import anthropic

from compat.client import DESCRIPTION, PATIENT, TURNS, WEATHER, City, Client, Failure, Outcome, temperature_in


class Anthropic(Client):
    name, surface = "`anthropic` for Python", "messages"
    tools = [{"name": "weather", "description": DESCRIPTION, "input_schema": WEATHER}]

    def __init__(self, url: str):
        self.messages = anthropic.Anthropic(base_url=url, api_key="any", max_retries=0, timeout=PATIENT).messages

    def answer(self, model, prompt, tokens, seconds):
        message = self.messages.create(model=model, max_tokens=tokens, messages=[{"role": "user", "content": prompt}], timeout=seconds)
        return Outcome(text=message.content[0].text)

    def stream(self, model, prompt, tokens, leave_after):
        outcome = Outcome()
        with self.messages.stream(model=model, max_tokens=tokens, messages=[{"role": "user", "content": prompt}]) as stream:
            for text in stream.text_stream:
                outcome.text += text
                outcome.pieces += 1
                if outcome.pieces == leave_after:
                    break
        return outcome

    def look(self, model, prompt, image, tokens):
        content = [{"type": "text", "text": prompt}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}}]
        message = self.messages.create(model=model, max_tokens=tokens, messages=[{"role": "user", "content": content}])
        return Outcome(text=message.content[0].text)

    def fill(self, model, prompt, tokens):
        message = self.messages.parse(model=model, max_tokens=tokens, messages=[{"role": "user", "content": prompt}], output_format=City)
        return Outcome(city=message.parsed_output.city)

    def use_tools(self, model, prompt, tokens):
        messages, outcome = [{"role": "user", "content": prompt}], Outcome()
        for _ in range(TURNS):
            message = self.messages.create(model=model, max_tokens=tokens, messages=messages, tools=self.tools)
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                outcome.text = message.content[0].text
                return outcome
            outcome.calls += [call.input["city"] for call in calls]
            messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": temperature_in(call.input["city"])} for call in calls]}]
        return outcome

    def failure(self, error):
        if isinstance(error, anthropic.APITimeoutError):
            return Failure("timeout", str(error))
        if isinstance(error, anthropic.BadRequestError):
            return Failure("refused", error.body["error"]["message"], error.status_code)
        return Failure("other", repr(error), getattr(error, "status_code", None))
