"""OpenAI's API as the stand-in speaks it, and the same at Azure: what differs between APIs. provider/messages.py has Anthropic's."""

from __future__ import annotations

import json
import re

from provider import answers, checks
from provider.behaviour import Behaviour


class ChatCompletions:
    """What the stand-in needs to know of OpenAI's API."""
    paths = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank")
    own_headers = frozenset()  # beside those that any API needs
    request_id_field = "x-request-id"
    base = "/v1"  # of the configured url

    @staticmethod
    def route(target: str) -> str:
        """The path that OpenAI's API has for it."""
        return target

    @staticmethod
    def authorize(headers: list[tuple[str, str]], key: str) -> None:
        if next((value for name, value in headers if name.lower() == "authorization"), "") != f"Bearer {key}":
            raise checks.Fault(401, "Incorrect API key provided.", None, "invalid_api_key")

    @staticmethod
    def check_body(request: dict, path: str, models: set[str], extra_fields: frozenset) -> None:
        checks.check_body(request, path, models, extra_fields)

    @staticmethod
    def fields_of_betas(betas: str) -> frozenset:
        """The fields that these betas, a list with commas, add to a request. This API has none."""
        return frozenset()

    @staticmethod
    def forced_call(request: dict) -> tuple:
        """(name, arguments) of a call that the request demands: of the tool that it names, or of its first; () where it leaves the choice."""
        choice, tools = request.get("tool_choice"), [tool["function"] for tool in request.get("tools") or []]
        name = choice["function"]["name"] if isinstance(choice, dict) else tools[0]["name"] if choice == "required" and tools else None
        return next(((name, answers.example_text(tool.get("parameters", {}))) for tool in tools if tool["name"] == name), ())

    @staticmethod
    def prompt(request: dict) -> str:
        return answers.prompt_of(request)

    @staticmethod
    def whole(request: dict, behaviour: Behaviour) -> dict:
        return answers.whole(request, behaviour)

    @staticmethod
    def frames(request: dict, behaviour: Behaviour) -> list[tuple[str, dict]]:
        """(event, document) each; this API names no events. What ends the stream is not among them."""
        if behaviour.end == "only_done":
            return []
        chunks = answers.chunks(request, behaviour)
        if behaviour.end == "no_finish":
            chunks = [frame for frame in chunks if not any(choice["finish_reason"] for choice in frame["choices"])]
        return [("", frame) for frame in chunks]

    @staticmethod
    def last_frames(behaviour: Behaviour) -> list[tuple[str, str]]:
        """(event, data) of what ends the stream."""
        match behaviour.end:
            case "error":
                return [("", json.dumps(answers.refusal(Behaviour(status=500, error=behaviour.error))))]
            case "garbage":
                return [("", '{"id": "chatcmpl-1", "choices": [')]
            case "no_done":
                return []
        return [("", "[DONE]")]

    @staticmethod
    def refusal(behaviour: Behaviour, model: str, request_id: str) -> dict:
        return answers.refusal(behaviour, model)

    @staticmethod
    def fault(fault: checks.Fault, request_id: str) -> dict:
        return fault.body()

    @staticmethod
    def models(names: list[str]) -> dict:
        return answers.models(names)

    @staticmethod
    def model(name: str) -> dict:
        return answers.model(name)


class Azure(ChatCompletions):
    """The same at Azure: its v1."""
    own_headers = frozenset(("api-key",))
    base = ""

    @staticmethod
    def authorize(headers: list[tuple[str, str]], key: str) -> None:
        fields = {name.lower(): value for name, value in headers}
        if fields.get("api-key") != key or "authorization" in fields:
            raise checks.Fault(401, "Access denied due to invalid subscription key or wrong API endpoint.", None, "401")

    @staticmethod
    def route(target: str) -> str:
        if not target.startswith("/openai/v1/"):
            raise checks.Fault(404, "Resource not found", None, "404")
        return target.removeprefix("/openai")


class DatedAzure(Azure):
    """Its dated API: a path for each deployment, and the version in the query."""
    version = "2024-10-21"

    @staticmethod
    def route(target: str) -> str:
        path, _, query = target.partition("?")
        if query != f"api-version={DatedAzure.version}":
            raise checks.Fault(404, "Resource not found", None, "404")
        if path == "/openai/models":
            return "/v1/models"
        found = re.fullmatch("/openai/deployments/([A-Za-z0-9_.-]+)(/chat/completions|/completions|/embeddings|/rerank)", path)
        if not found:
            raise checks.Fault(404, "Resource not found", None, "404")
        return "/v1" + found[2]
