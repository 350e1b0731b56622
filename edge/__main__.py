"""``python -m edge run --config FILE``: parse arguments, load settings, run; no logic.

Who starts us takes exit code 2 for a configuration that no new start mends. A version on trial does not say so: that it
cannot use what the version before could is its own fault, and it is to be taken back.
"""

import argparse
import asyncio
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

from contracts.clock import parse_clock
from edge.config import load_config
from edge.errors import ConfigError, OutboxInUse
from edge.fleet.update.launch import ON_TRIAL
from edge.process.logs import log_to_standard_error
from edge.site.build import run_site

FAILED = 1
BAD_INPUT = 2


def main(arguments: list[str] | None = None) -> int:
    """Run a gateway until it is told to stop.

    Returns:
        0 stopped, 2 bad arguments or configuration, or its state is in use; 1 instead of 2 for a version on trial.
    """
    try:
        code = _run(arguments)
    except SystemExit as asked:  # By the parser: 0 after help, 2 for what it does not know.
        code = BAD_INPUT if asked.code else 0
    return FAILED if code == BAD_INPUT and ON_TRIAL in os.environ else code


def _run(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edge", description="The gateway of one energy site.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the gateway until SIGTERM or Ctrl-C")
    run.add_argument("--config", type=Path, required=True, metavar="FILE", help="the site's configuration (YAML)")
    run.add_argument("--clock", metavar="SPEC", help="a scaled clock, INSTANT@ORIGINxSPEED; the machine's by default")
    run.add_argument("--parent-pid", type=int, metavar="PID", help="end when this process is no longer the parent")
    run.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    options = parser.parse_args(arguments)
    log_to_standard_error(options.log_level)
    try:
        clock = parse_clock(options.clock)
        config = load_config(options.config)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(run_site(config, clock=clock, parent_pid=options.parent_pid))
    except (ConfigError, OutboxInUse, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the faster event loop where it is installed; a 32-bit board has none."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
