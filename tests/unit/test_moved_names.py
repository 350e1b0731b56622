"""The page that tells scripts of before what to import: its names are there, and its example plans."""

import importlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.trading.model import Battery, ForecastSource, SiteForecast, Tariffs

PAGE = (Path(__file__).parents[2] / "docs" / "decisions" / "0018-rooms-and-words.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[2] for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line][1:]
NAMES = [name for row in ROWS for name in re.findall(r"`((?:cloud|domain|edge|tests)\.[\w.]+)`", row)]


def test_the_page_names_what_moved() -> None:
    """An empty table would pass every other test."""
    assert len(NAMES) >= 10


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_page_is_there(name: str) -> None:
    """Whoever follows the page finds something."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        assert hasattr(importlib.import_module(module), member)


@pytest.mark.parametrize(("load_wh", "bought_wh"), [(40, 0), (75, 0), (200, 0), (226, 107), (350, 4_075)])
def test_the_pages_example_plans_a_battery_that_meets_the_need(load_wh: int, bought_wh: int) -> None:
    """Of 7,125 Wh that can be given, all of a need below it and none to the grid."""
    names: dict[str, Any] = {}
    exec(PAGE.split("```python\n")[1].split("```")[0], names)
    start = datetime(2025, 3, 1, 20, tzinfo=UTC)
    forecasts = [
        SiteForecast(
            start=start + number * timedelta(minutes=15), load_wh=load_wh, pv_wh=0, source=ForecastSource.BROADCAST
        )
        for number in range(32)
    ]
    battery = Battery(capacity_wh=10_000, charge_w_max=5_000, discharge_w_max=5_000, soc_percent=80)
    tariffs = Tariffs(import_mct_per_kwh=30_000, export_mct_per_kwh=8_000)
    steps = names["plan_battery"](battery=battery, forecasts=forecasts, prices={}, tariffs=tariffs)
    net_wh = [load_wh + step.battery_wh for step in steps]
    assert sum(max(0, wh) for wh in net_wh) == pytest.approx(bought_wh, abs=2) and min(net_wh) >= -1
