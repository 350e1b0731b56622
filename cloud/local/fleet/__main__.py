"""``python -m cloud.local.fleet --dir D --tables FILE --port N --tls-port N``: a private fleet, until told to stop.

Stands in place of ``python -m cloud.local.broker`` where gateways connect with certificates: ``--port`` is the plain
loopback listener of the cloud's own processes. Prints one JSON line when it answers.
"""

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path

from cloud.errors import SetupError, StoreError
from cloud.local.fleet.broker import Doors
from cloud.local.fleet.run import running_fleet
from cloud.local.lifetime import StopRequested, cause, stop_on_signal, stop_with_parent
from contracts.clock import Clock, parse_clock


async def run(*, folder: Path, tables_path: Path, doors: Doors, clock: Clock, parent_pid: int | None) -> None:
    """Run a private fleet until told to stop.

    Raises:
        SetupError: It cannot be set up.
        StoreError: A file cannot be opened.
        StopRequested: In a group, when a signal came or the parent is gone.
    """
    async with running_fleet(folder=folder, tables_path=tables_path, doors=doors, clock=clock):
        told = {"ready": True, "kind": "mosquitto", "port": doors.plain_port, "tls_port": doors.tls_port}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stop_on_signal(), name="stop on signal")
            tasks.create_task(stop_with_parent(parent_pid), name="stop with parent")


def main() -> int:
    """Run the fleet of the command line; 0 when told to stop, 1 when it failed, 2 when it cannot be set up."""
    parser = argparse.ArgumentParser(prog="python -m cloud.local.fleet", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="folder for what the fleet keeps")
    parser.add_argument("--tables", type=Path, required=True, help="the cloud's tables.db or stores.json")
    parser.add_argument("--port", type=int, required=True, help="plain loopback port, for the cloud itself")
    parser.add_argument("--tls-port", type=int, required=True, help="port for gateways with certificates")
    parser.add_argument("--clock", default=None, metavar="SPEC", help="INSTANT@ORIGINxSPEED; real time without it")
    parser.add_argument("--parent-pid", type=int, default=None, help="end when this process is no longer our parent")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(
            run(
                folder=arguments.dir.absolute(),
                tables_path=arguments.tables.absolute(),
                doors=Doors(plain_port=arguments.port, tls_port=arguments.tls_port),
                clock=parse_clock(arguments.clock),
                parent_pid=arguments.parent_pid,
            )
        )
    except (ExceptionGroup, SetupError, StoreError, ValueError) as group:
        error = cause(group)
        if isinstance(error, StopRequested):
            return 0
        if not isinstance(error, SetupError | StoreError | ValueError):
            raise
        sys.stderr.write(f"{error}\n")
        return 1 if isinstance(error, StoreError) else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
