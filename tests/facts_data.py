"""The shipped tables against the raw files, computed another way: `tests/facts_data.py PROGRAM`. Exit code 77 (ctest: skipped) without the raw files.

What the program says of each entry is compared with the source's own figure; and the scripts, run again, must give the shipped bytes.
"""
import csv
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from decimal import Decimal
from fractions import Fraction

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("THALWEG_DATA", ROOT.parent / "shared/data"))
FACTS = ROOT / "data/facts"
compared = 0


def listed(program, kind):
    done = subprocess.run([program, "facts", "list", kind, "--json", "--catalogue", FACTS], check=True, capture_output=True)
    return {entry["name"]: entry for entry in json.loads(done.stdout, parse_float=Fraction, parse_int=Fraction)["entries"]}


def same(what, ours, source, tolerance=0):
    global compared
    compared += 1
    if abs(ours - source) > tolerance:
        sys.exit(f"{what}: the table says {float(ours)}, the source {float(source)}")


def check_prices(entries):
    raw = json.loads((DATA / "prices/model_prices.json").read_text(), parse_float=Fraction, parse_int=Fraction)
    by_model = {name.partition("/")[2]: entry["values"] for name, entry in entries.items()}
    fields = [("input", "input_cost_per_token"), ("output", "output_cost_per_token"), ("cached_input", "cache_read_input_token_cost"),
              ("cache_write", "cache_creation_input_token_cost"), ("batch_input", "input_cost_per_token_batches"), ("batch_output", "output_cost_per_token_batches")]
    for model, values in by_model.items():
        for ours, theirs in fields:
            cost = raw[model].get(theirs)
            if bool(cost) != (ours in values):
                sys.exit(f"{model}: {theirs} is {cost} in the source, {ours} is {values.get(ours)} in the table")
            if cost:  # dollars a token, times a million; exact, as no such price in the list is finer than a picodollar
                same(f"{model} {ours}", values[ours], cost * 1_000_000)
                assert cost * 10**12 == int(cost * 10**12), f"{model} {theirs} is finer than a picodollar and is not marked"
    missing = {name for name, model in raw.items() if model["mode"] in ("chat", "responses") and model.get("input_cost_per_token")} - by_model.keys()
    if missing:
        sys.exit(f"prices without an entry: {sorted(missing)}")


