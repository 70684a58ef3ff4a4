"""What the stand-in answers: deterministic, so that a test knows the expected text, fragments and usage without asking the program
under test. Shapes follow OpenAI's API reference for chat completions, completions and models (2026-11).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct

from provider.behaviour import Behaviour

CREATED = 1_767_225_600  # 2026-01-01T00:00:00Z


def prompt_of(request: dict) -> str:
    """The text that an answer depends on: the last message's, or the prompt."""
    if "messages" in request:
        content = request["messages"][-1].get("content") or ""
        if isinstance(content, list):
            content = " ".join(part.get("text", f"<{part['type']}>") for part in content)
        return content
    prompt = request.get("prompt", "")
    return prompt if isinstance(prompt, str) else json.dumps(prompt)


def text_for(prompt: str, choice: int = 0) -> str:
    """Some words, beyond ASCII and beyond the BMP, with what JSON must escape."""
    mark = hashlib.sha256(f"{choice}:{prompt}".encode()).hexdigest()[:8]
    return f"Answer {mark}: the river finds \"its\" way\\ through Zürich, 東京 and 🚰.\n\tEnd {mark}."


def pieces_of(text: str) -> list[str]:
    """The fragments of a streamed text: words with the space before them; their count is the count of tokens."""
    return re.findall(r" ?[^ ]+| ", text)


def usage_for(request: dict, texts: list[str]) -> dict:
    prompt, completion = len(prompt_of(request).split()) + 7, sum(len(pieces_of(text)) for text in texts)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0}}


def answer_id(request: dict) -> str:
    prefix = "chatcmpl" if "messages" in request else "cmpl"
    return f"{prefix}-{hashlib.sha256(prompt_of(request).encode()).hexdigest()[:20]}"


def texts_for(request: dict, behaviour: Behaviour) -> list[str]:
    count = request.get("n") or 1
    if behaviour.tool_calls:
        return [""] * count
    schema = (request.get("response_format") or {}).get("json_schema", {}).get("schema")
    texts = []
    for choice in range(count):
        if behaviour.text is not None:
            text = behaviour.text
        elif schema is not None:
            text = example_text(schema)
        else:
            text = text_for(prompt_of(request), choice)
        texts.append(text * behaviour.repeat)
    return texts


def example_of(schema: dict):
    """The smallest value of a JSON schema's object, array, string, integer, number, boolean."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: example_of(part) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [example_of(schema["items"])]
        case "integer":
            return 7
        case "number":
            return 2.5
        case "boolean":
            return True
    return "Zürich"


def example_text(schema: dict) -> str:
    return json.dumps(example_of(schema), ensure_ascii=False)


def token_logprobs(piece: str, top: int) -> dict:
    own = {"token": piece, "logprob": -0.25, "bytes": list(piece.encode())}
    others = [{"token": f"{piece}{rank}", "logprob": -1.5 - rank, "bytes": list(f"{piece}{rank}".encode())} for rank in range(max(0, top - 1))]
    return {**own, "top_logprobs": [own, *others][:top]}


def whole_tool_calls(behaviour: Behaviour) -> list[dict]:
    return [{"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (name, arguments) in enumerate(behaviour.tool_calls)]


def finish_of(behaviour: Behaviour) -> str:
    return "tool_calls" if behaviour.tool_calls else "stop"


def _head(request: dict, behaviour: Behaviour, kind: str) -> dict:
    return {"id": answer_id(request), "object": kind, "created": CREATED, "model": behaviour.model or request["model"],
            "system_fingerprint": "fp_standin", **(behaviour.answer_keys or {})}


def vector_for(text: str, dimensions: int = 8) -> list[float]:
    """Numbers that a 32-bit float holds exactly."""
    return [byte / 256 for byte in hashlib.sha256(text.encode()).digest()[:dimensions]]


def embeddings(request: dict, behaviour: Behaviour) -> dict:
    inputs = request["input"] if isinstance(request["input"], list) else [request["input"]]
    vectors = [vector_for(text if isinstance(text, str) else json.dumps(text), request.get("dimensions", 8)) for text in inputs]
    if request.get("encoding_format") == "base64":  # little-endian float32, as OpenAI answers it
        vectors = [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
    tokens = sum(len(str(text).split()) for text in inputs)
    return {"object": "list", "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)],
            "model": behaviour.model or request["model"], "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def scores_for(query: str, documents: list) -> list[float]:
    """Of each document, from 0 to 1; the same pair gives the same score."""
    texts = [document if isinstance(document, str) else document.get("text", json.dumps(document)) for document in documents]
    return [hashlib.sha256(f"{query}\0{text}".encode()).digest()[0] / 256 for text in texts]


def rerank(request: dict, behaviour: Behaviour) -> dict:
    """As Jina's API and vLLM answer: best first, and the total of the tokens alone."""
    documents = request["documents"]
    scores = scores_for(request["query"], documents)
    best = sorted(range(len(scores)), key=lambda index: -scores[index])[:request.get("top_n")]
    results = [{"index": index, "relevance_score": scores[index]} for index in best]
    if request.get("return_documents"):
        results = [{**result, "document": documents[result["index"]]} for result in results]
    return {"model": behaviour.model or request["model"], "usage": {"total_tokens": 5 * len(documents)}, "results": results}


