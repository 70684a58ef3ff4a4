"""Anthropic's Messages API as the stand-in speaks it: what it demands of a request, and what it answers, both as strict and as
deterministic as provider/checks.py and provider/answers.py are for OpenAI's. Shapes follow the types of the SDK `anthropic` 2.12.0
for Python (2026-11); rules that types cannot say follow the API's own reference and its error messages.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
import re

from provider import answers
from provider.behaviour import Behaviour, refuse
from provider.checks import Fault

# Each generation of the API has its own way to carry the key.
VERSION_OF_X_API_KEY = "2023-06-01"
VERSION_OF_BEARER = "2026-10-21"

# `temperature`, `top_p` and `top_k` have left the SDK's types; the API takes them still. `user_profile_id` and `workspace_id` of the
# SDK travel as headers.
FIELDS = frozenset("""cache_control container diagnostics inference_geo max_tokens messages metadata model output_config service_tier speed
stop_sequences stream system temperature thinking tool_choice tools top_k top_p""".split())

SIGNATURE = "EqoBCkgIAxABGAIiQL8xZ29v+dGhhbHdlZw=="
CREATED = "2026-01-01T00:00:00Z"
CONTEXT_REFUSAL = "prompt is too long: 208310 tokens > 200000 maximum"
ERROR_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
               413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error"}


@dataclasses.dataclass(frozen=True)
class Said(Behaviour):
    """A behaviour with what only this API can say."""
    thinking: str = ""               # said before all else, and signed
    signature: str = SIGNATURE
    stop_reason: str = ""            # "": the one that fits
    stop_sequence: str | None = None
    future: bool = False             # an event, a block and a delta of types that no client knows yet


def said(**changes) -> Said:
    return Said(**changes)


def context_exceeded() -> Behaviour:
    return refuse(400, error={"type": "invalid_request_error", "message": CONTEXT_REFUSAL})


def of(behaviour: Behaviour) -> Said:
    if isinstance(behaviour, Said):
        return behaviour
    return Said(**{field.name: getattr(behaviour, field.name) for field in dataclasses.fields(behaviour)})


BETA_FIELDS = {"context-management-2025-06-27": "context_management"}
COUNT_FIELDS = frozenset("cache_control messages model output_config system thinking tool_choice tools".split())


class Messages:
    """What the stand-in needs to know of the API; provider/chat_completions.py has the other one."""
    paths = ("/v1/messages", "/v1/messages/count_tokens")
    own_headers = frozenset(("x-api-key", "anthropic-version", "anthropic-beta"))
    request_id_field = "request-id"
    base = "/v1"

    @staticmethod
    def route(target: str) -> str:
        return target

    @staticmethod
    def authorize(headers: list[tuple[str, str]], key: str) -> None:
        fields = [(name.lower(), value) for name, value in headers]
        for name in ("x-api-key", "anthropic-version"):
            if sum(field == name for field, _ in fields) > 1:
                raise Fault(400, f"{name}: the header came more than once")
        values = dict(fields)
        credentials = {"x-api-key": values.get("x-api-key"), "authorization": values.get("authorization")}
        wanted = {VERSION_OF_X_API_KEY: {"x-api-key": key, "authorization": None},
                  VERSION_OF_BEARER: {"x-api-key": None, "authorization": f"Bearer {key}"}}
        version = values.get("anthropic-version")
        if version is None:
            raise Fault(400, "anthropic-version: header is required")
        if version not in wanted:
            raise Fault(400, f'anthropic-version: "{version}" is not a valid version')
        if None not in credentials.values():
            raise Fault(401, "two credentials came, x-api-key and authorization")
        if credentials != wanted[version]:
            expected = next(name for name, value in wanted[version].items() if value)
            raise Fault(401, f"invalid credential: version {version} takes the key in {expected}")

    @staticmethod
    def check_body(request: dict, path: str, models: set[str], extra_fields: frozenset) -> None:
        if path == "/v1/messages":
            return check_body(request, models, extra_fields)
        if unknown := sorted(set(request) - COUNT_FIELDS - extra_fields):
            raise Fault(400, f"{unknown[0]}: Extra inputs are not permitted")
        check_body({**request, "max_tokens": 1}, models, extra_fields)

    @staticmethod
    def fields_of_betas(betas: str) -> frozenset:
        return frozenset(BETA_FIELDS[beta] for beta in betas.split(",") if beta in BETA_FIELDS)

    @staticmethod
    def forced_call(request: dict) -> tuple:
        choice, tools = request.get("tool_choice") or {}, request.get("tools") or []
        name = choice.get("name") or (tools[0].get("name") if choice.get("type") == "any" else None)
        return next(((name, answers.example_text(tool["input_schema"])) for tool in tools if tool.get("name") == name and "input_schema" in tool), ())

    @staticmethod
    def prompt(request: dict) -> str:
        return prompt_of(request)

    @staticmethod
    def whole(request: dict, behaviour: Behaviour) -> dict:
        if "max_tokens" not in request:  # a count
            return {"input_tokens": input_tokens(usage_of(request, behaviour))}
        return whole(request, behaviour)

    @staticmethod
    def frames(request: dict, behaviour: Behaviour) -> list[tuple[str, dict]]:
        return [(event["type"], event) for event in events(request, behaviour)]

    @staticmethod
    def last_frames(behaviour: Behaviour) -> list[tuple[str, str]]:
        match behaviour.end:
            case "error":
                error = behaviour.error or {"type": "overloaded_error", "message": "Overloaded (stand-in, in the stream)"}
                return [("error", json.dumps({"type": "error", "error": error}))]
            case "garbage":
                return [("content_block_delta", '{"type": "content_block_delta", "index": ')]
            case "no_done":
                return []
        return [("message_stop", json.dumps({"type": "message_stop"}))]

    @staticmethod
    def refusal(behaviour: Behaviour, model: str, request_id: str) -> dict:
        message = f"model: {model}" if behaviour.status == 404 else f"No such luck. (stand-in {behaviour.status})"
        return error_body(behaviour.error or {"type": error_type(behaviour.status), "message": message}, request_id)

    @staticmethod
    def fault(fault: Fault, request_id: str) -> dict:
        return error_body({"type": error_type(fault.status), "message": str(fault)}, request_id)

    @staticmethod
    def models(names: list[str]) -> dict:
        return {"data": [Messages.model(name) for name in names], "has_more": False,
                "first_id": names[0] if names else None, "last_id": names[-1] if names else None}

    @staticmethod
    def model(name: str) -> dict:
        return {"type": "model", "id": name, "display_name": name.title(), "created_at": CREATED, "lifecycle": "active"}


def error_type(status: int) -> str:
    return ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def error_body(error: dict, request_id: str) -> dict:
    return {"type": "error", "error": error, "request_id": request_id}


# ---- answers ------------------------------------------------------------------------------------------------------------------


def prompt_of(request: dict) -> str:
    """The text that an answer depends on: the last user message's."""
    users = [message for message in request.get("messages", []) if message.get("role") == "user"]
    return answers.prompt_of({"messages": users[-1:]}) if users else ""


