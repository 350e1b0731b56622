"""``sitewatt market settle|share`` on meters as people have them: read by the one reader, or one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sitewatt.commands.market import app

HOURS = [f"10.11.2026 {hour:02d}:00" for hour in range(24)]


def _run(command: str, data: Any, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [command, "-", "--json"], input=json.dumps(data))
    assert result.exit_code == code, result.output
    return json.loads(result.stdout if code == 0 else result.output)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A mill's load in kW with decimal commas, and a roof's net power in W, which is below zero at noon."""
    mill, roof = tmp_path / "mill.csv", tmp_path / "roof.csv"
    mill.write_text("\n".join(["Zeit;Last [kW]", *(f"{at};4,8" for at in HOURS)]), encoding="cp1252")
    net = ["-6000" if "11" <= at[11:13] <= "13" else "400" for at in HOURS]
    roof.write_text("\n".join(["Zeit;net_w", *map(";".join, zip(HOURS, net, strict=True))]), encoding="utf-8")
    return {"mill": str(mill), "roof": str(roof)}


def test_a_settlement_reads_the_interval_of_an_instant(files: dict[str, str]) -> None:
    """Noon in Berlin is 11:00 UTC, and minus 6 kW for a quarter of an hour are 1500 Wh given."""
    at = {"at": "2026-11-10T12:00+01:00", "timezone": "Europe/Berlin"}
    meters = [{"site": site, "file": file, **at} for site, file in files.items()]
    answer = _run(
        "settle", {"trades": [{"buy": "mill", "sell": "roof", "qty": 1000, "price": 20_000}], "meters": meters}
    )
    assert {row["site"]: row["metered_wh"] for row in answer["settlements"]} == {"mill": 1200, "roof": -1500}


def test_a_community_shares_over_the_time_that_all_files_have(files: dict[str, str]) -> None:
    """Three hours of sun, 1200 Wh a quarter for the mill; what is left of 1500 Wh is the grid's."""
    sites = {site: {"file": file, "timezone": "Europe/Berlin"} for site, file in files.items()}
    answer = _run("share", {"rules": {"sharing": {"key": "dynamic", "price_mct_per_kwh": 15_000}}, "sites": sites})
    assert (answer["intervals"], answer["shared_wh"], answer["sum_uct"]) == (96, 12 * 1200, 0)
    assert answer["members"]["roof"]["export_wh"] == 12 * 1500


NIGHT = {
    "name": "day-and-night",
    "title": "Day and night",
    "time_zone": "Europe/Berlin",
    "unit": "ct/kWh",
    "sources": ["an example"],
    "import": {
        "parts": [
            {
                "name": "energy",
                "time_of_use": {"default": 40, "periods": [{"price": 20, "from": "22:00", "to": "06:00"}]},
            }
        ]
    },
}
SERIES = {"last_resort": {"tariff": NIGHT}}


@pytest.mark.parametrize(("start", "price"), [("2026-11-10T12:00+01:00", 40_000), ("2026-11-10T22:15+01:00", 20_000)])
def test_a_tariff_that_follows_the_clock_settles_at_the_time_of_the_interval(start: str, price: int) -> None:
    """Each file settled as in the first night of 1970."""
    data = {"rules": SERIES, "start": start, "meters": [{"site": "mill", "import_wh": 1000}]}
    assert _run("settle", data)["imbalance_price"]["short"] == price
    shared = {"rules": SERIES | {"sharing": {"key": "dynamic", "price_mct_per_kwh": 100}}, "start": start}
    answer = _run("share", shared | {"sites": {"ann": {"import_wh": [1000]}}})
    assert answer["members"]["ann"]["money_uct"] == answer["members"]["ann"]["alone_uct"] == 1000 * price


def test_a_row_that_repeats_passes_from_day_to_night() -> None:
    """Eight quarters from 21:00 on: four at the day's price, four at the night's, alone as in the community."""
    rules = SERIES | {"sharing": {"key": "dynamic", "price_mct_per_kwh": 100}}
    data = {"rules": rules, "start": "2026-11-10T21:00+01:00", "times": 8, "sites": {"ann": {"import_wh": [1000]}}}
    ann = _run("share", data)["members"]["ann"]
    assert ann["money_uct"] == ann["alone_uct"] == 4 * 1000 * 60_000


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "add start"),
        ({"start": "2026-11-10T12:00"}, "has no offset"),
        ({"start": "2026-11-10T12:07+01:00"}, "no quarter"),
        ({"start": "noon"}, "not an instant"),
    ],
)
def test_a_tariff_that_follows_the_clock_needs_the_time(change: dict[str, str], word: str) -> None:
    """A price of a night long ago is no price of today."""
    data = {"rules": SERIES, "meters": [{"site": "mill", "import_wh": 1000}]} | change
    assert word in _run("settle", data, code=2)["error"]["message"]


def test_the_time_of_a_meters_file_is_the_intervals(files: dict[str, str]) -> None:
    """What names the instant need not name it twice; two meters settle one interval."""
    meter = {"site": "mill", "file": files["mill"], "timezone": "Europe/Berlin", "at": "2026-11-10T22:20+01:00"}
    assert _run("settle", {"rules": SERIES, "meters": [meter]})["imbalance_price"]["short"] == 20_000
    other = meter | {"site": "roof", "file": files["roof"], "at": "2026-11-10T12:00+01:00"}
    assert "more than one interval" in _run("settle", {"meters": [meter, other]}, code=2)["error"]["message"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"at": "noon"}, "not an instant"),
        ({"at": "2026-11-10T12:00"}, "has no offset"),
        ({"at": "2026-12-10T12:00+01:00"}, "has no reading at"),
        ({"colum": "x"}, "did you mean column?"),
        ({"column": "nothing"}, "has no column 'nothing'"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(files: dict[str, str], change: dict[str, str], word: str) -> None:
    """No silent zero from a file that has nothing to say of the interval."""
    row = {"site": "mill", "file": files["mill"], "at": "2026-11-10T12:00+01:00", "timezone": "Europe/Berlin"}
    assert word in _run("settle", {"meters": [row | change]}, code=2)["error"]["message"]
