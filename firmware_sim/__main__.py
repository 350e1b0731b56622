"""Run every device of a plant until a signal or the end of the parent: ``python -m firmware_sim --plant FILE``."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

from contracts.clock import Clock, parse_clock
from firmware_sim.errors import PlantError, SimulatorError
from firmware_sim.installation import open_installation
from firmware_sim.plant_config import PlantConfig, load_plant
from firmware_sim.truth import TruthLog, open_truth

BAD_INPUT = 2
FAILED = 1
_PARENT_CHECK_S = 0.5


def main(argv: list[str] | None = None) -> int:
    """Run, and return the exit code: 0 stopped, 1 it failed, 2 a bad argument or file."""
    arguments = _arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        clock = parse_clock(arguments.clock)
        config = load_plant(arguments.plant)
    except (ValueError, PlantError) as error:
        return _fail(str(error), BAD_INPUT)
    try:
        asyncio.run(
            run(
                config,
                clock,
                truth=arguments.truth,
                truth_every_s=arguments.truth_every_s,
                parent_pid=arguments.parent_pid,
            )
        )
    except (SimulatorError, OSError) as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:
        return 0
    return 0


async def run(
    config: PlantConfig, clock: Clock, *, truth: Path | None, truth_every_s: float, parent_pid: int | None
) -> None:
    """Serve the plant, say so on standard output, and return when a signal comes or the parent has gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    file = open_truth(truth) if truth is not None else None
    try:
        async with open_installation(config, clock) as installation:
            log = TruthLog(plant=installation.plant, clock=clock, file=file, every_s=truth_every_s) if file else None
            tasks = [
                asyncio.create_task(installation.driver.run(log.note if log else None), name="move the plant"),
                asyncio.create_task(stop.wait(), name="stop on signal"),
            ]
            if parent_pid is not None:
                tasks.append(asyncio.create_task(_parent_gone(parent_pid), name="watch the parent"))
            _say({"ready": True, "ports": dict(installation.ports), "seed": config.seed})
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        if file is not None:
            file.close()


async def _parent_gone(parent_pid: int) -> None:
    """Return once another process has become our parent."""
    # Nothing tells a process that its parent has ended in a way that works everywhere, so it looks.
    while os.getppid() == parent_pid:  # noqa: ASYNC110
        await asyncio.sleep(_PARENT_CHECK_S)


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


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(sentence + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
