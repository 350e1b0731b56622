"""A site that speaks to no broker: its own gateway controls, plans, remembers and shows it."""

import asyncio
import json
import sqlite3
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.control.keys import Role
from edge.telemetry.history_file import FILE, HistoryFile, Row, read_history
from edge.web.passwords import set_password
from sitewatt.demo import files
from sitewatt.edge_status import lines
from tests.support.cloud import price_answers
from tests.support.cloud.providers import Answer, provider
from tests.support.modbus.simulator import NOON
from tests.support.rigs.fault_rig import BATTERY_W, battery_site, fault_rig
from tests.support.rigs.gateway import until_status
from tests.support.rigs.page import PageClient, until_listens

SITE = "home"
PASSWORD = "a kettle in the cellar"
SPEED = 10.0  # An order that is 30 s old is refused: a hiccup of three real seconds may be none.


def _two_days_before(state_dir: Path) -> int:
    """Let the gateway have seen two days, of which it forecasts; return the epoch second after them."""
    state_dir.mkdir(parents=True, mode=0o700)
    now_s = int(NOON.timestamp()) // 900 * 900
    values = {"meter/active_power_w": 1000.0, "inverter/pv_power_w": -500.0, "inverter/battery_power_w": 0.0}
    history = HistoryFile(state_dir / FILE, now_ms=now_s * 1000)
    history.write(
        Row(step_s=900, start_s=now_s - 900 * (1 + quarter), cycles=900, values=values) for quarter in range(192)
    )
    history.close()
    return now_s


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
        return str(answer.read().decode())


async def _course_shown(port: int, path: str) -> None:
    """Wait until the page has a course to show: it need not wait for the history's file."""
    async with asyncio.timeout(120.0):
        while not json.loads(await asyncio.to_thread(_get, port, path))["at"]:  # noqa: ASYNC110 (asked over HTTP)
            await asyncio.sleep(0.1)


async def test_a_site_without_a_broker_is_controlled_planned_shown_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most houses have no market; what they have is a battery, a tariff and somebody who looks at a page."""
    port, tls_port = files.free_port(), files.free_port()
    sections: dict[str, Any] = {
        "link": None,
        "page": {"port": port, "tls_port": tls_port},
        "trading": {"tariff": "de-14a-module-3"},
    }
    state_dir = files.state(tmp_path, SITE)
    began_s = _two_days_before(state_dir)
    async with fault_rig(tmp_path, monkeypatch, [battery_site(SITE)], speed=SPEED, sections={SITE: sections}) as place:
        said = await until_status(
            place,
            SITE,
            lambda said: bool(said["cycle"] and (plan := (said["trading"] or {}).get("plan")) and plan["steps"]),
            "it plans",
        )
        assert said["link"] == {"state": "none", "connects": 0, "error": None}
        assert not {"link", "uplink", "hear"} & {part["name"] for part in said["parts"]}
        await until_listens(tls_port)
        shown = json.loads(await asyncio.to_thread(_get, port, "state.json"))
        assert shown["status"]["trading"]["plan"]["steps"], "the page shows the plan against the tariff"
        await _course_shown(port, f"history.json?from={began_s}&to={began_s + 86_400}")
        assert "sitewatt_link_up" not in await asyncio.to_thread(_get, port, "metrics")

        set_password(state_dir, Role.OWNER, PASSWORD)
        page = PageClient(state_dir, tls_port)
        assert (await page.sign_in("owner", PASSWORD))[0] == 200
        status, answer = await page.act(kind="charge", hours=2)
        assert (status, answer.get("stage")) == (200, "accepted"), answer
        await place.until(lambda: place.latest(SITE).get("battery_w", 0) > BATTERY_W / 4, "the battery charges")
        await place.processes.stop([SITE])
    rows = read_history(state_dir / FILE, step_s=10, first_s=began_s, last_s=began_s + 86_400)
    # A step in which a busy machine read nothing is there without values.
    assert any("meter/active_power_w" in row.values for row in rows)
    with sqlite3.connect(state_dir / "journal.db") as store:
        channels = {row[0] for row in store.execute("SELECT DISTINCT channel FROM records")}
    assert not {"telemetry", "meter", "orders"} & channels, "nothing is kept for a cloud that is not there"


async def test_a_site_without_a_broker_reads_the_days_prices_by_itself_and_charges_when_they_are_low(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tariff on the day-ahead price needs no cloud: the gateway asks who publishes it, and forecasts beyond."""
    midnight = NOON.replace(hour=0)
    low_at_noon = [80.0] * 44 + [-50.0] * 8 + [80.0] * 20 + [400.0] * 24
    answer = Answer(body=price_answers.energy_charts(midnight - timedelta(days=1), low_at_noon * 2))
    with provider([answer]) as server:
        sections: dict[str, Any] = {
            "link": None,
            "trading": {
                "spot": {"import_adder_mct_per_kwh": 15_000, "import_factor": 1.19},
                "prices": {"provider": "energy-charts", "area": "DE-LU", "url": server.url},
            },
        }
        _two_days_before(files.state(tmp_path, SITE))
        async with fault_rig(
            tmp_path, monkeypatch, [battery_site(SITE)], speed=SPEED, sections={SITE: sections}
        ) as place:
            said = await until_status(
                place,
                SITE,
                lambda said: bool((said["trading"] or {}).get("prices", {}).get("published_until")),
                "reads",
            )
            assert said["trading"]["prices"]["source"] == "energy-charts DE-LU"
            assert said["trading"]["prices"]["published_until"] == (midnight + timedelta(days=1)).isoformat()
            assert "prices" in {part["name"] for part in said["parts"]}
            assert any("published until" in line for line in lines(said))
            await place.until(lambda: place.latest(SITE).get("battery_w", 0) > BATTERY_W / 2, "the battery charges")
