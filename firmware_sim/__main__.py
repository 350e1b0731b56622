"""Run every device of a plant until a signal or the end of the parent: ``python -m firmware_sim --plant FILE``."""

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from contracts.clock import parse_clock
from firmware_sim.errors import PlantError, PortTaken
from firmware_sim.plant_config import load_plant
from firmware_sim.serve import serve_plant

FAILED = 1
BAD_INPUT = 2


def main(argv: list[str] | None = None) -> int:
    """Run, and return the exit code: 0 stopped, 1 it failed, 2 a bad argument, file or port."""
    arguments = _arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        clock = parse_clock(arguments.clock)
        config = load_plant(arguments.plant)
        asyncio.run(
            serve_plant(
                config,
                clock,
                announce=_say,
                truth=arguments.truth,
                truth_every_s=arguments.truth_every_s,
                parent_pid=arguments.parent_pid,
            )
        )
    except (ValueError, PlantError, PortTaken) as error:
        return _fail(error, BAD_INPUT)
    except OSError as error:
        return _fail(error, FAILED)
    except KeyboardInterrupt:
        # A signal before the handlers stand; there is nothing to close yet.
        return 0
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m firmware_sim", description="Simulated devices on real sockets.")
    parser.add_argument("--plant", type=Path, required=True, metavar="FILE", help="the plant, YAML")
    parser.add_argument(
        "--clock", default=None, metavar="SPEC", help="INSTANT@ORIGINxSPEED; default: the machine's own"
    )
    parser.add_argument("--truth", type=Path, default=None, metavar="FILE", help="append the plant's state, JSON lines")
    parser.add_argument(
        "--truth-every-s", type=_positive, default=1.0, metavar="S", help="scaled seconds between lines"
    )
    parser.add_argument(
        "--parent-pid", type=int, default=None, metavar="N", help="end when this is no longer the parent"
    )
    return parser.parse_args(argv)


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not greater than 0")
    return value


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _fail(error: Exception, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
