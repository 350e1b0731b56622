"""The tables and notes tell what somebody should act on, and no text becomes a part of the page itself."""

import asyncio
import json
from html.parser import HTMLParser
from typing import Any

from edge.control.model import CONNECTION, Priority, Reason, Request
from edge.loop.cycle import Cycle
from edge.loop.stats import LoopStats
from edge.site.control_status import cycle_status, loop_status
from edge.site.status import encode
from edge.web.notes import alarms, notes
from edge.web.tables import tables
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import NOON, fake_site, loop_of
from tests.support.rigs.edge_parts import status as plain_status

HOSTILE = "<script>alert(1)</script>"


class _Tags(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def _device(**changes: Any) -> dict[str, Any]:
    plain = {
        "id": "inverter", "profile": "kostal", "online": True, "stage": "reading", "since_at": None, "last_error": None,
        "latency_ms": 12.0, "error_rate": 0.0, "quarantined": {}, "foreign_writes": {}, "no_timer": [],
        "writes_today": {}, "write_budgets": {},
    }  # fmt: skip
    return {**plain, **changes}


async def _cycle() -> tuple[Cycle, LoopStats]:
    """Return a cycle of a real control loop under a limit of the grid operator."""
    clock = ManualClock(NOON)
    limit = Request(
        requester="grid-operator",
        resource=CONNECTION,
        priority=Priority.GRID_OPERATOR,
        reason=Reason.GRID_LIMIT,
        expires_s=600.0,
        max_w=4_200.0,
    )
    loop, cycles = loop_of(fake_site(clock), clock, asked=[limit])
    task = asyncio.create_task(loop.run(), name="control")
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return cycles[0], loop.stats


async def _status(**changes: Any) -> dict[str, Any]:
    cycle, stats = await _cycle()
    plain = {
        "devices": (_device(),),
        "cycle": cycle_status(cycle),
        "loop": loop_status(stats, period_s=1.0),
        "outbox": {"state": "disk", "waiting": 0, "dropped": 0},
        "link": {"state": "connected", "error": None},
    }
    found: dict[str, Any] = json.loads(encode(plain_status(**{**plain, **changes})))
    return found


async def test_a_device_without_a_timer_is_named_on_the_page() -> None:
    """Who looks at the page must know which device would go on by itself."""
    weak = "pv goes on as it is when the gateway dies"
    status = await _status(weaknesses=[weak], devices=[_device(no_timer=["limit_generation"])])
    shown = _Tags(tables(status))
    assert weak in notes(status)
    assert weak not in alarms(status), "it is always so: an operator of many sites would never see a list without it"
    assert "no timer of its own for limit_generation" in shown.text


async def test_a_certificate_that_ends_is_a_note_before_it_has_ended() -> None:
    """The link is up until the day on which it is not, and nobody looks for the reason then."""
    fault = "cert.pem ends in 12 days, on 2026-03-29 12:00 UTC"
    status = await _status(link={"state": "connected", "error": None, "certificate_fault": fault})
    assert any(fault in note for note in notes(status))


async def test_the_page_says_what_flows_who_asked_and_what_is_off() -> None:
    """The owner's three questions."""
    shown = _Tags(
        tables(await _status(devices=[_device(online=False, stage="searching", last_error="no answer from unit 1")]))
    ).text
    assert "grid-operator" in shown
    assert "-∞ to 4200 W" in shown
    assert "OFFLINE (searching)" in shown
    assert "no answer from unit 1" in shown


async def test_what_devices_and_issuers_call_themselves_is_text() -> None:
    """A name may come from a wire; it must not run in the browser of who looks."""
    command = {
        "command_id": HOSTILE, "event_id": None, "issuer": HOSTILE, "action": {"kind": HOSTILE}, "stage": HOSTILE,
        "left_s": 5.0,
    }  # fmt: skip
    status = await _status(
        site=HOSTILE,
        weaknesses=[HOSTILE],
        devices=[_device(id=HOSTILE, last_error=HOSTILE, online=False)],
        commands=[command],
        relays={HOSTILE: True},
        grid_limits={HOSTILE: {"state": HOSTILE, "limit_w": None, "silent_s": 0.0}},
    )
    shown = _Tags(tables(status))
    assert "script" not in shown.tags
    assert not shown.open
    assert HOSTILE in shown.text


async def test_a_gateway_that_has_just_started_has_tables() -> None:
    """Before its first cycle there is a link and an outbox to tell of, and no setpoint."""
    status = await _status(cycle=None)
    assert "outbox disk" in _Tags(tables(status)).text
    assert notes(status) == []
