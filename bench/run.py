#!/usr/bin/env python3
"""Thalweg beside nginx, measured: `make bench`, or bench/run.py --help. Prints a Markdown table, writes JSON into build/bench.

The proxy has one core, the load and the upstream the other. Each ratio is the median of alternating pairs with its interval
(bench/intervals.py). Every answer is compared with what the upstream sent, and a run fails unless the proxy's metrics and
access log say what was sent.
"""
import argparse
import atexit
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import intervals
import processes
import sections

ROOT = Path(__file__).resolve().parent.parent


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="example: bench/run.py --only a,c --pairs 31")
    parser.add_argument("--thalweg", type=Path, default=ROOT / "build" / "thalweg", help="the program under test (build/thalweg)")
    parser.add_argument("--tools", type=Path, default=ROOT / "build" / "bench", help="folder of bench_load and bench_upstream (build/bench)")
    parser.add_argument("--nginx-again", action="store_true", help="measures nginx against nginx: how exact the benchmark itself is")
    parser.add_argument("--quick", action="store_true", help="short runs, and 3 pairs, too few for any verdict on a ratio: does it work")
    parser.add_argument("--pairs", type=int, help="alternating pairs of each comparison (15; quick: 3)")
    parser.add_argument("--only", default="".join(sections.SECTIONS), help="sections, e.g. a,c: " + "; ".join(
        f"{key} {run.__doc__.split(') ', 1)[1].split(chr(10))[0]}" for key, run in sections.SECTIONS.items()))
    parser.add_argument("--proxy-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--output", type=Path, help="the JSON file (build/bench/DATE.json)")
    return parser.parse_args()


def machine() -> dict:
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False).stderr.strip()
    revision = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "nginx": nginx, "revision": revision.stdout.strip(),
            "load_average": os.getloadavg()[0], "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}


def figure(value: float | None) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(rows: list[sections.Row], subject: str) -> str:
    out = [f"| | figure | {subject} | beside | ratio [95% interval] | pairs | bound | |", "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        unit = f" {row.unit}" if row.unit else ""
        beside = f"{row.other_name} {figure(row.other)}{unit}" if row.other is not None else ""
        ratio = f"{row.ratio.median:.3f} [{row.ratio.low:.3f}, {row.ratio.high:.3f}]" if row.ratio else ""
        bound = f"{'<=' if row.better == 'less' else '>='} {row.bound:g}" if row.bound is not None else ""
        out.append(f"| {row.section} | {row.what} | {figure(row.value)}{unit} | {beside} | {ratio} | {row.ratio.count if row.ratio else ''} | {bound} | {row.verdict} |")
    return "\n".join(out)


def main() -> int:
    args = options()
    subject = None if args.nginx_again else args.thalweg.resolve()
    if subject and not os.access(subject, os.X_OK):
        print(f"{subject} is not there: make build, or --nginx-again to try the benchmark itself", file=sys.stderr)
        return 2
    if (os.cpu_count() or 1) < 2:
        print("two cores are needed: one for the proxy, one for load and upstream", file=sys.stderr)
        return 2
    wanted = [c for c in args.only if c in sections.SECTIONS]
    atexit.register(processes.stop_all)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    pairs = args.pairs or (3 if args.quick else 15)
    about = machine()
    failed = {}
    os.sched_setaffinity(0, {args.load_core})  # the runner itself stays off the proxy's core
    with processes.private_folder() as folder:
        bench = sections.Bench(args.tools.resolve(), subject, Path(folder), args.quick, pairs, args.proxy_core, args.load_core)
        for key in wanted:
            print(f"bench: {key}: {sections.SECTIONS[key].__doc__.split(chr(10))[0]}", file=sys.stderr, flush=True)
            try:
                sections.SECTIONS[key](bench)
            except processes.BenchError as error:
                failed[key] = str(error)
                print(f"bench: {key} FAILED: {error}", file=sys.stderr, flush=True)
                processes.stop_all()
    about["load_average_after"] = os.getloadavg()[0]
    foreign = sections.foreign_work(bench)
    about["proxy_core_foreign"] = foreign
    quiet = "" if foreign is None else f"; others used {foreign:.0%} of the proxy's core" + (": NOT A QUIET MACHINE" if foreign > 0.05 else "")
    coverage = intervals.estimate([0.0] * pairs).coverage
    print(f"\n{about['date']}, {about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, {about['nginx']}, {about['revision']}; "
          f"{pairs} alternating pairs; order-statistics interval of the median, coverage {coverage:.1%}; "
          f"load average {about['load_average']:.2f} before, {about['load_average_after']:.2f} after{quiet}\n")
    print(table(bench.rows, bench.subject_name))
    notes = [f"- {row.section} {row.what}{' / ' + row.other_name if row.other_name else ''}: {row.note}" for row in bench.rows if row.note]
    print("\n" + "\n".join(notes + [f"- {key} FAILED: {why}" for key, why in failed.items()]))
    output = args.output or args.tools / f"{about['date'].replace(':', '')[:17]}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"machine": about, "quick": args.quick, "pairs": pairs, "failed": failed}, indent=1)[:-2] + ",\n" + sections.as_json(bench)[2:] + "\n")
    print(f"\n{output}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
