"""What a running gateway says of itself to who stands beside it: one JSON line over a socket in its state folder.

The socket is the gateway's user's own (mode 0600). Its path is reached through the folder's descriptor, because the
name of a socket may have no more than 108 bytes. Source: unix(7).
"""

import asyncio
import contextlib
import json
import logging
import math
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.units import ClockTrust
from edge.commands.grid_limits import LimitStatus
from edge.control.flow import flow
from edge.control.life import Life
from edge.control.model import AssetState, Interval, Link, Setpoint, load_capability
from edge.devices.device import Device
from edge.devices.wear import budget_of
from edge.errors import StatusUnavailable
from edge.loop.cycle import Cycle, LoopStats
from edge.process.supervisor import Part

log = logging.getLogger(__name__)

SOCKET = "status.sock"
ASK_TIMEOUT_S = 5.0  # Real seconds.
# Askers served at once; more are turned away, for the loop has a site to control.
ASKERS_MAX = 4
_ANSWER_BYTES_MAX = 4 * 1024 * 1024

Plain = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Status:
    """A gateway's state at an instant, made of plain values."""

    site: str
    at: datetime
    clock: ClockTrust
    locked: bool
    devices: tuple[Plain, ...]
    cycle: Plain | None
    loop: Plain
    commands: tuple[Plain, ...]
    answers: Mapping[str, int]
    grid_limits: Mapping[str, Plain]
    relays: Mapping[str, bool]
    relays_unread: tuple[str, ...]
    weaknesses: tuple[str, ...]
    device_clocks: tuple[str, ...]
    parts: tuple[Plain, ...]
    trading: Plain | None
    outbox: Plain
    link: Plain

    def encode(self) -> bytes:
        """Return the status as one line of JSON; an endless bound is ``null``."""
        plain = asdict(self)
        plain["at"] = self.at.isoformat()
        return json.dumps(_finite(plain), separators=(",", ":"), default=str).encode() + b"\n"


def device_status(device: Device) -> Plain:
    """Return how a device does."""
    health = device.health
    return {
        "id": device.id,
        "profile": device.profile.id,
        "online": health.online,
        "stage": health.stage,
        "doubt": health.doubt,
        "since_at": None if health.since_at is None else health.since_at.isoformat(),
        "last_error": health.last_error,
        "latency_ms": None if health.latency_s is None else round(health.latency_s * 1000, 1),
        "error_rate": round(health.error_rate, 4),
        "quarantined": dict(health.quarantined),
        "implausible": dict(health.implausible),
        "foreign_writes": {lever.value: count for lever, count in health.foreign_writes.items()},
        "no_timer": [lever.value for lever in health.no_timer],
        "writes_today": dict(health.writes_today),
        "write_budgets": {name: budget_of(device.profile.writes.get(name)) for name in health.writes_today},
    }


def cycle_status(cycle: Cycle) -> Plain:
    """Return what a cycle decided and why: who asked, what was left to each, who clipped it, what was told."""
    decision = cycle.decision
    return {
        "number": cycle.number,
        "fresh": decision.fresh,
        "connection_w": cycle.snapshot.connection_power.usable(),
        "flow": asdict(flow(cycle.snapshot)),
        "expected_w": decision.expected_w,
        "left": _interval(decision.connection),
        "import_excess_w": decision.import_excess_w,
        "export_excess_w": decision.export_excess_w,
        "chain": [_link(link) for link in decision.chain],
        "loads": [_load(asset) for asset in cycle.snapshot.assets if load_capability(asset.capabilities)],
        "setpoints": [_setpoint(setpoint, cycle) for setpoint in decision.setpoints],
        "alarms": list(decision.alarms),
    }


def _load(asset: AssetState) -> Plain:
    """Return what is known of a load: how it is moved, between what, what it draws, whether it runs or has a car."""
    moved_by = load_capability(asset.capabilities)
    return {
        "device": asset.id,
        "moved_by": None if moved_by is None else moved_by.value,
        "power_w": asset.power.usable(),
        "least_w": asset.load_w_min,
        "rated_w": asset.load_rated_w,
        "on": asset.switched_on,
        "connected": asset.connected,
    }


def loop_status(stats: LoopStats, *, period_s: float) -> Plain:
    """Return the loop's counters; times are real milliseconds."""
    return {
        "period_s": period_s,
        "cycles": stats.cycles,
        "late": stats.late,
        "late_in_a_row": stats.late_in_a_row,
        "writes": stats.writes,
        "failed_writes": stats.failed_writes,
        "last_cycle_ms": round(stats.last_cycle_ms, 3),
        "longest_cycle_ms": round(stats.longest_cycle_ms, 3),
        "alarms": list(stats.alarms),
    }


