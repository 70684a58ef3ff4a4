"""hardware.yaml: accelerators, out of AIConfigurator's systems. processors.yaml: thermal design power, out of CodeCarbon's list."""
import csv
import re
from decimal import Decimal

from sheet import sheet

NUMBER = re.compile(r"^  (\w+):\s*([0-9]+)\b", re.M)
VALUES = {"memory_bytes": ("mem_capacity", 0), "bandwidth_gb_s": ("mem_bw", 9), "bf16_tflops": ("bfloat16_tc_flops", 12),
          "fp8_tflops": ("fp8_tc_flops", 12), "fp4_tflops": ("fp4_tc_flops", 12), "power_w": ("power", 0)}
NAMES = {"a100_sxm": ["NVIDIA A100-SXM4-80GB"], "h100_sxm": ["NVIDIA H100 80GB HBM3"], "h200_sxm": ["NVIDIA H200"], "l4": ["NVIDIA L4"],
         "l40s": ["NVIDIA L40S"], "b200_sxm": ["NVIDIA B200"], "b300_sxm": ["NVIDIA B300 SXM6 AC"], "gb200": ["NVIDIA GB200"], "gb300": ["NVIDIA GB300"],
         "rtx_pro_6000_server": ["NVIDIA RTX PRO 6000 Blackwell Server Edition"]}
# What runs servers and PCs today; the whole list goes back to the 1990s.
PROCESSORS = re.compile(r"AMD EPYC|AMD Ryzen|Intel Xeon (Bronze|Silver|Gold|Platinum|Max)|Intel Core (i[3579]-1\d{3,4}|Ultra)|Apple M")

WATTS = re.compile(r"\d+(\.\d)?")  # some rows hold a range or a word


def make_accelerators(data):
    entries = {}
    for file in sorted((data / "serving/systems").glob("*.yaml")):
        text = file.read_text()
        section = re.search(r"^gpu:\n((?:  .*\n)+)", text, re.M)
        numbers = {key: int(value) for key, value in NUMBER.findall(section.group(1))}
        values = {}
        for name, (key, exponent) in VALUES.items():
            if key in numbers:
                values[name] = Decimal(numbers[key]).scaleb(-exponent).quantize(Decimal("0.001")) if exponent else numbers[key]
        entries[file.stem.replace("_", "-")] = {**values, "also": NAMES[file.stem]} if file.stem in NAMES else values
    source = {
        "title": "AIConfigurator's systems, from NVIDIA's data sheets; of one GPU, dense",
        "url": "https://github.com/ai-dynamo/aiconfigurator",
        "licence": "Apache-2.0",
        "class": "s",
        "kind": "published",
        "as_of": "2026-01-01",  # the year of its newest file
        "made_by": "scripts/facts/hardware.py",
    }
    return sheet("hardware", ["Accelerators: memory, bandwidth, dense throughput and power of one. Made by scripts/facts/make.py."], {"aiconfigurator": source}, entries)


def make_processors(data):
    with open(data / "serving/cpu_tdp_watts.csv", newline="") as file:
        rows = [(row["Name"].strip(), row["TDP"].strip()) for row in csv.DictReader(file)]
    powers = {}
    for name, power in rows:
        if PROCESSORS.match(name) and WATTS.fullmatch(power) and Decimal(power) > 0:
            powers.setdefault(name, set()).add(Decimal(power))
    # Of a name with two powers nobody knows which it is.
    entries = {name: {"power_w": found.pop()} for name, found in powers.items() if len(found) == 1}
    source = {
        "title": "CodeCarbon's list of processors",
        "url": "https://github.com/mlco2/codecarbon",
        "licence": "MIT",
        "class": "s",
        "kind": "published",
        "as_of": "2025-05-13",  # of the newest processors that it lists, EPYC 4005
        "made_by": "scripts/facts/hardware.py",
    }
    return sheet("hardware", ["Processors: thermal design power of one package. Made by scripts/facts/make.py."], {"codecarbon": source}, entries)