def check_zones(entries):
    """By running sums of floats over the lines, cell by cell; the hours that the README of the data names are found by their total."""
    for zone in ("AZ", "CA", "GA", "IL", "NY", "TX", "VA", "WA"):
        text = (DATA / f"carbon/us_{zone}_2022_hourly.csv").read_text().splitlines()[1:]
        totals = sorted(math.fsum(float(x or 0) for x in line.split(",")[1:9]) for line in text)
        sums, counts = {}, {}
        for line in text:
            stamp, *mix, intensity = line.split(",")
            if intensity and math.fsum(map(float, mix)) >= totals[len(totals) // 2] / 10:
                cell = (int(stamp[5:7]), int(stamp[11:13]))
                sums[cell] = sums.get(cell, 0) + float(intensity)
                counts[cell] = counts.get(cell, 0) + 1
        values = entries[f"US-{zone}"]["values"]
        same(f"US-{zone}", values["g_per_kwh"], Fraction(sum(sums.values()) / sum(counts.values())), Fraction(6, 10_000))
        for (month, hour), total in sums.items():
            same(f"US-{zone} {month} {hour}h", values["profile_g_per_kwh"][month - 1][hour], Fraction(total / counts[month, hour]), Fraction(51, 1000))
        if zone == "VA":
            same("hours of VA", Fraction(sum(counts.values())), 8760 - 23 - 5)


def check_countries(entries):
    raw = json.loads((DATA / "carbon/country_energy_mix.json").read_text(), parse_float=Fraction, parse_int=Fraction)
    annual = {name: entry for name, entry in entries.items() if not name.startswith("US-")}
    for code, two in (("DEU", "DE"), ("FRA", "FR"), ("NOR", "NO"), ("POL", "PL"), ("USA", "US"), ("GBR", "GB"), ("CHN", "CN"), ("SWE", "SE"), ("CHE", "CH")):
        same(two, annual[two]["values"]["g_per_kwh"], raw[code]["carbon_intensity"])
        assert annual[two]["as_of"] == f"{raw[code]['year']}-12-31", two
    figures = sorted(country["carbon_intensity"] for country in raw.values() if country["carbon_intensity"])
    for ours, theirs in zip(sorted(entry["values"]["g_per_kwh"] for entry in annual.values()), figures, strict=True):
        same("countries in order", ours, theirs, Fraction(1, 2000))


def check_hardware(entries):
    for file in (DATA / "serving/systems").glob("*.yaml"):
        raw = dict(re.findall(r"^  (mem_bw|mem_capacity|bfloat16_tc_flops|fp8_tc_flops|fp4_tc_flops|power):\s*(\d+)", file.read_text(), re.M))
        values = entries[file.stem.replace("_", "-")]["values"]
        for ours, theirs, scale in (("memory_bytes", "mem_capacity", 1), ("bandwidth_gb_s", "mem_bw", 10**9), ("bf16_tflops", "bfloat16_tc_flops", 10**12),
                                    ("fp8_tflops", "fp8_tc_flops", 10**12), ("fp4_tflops", "fp4_tc_flops", 10**12), ("power_w", "power", 1)):
            assert (ours in values) == (theirs in raw), (file.name, ours)
            if theirs in raw:
                same(f"{file.stem} {ours}", values[ours], Fraction(int(raw[theirs]), scale), Fraction(1, 2000))
    with open(DATA / "serving/cpu_tdp_watts.csv", newline="") as text:
        powers = {}
        for name, power in list(csv.reader(text))[1:]:
            powers.setdefault(name.strip(), set()).add(power)
    processors = [entry for entry in entries.values() if entry["source"]["made_by"] and entry["name"] in powers]
    assert len(processors) > 1000, len(processors)
    for entry in processors:
        [power] = {Fraction(text) for text in powers[entry["name"]] if re.fullmatch(r"[\d.]+", text)}
        same(entry["name"], entry["values"]["power_w"], power)


def check_scripts():
    """models.yaml needs no raw file; the tables that need EcoLogits' wheel are left out, since a test opens no connection."""
    with tempfile.TemporaryDirectory() as out:
        made = subprocess.run([sys.executable, "-I", "-c", f"""
import pathlib, sys
sys.path.insert(0, {str(ROOT / 'scripts/facts')!r})
sys.dont_write_bytecode = True
import grid, hardware, models, prices
data, out = pathlib.Path({str(DATA)!r}), pathlib.Path({out!r})
for name, text in {{"models.yaml": models.make(), "prices.yaml": prices.make(data), "hardware.yaml": hardware.make_accelerators(data), "processors.yaml": hardware.make_processors(data),
                   "grid.yaml": grid.make_countries(data), "grid-us.yaml": grid.make_zones(data)}}.items():
    (out / name).write_text(text)
"""], check=False, capture_output=True, text=True)
        if made.returncode != 0:
            sys.exit(made.stderr)
        for file in pathlib.Path(out).iterdir():
            if file.read_bytes() != (FACTS / file.name).read_bytes():
                sys.exit(f"{file.name} is not what its script makes; run scripts/facts/make.py")


def check_rounding():
    """Dollars a token, in the source's own digits, to dollars a million tokens: exact where that is whole picodollars, else up."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(ROOT / "scripts/facts"))
    import prices

    for text, wanted, rounded in (("2.5e-06", "2.5", False), ("0.00012", "120", False), ("1e-12", "0.000001", False), ("2.8e-09", "0.0028", False),
                                  ("1e-13", "0.000001", True), ("1.0000001e-06", "1.000001", True), ("3.3333333333333335e-05", "33.333334", True)):
        assert prices.price(Decimal(text)) == (Decimal(wanted), rounded), text


def main():
    program = sys.argv[1]
    check_rounding()
    if not DATA.is_dir():
        print(f"skipped: there is no folder {DATA} with the raw files")
        sys.exit(77)
    check_prices(listed(program, "prices"))
    grid = listed(program, "grid")
    check_zones(grid)
    check_countries(grid)
    check_hardware(listed(program, "hardware"))
    check_scripts()
    print(f"{compared} figures are those of their sources")


if __name__ == "__main__":
    main()
