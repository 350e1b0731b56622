"""A private fleet on this machine: the broker with its two doors and the services behind the reserved topics."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloud.errors import SetupError
from cloud.handlers import provisioning_hook
from cloud.local.fleet.authority import LocalAuthority
from cloud.local.fleet.book import Book
from cloud.local.fleet.broker import Doors, running_broker
from cloud.local.fleet.fault_injection import FaultInjection
from cloud.local.fleet.passwords import CLOUD_USER, PlainDoor
from cloud.local.fleet.responder import Responder
from cloud.local.fleet.rules import write_fences
from cloud.local.lifetime import ended
from cloud.local.opening import open_tables
from cloud.shell import counting
from contracts.clock import Clock

READY_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class FleetFolder:
    """Where a private fleet keeps what it knows."""

    folder: Path

    @property
    def book_path(self) -> Path:
        """Return the file of certificates, things, shadows and jobs."""
        return self.folder / "fleet.db"

    @property
    def authority_folder(self) -> Path:
        """Return the folder of the certificate authority."""
        return self.folder / "authority"

    @property
    def rules_path(self) -> Path:
        """Return the file of the broker's rules."""
        return self.folder / "acl"


@contextlib.asynccontextmanager
async def running_fleet(
    *, folder: Path, tables_path: Path, doors: Doors, clock: Clock, fault_injection: FaultInjection | None = None
) -> AsyncIterator[Responder]:
    """Run broker and services for the block, from when they answer.

    Args:
        folder: Where the fleet keeps what it knows.
        tables_path: Where the cloud's tables are (``opening.tables_place``), which hold the list of serials.
        doors: The broker's ports.
        clock: Tells how old a token is.
        fault_injection: What the services are to do wrong.

    Raises:
        SetupError: The broker cannot be run, or the services did not reach it.
        StoreError: A file cannot be opened.
    """
    place = FleetFolder(folder=folder)
    authority = LocalAuthority(place.authority_folder)
    async with contextlib.AsyncExitStack() as stack:
        book = Book.open(place.book_path)
        stack.callback(book.close)
        tables = open_tables(tables_path)
        stack.callback(tables.close)
        provisioning_hook.install(tables)
        stack.callback(provisioning_hook.install, None)
        counting.install(counting.Uncounted())
        stack.callback(counting.install, None)
        write_fences(book, authority, place.rules_path)
        broker = await stack.enter_async_context(
            running_broker(doors=doors, folder=folder, authority=authority, rules_path=place.rules_path)
        )
        responder = Responder(
            book=book,
            authority=authority,
            rules_path=place.rules_path,
            reload_rules=broker.reload,
            hook=_hook,
            clock=clock,
            host="127.0.0.1",
            port=doors.plain_port,
            username=CLOUD_USER,
            password=PlainDoor(folder=folder).password(CLOUD_USER),
            fault_injection=fault_injection,
        )
        await stack.enter_async_context(_kept_running(responder))
        yield responder


@contextlib.asynccontextmanager
async def _kept_running(responder: Responder) -> AsyncIterator[None]:
    task = asyncio.create_task(responder.run(), name="fleet services")
    ready = asyncio.create_task(responder.ready.wait(), name="fleet services ready")
    try:
        done, _ = await asyncio.wait({task, ready}, timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if ready not in done:
            raise SetupError(f"the fleet services did not reach the broker within {READY_TIMEOUT_S:g} s")
        yield
    finally:
        await ended(ready, task)


def _hook(event: dict[str, object]) -> dict[str, object]:
    return provisioning_hook.handler(event, None)
