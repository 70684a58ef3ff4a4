"""prices.yaml: what hosted models cost, out of model-price-repo's copy of LiteLLM's list. Decimal texts become decimal texts; nothing is a float."""
import json
from decimal import ROUND_CEILING, Decimal

from sheet import sheet

AS_OF = "2026-07-24"
TEXT_MODES = ("chat", "responses", "completion", "embedding")
PROVIDERS = {"vertex_ai-language-models": "vertex_ai", "vertex_ai-embedding-models": "vertex_ai", "text-completion-openai": "openai"}
FIELDS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "batch_input": "input_cost_per_token_batches",
    "batch_output": "output_cost_per_token_batches",
    "reasoning": "output_cost_per_reasoning_token",
}
TIERED = ("input", "output", "cached_input", "cache_write", "cache_write_1h")
TIERS = (200_000, 272_000)
# Known ends: Anthropic's promotion (in the list itself), DeepSeek's prices by the hour from 2026-08-23 (its price page).
UNTIL = {
    "claude-sonnet-5": ("2026-08-31", "promotional price"),
    **{name: ("2026-08-22", "since then dearer at peak hours") for name in ("deepseek-chat", "deepseek-reasoner", "deepseek-v4-flash", "deepseek-v4-pro")},
}


def price(dollars_a_token):
    """Dollars a million tokens with six decimals, which is picodollars a token, and whether that was rounded up."""
    exact = dollars_a_token * 10**6
    rounded = exact.quantize(Decimal("0.000001"), rounding=ROUND_CEILING)
    return rounded, rounded != exact


def prices_of(model, fields, suffix=""):
    found, rounded = {}, False
    for name in fields:
        value = model.get(FIELDS[name] + suffix)
        if isinstance(value, Decimal) and value > 0:  # a 0 in the list cannot be told from an unknown price
            found[name], up = price(value)
            rounded = rounded or up
    return found, rounded


def entry(name, model):
    values, rounded = prices_of(model, FIELDS)
    if "input" not in values:
        return None
    # An hour in the cache costs twice the input. Two old entries of the list have another model's price there.
    if not values.get("cache_write", 0) <= values.get("cache_write_1h", 0) <= 4 * values["input"]:
        values.pop("cache_write_1h", None)
    if values.get("reasoning") == values.get("output"):
        values.pop("reasoning", None)
    for tier in TIERS:
        above, up = prices_of(model, TIERED, f"_above_{tier // 1000}k_tokens")
        if above:
            values["above"] = {"input_tokens": tier, **above}
            rounded = rounded or up
    for limit in ("max_input_tokens", "max_output_tokens"):
        if model.get(limit):
            values[limit] = int(model[limit])
    if rounded:
        values["rounded"] = True
    if name in UNTIL:
        values["until"], values["note"] = UNTIL[name]
    return values


def make(data):
    models = json.loads((data / "prices/model_prices.json").read_text(), parse_float=Decimal, parse_int=Decimal)
    entries = {}
    for name, model in models.items():
        values = entry(name, model) if model["mode"] in TEXT_MODES else None
        if values:
            provider = model["litellm_provider"]
            entries[f"{PROVIDERS.get(provider, provider)}/{name}"] = values
    source = {
        "title": "model-price-repo, a daily copy of LiteLLM's list of prices",
        "url": "https://github.com/Wei-Shaw/model-price-repo",
        "licence": "MIT",
        "class": "s",
        "kind": "published",
        "as_of": AS_OF,
        "made_by": "scripts/facts/prices.py",
    }
    return sheet("prices", ["What hosted models cost: dollars a million text tokens. Made by scripts/facts/make.py; docs/formats/facts.md describes it."],
                 {"model-price-repo": source}, entries, unit="USD/Mtok")
