"""models-ecologits.yaml and energy.yaml: what EcoLogits says of models, and the coefficients of its model of a request's energy. Out of its wheel, as text."""
import ast
import json
import zipfile
from decimal import Decimal

from sheet import scalar, sheet

AS_OF = "2025-10-14"  # of the newest model that it lists
VERSION = "0.9.1"
# Its names of providers, as prices.yaml has them. What is on Hugging Face already has its publisher in the name.
PROVIDERS = {"google_genai": "gemini", "mistralai": "mistral", "huggingface_hub": None}
COEFFICIENTS = {
    "gpu_energy_alpha": "GPU_ENERGY_ALPHA",
    "gpu_energy_beta": "GPU_ENERGY_BETA",
    "gpu_energy_gamma": "GPU_ENERGY_GAMMA",
    "latency_alpha": "LATENCY_ALPHA",
    "latency_beta": "LATENCY_BETA",
    "latency_gamma": "LATENCY_GAMMA",
    "batch": "BATCH_SIZE",
    "weight_bits": "MODEL_QUANTIZATION_BITS",
    "gpu_memory_gb": "GPU_MEMORY",
    "server_gpus": "SERVER_GPUS",
    "server_embodied_kg": "SERVER_EMBODIED_IMPACT_GWP",
    "gpu_embodied_kg": "GPU_EMBODIED_IMPACT_GWP",
}
LICENCE = "MPL-2.0"
NOTICE = ["", "This file is a part of EcoLogits in another form and is subject to the terms of the Mozilla Public License, v. 2.0.",
          "If a copy of the MPL was not distributed with this file, you can obtain one at https://mozilla.org/MPL/2.0/.", ""]


def source(title, kind, made_by):
    return {
        "title": title,
        "url": "https://ecologits.ai",
        "licence": LICENCE,
        "class": "p",
        "kind": kind,
        **({"model": f"ecologits-{VERSION}"} if kind == "modelled" else {}),
        "as_of": AS_OF,
        "made_by": made_by,
    }


def span(value):
    return {"min": value["min"], "max": value["max"]} if isinstance(value, dict) else value


def make_models(wheel, taken):
    """`taken`: names that models.yaml has already."""
    with zipfile.ZipFile(wheel) as archive:
        listed = json.loads(archive.read("ecologits/data/models.json"), parse_float=Decimal, parse_int=Decimal)
    also = {}
    for alias in listed["aliases"]:
        also.setdefault((alias["provider"], alias["alias"]), []).append(alias["name"])
    entries = {}
    for model in listed["models"]:
        prefix = PROVIDERS.get(model["provider"], model["provider"])
        named = (lambda name, prefix=prefix: f"{prefix}/{name}" if prefix else name)
        name = named(model["name"])
        if name in taken or name in entries:
            continue
        size = model["architecture"]["parameters"]
        total, active = (size["total"], size["active"]) if isinstance(size, dict) and "total" in size else (size, size)
        values = {"total_billion": span(total), "active_billion": span(active)}
        if names := also.get((model["provider"], model["name"])):
            values["also"] = sorted(named(other) for other in names)
        open_sizes = "model-arch-not-released" not in (model["warnings"] or [])
        entries[name] = {"source": "published" if open_sizes else "guessed", **values}
    sources = {
        "guessed": source(f"EcoLogits {VERSION}: closed models, estimated", "modelled", "scripts/facts/ecologits.py") | {"class": "s"},
        "published": source(f"EcoLogits {VERSION}: models whose size is public", "published", "scripts/facts/ecologits.py") | {"class": "s"},
    }
    return sheet("models", [f"Sizes of models as EcoLogits {VERSION} lists them. Closed ones are estimates, mostly as ranges: limits are held by the upper end.",
                            *NOTICE, "Made by scripts/facts/make.py."], sources, entries)


def constants_of(wheel):
    """The constants of its llm.py as they are written there."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read("ecologits/impacts/llm.py").decode()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = ast.get_source_segment(text, node.value)
    return found


class Written(str):
    """A number that stays as its source wrote it."""


def make_energy(wheel):
    constants = constants_of(wheel)
    # In its functions, not among its constants: the overhead of 1.2, kilowatts, and three years.
    values = {key: Written(constants[name]) for key, name in COEFFICIENTS.items()}
    values |= {"memory_overhead": Decimal("1.2"), "server_power_w": Decimal(constants["SERVER_POWER"]) * 1000, "server_lifetime_s": 3 * 365 * 24 * 3600}
    # Ours: an H100 SXM (989 TFLOP/s dense at 16 bits, 700 W; its data sheet) at 40% of its peak.
    values |= {"prefill_mfu": Decimal("0.4"), "prefill_gpu_tflops": 989, "prefill_gpu_power_w": 700}
    lines = sheet("energy", [f"The coefficients of EcoLogits {VERSION}'s model of a request's energy, and of our extension for prompts (prefill_*).",
                             *NOTICE, "Made by scripts/facts/make.py; docs/formats/facts.md has the formulas."],
                  {"ecologits": source(f"EcoLogits {VERSION}, impacts/llm.py; prefill_* are ours", "modelled", "scripts/facts/ecologits.py")}, {})
    lines += f"  {scalar(f'ecologits-{VERSION}')}:\n"
    return lines + "".join(f"    {key}: {value if isinstance(value, Written) else scalar(value)}\n" for key, value in values.items())
