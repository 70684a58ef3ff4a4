"""OpenAI's APIs that a gateway does not read: images, audio, files, moderations. What is answered tells what was asked, so that a test
can see that nothing was lost on the way. Shapes follow OpenAI's API reference (2026-11).
"""

from __future__ import annotations

import base64
import email.parser
import email.policy
import hashlib
import json

from provider.answers import CREATED
from provider.checks import Fault, parse

BLOCK = hashlib.sha256(b"block").digest() * 2048  # 64 KiB


def content_of(file_id: str) -> bytes:
    """`file-<n>` has n bytes."""
    size = int(file_id.removeprefix("file-"))
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


def speech_for(text: str) -> bytes:
    """Every byte that there is, and what was said."""
    return bytes(range(256)) + text.encode()


def image_for(prompt: str) -> bytes:
    return hashlib.sha512(prompt.encode()).digest()


def parts_of(content_type: str, body: bytes) -> dict[str, bytes]:
    """The parts of a form, by name."""
    if not content_type.startswith("multipart/form-data; boundary="):
        raise Fault(400, f"the content type is {content_type!r}, not multipart/form-data")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    if message.defects or not message.is_multipart():
        raise Fault(400, f"no well-formed form: {message.defects}")
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in message.iter_parts()}


def file_object(file_id: str, size: int) -> dict:
    return {"id": file_id, "object": "file", "bytes": size, "created_at": CREATED, "filename": "data", "purpose": "batch", "status": "processed"}


def find(method: str, target: str):
    """What answers: f(head, body) -> (content type, bytes); None where it is none of these APIs."""
    path = target.split("?")[0]
    known = {("POST", "/v1/images/generations"): _images, ("POST", "/v1/audio/speech"): _speech,
             ("POST", "/v1/audio/transcriptions"): _transcription, ("POST", "/v1/moderations"): _moderation, ("POST", "/v1/files"): _upload}
    if (method, path) in known:
        return known[method, path]
    if path.startswith("/v1/files/file-") and method in ("GET", "DELETE"):
        file_id, _, rest = path.removeprefix("/v1/files/").partition("/")
        if method == "DELETE" and not rest:
            return lambda head, body: ("application/json", json.dumps({"id": file_id, "object": "file", "deleted": True}).encode())
        if method == "GET" and rest == "content":
            return lambda head, body: ("application/octet-stream", content_of(file_id))
        if method == "GET" and not rest:
            return lambda head, body: ("application/json", json.dumps(file_object(file_id, len(content_of(file_id)))).encode())
    return None


def _json(head, body: bytes) -> dict:
    if head.field("content-type") != "application/json":
        raise Fault(400, f"the content type is {head.field('content-type')!r}, not application/json")
    return parse(body)


def _images(head, body: bytes) -> tuple[str, bytes]:
    request = _json(head, body)
    data = base64.b64encode(image_for(request["prompt"])).decode()
    if request.get("stream"):
        events = [{"type": "image_generation.partial_image", "b64_json": data, "partial_image_index": index} for index in range(2)]
        events.append({"type": "image_generation.completed", "b64_json": data, "created_at": CREATED})
        return "text/event-stream", b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
    return "application/json", json.dumps({"created": CREATED, "data": [{"b64_json": data}]}).encode()


def _speech(head, body: bytes) -> tuple[str, bytes]:
    if head.field("accept") != "application/octet-stream":  # what the clients ask for
        raise Fault(400, f"Accept is {head.field('accept')!r}")
    return "audio/mpeg", speech_for(_json(head, body)["input"])


def _transcription(head, body: bytes) -> tuple[str, bytes]:
    parts = parts_of(head.field("content-type"), body)
    return "application/json", json.dumps({"text": f"{parts['model'].decode()} {hashlib.sha256(parts['file']).hexdigest()}"}).encode()


def _moderation(head, body: bytes) -> tuple[str, bytes]:
    request = _json(head, body)
    return "application/json", json.dumps({"id": "modr-1", "model": request["model"], "results": []}).encode()


def _upload(head, body: bytes) -> tuple[str, bytes]:
    parts = parts_of(head.field("content-type"), body)
    return "application/json", json.dumps(file_object(f"file-{len(parts['file'])}", len(parts["file"]))).encode()
