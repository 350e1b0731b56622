"""``python -m edge run --config FILE``: parse arguments, load settings, run; no logic."""

import argparse
import asyncio
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from contracts.clock import parse_clock
from edge.config import load_config
from edge.errors import ConfigError, JournalInUse
from edge.logs import log_to_standard_error
from edge.site import run_site

BAD_INPUT = 2


def main(arguments: list[str] | None = None) -> int:
    """Run a gateway until it is told to stop; 0 stopped, 2 bad arguments or configuration, or its state is in use."""
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
    except (ConfigError, JournalInUse, ValueError) as error:
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
