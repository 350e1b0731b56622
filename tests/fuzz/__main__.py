"""``python -m tests.fuzz --inputs 1000000 [--door NAME] [--seed TEXT]``: doors for as long as it takes."""

import argparse
import logging
import secrets
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.fuzz.doors import DOORS
from tests.fuzz.run import CORPUS, corpus, first_broken, inputs

REOPEN_AFTER = 20_000  # Inputs; then a door is opened anew, so that what it has stored does not slow it down.


def main() -> int:
    """Feed doors; exit 1 where one breaks. What broke it is kept in the corpus."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Bytes that nobody meant, at every door.")
    parser.add_argument("--inputs", type=int, default=20_000, help="for each door")
    parser.add_argument("--door", action="append", choices=sorted(DOORS), help="this door alone; may be repeated")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="makes the inputs repeatable; printed in any case")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error")  # As in the tests: a number that overflows is a fault.
    print(f"seed {arguments.seed}")
    broken = [name for name in arguments.door or DOORS if not _bears(name, arguments.seed, arguments.inputs)]
    return 1 if broken else 0


def _bears(name: str, seed: str, count: int) -> bool:
    door, begun_s, fed = DOORS[name], time.monotonic(), 0
    while fed < count:
        part = min(REOPEN_AFTER, count - fed)
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, door.open(Path(folder)) as take:
            given = [*(corpus(door) if not fed else ()), *inputs(door, f"{seed}/{fed}", part)]
            broken = first_broken(door, take, iter(given))
        if broken is not None:
            path = CORPUS / name / f"{secrets.token_hex(4)}"
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_bytes(broken.raw)
            print(f"{name}: BROKEN, kept as {path}: {broken.raw[:300]!r}\n{broken.raised}")
            return False
        fed += part
    per_s = fed / max(0.001, time.monotonic() - begun_s)
    print(f"{name}: {fed} inputs, {per_s:.0f} a second", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
