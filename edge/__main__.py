"""``python -m edge run --config FILE``: parse arguments, load settings, run; no logic.

A gateway is two processes, ``--only control`` and ``--only site``; without ``--only`` a parent starts both and starts
either again. Who starts us takes exit code 2 for a configuration that no new start mends. A version on trial does not
say so: that it cannot use what the version before could is its own fault, and it is to be taken back.
"""

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge.fleet.update.launch import ON_TRIAL
from edge.process.pair import BAD_INPUT, CONTROL, FAILED, SITE, Pair

if TYPE_CHECKING:
    import asyncio


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
    options = _parser().parse_args(arguments)
    if options.only is None:
        return _run_both(options)
    return _run_one(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge", description="The gateway of one energy site.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the gateway until SIGTERM or Ctrl-C")
    run.add_argument("--config", type=Path, required=True, metavar="FILE", help="the site's configuration (YAML)")
    run.add_argument("--clock", metavar="SPEC", help="a scaled clock, INSTANT@ORIGINxSPEED; the machine's by default")
    run.add_argument("--only", choices=(CONTROL, SITE), help="this process alone: devices and limits, or the rest")
    run.add_argument("--held", action="store_true", help="load the code, then wait for the end of standard input")
    run.add_argument("--parent-pid", type=int, metavar="PID", help="end when this process is no longer the parent")
    run.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    run.add_argument("--log-format", default="text", choices=("text", "otlp"), help="otlp: lines of OTLP/JSON")
    return parser


def _run_both(options: argparse.Namespace) -> int:
    """Start both processes. Whether the version is on trial is the parent's business alone, so they do not see it."""
    passed = ["--config", str(options.config), "--log-level", options.log_level, "--log-format", options.log_format]
    if options.clock:
        passed += ["--clock", options.clock]
    environ = {name: value for name, value in os.environ.items() if name != ON_TRIAL}
    return Pair(arguments=passed, on_trial=ON_TRIAL in os.environ, parent_pid=options.parent_pid, environ=environ).run()


def _run_one(options: argparse.Namespace) -> int:
    """Run one of the two processes."""
    import asyncio

    from contracts.clock import parse_clock
    from edge.config import load_config
    from edge.errors import ConfigError, OutboxInUse
    from edge.process.lifetime import die_with
    from edge.process.logs import log_to_standard_error

    if options.parent_pid is not None:
        die_with(options.parent_pid)
    log_to_standard_error(options.log_level, form=options.log_format)
    if options.only == CONTROL:
        from edge.site.control_process import run_control as run
    else:
        from edge.site.site_process import run_site as run
    if options.held:
        sys.stdin.buffer.read()
    try:
        clock = parse_clock(options.clock)
        config = load_config(options.config)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(run(config, clock=clock))
    except (ConfigError, OutboxInUse, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return BAD_INPUT
    return 0


def _loop_factory() -> "Callable[[], asyncio.AbstractEventLoop] | None":
    """Return the faster event loop where it is installed; a 32-bit board has none."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