def text_of(request: dict, behaviour: Said) -> str:
    if behaviour.text is None and behaviour.tool_calls:
        return ""
    if behaviour.text is not None:
        text = behaviour.text
    elif schema := ((request.get("output_config") or {}).get("format") or {}).get("schema"):
        text = answers.example_text(schema)
    else:
        text = answers.text_for(prompt_of(request))
    return text * behaviour.repeat


def usage_of(request: dict, behaviour: Behaviour) -> dict:
    """Three kinds of input, which add up to what answers.usage_for counts; 10 tokens a tool call."""
    behaviour = of(behaviour)
    counted = answers.usage_for({"messages": [{"content": prompt_of(request)}]}, [text_of(request, behaviour), behaviour.thinking])
    usage = {"input_tokens": counted["prompt_tokens"] - 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3,
             "output_tokens": counted["completion_tokens"] + 10 * len(behaviour.tool_calls)}
    if behaviour.thinking:
        usage["output_tokens_details"] = {"thinking_tokens": len(answers.pieces_of(behaviour.thinking))}
    return usage


def input_tokens(usage: dict) -> int:
    """All of them: the cached are a part of the input, which `input_tokens` leaves out."""
    return usage["input_tokens"] + usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]


def blocks_of(request: dict, behaviour: Said) -> list[dict]:
    """The content of an answer. A block of an unknown type stands where clients must skip it."""
    blocks = []
    if behaviour.thinking:
        blocks.append({"type": "thinking", "thinking": behaviour.thinking, "signature": behaviour.signature})
    if behaviour.future:
        blocks.append({"type": "future_block", "payload": {"text": "not for clients of today"}})
    text = text_of(request, behaviour)
    if text or not behaviour.tool_calls:
        blocks.append({"type": "text", "text": text})
    blocks += [{"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": json.loads(arguments or "{}")}
               for number, (name, arguments) in enumerate(behaviour.tool_calls)]
    return blocks


