"""A mosquitto with two doors: TLS with client certificates for gateways, plain loopback with passwords for the cloud.

At the TLS door a client's id is its certificate's: whatever id it asks for, it can be neither the cloud nor another
gateway, and takes nobody's session away.
"""

import asyncio
import contextlib
import getpass
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloud.errors import SetupError
from cloud.local.broker import HOST, INFLIGHT_MAX, QUEUED_MAX, READY_TIMEOUT_S, STOP_TIMEOUT_S, mosquitto_path
from cloud.local.fleet.authority import LocalAuthority
from cloud.local.fleet.passwords import PlainDoor
from cloud.local.lifetime import die_with_parent, end, ended

log = logging.getLogger(__name__)

LOOK_S: Final = 0.02
RESTART_S: Final = 1.0  # Real seconds between an end that nobody asked for and the next start.


@dataclass(frozen=True, kw_only=True)
class Doors:
    """The two ports on loopback."""

    tls_port: int
    plain_port: int


class RunningBroker:
    """A broker that takes connections; ``keep`` starts it again when it ends by itself."""

    def __init__(self, command: Sequence[str], *, doors: Doors, folder: Path) -> None:
        self._doors = doors
        self._command = command
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Return its process id, 0 before it was started."""
        return self._process.pid if self._process is not None else 0

    def reload(self) -> None:
        """Make it read its rules and the list of revoked certificates again; one that starts reads them anyway."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    async def start(self) -> None:
        """Start it, and return when it takes connections.

        Raises:
            SetupError: It ended at once, or does not take connections at its ports.
        """
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=sys.stderr, stderr=sys.stderr, preexec_fn=die_with_parent
        )
        await _until_open(self._process, self._doors, self._folder)

    async def keep(self) -> None:
        """Start it again whenever it ends, until cancelled: some versions crash when they read their rules again."""
        while True:
            assert self._process is not None, "kept from when it was started"
            code = await self._process.wait()
            log.error("mosquitto ended by itself, started again", extra={"code": code})
            await asyncio.sleep(RESTART_S)
            with contextlib.suppress(SetupError):  # Its ports may not be free yet: tried again.
                await self.start()

    async def stop(self) -> None:
        """End it, in order where it does so within ``STOP_TIMEOUT_S``."""
        if self._process is not None:
            await end(self._process, within_s=STOP_TIMEOUT_S)


def broker_config(*, doors: Doors, folder: Path, authority: LocalAuthority, rules_path: Path) -> str:
    """Return mosquitto's configuration. Source: mosquitto.conf(5)."""
    cert_path, key_path = authority.server()
    plain = PlainDoor(folder=folder)
    lines = [
        "per_listener_settings true",
        "set_tcp_nodelay true",
        f"max_inflight_messages {INFLIGHT_MAX}",
        f"max_queued_messages {QUEUED_MAX}",
        "persistence true",
        f"persistence_location {folder}/",
        f"log_dest file {folder / 'mosquitto.log'}",
        "log_type error",
        "log_type warning",
        "log_type notice",
        f"listener {doors.plain_port} {HOST}",
        "allow_anonymous false",
        f"password_file {plain.hashes_path}",
        f"acl_file {plain.rules_path}",
        f"listener {doors.tls_port} {HOST}",
        "allow_anonymous false",
        f"cafile {authority.ca_path}",
        f"certfile {cert_path}",
        f"keyfile {key_path}",
        f"crlfile {authority.revocation_path}",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",
        f"acl_file {rules_path}",
    ]
    if os.geteuid() == 0:
        # Started as root it would change to a user who may not read the folder.
        lines.append(f"user {getpass.getuser()}")
    return "\n".join(lines) + "\n"


@contextlib.asynccontextmanager
async def running_broker(
    *, doors: Doors, folder: Path, authority: LocalAuthority, rules_path: Path
) -> AsyncIterator[RunningBroker]:
    """Run a broker for the block, from when it takes connections; it is started again when it ends by itself.

    Raises:
        SetupError: mosquitto is not installed, does not take connections at its ports, or a file cannot be written.
    """
    path = mosquitto_path()
    if path is None:
        raise SetupError("mosquitto is not installed; client certificates need it (apt install mosquitto)")
    PlainDoor(folder=folder).prepare()
    config = folder / "mosquitto.conf"
    config.write_text(broker_config(doors=doors, folder=folder, authority=authority, rules_path=rules_path))
    broker = RunningBroker([path, "-c", str(config)], doors=doors, folder=folder)
    try:
        await broker.start()
        keeping = asyncio.create_task(broker.keep(), name="keep the broker")
        try:
            yield broker
        finally:
            await ended(keeping)
    finally:
        await broker.stop()


async def _until_open(process: asyncio.subprocess.Process, doors: Doors, folder: Path) -> None:
    waiting = [doors.plain_port, doors.tls_port]
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while waiting:
                if process.returncode is not None:
                    raise SetupError(f"mosquitto ended with code {process.returncode}; see {folder}/mosquitto.log")
                try:
                    _, writer = await asyncio.open_connection(HOST, waiting[0])
                except OSError:
                    await asyncio.sleep(LOOK_S)
                    continue
                writer.close()
                waiting.pop(0)
    except TimeoutError as error:
        raise SetupError(f"mosquitto did not open port {waiting[0]} within {READY_TIMEOUT_S:g} s") from error
