"""Live streams over a real socket: what changes comes once, also over a restart."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

from cloud.doors.live_feed import WAITING_MAX, LiveEvent, Reader
from cloud.handlers import telemetry
from contracts.topics import Up
from tests.support.cloud.doors import OWNER, Doors, doors_in
from tests.support.cloud.sites import START, ZONE, batch
from tests.support.cloud.sites import telemetry as message
from tests.support.market.shell import run_events

WAIT_S = 120.0


def tell(doors: Doors, seq: int, power_w: float) -> None:
    """Let a site report a power."""
    at = START + timedelta(seconds=10 * seq)
    told = message("home-1", seq, at, {"meter/active_power_w": [power_w]})
    run_events(doors.services, [(telemetry.handler, batch(Up.TELEMETRY, told, at=at))])


def events(lines: Iterator[str]) -> Iterator[tuple[str | None, str, Any]]:
    """Yield the events of a stream: number, kind, data."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield fields.get("id"), fields["event"], json.loads(fields["data"])
            fields = {}


def power(data: Any) -> float:
    """Return the power in a site's newest values."""
    return float(data["points"]["meter/active_power_w"][1])


def test_a_reader_resumes_by_number_over_a_restart_with_nothing_missing_or_twice(tmp_path: Path) -> None:
    """A page that was cut off goes on where it was."""
    where = "/v1/live/site/home-1"
    with doors_in(tmp_path) as doors:
        tell(doors, 1, 100.0)
        with httpx.stream("GET", doors.url + where, timeout=WAIT_S) as answer:
            stream = events(answer.iter_lines())
            first, kind, data = next(stream)
            assert kind == "latest" and power(data) == 100.0
            tell(doors, 2, 200.0)
            second, _, data = next(stream)
            assert power(data) == 200.0 and int(second or 0) == int(first or 0) + 1
    with doors_in(tmp_path) as doors:
        tell(doors, 3, 300.0)
        with httpx.stream("GET", doors.url + where, headers={"Last-Event-ID": first or ""}, timeout=WAIT_S) as answer:
            stream = events(answer.iter_lines())
            again = [next(stream), next(stream)]
            assert [power(data) for _, _, data in again] == [200.0, 300.0]
            assert [number for number, _, _ in again] == [second, str(int(second or 0) + 1)]


def test_a_websocket_has_the_same_numbers_and_a_zone_its_prices(tmp_path: Path) -> None:
    """Browsers and programs read the same feed."""
    with doors_in(tmp_path) as doors:
        with connect(f"{doors.url.replace('http', 'ws')}/v1/live/zone/{ZONE}/socket") as socket:
            found = json.loads(socket.recv(timeout=WAIT_S))
            assert found["seq"] == 1 and found["kind"].startswith("product/") and "price" in found["data"]
        with connect(f"{doors.url.replace('http', 'ws')}/v1/live/zone/{ZONE}/socket?after=99") as socket:
            assert json.loads(socket.recv(timeout=WAIT_S))["kind"] == "gap"


def test_a_stream_of_what_was_not_granted_is_not_there(tmp_path: Path) -> None:
    """A household's power is its own."""
    with doors_in(tmp_path, tokens=True) as doors:
        headers = {"Authorization": f"Bearer {OWNER}"}
        assert httpx.get(f"{doors.url}/v1/live/site/factory", headers=headers).status_code == 404
        assert httpx.get(f"{doors.url}/v1/live/zone/{ZONE}").status_code == 401


async def test_a_slow_reader_is_given_up_and_not_buffered_without_end() -> None:
    """One who sleeps must not fill the memory of all."""
    reader = Reader(joined_at=0)
    for seq in range(1, WAITING_MAX + 1):
        reader.tell(LiveEvent(seq=seq, kind="feeder", data={}))
    assert not reader.dropped.is_set()
    reader.tell(LiveEvent(seq=WAITING_MAX + 1, kind="feeder", data={}))
    assert reader.dropped.is_set() and reader.waiting.qsize() == WAITING_MAX