def stop_of(behaviour: Said) -> dict:
    reason = behaviour.stop_reason or ("tool_use" if behaviour.tool_calls else "end_turn")
    return {"stop_reason": reason, "stop_sequence": behaviour.stop_sequence}


def _message(request: dict, behaviour: Said, content: list, stop: dict, usage: dict) -> dict:
    name = hashlib.sha256(prompt_of(request).encode()).hexdigest()[:20]
    message = {"id": f"msg_{name}", "type": "message", "role": "assistant", "model": behaviour.model or request["model"], "content": content,
               **stop, **(behaviour.answer_keys or {})}
    return message if behaviour.usage == "never" else {**message, "usage": usage}


def whole(request: dict, behaviour: Behaviour) -> dict:
    """The answer to a request that does not stream."""
    behaviour = of(behaviour)
    return _message(request, behaviour, blocks_of(request, behaviour), stop_of(behaviour), usage_of(request, behaviour))


def _deltas(block: dict, arguments: str, split: int):
    """(the block as it begins, its deltas): what is said later is empty at first."""
    match block["type"]:
        case "text":
            return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in answers.pieces_of(block["text"])]
        case "thinking":
            said_so_far = [{"type": "thinking_delta", "thinking": piece} for piece in answers.pieces_of(block["thinking"])]
            return {**block, "thinking": "", "signature": ""}, [*said_so_far, {"type": "signature_delta", "signature": block["signature"]}]
        case "tool_use":
            fragments = ["", *(arguments[start:start + split] for start in range(0, len(arguments), split))]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": fragment} for fragment in fragments]
    return block, [{"type": "future_delta", "payload": 1}]


def events(request: dict, behaviour: Behaviour) -> list[dict]:
    """The events of a stream, in the API's order; `message_stop` is not among them, since it is the mark of the end."""
    behaviour = of(behaviour)
    usage = usage_of(request, behaviour)
    started = _message(request, behaviour, [], {"stop_reason": None, "stop_sequence": None}, {**usage, "output_tokens": 1})
    if behaviour.end == "only_done":
        return []
    said_events = [{"type": "message_start", "message": started}]
    calls = iter(behaviour.tool_calls)
    for index, block in enumerate(blocks_of(request, behaviour)):
        arguments = next(calls)[1] if block["type"] == "tool_use" else ""
        start, deltas = _deltas(block, arguments, behaviour.split_arguments)
        said_events.append({"type": "content_block_start", "index": index, "content_block": start})
        if index == 0:
            said_events.append({"type": "ping"})
            if behaviour.future:
                said_events.append({"type": "future_event", "payload": [1, None]})
        said_events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        said_events.append({"type": "content_block_stop", "index": index})
    if behaviour.end != "no_finish":
        end = {"type": "message_delta", "delta": stop_of(behaviour)}
        said_events.append(end if behaviour.usage == "never" else {**end, "usage": usage})
    return said_events


# ---- checks -------------------------------------------------------------------------------------------------------------------

