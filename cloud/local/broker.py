"""An MQTT broker on loopback: mosquitto where it is installed, else amqtt in this process.

``python -m cloud.local.broker --port N --dir D [--parent-pid P]`` prints one JSON line when it takes connections. amqtt
speaks MQTT 3.1.1 only and forgets what it holds when it ends.
"""

import argparse
import asyncio
import getpass
import json
import logging
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Final

from cloud.errors import SetupError
from cloud.local.lifetime import StopRequested, cause, die_with_parent, end, stop_on_signal, stop_with_parent
from cloud.stores.private_files import private_folder

log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
READY_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 2.0
INFLIGHT_MAX: Final = 1000
QUEUED_MAX: Final = 100_000


def mosquitto_path() -> str | None:
    """Return mosquitto's executable, also from where Debian puts it for administrators, or ``None``."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def mosquitto_config(*, port: int, folder: Path) -> str:
    """Return a configuration that keeps sessions and what waits for them in ``folder`` over a restart."""
    lines = [
        f"listener {port} {HOST}",
        "allow_anonymous true",
        "set_tcp_nodelay true",
        f"max_inflight_messages {INFLIGHT_MAX}",
        f"max_queued_messages {QUEUED_MAX}",
        "persistence true",
        f"persistence_location {folder}/",
        f"log_dest file {folder / 'mosquitto.log'}",
        "log_type error",
        "log_type warning",
        "log_type notice",
    ]
    if os.geteuid() == 0:
        # Started as root it would change to a user who may not write into the folder.
        lines.append(f"user {getpass.getuser()}")
    return "\n".join(lines) + "\n"


async def run(*, port: int, folder: Path, parent_pid: int | None, embedded: bool = False) -> None:
    """Run a broker until it is told to stop.

    Raises:
        SetupError: The port is taken, or the broker ended by itself.
        StopRequested: In a group, when a signal came or the parent is gone.
    """
    _check_port(port)
    path = None if embedded else mosquitto_path()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stop_on_signal(), name="stop on signal")
        tasks.create_task(stop_with_parent(parent_pid), name="stop with parent")
        if path is not None:
            tasks.create_task(_run_mosquitto(path, port=port, folder=folder), name="mosquitto")
        else:
            tasks.create_task(_run_amqtt(port=port), name="amqtt")


async def _run_mosquitto(path: str, *, port: int, folder: Path) -> None:
    config = folder / "mosquitto.conf"
    config.write_text(mosquitto_config(port=port, folder=folder))
    process = await asyncio.create_subprocess_exec(
        path, "-c", str(config), stdout=sys.stderr, stderr=sys.stderr, preexec_fn=die_with_parent
    )
    try:
        await _announce(port, kind="mosquitto", ended=asyncio.create_task(process.wait(), name="mosquitto ended"))
        raise SetupError(f"mosquitto on port {port} ended with code {process.returncode}; see {folder}/mosquitto.log")
    finally:
        await end(process, within_s=STOP_TIMEOUT_S)


async def _run_amqtt(*, port: int) -> None:
    from amqtt.broker import Broker

    logging.getLogger("amqtt").setLevel(logging.ERROR)
    logging.getLogger("transitions").setLevel(logging.ERROR)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        await _announce(port, kind="amqtt", ended=asyncio.create_task(asyncio.Event().wait(), name="until cancelled"))
    finally:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await broker.shutdown()


async def _announce(port: int, *, kind: str, ended: "asyncio.Task[object]") -> None:
    """Print the ready line as soon as the port answers, then wait until the broker ends."""
    async with asyncio.timeout(READY_TIMEOUT_S):
        while not ended.done():
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            sys.stdout.write(json.dumps({"ready": True, "kind": kind, "port": port}) + "\n")
            sys.stdout.flush()
            break
    await ended


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SetupError(f"broker port is {port}, which cannot be used: {error.strerror}") from error


def main() -> int:
    """Run the broker of the command line; 0 when told to stop, 1 when it failed, 2 when it cannot be set up."""
    parser = argparse.ArgumentParser(prog="python -m cloud.local.broker", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="loopback port to listen on")
    parser.add_argument("--dir", type=Path, required=True, help="folder for what the broker keeps")
    parser.add_argument("--parent-pid", type=int, default=None, help="end when this process is no longer our parent")
    parser.add_argument("--embedded", action="store_true", help="use amqtt even where mosquitto is installed")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        folder = arguments.dir.absolute()
        private_folder(folder)
        asyncio.run(
            run(port=arguments.port, folder=folder, parent_pid=arguments.parent_pid, embedded=arguments.embedded)
        )
    except (ExceptionGroup, SetupError, OSError) as group:
        error = cause(group)
        if isinstance(error, StopRequested):
            return 0
        if not isinstance(error, SetupError | OSError):
            raise
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, SetupError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