def whole(request: dict, behaviour: Behaviour) -> dict:
    """The answer to a request that does not stream."""
    if "documents" in request:
        return rerank(request, behaviour)
    if "input" in request:
        return embeddings(request, behaviour)
    texts, choices = texts_for(request, behaviour), []
    for index, text in enumerate(texts):
        if "messages" in request:
            message = {"role": "assistant", "content": None if behaviour.tool_calls else text, "refusal": None}
            if behaviour.tool_calls:
                message["tool_calls"] = whole_tool_calls(behaviour)
            logprobs = None
            if request.get("logprobs"):
                logprobs = {"content": [token_logprobs(piece, request.get("top_logprobs") or 0) for piece in pieces_of(text)], "refusal": None}
            choices.append({"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish_of(behaviour)})
        else:
            choices.append({"index": index, "text": text, "logprobs": None, "finish_reason": "stop"})
    answer = _head(request, behaviour, "chat.completion" if "messages" in request else "text_completion")
    answer["choices"] = choices
    if behaviour.usage != "never":
        answer["usage"] = usage_for(request, texts)
    return answer


def _deltas(request: dict, behaviour: Behaviour, index: int, text: str):
    """(delta, logprobs) of one chat choice, before its finish frame."""
    yield {"role": "assistant", "content": None if behaviour.tool_calls else "", "refusal": None}, None
    for number, (name, arguments) in enumerate(behaviour.tool_calls):
        yield {"tool_calls": [{"index": number, "id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": ""}}]}, None
        for start in range(0, len(arguments), behaviour.split_arguments):
            fragment = arguments[start:start + behaviour.split_arguments]
            yield {"tool_calls": [{"index": number, "function": {"arguments": fragment}}]}, None
    for piece in pieces_of(text):
        logprobs = None
        if request.get("logprobs"):
            logprobs = {"content": [token_logprobs(piece, request.get("top_logprobs") or 0)], "refusal": None}
        yield {"content": piece}, logprobs


def chunks(request: dict, behaviour: Behaviour) -> list[dict]:
    """The objects of a stream, in order; choices take turns, as they do at providers."""
    texts = texts_for(request, behaviour)
    chat = "messages" in request
    head = _head(request, behaviour, "chat.completion.chunk" if chat else "text_completion")
    wants_usage = bool((request.get("stream_options") or {}).get("include_usage"))
    usage = usage_for(request, texts)
    per_choice = []
    for index, text in enumerate(texts):
        if chat:
            own = [{"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}
                   for delta, logprobs in _deltas(request, behaviour, index, text)]
            own.append({"index": index, "delta": {}, "logprobs": None, "finish_reason": finish_of(behaviour)})
        else:
            own = [{"index": index, "text": piece, "logprobs": None, "finish_reason": None} for piece in pieces_of(text)]
            own.append({"index": index, "text": "", "logprobs": None, "finish_reason": "stop"})
        per_choice.append(own)
    frames = []
    for turn in range(max(len(own) for own in per_choice)):
        for own in per_choice:
            if turn < len(own):
                frames.append({**head, "choices": [own[turn]]})
    if wants_usage and behaviour.usage == "own":
        for frame in frames:
            frame["usage"] = None
    if behaviour.usage == "finish":
        frames[-1]["usage"] = usage
    elif behaviour.usage == "always" or (wants_usage and behaviour.usage == "own"):
        frames.append({**head, "choices": [], "usage": usage})
    return frames


def refusal(behaviour: Behaviour, request_model: str = "") -> dict:
    if behaviour.error is not None:
        return {"error": behaviour.error}
    kind, code, message = {
        401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
        403: ("permission_error", "forbidden", "This project may not use the model."),
        404: ("invalid_request_error", "model_not_found", f"The model `{request_model}` does not exist."),
        429: ("requests", "rate_limit_exceeded", "Rate limit reached."),
        503: ("server_error", None, "The engine is currently overloaded."),
        529: ("overloaded_error", None, "Overloaded."),
    }.get(behaviour.status, ("server_error", None, "The server had an error."))
    return {"error": {"message": f"{message} (stand-in {behaviour.status})", "type": kind, "param": None, "code": code}}


def models(names: list[str]) -> dict:
    return {"object": "list", "data": [model(name) for name in names]}


def model(name: str) -> dict:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "standin"}