# The members that a block may have, beside `type`; of those not named here the API has more than a stand-in needs to know.
BLOCK_MEMBERS = {
    "text": "text cache_control citations", "image": "source cache_control transformations",
    "document": "source cache_control citations context title", "tool_use": "id name input cache_control caller toolset_name",
    "tool_result": "tool_use_id content is_error cache_control toolset_name", "thinking": "thinking signature", "redacted_thinking": "data",
}
OTHER_BLOCKS = frozenset("""search_result server_tool_use web_search_tool_result web_fetch_tool_result code_execution_tool_result
bash_code_execution_tool_result text_editor_code_execution_tool_result tool_search_tool_result container_upload""".split())
ASSISTANT_ONLY = frozenset(("tool_use", "thinking", "redacted_thinking", "server_tool_use"))
USER_ONLY = frozenset(("image", "document", "tool_result", "search_result", "container_upload"))
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
TOOL_MEMBERS = "name description input_schema type strict cache_control defer_loading eager_input_streaming input_examples allowed_callers"
CHOICE_MEMBERS = {"auto": "disable_parallel_tool_use", "any": "disable_parallel_tool_use", "tool": "name disable_parallel_tool_use", "none": ""}
ID = re.compile(r"[a-zA-Z0-9_-]+")


def _demand(holds, message: str) -> None:
    if not holds:
        raise Fault(400, message)


def _closed(document: dict, members: str, where: str) -> None:
    for name in document:
        _demand(name == "type" or name in members.split(), f"{where}.{name}: Extra inputs are not permitted")


def _is_text(value) -> bool:
    return isinstance(value, str) and bool(value)


