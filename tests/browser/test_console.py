"""The operator's console in a real browser, on the process that `sitewatt cloud page` starts, over TLS with tokens."""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from cloud.stores import keys
from cloud.stores.registry import save_registry
from cloud.stores.tables import Put
from contracts.units import epoch_ms
from edge.web.certificate import page_certificate
from tests.support.cloud.doors import ENTRIES, OPERATOR, OWNER, STOP_S
from tests.support.cloud.sites import house_in
from tests.support.market.claim import with_claim
from tests.support.market.shell import run_events, story
from tests.unit.cloud.local.test_operator_ports import with_gateway, with_set_aside
from tests.unit.cloud.shell.test_records_port import with_conversation

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
CONSOLE_BYTES_MAX = 250_000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A console over the tables of a market's story."""
    folder = tmp_path_factory.mktemp("console")
    with house_in(folder) as (services, _):
        run_events(services, story())
        save_registry(services.stores.tables, services.registry)
    with _console_over(folder) as found:
        yield found


@contextlib.contextmanager
def _console_over(folder: Path) -> Iterator[str]:
    """Run the console over a folder's tables; who has which token is `ENTRIES`."""
    callers = folder / "callers.yaml"
    callers.write_text(yaml.safe_dump({"callers": [one.model_dump(mode="json") for one in ENTRIES]}))
    tls = page_certificate(folder, names=["localhost", "127.0.0.1"], now=datetime.now(UTC)).path
    arguments = ["--tables", folder, "--callers", callers, "--cert", tls, "--key", tls, "--listen", "127.0.0.1:0"]
    command = [sys.executable, "-m", "sitewatt", "cloud", "page", *map(str, arguments), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
            process.wait(STOP_S)


@pytest.fixture
def console(browser: Browser, url: str) -> Iterator[Page]:
    with browser.new_context(locale="en-GB", ignore_https_errors=True) as context:
        page = context.new_page()
        page.goto(url)
        yield page


def _sign_in(page: Page, token: str) -> None:
    page.get_by_label("token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_an_operator_sees_all_halts_and_resumes_and_takes_tables_along(console: Page) -> None:
    """One page for the market's day: fleet, book, feeder, claims, statements; a halt needs a reason."""
    faults: list[str] = []
    loaded: dict[str, int] = {}
    console.on("pageerror", lambda error: faults.append(str(error)))
    console.on(
        "response",
        lambda answer: loaded.update({answer.url: len(answer.body())}) if "/v1/" not in answer.url else None,
    )
    console.reload()
    _sign_in(console, "guessed")
    expect(console.get_by_role("alert")).to_contain_text("a bearer token is needed")
    _sign_in(console, OPERATOR)
    fleet = console.locator("section").filter(has=console.get_by_role("heading", name="Fleet"))
    expect(fleet.get_by_role("row").filter(has_text="home-1")).to_be_visible()
    expect(fleet).to_contain_text("of 4 online")
    market = console.locator("section").filter(has=console.get_by_role("heading", name="Market", exact=True))
    expect(market).to_contain_text("trading")
    for title in ("Delivery intervals", "Book", "Feeder feeder-1", "Claims and estimates", "Statements"):
        expect(console.get_by_role("heading", name=title)).to_be_visible()

    market.get_by_label("reason").fill("price feed wrong")
    market.get_by_role("button", name="Halt trading").click()
    expect(market.get_by_role("status")).to_have_text("halted: price feed wrong")
    market.get_by_role("button", name="Resume trading").click()
    expect(market.get_by_role("button", name="Halt trading")).to_be_visible()

    with console.expect_download() as taken:
        fleet.get_by_role("button", name="fleet CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(taken.value.path()).read_text(encoding="utf-8"))))
    assert [row["site"] for row in rows] == ["factory", "farm", "home-1", "home-2"]
    assert rows[2]["import_limit_w"] == "17000"
    fleet.get_by_label("find a site").fill("home")
    expect(fleet).to_contain_text("of 2 online")
    statements = console.locator("section").filter(has=console.get_by_role("heading", name="Statements"))
    statements.get_by_label("site").select_option("home-2")
    expect(statements.get_by_role("row").nth(1)).to_contain_text("0.1 kWh")
    if (pictures := os.environ.get("SCREENSHOTS")) is not None:
        console.screenshot(path=f"{pictures}/console.png")
    for width in (380, 1200):
        console.set_viewport_size({"width": width, "height": 800})
        found = Axe().run(console, options={"runOnly": {"type": "tag", "values": TAGS}})
        assert found.response["violations"] == []
        assert console.evaluate("document.documentElement.scrollWidth") <= width
    assert sum(loaded.values()) < CONSOLE_BYTES_MAX, loaded
    assert faults == []


def test_a_site_owner_sees_what_is_his_and_no_lever(console: Page) -> None:
    """Rights are the token's: one list of skills for the page and every other door."""
    _sign_in(console, OWNER)
    fleet = console.locator("section").filter(has=console.get_by_role("heading", name="Fleet"))
    expect(fleet.get_by_role("row").filter(has_text="home-1")).to_be_visible()
    expect(fleet.get_by_role("row").filter(has_text="home-2")).to_have_count(0)
    expect(console.get_by_role("heading", name="Market", exact=True)).to_be_visible()
    expect(console.get_by_role("button", name="Halt trading")).to_have_count(0)
    expect(console.get_by_role("heading", name="Claims and estimates")).to_have_count(0)
    console.get_by_role("button", name="Sign out").click()
    expect(console.get_by_label("token")).to_be_visible()


def test_a_claim_is_decided_by_name_among_twenty_sites(browser: Browser, tmp_path: Path) -> None:
    """Money moves on a person's word, with name and reason; twenty sites stand in one table."""
    with house_in(tmp_path, homes=18) as (services, _):
        with_claim(services)
        save_registry(services.stores.tables, services.registry)
    with (
        _console_over(tmp_path) as url,
        browser.new_context(locale="en-GB", ignore_https_errors=True) as context,
    ):
        console = context.new_page()
        faults: list[str] = []
        console.on("pageerror", lambda error: faults.append(str(error)))
        console.goto(url)
        _sign_in(console, OPERATOR)
        fleet = console.locator("section").filter(has=console.get_by_role("heading", name="Fleet"))
        expect(fleet).to_contain_text("of 20 online")
        expect(fleet.locator("tbody tr")).to_have_count(20)
        claims = console.locator("section").filter(has=console.get_by_role("heading", name="Claims and estimates"))
        row = claims.get_by_role("row").filter(has_text="few-days")
        expect(row).to_contain_text("factory")
        row.get_by_role("button", name="Decide").click()
        claims.get_by_label("by").fill("ann")
        claims.get_by_label("reason").fill("its meter agrees")
        claims.get_by_role("button", name="Pay", exact=True).click()
        expect(row).to_have_count(0)
        statements = console.locator("section").filter(has=console.get_by_role("heading", name="Statements"))
        expect(statements).to_be_visible()
        assert faults == []


def test_an_operator_mends_what_was_set_aside_decides_proposals_and_steers_the_fleet(
    browser: Browser, tmp_path: Path
) -> None:
    """The running of a cloud from one page: records, agents' proposals, gateways, a feeder, the audit log."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        registry = services.registry
        sites = [
            site.model_copy(update={"latitude": 48 + number / 100, "longitude": 9.0})
            for number, site in enumerate(registry.sites)
        ]
        save_registry(services.stores.tables, registry.model_copy(update={"sites": tuple(sites)}))
        with_conversation(
            services.stores.tables,
            {"skill": "halt_market", "question": {"zone": "zone-1", "reason": "price feed wrong"}},
        )
        at_ms = epoch_ms(datetime.now(UTC))
        alarms = {"alarms": ["meter does not answer"], "at": at_ms, "order": [at_ms, 1, 1]}
        services.stores.tables.put(Put(key=keys.site_state("home-1", keys.ALARMS), body=alarms))
    with_set_aside(tmp_path, b'{"topic_site": "home-1"}', b"nonsense")
    with_gateway(tmp_path)
    with (
        _console_over(tmp_path) as url,
        browser.new_context(locale="en-GB", ignore_https_errors=True) as context,
    ):
        console = context.new_page()
        faults: list[str] = []
        console.on("pageerror", lambda error: faults.append(str(error)))
        console.goto(url)
        _sign_in(console, OPERATOR)

        aside = _section(console, "Set aside")
        aside.get_by_role("button", name="Show meter:").first.click()
        aside.get_by_label("record (JSON)").fill('{"topic_site": "home-1", "mended": true}')
        again = aside.get_by_role("form", name="Deliver again")
        again.get_by_label("reason").fill("field was missing")
        again.get_by_role("button").click()
        expect(aside.locator("tbody tr")).to_have_count(1)
        aside.get_by_role("button", name="Show meter:").click()
        forget = aside.get_by_role("form", name="Forget for good")
        forget.get_by_label("reason").fill("no message")
        forget.get_by_role("button").click()
        expect(aside).to_contain_text("Nothing was set aside.")

        proposals = _section(console, "Proposals of the agents")
        proposals.get_by_role("button", name="Decide").click()
        proposals.get_by_label("by").fill("ann")
        proposals.get_by_label("reason").fill("agreed")
        proposals.get_by_role("button", name="Accept and do").click()
        expect(proposals.get_by_role("row").nth(1)).to_contain_text("accepted")
        expect(_section(console, "Market").get_by_role("status")).to_have_text("halted: price feed wrong")

        fleet = _section(console, "Gateways")
        for section in (fleet, _section(console, "Fleet")):
            expect(section.get_by_role("row").filter(has_text="home-1")).to_contain_text("meter does not answer")
        fleet.get_by_role("button", name="Jobs and settings home-1").click()
        wish = fleet.get_by_role("form", name="Settings")
        wish.get_by_label("JSON").fill('{"telemetry": {"period_s": 30}}')
        wish.get_by_role("button").click()
        expect(fleet.get_by_role("row").filter(has_text="config")).to_contain_text('"period_s": 30')
        update = fleet.get_by_role("form", name="Update")
        signed = json.dumps({"operation": "update", "version": "1.2.3", "signature": "c2ln"}).encode()
        update.locator("input").set_input_files({"name": "u.json", "mimeType": "application/json", "buffer": signed})
        update.get_by_role("button", name="Send").click()
        expect(fleet.get_by_role("row").filter(has_text="update-1-2-3")).to_contain_text("QUEUED")

        feeder = _section(console, "Feeder feeder-1")
        hold = feeder.get_by_role("form", name="Hold below a limit")
        hold.get_by_label("limit kW").fill("90")
        hold.get_by_label("reason").fill("works at the cable")
        hold.get_by_role("button").click()
        expect(feeder.get_by_role("status").filter(has_text="import 90.0 kW")).to_be_visible()
        feeder.get_by_role("button", name="End the request").click()
        feeder.locator("summary").click()
        feeder.get_by_role("button", name="Calculate").click()
        expect(feeder.get_by_role("row").filter(has_text="after")).to_be_visible()
        expect(_section(console, "Fleet").get_by_role("button", name="home-1, never heard")).to_be_visible()

        audit = _section(console, "Audit log")
        audit.get_by_role("button", name="Show").click()
        for told in ("replay_record", "drop_record", "decide_proposal", "fleet_update", "open_event"):
            expect(audit.locator("tbody tr").filter(has_text=told).first).to_be_visible()
        with console.expect_download() as taken:
            audit.get_by_role("button", name="CSV").click()
        rows = list(csv.DictReader(io.StringIO(Path(taken.value.path()).read_text(encoding="utf-8"))))
        assert {"anna"} == {row["caller"] for row in rows}
        found = Axe().run(console, options={"runOnly": {"type": "tag", "values": TAGS}})
        assert found.response["violations"] == []
        console.set_viewport_size({"width": 380, "height": 800})
        assert console.evaluate("document.documentElement.scrollWidth") <= 380
        if (pictures := os.environ.get("SCREENSHOTS")) is not None:
            console.set_viewport_size({"width": 1200, "height": 800})
            console.screenshot(path=f"{pictures}/console-running.png", full_page=True)
        assert faults == []


def _section(page: Page, title: str) -> Locator:
    return page.locator("section").filter(has=page.get_by_role("heading", name=title, exact=True))
