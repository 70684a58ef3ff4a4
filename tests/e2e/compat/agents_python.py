"""`openai-agents`, over responses and over chat completions. It keeps the conversation and calls the tools itself."""

from __future__ import annotations

import asyncio

import openai
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled

from compat.client import PATIENT, TURNS, City, Client, Outcome, temperature_in
from compat.openai_python import failure

set_tracing_disabled(True)  # traces go to OpenAI


class Agents(Client):
    name, surface = "`openai-agents`", "responses"
    Model = OpenAIResponsesModel

    def __init__(self, url: str):
        self.url = url

    def run(self, model: str, prompt, tokens: int, seconds: float = PATIENT, **more):
        async def work():
            async with openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="any", max_retries=0, timeout=seconds) as client:
                return await Runner.run(self.agent(client, model, tokens, **more), prompt, max_turns=TURNS)
        return asyncio.run(work()).final_output

    def agent(self, client: openai.AsyncOpenAI, model: str, tokens: int, **more) -> Agent:
        return Agent(name="assistant", model=self.Model(model, client), model_settings=ModelSettings(max_tokens=tokens), **more)

    def answer(self, model, prompt, tokens, seconds):
        return Outcome(text=self.run(model, prompt, tokens, seconds))

    def stream(self, model, prompt, tokens, leave_after):
        async def work() -> Outcome:
            outcome = Outcome()
            async with openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="any", max_retries=0, timeout=PATIENT) as client:
                run = Runner.run_streamed(self.agent(client, model, tokens), prompt)
                async for event in run.stream_events():
                    if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                        outcome.text += event.data.delta
                        outcome.pieces += 1
                        if outcome.pieces == leave_after:
                            run.cancel()
                            break
            return outcome
        return asyncio.run(work())

    def look(self, model, prompt, image, tokens):
        content = [{"type": "input_text", "text": prompt},
                   {"type": "input_image", "image_url": f"data:image/png;base64,{image}", "detail": "auto"}]
        return Outcome(text=self.run(model, [{"role": "user", "content": content}], tokens))

    def fill(self, model, prompt, tokens):
        return Outcome(city=self.run(model, prompt, tokens, output_type=City).city)

    def use_tools(self, model, prompt, tokens):
        outcome = Outcome()

        @function_tool
        async def weather(city: str) -> str:  # async: calls of one answer would else run in threads, in any order
            """The temperature in a city"""
            outcome.calls.append(city)
            return temperature_in(city)

        outcome.text = self.run(model, prompt, tokens, tools=[weather])
        return outcome

    def failure(self, error):
        return failure(error)


class AgentsChat(Agents):
    surface = "chat completions"
    Model = OpenAIChatCompletionsModel