def _is_count(value, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_body(request: dict, models: set[str], extra_fields: frozenset) -> None:
    for name in sorted(set(request) - FIELDS - extra_fields):
        raise Fault(400, f"{name}: Extra inputs are not permitted")
    for name in ("model", "max_tokens", "messages"):
        _demand(name in request, f"{name}: Field required")
    if request["model"] not in models:
        raise Fault(404, f"model: {request['model']}")
    _demand(_is_count(request["max_tokens"], 1), "max_tokens: Input should be an integer greater than or equal to 1")
    _demand(isinstance(request.get("stream", False), bool), "stream: Input should be a valid boolean")
    for name, most in (("temperature", 1), ("top_p", 1)):
        value = request.get(name, 0)
        _demand(isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most, f"{name}: range: 0..{most}")
    _demand(_is_count(request.get("top_k", 0), 0), "top_k: Input should be an integer")
    _check_settings(request)
    if "system" in request:
        _check_content("system", request["system"], "system")
    _check_tools(request)
    _check_messages(request["messages"])


def _check_settings(request: dict) -> None:
    metadata = request.get("metadata", {})
    _demand(isinstance(metadata, dict), "metadata: Input should be an object")
    _closed(metadata, "user_id", "metadata")
    _demand("type" not in metadata, "metadata.type: Extra inputs are not permitted")
    _demand(isinstance(metadata.get("user_id", ""), (str, type(None))), "metadata.user_id: Input should be a valid string")
    stops = request.get("stop_sequences", [])
    _demand(isinstance(stops, list) and all(isinstance(stop, str) for stop in stops), "stop_sequences: Input should be a list of strings")
    _demand(all(stop.strip() for stop in stops), "stop_sequences: each stop sequence must contain non-whitespace")
    _demand(request.get("service_tier", "auto") in ("auto", "standard_only"), "service_tier: Input should be 'auto' or 'standard_only'")
    output = request.get("output_config", {})
    _demand(isinstance(output, dict) and "type" not in output, "output_config: Input should be an object")
    _closed(output, "format effort", "output_config")
    if (form := output.get("format")) is not None:
        _demand(isinstance(form, dict) and form.get("type") == "json_schema", "output_config.format: Input should have the type json_schema")
        _demand(isinstance(form.get("schema"), dict), "output_config.format.schema: Field required")
        _closed(form, "schema", "output_config.format")
    thinking = request.get("thinking", {"type": "disabled"})
    _demand(isinstance(thinking, dict), "thinking: Input should be an object")
    kind = thinking.get("type")
    _demand(kind in ("enabled", "disabled", "adaptive", "between_tools"), f"thinking: no known type: {kind!r}")
    _closed(thinking, {"enabled": "budget_tokens display", "adaptive": "display"}.get(kind, ""), "thinking")
    if kind == "enabled":
        _demand(_is_count(thinking.get("budget_tokens"), 1024), "thinking.budget_tokens: Input should be greater than or equal to 1024")
        _demand(thinking["budget_tokens"] < request["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`")


def _check_tools(request: dict) -> None:
    tools = request.get("tools", [])
    _demand(isinstance(tools, list), "tools: Input should be a valid list")
    names = []
    for index, tool in enumerate(tools):
        where = f"tools.{index}"
        _demand(isinstance(tool, dict) and isinstance(tool.get("name"), str), f"{where}.name: Field required")
        names.append(tool["name"])
        if (tool.get("type") or "custom") != "custom":
            continue  # one that the provider runs itself
        _closed(tool, TOOL_MEMBERS, where)
        _demand(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool["name"]), f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        _demand(isinstance(tool.get("description", ""), str), f"{where}.description: Input should be a valid string")
        _demand(isinstance(tool.get("strict", False), bool), f"{where}.strict: Input should be a valid boolean")
        schema = tool.get("input_schema")
        _demand(isinstance(schema, dict), f"{where}.input_schema: Field required")
        _demand(schema.get("type") == "object", f"{where}.input_schema.type: Input should be 'object'")
    _demand(len(set(names)) == len(names), "tools: Tool names must be unique.")
    if "tool_choice" not in request:
        return
    choice = request["tool_choice"]
    _demand(tools, "tool_choice: may only be specified while providing tools")
    _demand(isinstance(choice, dict) and choice.get("type") in CHOICE_MEMBERS, "tool_choice: no known type")
    _closed(choice, CHOICE_MEMBERS[choice["type"]], "tool_choice")
    _demand(choice["type"] != "tool" or choice.get("name") in names, f"tool_choice.name: Tool '{choice.get('name')}' not found in provided tools")


def _check_content(role: str, content, where: str) -> list[dict]:
    """The content as blocks."""
    if isinstance(content, str):
        _demand(content, f"{where}: text content must be non-empty")
        return [{"type": "text", "text": content}]
    _demand(isinstance(content, list) and content, f"{where}: Input should be a non-empty string or list of blocks")
    for index, block in enumerate(content):
        _check_block(role, block, f"{where}.{index}")
    return content


def _check_block(role: str, block, where: str) -> None:
    _demand(isinstance(block, dict), f"{where}: Input should be an object")
    kind = block.get("type")
    _demand(kind in BLOCK_MEMBERS or kind in OTHER_BLOCKS, f"{where}: Input tag {kind!r} found using 'type' does not match any of the expected tags")
    _demand(role != "system" or kind == "text", f"{where}: system content must be text")
    _demand(role != "user" or kind not in ASSISTANT_ONLY, f"{where}: `{kind}` blocks can only be in `assistant` messages")
    _demand(role != "assistant" or kind not in USER_ONLY, f"{where}: `{kind}` blocks can only be in `user` messages")
    if kind in BLOCK_MEMBERS:
        _closed(block, BLOCK_MEMBERS[kind], where)
    match kind:
        case "text":
            _demand(_is_text(block.get("text")), f"{where}.text: text content blocks must be non-empty")
            _demand(block["text"].strip(), f"{where}.text: text content blocks must contain non-whitespace text")
        case "image" | "document":
            _check_source(kind, block.get("source"), f"{where}.source")
            _demand(isinstance(block.get("title"), (str, type(None))), f"{where}.title: Input should be a valid string")
        case "tool_use":
            _demand(_is_text(block.get("id")) and ID.fullmatch(block["id"]), f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
            _demand(_is_text(block.get("name")), f"{where}.name: Field required")
            _demand(isinstance(block.get("input"), dict), f"{where}.input: Input should be an object")
        case "tool_result":
            _demand(_is_text(block.get("tool_use_id")), f"{where}.tool_use_id: Field required")
            for index, part in enumerate(block["content"] if isinstance(block.get("content"), list) else []):
                _demand(isinstance(part, dict) and part.get("type") in ("text", "image", "document", "search_result"),
                        f"{where}.content.{index}: no known type")
                _check_block("user", part, f"{where}.content.{index}")
            _demand(isinstance(block.get("content", ""), (str, list)), f"{where}.content: Input should be a string or a list of blocks")
        case "thinking":
            _demand(isinstance(block.get("thinking"), str), f"{where}.thinking: Field required")
            _demand(_is_text(block.get("signature")), f"{where}.signature: Field required")
        case "redacted_thinking":
            _demand(_is_text(block.get("data")), f"{where}.data: Field required")


def _check_source(kind: str, source, where: str) -> None:
    _demand(isinstance(source, dict), f"{where}: Field required")
    match source.get("type"):
        case "base64":
            types = IMAGE_TYPES if kind == "image" else ("application/pdf",)
            _demand(source.get("media_type") in types, f"{where}.media_type: Input should be one of {', '.join(types)}")
            _demand(_is_text(source.get("data")) and _is_base64(source["data"]), f"{where}.data: invalid base64 data")
            _closed(source, "media_type data", where)
        case "url":
            _demand(re.fullmatch(r"https://[^ ]+", str(source.get("url"))), f"{where}.url: Only HTTPS URLs are supported.")
            _closed(source, "url", where)
        case "file":
            _demand(_is_text(source.get("file_id")), f"{where}.file_id: Field required")
            _closed(source, "file_id", where)
        case "text" if kind == "document":
            _demand(source.get("media_type") == "text/plain" and _is_text(source.get("data")), f"{where}: Input should be plain text")
            _closed(source, "media_type data", where)
        case "content" if kind == "document":
            _demand(source.get("content"), f"{where}.content: Field required")
        case other:
            raise Fault(400, f"{where}: Input tag {other!r} found using 'type' does not match any of the expected tags")


def _is_base64(data: str) -> bool:
    try:
        return bool(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return False


def _check_messages(messages) -> None:
    _demand(isinstance(messages, list) and messages, "messages: at least one message is required")
    turns: list[tuple[str, list[dict]]] = []  # messages of one role that follow each other are one turn
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        _demand(isinstance(message, dict) and message.get("role") in ("user", "assistant", "system"),
                f"{where}.role: Input should be 'user', 'assistant' or 'system'")
        for name in message:
            _demand(name in ("role", "content"), f"{where}.{name}: Extra inputs are not permitted")
        blocks = _check_content(message["role"], message.get("content"), f"{where}.content")
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(blocks)
        else:
            turns.append((message["role"], list(blocks)))
    _check_tool_turns(turns)


def _check_tool_turns(turns: list[tuple[str, list[dict]]]) -> None:
    """What an assistant's turn calls is answered, all of it, at the beginning of the user's turn behind it; and nothing else is."""
    called: list[str] = []
    for role, blocks in [*turns, ("", [])]:
        results = [(index, block["tool_use_id"]) for index, block in enumerate(blocks) if block["type"] == "tool_result"]
        leading = [name for position, (index, name) in enumerate(results) if index == position]
        for name in (name for _, name in results):
            _demand(name in called, f"messages: unexpected `tool_use_id` found in `tool_result` blocks: {name}. Each `tool_result` block must have a "
                                    "corresponding `tool_use` block in the previous message.")
        _demand(len({name for _, name in results}) == len(results), "messages: each `tool_use` must have a single result")
        if missing := [name for name in called if name not in leading]:
            raise Fault(400, f"messages: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}. Each "
                             "`tool_use` block must have a corresponding `tool_result` block in the next message.")
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        _demand(len(set(called)) == len(called), "messages: `tool_use` ids must be unique")
