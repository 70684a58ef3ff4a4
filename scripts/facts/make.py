#!/usr/bin/env python3
"""Makes the tables of data/facts from their sources: `scripts/facts/make.py [--data FOLDER] [--wheel ECOLOGITS.whl] [--out FOLDER]`.

FOLDER is ../shared/data (or $THALWEG_DATA). The wheel is the one that scripts/pins.sh names; without --wheel it is fetched with pip. The same sources
give the same bytes. What has no source here is left as it is, and a sentence says so. pue.yaml is kept by hand.
"""
import argparse
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import ecologits
import grid
import hardware
import models
import prices

ROOT = pathlib.Path(__file__).resolve().parents[2]


def pin(name):
    return re.search(rf"^{name}=(\S+)$", (ROOT / "scripts/pins.sh").read_text(), re.M).group(1)


def checked(wheel):
    found = hashlib.sha256(pathlib.Path(wheel).read_bytes()).hexdigest()
    if found != pin("ECOLOGITS_SHA256"):
        sys.exit(f"make.py: {wheel} has the SHA-256 {found}, not the one that scripts/pins.sh names")
    return wheel


def fetched(folder):
    """The wheel out of PyPI, or None."""
    version = pin("ECOLOGITS_VERSION")
    wanted = pathlib.Path(folder) / "wanted.txt"
    wanted.write_text(f"ecologits=={version} --hash=sha256:{pin('ECOLOGITS_SHA256')}\n")
    done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest", folder, "-r", str(wanted)], check=False)
    return next(pathlib.Path(folder).glob("*.whl"), None) if done.returncode == 0 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(os.environ.get("THALWEG_DATA", ROOT.parent / "shared/data")))
    parser.add_argument("--wheel", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "data/facts")
    options = parser.parse_args()

    made = {"models.yaml": models.make()}
    if options.data.is_dir():
        made |= {"prices.yaml": prices.make(options.data), "hardware.yaml": hardware.make_accelerators(options.data),
                 "processors.yaml": hardware.make_processors(options.data), "grid.yaml": grid.make_countries(options.data), "grid-us.yaml": grid.make_zones(options.data)}
    else:
        print(f"skipped prices, hardware, processors, grid and grid-us: there is no folder {options.data}")
    with tempfile.TemporaryDirectory() as folder:
        wheel = checked(options.wheel) if options.wheel else fetched(folder)
        if wheel:
            made |= {"models-ecologits.yaml": ecologits.make_models(wheel, {*models.DENSE, *models.MIXTURES, *(name for names in models.ALSO.values() for name in names)}),
                     "energy.yaml": ecologits.make_energy(wheel)}
        else:
            print("skipped models-ecologits and energy: EcoLogits' wheel could not be fetched; give one with --wheel")

    options.out.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        file = options.out / name
        changed = not file.is_file() or file.read_text() != text
        file.write_text(text)
        print(f"{name}: {text.count(chr(10))} lines{'' if changed else ', unchanged'}")


if __name__ == "__main__":
    main()
