"""The refusals that the dialects' documents list: what is refused in other words is a fault, not a refusal."""

from __future__ import annotations

import functools
import re

from gateway import ROOT

FORMATS = ROOT / "docs/formats"
DIALECTS = ("openai.md", "anthropic.md", "responses.md")
WHOLE = "no endpoint can serve "  # begins a refusal; the other rows say within one why an API cannot be used


@functools.cache
def pattern() -> re.Pattern:
    """Of the first column of each table `Refusals`; `{name}` stands for any words, and `{words}` for those of another row."""
    rows = []
    for name in DIALECTS:
        section = (FORMATS / name).read_text(encoding="utf-8").partition("\n## Refusals\n")[2].partition("\n## ")[0]
        found = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
        assert found, f"{name} lists no refusals"
        rows += found
    reasons = "|".join(_written(row) for row in rows if not row.startswith(WHOLE))
    return re.compile("|".join(_written(row, reasons) for row in rows if row.startswith(WHOLE)), re.DOTALL)


def _written(row: str, reasons: str = "") -> str:
    stands_for = {"{words}": f"(?:{reasons})"}
    return "".join(stands_for.get(part, ".+") if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", row))


def listed(message: str) -> bool:
    return pattern().fullmatch(message) is not None
