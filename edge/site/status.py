"""What a running gateway says of itself to who stands beside it: a JSON line of each process, over a socket of its own.

Each process answers for itself, so that what control does is told while the site process is gone, and the other way
round. Who asks gets both in one, and which of the two did not answer. The sockets lie in the state folder and are the
gateway's user's own (mode 0600).
"""

import asyncio
import contextlib
import json
import logging
import math
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from contracts.reasons import reason_of
from edge.border.sockets import listening, reach
from edge.errors import StatusUnavailable
from edge.process.supervisor import Part

log = logging.getLogger(__name__)

CONTROL_SOCKET = "status.sock"
SITE_SOCKET = "site-status.sock"
ASK_TIMEOUT_S = 5.0  # Real seconds.
# Askers served at once; more are turned away, for the loop has a site to control.
ASKERS_MAX = 4
_ANSWER_BYTES_MAX = 4 * 1024 * 1024
# From an accepted connection to its handler, and from its end to a closed socket, asyncio takes some turns of its loop.
_TURNS = 8

Plain = dict[str, Any]

# What is told where control does not answer, and where the site process does not.
_CONTROL_SILENT: Plain = {
    "locked": False,
    "devices": [],
    "cycle": None,
    "loop": {
        "period_s": None,
        "cycles": 0,
        "late": 0,
        "late_in_a_row": 0,
        "writes": 0,
        "failed_writes": 0,
        "last_cycle_ms": 0.0,
        "longest_cycle_ms": 0.0,
        "alarms": ["control does not answer: devices fall back by their own timers"],
    },
    "commands": [],
    "answers": {},
    "grid_limits": {},
    "relays": {},
    "relays_unread": [],
    "weaknesses": [],
    "device_clocks": [],
    "store": None,
}
_SITE_SILENT: Plain = {
    "trading": None,
    "wish": None,
    "outbox": {"state": "unknown", "waiting": 0, "bytes": 0, "dropped": 0, "error": None},
    "link": {"state": "unknown", "connects": 0, "error": "the site process does not answer; control goes on"},
}


class PeerSeen(Protocol):
    """One process as the other one sees it."""

    connected: bool
    since_at: datetime | None
    pid: int | None
    connects: int


def part_status(part: Part) -> Plain:
    """Return how a part that is not control does."""
    return {
        "name": part.name,
        "state": part.state.value,
        "failures": part.failures,
        "restarts": part.restarts,
        "error": part.last_error,
    }


def process_status(since_at: datetime) -> Plain:
    """Return what a process says of itself."""
    return {"pid": os.getpid(), "since_at": since_at.isoformat()}


def peer_status(peer: PeerSeen) -> Plain:
    """Return what a process says of the other one."""
    return {
        "connected": peer.connected,
        "since_at": None if peer.since_at is None else peer.since_at.isoformat(),
        "pid": peer.pid,
        "connects": peer.connects,
    }


def encode(plain: Plain) -> bytes:
    """Return a status as one line of JSON; an endless bound is ``null``."""
    return json.dumps(_finite(plain), separators=(",", ":"), default=str).encode() + b"\n"


def merged(control: Plain | None, site: Plain | None) -> Plain:
    """Return the status of a gateway from what its processes answered, ``None`` for one that did not."""
    both = {**_CONTROL_SILENT, **_SITE_SILENT, **(site or {}), **(control or {})}
    parts = [part for one in (control, site) if one is not None for part in one.get("parts", ())]
    processes = {"control": _process(control, site), "site": _process(site, control)}
    plain = {**both, "parts": parts, "processes": processes}
    plain.pop("process", None)
    plain.pop("peer", None)
    return plain


def _process(own: Plain | None, other: Plain | None) -> Plain:
    """Return how one process does: what it says itself, and whether and how often the other one has seen it come."""
    said = {} if own is None else own.get("process", {})
    seen = {} if other is None else other.get("peer", {})
    return {
        "alive": own is not None,
        "pid": said.get("pid"),
        "since_at": said.get("since_at"),
        "heard": seen.get("connected", False),
        "restarts": max(0, seen.get("connects", 0) - 1),
    }


async def serve_status(state_dir: Path, name: str, status: Callable[[], bytes]) -> None:
    """Answer who asks, until cancelled. A socket that cannot be made is logged; the site is controlled without."""
    asking = asyncio.Semaphore(ASKERS_MAX)
    answering: set[asyncio.Task[Any]] = set()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio calls it in a task"
        answering.add(task)
        try:
            if not asking.locked():
                async with asking, asyncio.timeout(ASK_TIMEOUT_S):
                    writer.write(status())
                    await writer.drain()
        except (OSError, TimeoutError):
            log.info("status asker went away")
        finally:
            writer.close()
            answering.discard(task)

    try:
        way = listening(state_dir, name)
    except OSError as error:
        log.warning("no status socket", extra={"reason": reason_of(error)})
        return
    server = await asyncio.start_unix_server(answer, sock=way)
    try:
        async with server:
            try:
                await asyncio.Event().wait()
            finally:
                # Python 3.11 leaves a connection open that was accepted and whose server is closed before it is made.
                asyncio.get_running_loop().remove_reader(way)
                await _let_go(answering)
    finally:
        with contextlib.suppress(OSError):
            (state_dir / name).unlink()


async def _let_go(answering: Iterable[asyncio.Task[Any]]) -> None:
    """End what is still answered, once nobody is accepted any more: an asker of the last moment hears the end."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    left = list(answering)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def ask_status(state_dir: Path) -> Plain:
    """Return what the gateway that runs on a state folder says of itself; one process may be silent.

    Raises:
        StatusUnavailable: None runs there, or this user may not ask it.
    """
    try:
        control: Plain | None = _ask(state_dir, CONTROL_SOCKET)
    except StatusUnavailable as error:
        try:
            return merged(None, _ask(state_dir, SITE_SOCKET))
        except StatusUnavailable:
            raise error from None
    try:
        return merged(control, _ask(state_dir, SITE_SOCKET))
    except StatusUnavailable:
        return merged(control, None)


def _ask(state_dir: Path, name: str) -> Plain:
    """Return what one process says of itself.

    Raises:
        StatusUnavailable: It does not run there, or this user may not ask it.
    """
    try:
        with reach(state_dir, name) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way:
            way.settimeout(ASK_TIMEOUT_S)
            way.connect(path)
            answer = _read_all(way)
        found = json.loads(answer)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise StatusUnavailable(f"no gateway runs on {state_dir}") from error
    except PermissionError as error:
        raise StatusUnavailable(f"{state_dir / name} belongs to another user; ask as the gateway's own") from error
    except (OSError, ValueError) as error:
        raise StatusUnavailable(f"the gateway on {state_dir} gave no whole answer: {reason_of(error)}") from error
    assert isinstance(found, dict), "a status is an object"
    return found


def _read_all(way: socket.socket) -> bytes:
    answer = bytearray()
    while chunk := way.recv(65536):
        answer += chunk
        if len(answer) > _ANSWER_BYTES_MAX:
            raise ValueError(f"longer than {_ANSWER_BYTES_MAX} bytes")
    return bytes(answer)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
