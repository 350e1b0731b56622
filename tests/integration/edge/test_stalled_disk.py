"""A disk that stands still in the middle of a commit: control goes on, and what was answered survives a kill."""

import base64
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts.clock import ScaledClock, scaled_clock
from contracts.control import CommandAck, LimitImport
from contracts.topics import Up
from contracts.units import Quality
from edge.commands.grid_limits import Direction
from edge.config import SiteConfig
from edge.control.limits import LimitState
from edge.devices.recipes import Lever
from edge.modbus.point import Reading
from edge.outbox import store
from edge.site.control_process import Control, Hears, open_control, run_opened_control
from tests.support.brokers.link_parts import background, until
from tests.support.rigs.control_commands import KEYS, command, public
from tests.support.rigs.edge_parts import NOON, config

ORDER = LimitImport(max_w=3_000)
CYCLES = 5  # More than one commit of three seconds would cost.
SPEED = 10.0


class _Disk:
    """Stands still within each commit between ``stall`` and ``go_on``; knows which threads committed."""

    def __init__(self) -> None:
        self._may_go = threading.Event()
        self._may_go.set()
        self.asked = threading.Event()
        self.threads: set[str] = set()

    def stall(self) -> None:
        """Let the next commit wait."""
        self.asked.clear()
        self._may_go.clear()

    def go_on(self) -> None:
        """Let every commit end."""
        self._may_go.set()

    def commit(self) -> None:
        """Be what a commit waits for."""
        self.threads.add(threading.current_thread().name)
        self.asked.set()
        assert self._may_go.wait(60), "the test has forgotten the disk"


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> _Disk:
    """Put every connection of every outbox on a disk that the test can stop."""
    found = _Disk()

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, /, *arguments: Any) -> sqlite3.Cursor:
            if sql == "COMMIT":
                found.commit()
            return super().execute(sql, *arguments)

    real = sqlite3.connect

    def connect(path: str, **options: Any) -> sqlite3.Connection:
        return real(path, factory=Connection, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)
    return found


def _settings(state_dir: Path) -> SiteConfig:
    relay = {"device": "meter", "kind": "14a", "point": "active_power_w"}
    key = base64.b64encode(public(KEYS["grid_operator"])).decode()
    return config(
        state_dir=str(state_dir),
        relays=[relay],
        grid_limits={"failsafe_import_w": 4_200},
        commands={"trusted": [{"issuer": "grid_operator", "role": "grid_operator", "public_key": key}]},
    )


@asynccontextmanager
async def _control(state_dir: Path, clock: ScaledClock) -> AsyncIterator[Control]:
    async with open_control(_settings(state_dir), clock=clock) as control:
        yield control


def _as_killed(state_dir: Path, folder: Path) -> Path:
    """Return a copy of what a kill would leave at this moment: what the kernel has been given, and no more."""
    folder.mkdir()
    for name in ("control.db", "control.db-wal"):
        shutil.copy(state_dir / name, folder / name)
    return folder


def _acks(control: Control) -> list[CommandAck]:
    return [CommandAck.decode(record.payload) for record in control.outbox.read(Up.ACKS)]


def _running(control: Control) -> list[str]:
    return [life.command.command_id for life in control.executor.running()]


async def _cycles(control: Control) -> None:
    begun = control.loop.stats.cycles
    await until(lambda: control.loop.stats.cycles >= begun + CYCLES)


async def test_no_commit_holds_a_cycle_up_and_an_answered_limit_survives_a_kill(
    tmp_path: Path, slow_disk: _Disk
) -> None:
    """Everything that control keeps goes to one disk, and that disk may stand still at any of it."""
    state_dir, clock = tmp_path / "state", scaled_clock(started_at=NOON, speed=SPEED)
    async with _control(state_dir, clock) as control, background(run_opened_control(control), name="control process"):
        await control.looked.wait()
        await control.outbox.on_disk()
        slow_disk.threads.clear()
        slow_disk.stall()
        try:
            order = command(ORDER, issued_at=clock.now(), lasts_s=7_200)
            await Hears(control).command(order.encode(), retained=False)
            closed = Reading(value=1.0, quality=Quality.GOOD, source_at=NOON)
            control.relays.look({"meter": {"active_power_w": closed}})
            control.on_modbus["inverter"]._ledger.let_go(Lever.BATTERY_POWER)
            await until(slow_disk.asked.is_set)
            await _cycles(control)
            assert _running(control) == [order.command_id], "a limit is in force before the disk knows of it"
            assert control.grid_limits.status(clock.monotonic())[Direction.IMPORT].state is LimitState.LIMITED
            assert not _acks(control), "and is not answered before"
            unanswered = _as_killed(state_dir, tmp_path / "unanswered")
        finally:
            slow_disk.go_on()
        await until(lambda: bool(_acks(control)))
        await control.outbox.on_disk()
        answered = _as_killed(state_dir, tmp_path / "answered")
        assert "MainThread" not in slow_disk.threads and slow_disk.threads

    async with _control(answered, clock) as control:
        assert _running(control) == [order.command_id]
        assert control.grid_limits.status(clock.monotonic())[Direction.IMPORT].state is LimitState.FAILSAFE
        assert control.relays.contacts == {"meter/active_power_w": True}
    async with _control(unanswered, clock) as control:
        assert not _running(control)
        control.executor.take(order.encode(), retained=False)
        assert _running(control) == [order.command_id], "who was not answered says it again, and is heard"


@pytest.mark.parametrize("damage", ["full", "gone", "damaged"])
async def test_a_repair_holds_up_no_cycle_and_keeps_the_limit(
    tmp_path: Path, slow_disk: _Disk, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """A disk that fails is slow at failing: what follows a failed commit is no work for control's thread either."""
    state_dir, clock = tmp_path / "state", scaled_clock(started_at=NOON, speed=SPEED)
    names: set[str] = set()
    _watch_threads(monkeypatch, names)
    async with _control(state_dir, clock) as control, background(run_opened_control(control), name="control process"):
        await control.looked.wait()
        await control.outbox.on_disk()
        names.clear()
        _fail_once(monkeypatch, damage)
        order = command(ORDER, issued_at=clock.now(), lasts_s=7_200)
        await Hears(control).command(order.encode(), retained=False)
        await until(lambda: bool(_acks(control)))
        await _cycles(control)
        assert _running(control) == [order.command_id]
        assert control.outbox.stats().write_failures == 1
        assert "MainThread" not in names, "the file was worked on in the thread"


def _watch_threads(monkeypatch: pytest.MonkeyPatch, names: set[str]) -> None:
    """Note which threads open, salvage or close a file."""
    for name in ("salvage", "close", "compact"):
        real: Callable[..., Any] = getattr(store.Store, name)

        def watched(self: store.Store, _real: Callable[..., Any] = real) -> Any:
            if self._path is not None:
                names.add(threading.current_thread().name)
            return _real(self)

        monkeypatch.setattr(store.Store, name, watched)


def _fail_once(monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """Let the next write of a file fail as a disk does."""
    code = {"full": sqlite3.SQLITE_FULL, "gone": sqlite3.SQLITE_IOERR, "damaged": sqlite3.SQLITE_CORRUPT}[damage]
    real, failed = store.Store._apply, threading.Event()

    def apply(self: store.Store, batch: store.Batch) -> Any:
        if self._path is not None and not failed.is_set():
            failed.set()
            error = sqlite3.OperationalError(damage)
            error.sqlite_errorcode = code
            raise error
        return real(self, batch)

    monkeypatch.setattr(store.Store, "_apply", apply)
