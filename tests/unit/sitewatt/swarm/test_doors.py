"""The door of a gateway lets in who has a certificate that holds, and shows another's where the plan says so."""

import asyncio
import ssl
from pathlib import Path

import pytest
import yaml

from contracts.clock import SystemClock
from edge.errors import ConfigError
from edge.links.mqtt import tls_context
from edge.links.settings import LinkSettings
from sitewatt.demo import files
from sitewatt.swarm.doors import CERTIFICATES, RENEWED, Doors
from sitewatt.swarm.draw import draw
from sitewatt.swarm.plan import FaultKind, Plan

SAFETY_S = 60.0


def _plan() -> Plan:
    plans = (draw(seed, speed=15.0, span_s=1800.0, sites=2) for seed in range(99))
    return next(plan for plan in plans if any(fault.kind is FaultKind.CERTIFICATE for fault in plan.faults))


async def _is_let_in(folder: Path, name: str) -> bool:
    """Say whether what a gateway says through its door, as its own link would, comes back from the broker."""
    link = LinkSettings.model_validate(yaml.safe_load(files.gateway(folder, name).read_text(encoding="utf-8"))["link"])
    port = int(link.url.rpartition(":")[2])
    try:
        async with asyncio.timeout(SAFETY_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls_context(link))
            writer.write(b"hello")
            heard = await reader.read(5)
            writer.transport.abort()
    except (OSError, ssl.SSLError, ConfigError):
        return False
    return heard == b"hello"


@pytest.mark.parametrize("what", CERTIFICATES)
async def test_nobody_speaks_behind_a_wrong_certificate_and_the_renewed_one_is_taken(what: str, tmp_path: Path) -> None:
    """What ended, is revoked, torn or another's is refused at the door; what the door shows, by the gateway's link."""
    plan = _plan()
    doors, (name, other) = Doors(plan), plan.gateways[:2]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(64):
            writer.write(data)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as broker:
        url = f"mqtt://127.0.0.1:{broker.sockets[0].getsockname()[1]}"
        for one in plan.gateways:
            files.gateway(tmp_path, one).write_text(yaml.safe_dump({"link": {"url": url}}), encoding="utf-8")
        doors.wire(tmp_path)
        async with doors.standing(SystemClock()):
            assert await _is_let_in(tmp_path, name)
            await doors.turn(name, what)
            assert await _is_let_in(tmp_path, name) is (what == RENEWED)
            assert await _is_let_in(tmp_path, other)
            await doors.turn(name, RENEWED)
            assert await _is_let_in(tmp_path, name)
    assert not [session for session in doors.sessions if session.wrong]
    assert {session.gateway for session in doors.sessions} == {name, other}
