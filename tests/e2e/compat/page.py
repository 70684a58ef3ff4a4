"""docs/compatibility.md, as runs write it: the clients' part (test_compatibility.py) and the coding agents' (test_agents.py)."""

from __future__ import annotations

import json
import os
import re

from gateway import ROOT

PAGE = ROOT / "docs/compatibility.md"
E2E = ROOT / "tests/e2e"
AGENTS = "## Coding agents\n"  # begins the second part


def versions(names: list[str], lock: str) -> str:
    """`name version` each, as a lock file has them."""
    text = (E2E / lock).read_text(encoding="utf-8")
    if lock.endswith(".json"):
        packages = json.loads(text)["packages"]
        return ", ".join(f"`{name}` {packages[f'node_modules/{name}']['version']}" for name in names)
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))
    return ", ".join(f"`{name}` {pinned[name]}" for name in names)


def table(rows: dict[tuple[str, ...], list[str]], head: list[str]) -> str:
    """One row each, `works` or a number of a refusal, whose words stand below."""
    words: list[str] = []
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for names, cells in rows.items():
        shown = []
        for cell in cells:
            kind, _, said = cell.partition(": ")
            if said and said not in words:
                words.append(said)
            shown.append(f"{kind} ({words.index(said) + 1})" if said else kind)
        lines.append("| " + " | ".join([*names, *shown]) + " |")
    notes = [f"{number}. refused: `{said}`" for number, said in enumerate(words, 1)]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def clients_part(cells: dict[tuple[str, tuple[str, str], str], str], kinds: list[str], cases: list[str]) -> str:
    """`cells`: by kind of endpoint, (client, surface) and case."""
    parts = [f"""# Which client works over which endpoint

Written by a run of the unmodified clients, never by hand: `COMPATIBILITY=write tests/e2e/run.sh test_compatibility.py` writes it, and
`make test` fails when it is stale. Each client is asked the same nine things over each kind of endpoint, and must give the same
([tests/e2e/compat](../tests/e2e/compat)). *works*: the answer is right, and so is what the endpoint got. *refused*: a 400 with the words below
the table, one of those that [openai.md](formats/openai.md#refusals), [anthropic.md](formats/anthropic.md#refusals) or
[responses.md](formats/responses.md#refusals) lists. The engine runs the default model, which knows neither tools nor images; the other endpoints
are strict stand-ins of their providers.

Python: {versions(["anthropic", "langchain-openai", "openai", "openai-agents"], "requirements.lock")}.
Node: {versions(["@ai-sdk/anthropic", "@ai-sdk/openai", "@ai-sdk/openai-compatible", "@anthropic-ai/sdk", "ai", "openai"], "node/package-lock.json")}.
"""]
    for kind in kinds:
        rows: dict[tuple[str, ...], list[str]] = {}
        for (of, names, _), cell in cells.items():
            if of == kind:
                rows.setdefault(names, []).append(cell)
        parts.append(f"\n## Over {kind}\n\n" + table(rows, ["Client", "speaks", *cases]))
    return "".join(parts) + "\n"


def agents_head(agents: list) -> str:
    """`agents`: the classes of coding_agents.py."""
    needs = "\n".join(f"- {agent.name} needs {agent.needs}." for agent in agents)
    return f"""{AGENTS}
Written by `COMPATIBILITY=write tests/e2e/run.sh test_agents.py`, which `make prove` runs: the agents are 770 MB, so `make test` does
without where `scripts/agents.sh` has not installed them. Each agent is given one task, to change a word in a file. *works*: the model's calls
of the agent's tools arrived, the file is changed, and the agent had the tools' results sent and said the model's last words.

{versions([agent.package for agent in agents], "coding_agents/package-lock.json")}.

{needs}

"""


def agents_part(agents: list, cells: dict[tuple[tuple[str, str], str], str], kinds: list[str]) -> str:
    """`cells`: by (agent, surface) and kind of endpoint."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for (names, _), cell in cells.items():
        rows.setdefault(names, []).append(cell)
    return agents_head(agents) + table(rows, ["Agent", "speaks", *kinds])


def halves() -> tuple[str, str]:
    """The two parts of the page as it stands; a part that was never written is empty."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    before, heading, after = text.partition(AGENTS)
    return before, heading + after


def check(part: str, which: int) -> None:
    """Holds one part (0: the clients', 1: the agents') against the page; with COMPATIBILITY=write it becomes the page's."""
    parts = list(halves())
    if os.environ.get("COMPATIBILITY") == "write":
        parts[which] = part
        PAGE.write_text("".join(parts), encoding="utf-8")
    assert parts[which] == part, "docs/compatibility.md is stale; COMPATIBILITY=write with the same command writes it anew"
