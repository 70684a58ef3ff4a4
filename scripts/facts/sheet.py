"""Writes one file of data/facts as docs/formats/facts.md has it: the same facts give the same bytes."""
import json
import re
from decimal import Decimal

# What every reader of YAML takes for a text. Others are quoted: `NO` is Norway.
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def number(value):
    """Digits without an exponent and without zeros that say nothing."""
    text = format(Decimal(value), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return number(value)
    return value if PLAIN.fullmatch(value) and value.lower() not in WORDS else json.dumps(value, ensure_ascii=False)


def flow(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(inner) for inner in value) + "]"
    return scalar(value)


def block(name, value):
    """An entry on one line; with lists of lists on one line each."""
    if not any(isinstance(inner, list) and inner and isinstance(inner[0], list) for inner in value.values()):
        return [f"  {scalar(name)}: {flow(value)}"]
    lines = [f"  {scalar(name)}:"]
    for key, inner in value.items():
        if isinstance(inner, list) and isinstance(inner[0], list):
            lines += [f"    {key}:"] + [f"      - {flow(row)}" for row in inner]
        else:
            lines.append(f"    {key}: {flow(inner)}")
    return lines


def sheet(kind, about, sources, entries, unit=None):
    """The whole text. `about`: lines of a comment; `sources` and `entries`: dicts, entries by name."""
    lines = [f"# {line}".rstrip() for line in about] + [f"facts: {kind}"]
    if unit:
        lines.append(f"unit: {unit}")
    lines.append("sources:")
    for name, source in sources.items():
        lines.append(f"  {name}:")
        lines += [f"    {key}: {flow(value)}" for key, value in source.items()]
    lines.append("entries:")
    for name in sorted(entries):
        lines += block(name, entries[name])
    return "\n".join(lines) + "\n"
