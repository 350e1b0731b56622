"""The first set-up in a real browser: from simulated devices that answer to a written site file, by the code alone."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from edge.config import load_config

STOP_S = 60.0
QUESTIONS_MAX = 60
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PLANT = {
    "week": "sunny",
    "sites": [
        {
            "id": "home",
            "load": {"base_w": 400},
            "pv": {"peak_w": 5000},
            "battery": {"capacity_wh": 10000, "charge_w_max": 4000, "discharge_w_max": 4000},
            "devices": [{"id": "inverter", "kind": "sunspec_hybrid"}, {"id": "meter", "kind": "sdm630"}],
        }
    ],
}


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Mapping[str, int]]:
    """Two devices that answer."""
    plant = tmp_path / "plant.yaml"
    plant.write_text(yaml.safe_dump(PLANT))
    command = [sys.executable, "-m", "firmware_sim", "--plant", str(plant)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["ports"]
        finally:
            process.terminate()
            process.wait(STOP_S)


def _answer_all(page: Page, answers: dict[str, list[str]]) -> list[str]:
    """Answer every question by the words with which it begins, else as it is proposed; return the questions."""
    asked: list[str] = []
    text, choices = page.locator("form.fields label"), page.locator("#asked")
    for _ in range(QUESTIONS_MAX):
        expect(text.or_(choices).or_(page.get_by_role("heading", name="Done"))).to_be_visible()
        if page.get_by_role("heading", name="Done").is_visible():
            return asked
        is_text = text.is_visible()
        question = (text if is_text else choices).inner_text().strip()
        asked.append(question)
        prepared = next((left for words, left in answers.items() if question.startswith(words) and left), [])
        answer = prepared.pop(0) if prepared else None
        if is_text:
            if answer is not None:
                page.locator("form.fields input").fill(answer)
            page.get_by_role("button", name="Next").click()
        elif answer is not None:
            page.get_by_role("button", name=answer, exact=True).click()
        else:
            page.locator('button[aria-pressed="true"]').click()
        expect(page.locator("[role=log] strong")).to_have_count(len(asked))
    raise AssertionError(f"still asking: {asked}")


def test_a_site_is_set_up_in_a_browser_by_who_holds_the_code(
    browser: Browser, ports: Mapping[str, int], tmp_path: Path
) -> None:
    """Scan, identify, limits, tariff: the same dialogue as at the terminal, and the same file."""
    config = tmp_path / "site.yaml"
    command = [
        "edge",
        "setup",
        "--config",
        str(config),
        "--state-dir",
        str(tmp_path / "state"),
        "--browser",
        "127.0.0.1:0",
    ]
    with (
        subprocess.Popen([sys.executable, "-m", "sitewatt", *command], stdout=subprocess.PIPE, text=True) as process,
        browser.new_context(
            locale="en-GB", ignore_https_errors=True, viewport={"width": 380, "height": 800}
        ) as context,
    ):
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split(" ", 1)[0]
            code = process.stdout.readline().removeprefix("code ").strip()
            assert re.fullmatch(r"SHA-256 [0-9A-F:]{95}", process.stdout.readline().strip().partition("compare ")[2])
            page = context.new_page()
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.goto(url)
            refused: Any = page.request.post(f"{url}answer", data={"number": 1, "answer": "mine"})
            assert refused.status == 403 and page.request.get(f"{url}setup.json").status == 403
            page.get_by_label("code at the terminal").fill("AAAA-AAAA")
            page.get_by_role("button", name="Begin").click()
            expect(page.get_by_role("alert")).to_contain_text("not the code")
            page.get_by_label("code at the terminal").fill(code.lower())
            page.get_by_role("button", name="Begin").click()
            expect(page.get_by_role("heading", name="Question")).to_be_visible()
            forged: Any = page.request.post(f"{url}answer", data={"number": 1, "answer": "mine"})
            assert forged.status == 403
            found = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}})
            assert found.response["violations"] == []
            if (pictures := os.environ.get("SCREENSHOTS")) is not None:
                page.screenshot(path=f"{pictures}/setup-page.png")
            asked = _answer_all(
                page,
                {
                    "Name of the site": ["Home 1", "home-1"],
                    "Scan": [f"127.0.0.1:{ports['home/meter']}", f"127.0.0.1:{ports['home/inverter']}", ""],
                    "Rated generation": ["5 kW"],
                    "Usable capacity": ["10 kWh"],
                    "Greatest charging": ["4 kW"],
                    "Greatest import": ["17.25 kW"],
                    "Greatest export": ["5 kW"],
                    "Its tariff": ["de-14a-module-3"],
                },
            )
            expect(page.get_by_role("status")).to_contain_text("is written")
            assert asked.count("Name of the site") == 2, "a name that cannot be one is asked again"
            assert process.wait(STOP_S) == 0
            assert faults == []
        finally:
            process.terminate()
            process.wait(STOP_S)
    made = load_config(config)
    assert (made.site.id, made.trading.tariff, made.link) == ("home-1", "de-14a-module-3", None)
    assert [device.role.value for device in made.devices] == ["meter", "hybrid"]
