"""The refusals that the dialects' documents list: what is refused in other words is a fault, not a refusal."""

from __future__ import annotations

import functools
import re

from gateway import ROOT

FORMATS = ROOT / "docs/formats"
DIALECTS = ("openai.md", "anthropic.md", "responses.md")


@functools.cache
def patterns() -> tuple[re.Pattern, ...]:
    """The first column of each table `Refusals`; `{name}` stands for any words."""
    found = []
    for name in DIALECTS:
        section = (FORMATS / name).read_text(encoding="utf-8").partition("\n## Refusals\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
        assert rows, f"{name} lists no refusals"
        found += [re.compile("(?s:.+)".join(re.escape(part) for part in re.split(r"\{\w+\}", row))) for row in rows]
    return tuple(found)


def listed(message: str) -> bool:
    return any(pattern.fullmatch(message) for pattern in patterns())
