"""Run every benchmark, or the named ones: ``python -m benchmarks [NAME ...] [--json]``.

A benchmark is a module ``bench_NAME`` of this package whose ``run()`` returns figures by name.
"""

import importlib
import json
import pkgutil
import sys

import benchmarks

PREFIX = "bench_"


def main() -> int:
    """Run the benchmarks and print their figures; exit 2 for a name that is none."""
    known = sorted(
        module.name.removeprefix(PREFIX)
        for module in pkgutil.iter_modules(benchmarks.__path__)
        if module.name.startswith(PREFIX)
    )
    wanted = [name for name in sys.argv[1:] if not name.startswith("-")] or known
    for name in wanted:
        if name not in known:
            print(f"benchmark {name} is none of {', '.join(known)}", file=sys.stderr)
            return 2
    figures = {name: dict(importlib.import_module(f"benchmarks.{PREFIX}{name}").run()) for name in wanted}
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return 0
    for name, rows in figures.items():
        print(name)
        for label, value in rows.items():
            print(f"  {label:<60} {value:>14,.4g}" if abs(value) < 1000 else f"  {label:<60} {value:>14,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
