"""The demonstration's page in a real browser, on the server that the demonstration starts."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from firmware_sim.series import Week
from sitewatt.demo.neighbourhood import neighbourhood
from sitewatt.demo.page_server import DemoPage
from sitewatt.demo.page_state import Stage, instant
from sitewatt.demo.watch import NeighbourhoodView, SiteView

NOW = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)
PLACE = neighbourhood(sites=20, week=Week.SUNNY)


@pytest.fixture
def server() -> Iterator[DemoPage]:
    with DemoPage() as page:
        yield page


def _run(server: DemoPage, *, power_w: float) -> None:
    """Let the page show a minute of a run whose transformer carries a power."""
    view = NeighbourhoodView(connected=True, messages=12)
    view.sites[PLACE.feeder.id] = SiteView(online=True, values={"meter/active_power_w": power_w})
    view.sites["home-1"] = SiteView(online=True, values={"meter/active_power_w": 1500.0}, command="limit_export")
    view.news.append((NOW, "feeder overload (240.0 kW)"))
    for second in range(60):
        server.course.note(view, PLACE, now=NOW + timedelta(seconds=second))
    server.show(instant(view, PLACE, now=NOW, speed=30, stage=Stage.RUNNING))


def test_the_page_follows_a_run_from_its_start_to_its_verdict(server: DemoPage, page: Page) -> None:
    """Somebody who opens the URL at once sees each stage without doing anything."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    server.say("broker on port 1883")
    page.goto(server.url)
    expect(page.get_by_role("heading", name="Starting")).to_be_visible()
    expect(page.locator("main")).to_contain_text("broker on port 1883")
    _run(server, power_w=240_000.0)
    expect(page.locator("main")).to_contain_text("240 kW")
    expect(page.get_by_role("row", name="home-1 consumer")).to_contain_text("limit export")
    expect(page.locator("main")).to_contain_text("feeder overload (240.0 kW)")
    expect(page.locator("canvas")).to_have_count(3)
    sums = {
        "agent": "consumer", "paid_uct": -15_000_000, "event_uct": 4_000_000, "without_market_uct": -18_000_000,
        "without_plan_uct": None, "without_battery_uct": 17_000_000, "perfect_uct": -30_000_000,
    }  # fmt: skip
    server.end(
        {
            "checks": {"nothing was lost": True, "an interval settled": False},
            "kept_up": True,
            "earnings": [{"site": "home-1", **sums}],
            "by_agent": [{"sites": 3, **sums}],
            "goals": [
                {"site": "home-3", "device": "charger", "met": True, "told": "home-3 charger: 2.02 kWh of 2.00, met"},
                {"site": "home-2", "device": "pump", "met": False, "told": "home-2 pump: 0.60 of 0.50 kWh, NOT met"},
            ],
        }
    )
    expect(page.get_by_role("heading", name="How it ended")).to_be_visible()
    expect(page.locator("main")).to_contain_text("FAILED an interval settled")
    expect(page.get_by_role("listitem").filter(has_text="home-3 charger: 2.02 kWh of 2.00, met")).to_have_count(1)
    expect(page.get_by_role("listitem").filter(has_text="home-2 pump: 0.60 of 0.50 kWh, NOT met")).to_have_class("bad")
    for name in ("home-1", "all 3"):
        row = page.get_by_role("row", name=f"{name} consumer gets")
        expect(row.get_by_role("cell")).to_contain_text(
            [name, "consumer", "gets 0.19", "pays 0.04", "gets 0.18", "–", "pays 0.17", "gets 0.30"]
        )
    assert faults == []


def test_a_demonstration_that_is_gone_is_said_and_the_last_numbers_stay(server: DemoPage, page: Page) -> None:
    """A page that goes on showing old numbers as new ones lies."""
    _run(server, power_w=1000.0)
    page.goto(server.url)
    expect(page.locator("main")).to_contain_text("Sites")
    page.route("**/state.json*", lambda route: route.abort())
    expect(page.locator("header")).to_contain_text("no answer from the demonstration")
    expect(page.locator("main")).to_contain_text("1 kW")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1200])
def test_everybody_can_read_it(server: DemoPage, page: Page, scheme: str, width: int) -> None:
    """No violation of WCAG 2.2 AA that a machine can find, on a phone and a desk, by day and by night."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # "light" and "dark" are its literals
    page.set_viewport_size({"width": width, "height": 800})
    _run(server, power_w=200_000.0)
    page.goto(server.url)
    expect(page.locator("canvas")).to_have_count(3)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}})
    assert found.response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_server_called_by_another_name_answers_nothing(server: DemoPage) -> None:
    """DNS rebinding must not let a page of somebody else's read what runs here."""
    request = urllib.request.Request(f"{server.url}state.json", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request)


@pytest.mark.parametrize("query", ["", "?since=-5", "?since=x", "?since=99999999999999999999", "?since=2&since=1"])
def test_any_question_for_the_state_is_answered(server: DemoPage, query: str) -> None:
    """What a person types into the address bar is no reason for a traceback."""
    with urllib.request.urlopen(f"{server.url}state.json{query}") as answer:
        assert json.load(answer)["stage"] == "starting"
