"""grid.yaml: countries' annual averages. grid-us.yaml: profiles of eight US zones, month by UTC hour, out of hourly generation of 2022."""
import csv
import json
import statistics
from decimal import ROUND_HALF_EVEN, Decimal

from countries import ALPHA_2
from sheet import sheet

BASIS = {"signal": "average", "scope": "life-cycle", "boundary": "production", "state": "final"}
ZONES = ("AZ", "CA", "GA", "IL", "NY", "TX", "VA", "WA")
FUELS = ("WND", "SUN", "WAT", "OIL", "NG", "COL", "NUC", "OTH")
# Hours with less of the median's generation are faults of the report (VA, 2022-10-01 and 02: 0.3%, near 45 g/kWh).
LEAST_SHARE = Decimal("0.1")


def rounded(value, places):
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)


def make_countries(data):
    countries = json.loads((data / "carbon/country_energy_mix.json").read_text(), parse_float=Decimal, parse_int=Decimal)
    entries = {}
    for country in countries.values():
        intensity = rounded(Decimal(country["carbon_intensity"]), 3)
        if intensity == 0:  # no electricity has life-cycle emissions of zero: not known
            continue
        last_day = f"{country['year']}-12-31"
        entries[ALPHA_2[country["iso_code"]]] = {"g_per_kwh": intensity, **({"as_of": last_day} if last_day != "2022-12-31" else {})}
    source = {
        "title": "CodeCarbon's copy of Our World in Data: Ember, Energy Institute; the latest year of each country",
        "url": "https://github.com/mlco2/codecarbon",
        "licence": "MIT; the data CC-BY-4.0",
        "class": "s",
        "kind": "modelled",
        "model": "ember-lifecycle",
        "as_of": "2022-12-31",
        "made_by": "scripts/facts/grid.py",
        "basis": BASIS,
    }
    return sheet("grid", ["Countries: the year's average, metered generation times life-cycle factors of each fuel. Made by scripts/facts/make.py."],
                 {"owid": source}, entries)


def hours_of(file):
    """(month, hour, g/kWh) of every hour that was reported in earnest."""
    with open(file, newline="") as text:
        rows = list(csv.DictReader(text))
    totals = [sum(Decimal(row[fuel]) for fuel in FUELS if row[fuel]) for row in rows]
    least = statistics.median(totals) * LEAST_SHARE
    for row, total in zip(rows, totals):
        if row["avg_CI"] and total >= least:
            stamp = row["timestamp"]  # 2022-01-01 00:00:00+00:00
            assert stamp.endswith("+00:00"), f"{file}: {stamp} is not UTC"
            yield int(stamp[5:7]), int(stamp[11:13]), Decimal(row["avg_CI"])


def zone(file):
    cells = [[[] for _ in range(24)] for _ in range(12)]
    every = []
    for month, hour, intensity in hours_of(file):
        cells[month - 1][hour].append(intensity)
        every.append(intensity)
    mean = (lambda values, places: rounded(sum(values) / len(values), places))
    missing = 8760 - len(every)
    return {
        "g_per_kwh": mean(every, 3),
        **({"note": f"{missing} of 8760 hours were missing or faulty"} if missing else {}),
        "profile_g_per_kwh": [[mean(cell, 1) for cell in month] for month in cells],
    }


def make_zones(data):
    entries = {f"US-{name}": zone(data / f"carbon/us_{name}_2022_hourly.csv") for name in ZONES}
    source = {
        "title": "dc-rl: EIA's hourly generation by fuel, 2022, times IPCC's median life-cycle factors (2014)",
        "url": "https://github.com/HewlettPackard/dc-rl",
        "licence": "MIT",
        "class": "s",
        "kind": "modelled",
        "model": "ipcc2014-lifecycle",
        "as_of": "2022-12-31",
        "made_by": "scripts/facts/grid.py",
        "basis": BASIS,
    }
    return sheet("grid", ["Eight US zones by month (January first) and UTC hour: means over the hours of 2022; imports are not counted.",
                          "The source names them by state; what it reports is the generation of a balancing authority there, in VA and IL far more than the state's own.",
                          "Made by scripts/facts/make.py."], {"dc-rl": source}, entries)
