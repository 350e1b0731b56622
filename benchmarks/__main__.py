"""Run every benchmark, or the named ones, and print their figures.

A benchmark is a module ``bench_NAME`` of this package whose ``run()`` returns figures by name.
"""

import argparse
import importlib
import json
import pkgutil
import sys
import time
import traceback
from collections.abc import Mapping
from itertools import groupby

import benchmarks

PREFIX = "bench_"


def main() -> int:
    """Run the benchmarks and print their figures.

    Exit 1 if one of them failed, or was asked for by name and had nothing to measure; 2 for a name that is none.
    """
    known = sorted(
        module.name.removeprefix(PREFIX)
        for module in pkgutil.iter_modules(benchmarks.__path__)
        if module.name.startswith(PREFIX)
    )
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"One of {', '.join(known)}; all without one.")
    parser.add_argument("--json", action="store_true", help="Answer for programs: one object of all figures.")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in known:
            parser.error(f"benchmark {name} is none of {', '.join(known)}")
    figures: dict[str, Mapping[str, float]] = {}
    wanted: list[str] = arguments.names or known
    for name in wanted:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        start = time.monotonic()
        try:
            figures[name] = dict(importlib.import_module(f"benchmarks.{PREFIX}{name}").run())
        except Exception:
            # The others have figures to give, whatever became of this one.
            traceback.print_exc()
            print(f"benchmark {name} failed", file=sys.stderr)
            continue
        print(f"measured {name} in {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        if not arguments.json:
            _show(name, figures[name])
    if arguments.json:
        print(json.dumps(figures))
    without = [name for name in arguments.names if name in figures and not figures[name]]
    for name in without:
        print(f"benchmark {name} measured nothing", file=sys.stderr)
    return 0 if len(figures) == len(wanted) and not without else 1


def _show(name: str, rows: Mapping[str, float]) -> None:
    """Print figures one a line; those whose names are ``ROW | COLUMN`` stand side by side."""
    print(name)
    headed: list[str] = []
    for row, figures in groupby(rows.items(), key=lambda figure: figure[0].partition(" | ")[0]):
        cells = {label.partition(" | ")[2]: value for label, value in figures}
        if "" in cells:
            print(f"  {row:<60} {_number(cells['']):>14}")
            continue
        if list(cells) != headed:
            headed = list(cells)
            print(" ".join((f"  {'':<32}", *(f"{column:>16}" for column in headed))))
        print(" ".join((f"  {row:<32}", *(f"{_number(value):>16}" for value in cells.values()))))
    sys.stdout.flush()


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
