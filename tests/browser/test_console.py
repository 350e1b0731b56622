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
from playwright.sync_api import Browser, Page, expect

from cloud.stores.registry import save_registry
from edge.web.certificate import page_certificate
from tests.support.cloud.doors import ENTRIES, OPERATOR, OWNER, STOP_S
from tests.support.cloud.sites import house_in
from tests.support.market.claim import with_claim
from tests.support.market.shell import run_events, story

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
