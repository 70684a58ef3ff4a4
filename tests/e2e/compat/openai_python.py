"""`openai` for Python, over chat completions and over responses."""

from __future__ import annotations

import json

import openai

from compat.client import DESCRIPTION, PATIENT, TURNS, WEATHER, City, Client, Failure, Outcome, temperature_in


def failure(error: Exception) -> Failure:
    if isinstance(error, openai.APITimeoutError):
        return Failure("timeout", str(error))
    if isinstance(error, openai.BadRequestError):
        return Failure("refused", (error.body or {}).get("message", str(error)), error.status_code)
    return Failure("other", repr(error), getattr(error, "status_code", None))


class OpenAIClient(Client):
    name = "`openai` for Python"

    def __init__(self, url: str):
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=PATIENT)

    def failure(self, error: Exception) -> Failure:
        return failure(error)


class ChatCompletions(OpenAIClient):
    surface = "chat completions"
    tools = [{"type": "function", "function": {"name": "weather", "description": DESCRIPTION, "parameters": WEATHER, "strict": True}}]

    def __init__(self, url: str):
        super().__init__(url)
        self.chats = self.client.chat.completions

    def answer(self, model, prompt, tokens, seconds):
        answer = self.chats.create(model=model, messages=[{"role": "user", "content": prompt}], max_completion_tokens=tokens, timeout=seconds)
        return Outcome(text=answer.choices[0].message.content)

    def stream(self, model, prompt, tokens, leave_after):
        outcome = Outcome()
        with self.chats.create(model=model, messages=[{"role": "user", "content": prompt}], max_completion_tokens=tokens, stream=True) as chunks:
            for chunk in chunks:
                if chunk.choices and chunk.choices[0].delta.content:
                    outcome.text += chunk.choices[0].delta.content
                    outcome.pieces += 1
                    if outcome.pieces == leave_after:
                        break
        return outcome

    def look(self, model, prompt, image, tokens):
        content = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}]
        answer = self.chats.create(model=model, messages=[{"role": "user", "content": content}], max_completion_tokens=tokens)
        return Outcome(text=answer.choices[0].message.content)

    def fill(self, model, prompt, tokens):
        answer = self.chats.parse(model=model, messages=[{"role": "user", "content": prompt}], max_completion_tokens=tokens, response_format=City)
        return Outcome(city=answer.choices[0].message.parsed.city)

    def use_tools(self, model, prompt, tokens):
        messages, outcome = [{"role": "user", "content": prompt}], Outcome()
        for _ in range(TURNS):
            message = self.chats.create(model=model, messages=messages, max_completion_tokens=tokens, tools=self.tools).choices[0].message
            if not message.tool_calls:
                outcome.text = message.content
                return outcome
            messages.append(message)
            for call in message.tool_calls:
                outcome.calls.append(json.loads(call.function.arguments)["city"])
                messages.append({"role": "tool", "tool_call_id": call.id, "content": temperature_in(outcome.calls[-1])})
        return outcome


class Responses(OpenAIClient):
    surface = "responses"
    tools = [{"type": "function", "name": "weather", "description": DESCRIPTION, "parameters": WEATHER, "strict": True}]

    def __init__(self, url: str):
        super().__init__(url)
        self.responses = self.client.responses

    def answer(self, model, prompt, tokens, seconds):
        return Outcome(text=self.responses.create(model=model, input=prompt, max_output_tokens=tokens, timeout=seconds).output_text)

    def stream(self, model, prompt, tokens, leave_after):
        outcome = Outcome()
        with self.responses.stream(model=model, input=prompt, max_output_tokens=tokens) as events:
            for event in events:
                if event.type == "response.output_text.delta":
                    outcome.text += event.delta
                    outcome.pieces += 1
                    if outcome.pieces == leave_after:
                        break
        return outcome

    def look(self, model, prompt, image, tokens):
        content = [{"type": "input_text", "text": prompt},
                   {"type": "input_image", "image_url": f"data:image/png;base64,{image}", "detail": "auto"}]
        answer = self.responses.create(model=model, input=[{"role": "user", "content": content}], max_output_tokens=tokens)
        return Outcome(text=answer.output_text)

    def fill(self, model, prompt, tokens):
        return Outcome(city=self.responses.parse(model=model, input=prompt, max_output_tokens=tokens, text_format=City).output_parsed.city)

    def use_tools(self, model, prompt, tokens):
        items, outcome = [{"role": "user", "content": prompt}], Outcome()
        for _ in range(TURNS):
            answer = self.responses.create(model=model, input=items, max_output_tokens=tokens, tools=self.tools, store=False)
            calls = [item for item in answer.output if item.type == "function_call"]
            if not calls:
                outcome.text = answer.output_text
                return outcome
            items += answer.output
            for call in calls:
                outcome.calls.append(json.loads(call.arguments)["city"])
                items.append({"type": "function_call_output", "call_id": call.call_id, "output": temperature_in(outcome.calls[-1])})
        return outcome
