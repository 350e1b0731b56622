"""``python -m cloud.local --config FILE [--clock SPEC] [--parent-pid P]``: parse arguments, load settings, run."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Final

from cloud.errors import CloudError
from cloud.local.config import load_config
from cloud.local.lifetime import end_process, exit_code_of
from cloud.local.logs import FieldFormatter
from cloud.local.runner import run
from contracts.clock import parse_clock
from domain.one_thread import in_one_thread

SWITCH_INTERVAL_S: Final = 0.001


def main() -> int:
    """Run the local cloud; 0 when told to stop, 1 when it failed, 2 when it cannot be set up."""
    in_one_thread(os.environ)  # Before a function loads numpy.
    parser = argparse.ArgumentParser(prog="python -m cloud.local", description="The cloud's functions on this machine.")
    parser.add_argument("--config", type=Path, required=True, help="YAML file with the settings")
    parser.add_argument("--tables", default=None, metavar="URL", help="postgresql://…, in the place of the settings'")
    parser.add_argument("--streams", default=None, metavar="URL", help="nats://…, in the place of the settings'")
    parser.add_argument("--clock", default=None, metavar="SPEC", help="INSTANT@ORIGINxSPEED; real time without it")
    parser.add_argument("--parent-pid", type=int, default=None, help="end when this process is no longer our parent")
    arguments = parser.parse_args()
    # Functions compute in threads beside the loop; what arrives meanwhile should not wait five milliseconds for a turn.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        config = load_config(arguments.config, tables=arguments.tables, streams=arguments.streams)
        for warning in config.registry.warnings:
            logging.warning("registry leaves something open", extra={"warning": warning})
        clock = parse_clock(arguments.clock)
        asyncio.run(run(config, clock=clock, parent_pid=arguments.parent_pid))
    except (ExceptionGroup, CloudError, ValueError) as raised:
        return exit_code_of(raised)
    return 0


if __name__ == "__main__":
    # A function that still runs in its thread is cut short here; what it had not committed is delivered again.
    end_process(main, failed="local cloud failed")
