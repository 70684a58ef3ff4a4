"""Folds streams the way applications do, so that a streamed answer can be held against a whole one."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class Folded:
    texts: dict[int, str] = dataclasses.field(default_factory=dict)
    finishes: dict[int, str] = dataclasses.field(default_factory=dict)
    tools: dict[int, dict] = dataclasses.field(default_factory=dict)   # by index: id, name, arguments
    logprobs: list = dataclasses.field(default_factory=list)
    usage: dict | None = None
    models: set[str] = dataclasses.field(default_factory=set)
    frames: int = 0
    error: Exception | None = None

    @property
    def text(self) -> str:
        return self.texts.get(0, "")


def add(folded: Folded, chunk: dict) -> None:
    folded.frames += 1
    folded.models.add(chunk["model"])
    if chunk.get("usage"):
        folded.usage = chunk["usage"]
    for choice in chunk["choices"]:
        index, delta = choice["index"], choice.get("delta", {})
        said = delta.get("content") if "delta" in choice else choice.get("text")
        folded.texts[index] = folded.texts.get(index, "") + (said or "")
        if choice.get("finish_reason"):
            folded.finishes[index] = choice["finish_reason"]
        if choice.get("logprobs"):
            folded.logprobs += choice["logprobs"]["content"]
        for call in delta.get("tool_calls") or []:
            tool = folded.tools.setdefault(call["index"], {"id": None, "name": "", "arguments": ""})
            tool["id"] = call.get("id") or tool["id"]
            function = call.get("function") or {}
            tool["name"] += function.get("name") or ""
            tool["arguments"] += function.get("arguments") or ""


def fold(chunks) -> Folded:
    """Chunks as maps, or as the Python client's objects."""
    folded = Folded()
    for chunk in chunks:
        add(folded, chunk if isinstance(chunk, dict) else chunk.model_dump())
    return folded


def fold_until_error(chunks) -> Folded:
    """What arrived, and the error that the client raised, if any."""
    folded = Folded()
    try:
        for chunk in chunks:
            add(folded, chunk if isinstance(chunk, dict) else chunk.model_dump())
    except Exception as error:  # whatever the client raises is what an application sees
        folded.error = error
    return folded
