"""The terminal view fits the terminal: what matters is there at 80 columns and 24 lines, whatever the neighbourhood."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console, ConsoleDimensions

from contracts.market import MarketBroadcast, ProductState
from firmware_sim.series import Week
from sitewatt.commands.demo import has_terminal
from sitewatt.demo.neighbourhood import neighbourhood
from sitewatt.demo.view import render
from sitewatt.demo.watch import NeighbourhoodView, SiteView

NOW = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)
URL = "http://127.0.0.1:45123/"


def _shown(*, sites: int, width: int, height: int) -> list[str]:
    """Return the lines of a neighbourhood in which much is going on."""
    place = neighbourhood(sites=sites, week=Week.CHANGING)
    view = NeighbourhoodView(connected=True, messages=123_456)
    view.sites[place.feeder.id] = SiteView(online=True, values={"meter/active_power_w": 240_000.0})
    for site in place.sites:
        values = {
            "meter/active_power_w": -12_345.0,
            "inverter/pv_power_w": -9_876.0,
            "inverter/battery_power_w": 4_000.0,
        }
        view.sites[site.id] = SiteView(online=True, values=values, command="battery_power -2375 W, effective")
    for quarter in range(-4, 8):
        start = NOW + timedelta(minutes=15 * quarter)
        view.intervals[start] = MarketBroadcast(
            zone="zone-1", interval_start=start, issued_at=NOW, state=ProductState.CLEARED, price_mct_per_kwh=9_000
        )
    for minute in range(12):
        view.news.append((NOW + timedelta(minutes=minute // 2), f"event {minute // 4}: transformer at 240 kW"))
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    room = ConsoleDimensions(width=width, height=height)
    with console.capture() as captured:
        console.print(render(view, place, now=NOW, speed=30, url=URL, room=room))
    return captured.get().splitlines()


@pytest.mark.parametrize("sites", [2, 5, 20])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 40), (200, 60)])
def test_the_view_fits_its_terminal_and_keeps_what_matters(sites: int, width: int, height: int) -> None:
    """A view that is longer than its terminal loses its end, which is where the news are."""
    lines = _shown(sites=sites, width=width, height=height)
    assert len(lines) < height, "the last line is the cursor's"
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    assert "local (12:00 UTC)" in text and URL in text
    assert "import 240.0 of" in text
    for heading in ("connection kW", "PV kW", "battery kW", "charge %", "command", "price ct/kWh", "volume kWh"):
        assert heading in text, "no heading is cut"
    assert "export 12.3" in text and "charge 4.0" in text and "battery_power" in text, "no figure is cut"
    assert "event 2: transformer at 240 kW (4 times)" in text, "the newest news is told, and once"
    assert "home-1" in text or sites == 2
    assert sites < 20 or "and 10 more" in text or "home-18" in text or "and 4 more" in text


@pytest.mark.parametrize(
    ("terminal", "is_tty", "draws"), [("xterm", True, True), ("dumb", True, False), ("xterm", False, False)]
)
def test_lines_take_the_place_of_the_view_where_it_cannot_be_drawn(
    monkeypatch: pytest.MonkeyPatch, terminal: str, is_tty: bool, draws: bool
) -> None:
    """A pipe and an editor's shell get sentences, not escape codes."""
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_tty)
    assert has_terminal() is draws
