"""The official clients' own readers of streams, for Python: the message that they make of a stream, and the one of a whole answer."""

from __future__ import annotations

import anthropic
import openai

from compat.client import DESCRIPTION, PATIENT, WEATHER
from compat.openai_python import ChatCompletions, Responses

TOKENS = 1000


class ChatParser:
    name = "openai chat completions"

    def __init__(self, url: str):
        self.chats = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=PATIENT).chat.completions

    def message(self, model: str, prompt: str, streamed: bool, tools: bool) -> dict:
        asked = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": TOKENS, **({"tools": ChatCompletions.tools} if tools else {})}
        if not streamed:
            return self.chats.create(**asked).model_dump()
        with self.chats.stream(**asked, stream_options={"include_usage": True}) as stream:
            return stream.get_final_completion().model_dump(warnings=False)


class ResponsesParser:
    name = "openai responses"

    def __init__(self, url: str):
        self.responses = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=PATIENT).responses

    def message(self, model: str, prompt: str, streamed: bool, tools: bool) -> dict:
        asked = {"model": model, "input": prompt, "max_output_tokens": TOKENS, **({"tools": Responses.tools} if tools else {})}
        if not streamed:
            return self.responses.create(**asked).model_dump()
        with self.responses.stream(**asked) as stream:
            return stream.get_final_response().model_dump(warnings=False)


class MessagesParser:
    name = "anthropic messages"
    tools = [{"name": "weather", "description": DESCRIPTION, "input_schema": WEATHER}]

    def __init__(self, url: str):
        self.messages = anthropic.Anthropic(base_url=url, api_key="any", max_retries=0, timeout=PATIENT).messages

    def message(self, model: str, prompt: str, streamed: bool, tools: bool) -> dict:
        asked = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": TOKENS, **({"tools": self.tools} if tools else {})}
        if not streamed:
            return self.messages.create(**asked).model_dump()
        with self.messages.stream(**asked) as stream:
            return stream.get_final_message().model_dump(warnings=False)


PARSERS = [ChatParser, ResponsesParser, MessagesParser]
