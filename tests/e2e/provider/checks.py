"""What the stand-in demands of a request. A fault is answered with 400 (or 401, 404) *and* recorded as a violation, which fails
the test at its end unless the test expected it: a gateway that sends wrong requests must not go unseen.
"""

from __future__ import annotations

import json

CHAT_FIELDS = frozenset("""audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages metadata
modalities model n parallel_tool_calls prediction presence_penalty prompt_cache_key reasoning_effort response_format safety_identifier seed
service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options""".split())
COMPLETION_FIELDS = frozenset("""best_of echo frequency_penalty logit_bias logprobs max_tokens model n presence_penalty prompt seed stop stream
stream_options suffix temperature top_p user""".split())
EMBEDDING_FIELDS = frozenset("dimensions encoding_format input model user".split())
RERANK_FIELDS = frozenset("documents max_tokens_per_doc model query return_documents top_n".split())  # Cohere's and Jina's together
ROLES = frozenset(("developer", "system", "user", "assistant", "tool", "function"))
PART_TYPES = frozenset(("text", "image_url", "input_audio", "file", "refusal"))

# The only fields that a gateway needs to send upstream. Anything else is somebody's data on its way to a stranger.
HEADERS_UPSTREAM = frozenset(("host", "authorization", "content-type", "content-length", "accept", "user-agent", "connection",
                              "accept-encoding", "transfer-encoding", "x-request-id"))


class Fault(Exception):
    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def body(self) -> dict:
        return {"error": {"message": str(self), "type": "invalid_request_error", "param": self.param, "code": self.code}}


def _no_duplicates(pairs: list) -> dict:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError(f"duplicate key among {[key for key, _ in pairs]}")
    return fields


def parse(body: bytes) -> dict:
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (UnicodeDecodeError, ValueError) as error:
        raise Fault(400, f"the body is no strict JSON: {error}") from None
    if not isinstance(document, dict):
        raise Fault(400, "the body is no JSON object")
    return document


def check_headers(headers: list[tuple[str, str]], closed: frozenset | None) -> None:
    names = [name.lower() for name, _ in headers]
    for name in ("host", "authorization", "content-type", "content-length"):
        if names.count(name) > 1:
            raise Fault(400, f"the field {name} came {names.count(name)} times")
    if closed is not None and (extra := sorted(set(names) - closed)):
        raise Fault(400, f"fields outside the closed list: {', '.join(extra)}")


def check_body(request: dict, path: str, models: set[str], extra_fields: frozenset) -> None:
    chat, embeddings, rerank = (path == f"/v1/{name}" for name in ("chat/completions", "embeddings", "rerank"))
    fields = (CHAT_FIELDS if chat else EMBEDDING_FIELDS if embeddings else RERANK_FIELDS if rerank else COMPLETION_FIELDS) | extra_fields
    if unknown := sorted(set(request) - fields):
        raise Fault(400, f"Unrecognized request argument supplied: {', '.join(unknown)}", unknown[0], "unknown_parameter")
    if request.get("model") not in models:
        raise Fault(404, f"The model `{request.get('model')}` does not exist.", "model", "model_not_found")
    if not isinstance(request.get("stream", False), (bool, type(None))):
        raise Fault(400, "stream must be a boolean", "stream")
    if not isinstance(request.get("n", 1), (int, type(None))) or request.get("n") is True:
        raise Fault(400, "n must be an integer", "n")
    if request.get("stream_options") is not None and not request.get("stream"):
        raise Fault(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if embeddings:
        if not isinstance(request.get("input"), (str, list)) or not request["input"]:
            raise Fault(400, "input must be a string or a non-empty array", "input")
        if request.get("encoding_format", "float") not in ("float", "base64"):
            raise Fault(400, "encoding_format must be float or base64", "encoding_format")
    elif rerank:
        _check_documents(request)
    elif chat:
        _check_messages(request.get("messages"))
        _check_tools(request.get("tools"))
    elif not isinstance(request.get("prompt"), (str, list)):
        raise Fault(400, "prompt must be a string or an array", "prompt")


def _check_documents(request: dict) -> None:
    if not isinstance(request.get("query"), str):
        raise Fault(400, "query must be a string", "query")
    documents = request.get("documents")
    if not isinstance(documents, list) or not documents or not all(isinstance(document, (str, dict)) for document in documents):
        raise Fault(400, "documents must be a non-empty array of strings or objects", "documents")
    if not isinstance(request.get("top_n", 1), int) or request.get("top_n", 1) < 1:
        raise Fault(400, "top_n must be a positive integer", "top_n")


def _check_messages(messages) -> None:
    if not isinstance(messages, list) or not messages:
        raise Fault(400, "messages must be a non-empty array", "messages")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise Fault(400, f"{where} has no known role", f"{where}.role")
        content = message.get("content")
        if isinstance(content, list):
            for part in content:
                if not isinstance(part, dict) or part.get("type") not in PART_TYPES or part["type"] not in part:
                    raise Fault(400, f"{where} has a malformed content part", f"{where}.content")
        elif not (isinstance(content, str) or (content is None and message["role"] == "assistant")):
            raise Fault(400, f"{where} has no content", f"{where}.content")
        if message["role"] == "tool" and not isinstance(message.get("tool_call_id"), str):
            raise Fault(400, f"{where} names no tool_call_id", f"{where}.tool_call_id")


def _check_tools(tools) -> None:
    for index, tool in enumerate(tools or []):
        if tool.get("type") != "function" or not isinstance(tool.get("function", {}).get("name"), str):
            raise Fault(400, f"tools[{index}] is no function", f"tools[{index}]")