def command_status(life: Life, *, now_s: float) -> Plain:
    """Return how far a running command has come."""
    command = life.command
    return {
        "command_id": command.command_id,
        "event_id": command.event_id,
        "issuer": command.issuer,
        "action": command.action.model_dump(mode="json"),
        "stage": life.stage.value,
        "left_s": round(life.expires_s - now_s, 1),
    }


def limit_status(found: LimitStatus) -> Plain:
    """Return where a grid limit stands."""
    return {"state": found.state.value, "limit_w": found.limit_w, "silent_s": round(found.silent_s, 1)}


def part_status(part: Part) -> Plain:
    """Return how a part that is not control does."""
    return {
        "name": part.name,
        "state": part.state.value,
        "failures": part.failures,
        "restarts": part.restarts,
        "error": part.last_error,
    }


async def serve_status(state_dir: Path, status: Callable[[], Status]) -> None:
    """Answer who asks, until cancelled. A socket that cannot be made is logged; the site is controlled without."""
    asking = asyncio.Semaphore(ASKERS_MAX)

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not asking.locked():
                async with asking, asyncio.timeout(ASK_TIMEOUT_S):
                    writer.write(status().encode())
                    await writer.drain()
        except (OSError, TimeoutError):
            log.info("status asker went away")
        finally:
            writer.close()

    try:
        listening = _listening(state_dir)
    except OSError as error:
        log.warning("no status socket", extra={"reason": str(error)})
        return
    server = await asyncio.start_unix_server(answer, sock=listening)
    try:
        async with server:
            await server.serve_forever()
    finally:
        with contextlib.suppress(OSError):
            (state_dir / SOCKET).unlink()


def ask_status(state_dir: Path) -> Plain:
    """Return what the gateway that runs on a state folder says of itself.

    Raises:
        StatusUnavailable: None runs there, or this user may not ask it.
    """
    try:
        with _reach(state_dir) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way:
            way.settimeout(ASK_TIMEOUT_S)
            way.connect(path)
            answer = _read_all(way)
        found = json.loads(answer)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise StatusUnavailable(f"no gateway runs on {state_dir}") from error
    except PermissionError as error:
        raise StatusUnavailable(f"{state_dir / SOCKET} belongs to another user; ask as the gateway's own") from error
    except (OSError, ValueError) as error:
        raise StatusUnavailable(f"the gateway on {state_dir} gave no whole answer: {error}") from error
    assert isinstance(found, dict), "a status is an object"
    return found


def _read_all(way: socket.socket) -> bytes:
    answer = bytearray()
    while chunk := way.recv(65536):
        answer += chunk
        if len(answer) > _ANSWER_BYTES_MAX:
            raise ValueError(f"longer than {_ANSWER_BYTES_MAX} bytes")
    return bytes(answer)


def _listening(state_dir: Path) -> socket.socket:
    """Return the listening socket; the outbox's lock says that no other gateway uses the folder."""
    with contextlib.suppress(FileNotFoundError):
        (state_dir / SOCKET).unlink()
    way = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _reach(state_dir) as path:
            before = os.umask(0o177)
            try:
                way.bind(path)
            finally:
                os.umask(before)
        way.setblocking(False)
    except OSError:
        way.close()
        raise
    return way


@contextlib.contextmanager
def _reach(state_dir: Path) -> Iterator[str]:
    """Give a short name of the socket, however deep its folder lies."""
    folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)


def _link(link: Link) -> Plain:
    return {
        "requester": link.requester,
        "priority": link.priority.name.lower(),
        "resource": link.resource,
        "reason": link.reason.value,
        "asked": _interval(link.asked),
        "preferred_w": link.preferred_w,
        "outcome": link.outcome.value,
        "clipped_by": link.clipped_by,
        "left": _interval(link.left),
    }


def _setpoint(setpoint: Setpoint, cycle: Cycle) -> Plain:
    applied = cycle.applied.get((setpoint.asset, setpoint.capability))
    return {
        "device": setpoint.asset,
        "capability": setpoint.capability.value,
        "value_w": setpoint.value_w,
        "requester": setpoint.requester,
        "reason": setpoint.reason.value,
        "held_w": None if applied is None else applied.held_w,
        "proven": applied is not None and applied.ok and applied.value_w == setpoint.value_w,
    }


def _interval(interval: Interval) -> list[float | None]:
    return [interval.min_w, interval.max_w]


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
