"""``sitewatt plan`` from outside: files in, what each policy would have come to out."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sitewatt.__main__ import app, register
from tests.support.rigs.edge_parts import plain_config

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 3


SPOT = {"spot": {"import_adder_mct_per_kwh": 12_000, "import_factor": 1.19}}


def _files(folder: Path, pricing: dict[str, Any] = SPOT) -> list[str]:
    """Write a site with 10 kWh of storage, a day of load and sun that repeats, and a spot price with a dear evening."""
    (folder / "site.yaml").write_text(
        yaml.safe_dump(plain_config(state_dir=str(folder), trading={"enabled": True, **pricing})), encoding="utf-8"
    )
    lines = ["time,load_kw,pv_kw,Price (EUR/MWh)"]
    for index in range(96 * DAYS):
        hour = index % 96 / 4
        load = 2.5 if 17 <= hour < 22 else 0.4
        sun = 0.4 * max(0.0, math.sin((hour - 7) / 10 * math.pi)) if 7 < hour < 17 else 0.0
        price = 250 if 17 <= hour < 21 else 20 if hour < 5 else 90
        at = START + index * timedelta(minutes=15)
        lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{load},{sun:.3f},{price}")
    (folder / "data.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = str(folder / "data.csv")
    return [
        *("plan", "--site", str(folder / "site.yaml"), "--load", data, "--load-column", "load_kw", "--pv", data),
        *("--pv-column", "pv_kw", "--prices", data, "--price-column", "Price (EUR/MWh)", "--days", "1"),
    ]


@pytest.fixture(autouse=True)
def _commands() -> None:
    register()


def test_a_repeating_day_is_planned_nearly_as_well_as_with_the_future_known(tmp_path: Path) -> None:
    """A day like the one before leaves nothing to guess: the plan is near perfect and well ahead of the rule."""
    drawing = tmp_path / "day.svg"
    answer = CliRunner().invoke(app, [*_files(tmp_path), "--plot", str(drawing), "--json"])
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    rows = {row["policy"]: row for row in told["policies"]}
    assert rows["perfect"]["percent_of_perfect"] == 100.0
    assert rows["plan"]["percent_of_perfect"] > 90.0
    assert rows["plan"]["percent_of_perfect"] > rows["rule"]["percent_of_perfect"] + 10
    assert rows["plan"]["cycles"] > 0
    assert drawing.read_text(encoding="utf-8").startswith("<svg")


def test_what_cannot_be_played_is_said_in_one_sentence(tmp_path: Path) -> None:
    """More days than the files have, an unknown policy, a column without a unit of power: exit 2 and why."""
    told = _files(tmp_path)
    for arguments, words in (
        ([*told[:-1], "9"], "--days 9 is more than the 3 whole days"),
        ([*told, "--policy", "best"], "--policy 'best' is none of rule, plan, perfect"),
        ([*told, "--load-column", "Price (EUR/MWh)"], "needed is one of W, kW, MW"),
    ):
        answer = CliRunner().invoke(app, arguments)
        assert answer.exit_code == 2
        assert words in answer.output


def test_the_rule_alone_is_shown_where_it_is_asked_for(tmp_path: Path) -> None:
    """One line, with what it is compared to worked out beside it."""
    answer = CliRunner().invoke(app, [*_files(tmp_path), "--policy", "rule"])
    assert answer.exit_code == 0, answer.output
    assert [line.split()[0] for line in answer.output.splitlines()] == ["home-1,", "policy", "rule"]


def test_the_tariff_that_the_site_names_prices_the_days_and_their_highest_power(tmp_path: Path) -> None:
    """Flanders: 31.11 ct a kWh with tax, and 4.36 EUR a kW of the month's highest quarter, of 2.5 kW at the least."""
    arguments = [*_files(tmp_path, {"tariff": "be-flanders-capacity"}), "--policy", "rule"]
    told = CliRunner().invoke(app, [*arguments, "--json"])
    assert told.exit_code == 0, told.output
    (row,) = json.loads(told.stdout)["policies"]
    assert row["currency"] == "EUR"
    assert row["power_cost"] == pytest.approx(max(2.5, row["peak_w"] / 1000) * 4.364, abs=0.02)
    shown = CliRunner().invoke(app, arguments)
    assert "EUR more for the highest power" in shown.output


def test_a_tariff_that_follows_the_market_asks_for_prices(tmp_path: Path) -> None:
    """Without them every hour would silently cost the same."""
    arguments = _files(tmp_path, {"tariff": "de-dynamic"})
    without = [*arguments[: arguments.index("--prices")], "--days", "1"]
    answer = CliRunner().invoke(app, without)
    assert answer.exit_code == 2
    assert "follows the market's price: give --prices" in answer.output
