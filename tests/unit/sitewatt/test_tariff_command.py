"""``sitewatt tariff`` as other programs call it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sitewatt.commands.tariff import app


def _run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def _json(*arguments: str) -> Any:
    return json.loads(_run(*arguments, "--json"))


def test_tariffs_are_listed_shown_and_checked(tmp_path: Path) -> None:
    """The installer sees what there is, what it means, and whether his own file is one."""
    names = [one["name"] for one in _json("list")["tariffs"]]
    assert {"flat", "de-dynamic", "be-flanders-capacity"} <= set(names)
    for name in names:
        assert "source:" in _run("show", name)
        own = tmp_path / "own.yaml"
        own.write_text(json.dumps(_json("show", name)), encoding="utf-8")
        assert _json("check", str(own))["name"] == name
    assert "feed-in cap: 6000 W" in _run("show", "de-dynamic")


def test_a_day_is_priced_in_local_time_and_plotted(tmp_path: Path) -> None:
    """A person sees the day, a program its intervals: 100 of them when the clock goes back."""
    plot = _run("price", "es-2.0td", "--day", "2026-11-30")
    assert plot.splitlines()[1].startswith("import ") and len(plot.splitlines()[1]) == len("import ") + 96
    assert "from 10:00 import    28.744" in plot
    assert "from 10:00" not in _run("price", "es-2.0td", "--day", "2026-12-08"), "a national holiday"
    assert len(_json("price", "flat", "--day", "2026-10-25")["intervals"]) == 100
    spot = tmp_path / "spot.csv"
    spot.write_text("time,EUR/MWh\n2026-06-01T00:00+02:00,100\n2026-06-01T12:00+02:00,-50\n", encoding="utf-8")
    day = _json("price", "de-dynamic", "--day", "2026-06-01", "--spot", str(spot))["intervals"]
    assert [day[index]["export_mct_per_kwh"] for index in (0, 48)] == [7_940, 0]
    difference = day[0]["import_mct_per_kwh"] - day[48]["import_mct_per_kwh"]
    assert abs(difference - 15_000 * 1.03 * 1.19) <= 1, "each is a whole number"


def test_a_day_is_priced_by_a_file_as_people_have_it(tmp_path: Path) -> None:
    """The market's prices come with semicolons, commas and local times; their unit is the header's."""
    spot = tmp_path / "spot.csv"
    rows = [f"01.06.2026 {hour:02d}:00;{hour},5" for hour in range(24)]
    spot.write_text("\n".join(["Datum;Preis (ct/kWh)", *rows]), encoding="cp1252")
    day = _json("price", "at-dynamic", "--day", "2026-06-01", "--spot", str(spot))["intervals"]
    assert [day[index]["export_mct_per_kwh"] for index in (0, 4, 95)] == [400, 1_200, 18_800]
    by_hand = {0: 0.5 + 1.2 + 6.98 + 1.32 + 0.1, 48: 12.5 + 1.2 + 5.58 + 1.32 + 0.1}
    assert {index: day[index]["import_mct_per_kwh"] for index in by_hand} == {
        index: round(cents * 1.2 * 1000) for index, cents in by_hand.items()
    }
    load = tmp_path / "load.csv"
    load.write_text("time,load_kw\n2026-06-01T00:00Z,1\n2026-06-01T01:00Z,2\n", encoding="utf-8")
    assert "no prices" in _run("price", "at-dynamic", "--day", "2026-06-01", "--spot", str(load), code=2)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("price", "de-dynamic", "--day", "2026-06-01"), "give --spot"),
        (("price", "flat", "--day", "June"), "not like 2026-11-29"),
        (("price", "de-dynamic", "--day", "2026-06-01", "--spot", "cheap"), "neither a number nor a file"),
        (("price", "flat", "--day", "9999-12-31"), "not like 2026-11-29"),
        (("price", "flat", "--day", "0001-01-01"), "not like 2026-11-29"),
        (("price", "flat", "--spot", "nan"), "neither a number nor a file"),
        (("price", "flat", "--spot", "1e99"), "neither a number nor a file"),
        (("show", "nothing"), "neither a file nor one of"),
    ],
)
def test_what_cannot_be_priced_is_one_sentence(arguments: tuple[str, ...], word: str) -> None:
    """No traceback, no silent zero."""
    assert word in _run(*arguments, code=2)


OWN = """name: own
title: Own
time_zone: Europe/Berlin
unit: ct/kWh
sources: [me]
import:
  parts:
    - {name: all, fixed: 30}
"""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (OWN.replace("fixed: 30", "fixed: 30, fixed: 99"), "the key 'fixed' stands twice"),
        (OWN + "unit: EUR/MWh\n", "the key 'unit' stands twice"),
        (OWN + "holidays: {country: XX}\n", "XX"),
    ],
)
def test_a_file_that_is_no_tariff_is_refused_at_the_check(tmp_path: Path, text: str, word: str) -> None:
    """Of two prices the last would have counted, and an unknown country was found when a day was priced."""
    own = tmp_path / "own.yaml"
    own.write_text(text, encoding="utf-8")
    assert word in _run("check", str(own), code=2)


def test_what_is_odd_about_a_tariff_is_said(tmp_path: Path) -> None:
    """30 EUR a kWh, 0.3 ct, and a day before the tariff began."""
    own = tmp_path / "own.yaml"
    for text, words in (
        (OWN, None),
        (OWN.replace("ct/kWh", "EUR/kWh"), "a kWh costs 30 EUR before tax"),
        (OWN.replace("fixed: 30", "fixed: 0.3"), "is the unit ct/kWh right?"),
    ):
        own.write_text(text, encoding="utf-8")
        assert [words in warning for warning in _json("check", str(own)).get("warnings", []) if words] == (
            [True] if words else []
        )
    own.write_text(OWN + "valid_from: 2026-01-01\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["price", str(own), "--day", "2025-12-31"])
    assert result.exit_code == 0 and "holds from 2026-01-01; 2025-12-31 lies before" in result.output


def test_a_file_of_prices_may_be_in_the_tariffs_currency(tmp_path: Path) -> None:
    """Of another currency it is refused, and never taken for energy."""
    rows = [f"2026-06-01T{hour:02d}:00+02:00,{hour}" for hour in range(24)]
    spot = tmp_path / "spot.csv"
    for unit, code in (("DKK/MWh", 0), ("SEK/MWh", 2)):
        spot.write_text("\n".join([f"time,Spot {unit}", *rows]), encoding="utf-8")
        told = _run("price", "dk-tariff-model-3", "--day", "2026-06-01", "--spot", str(spot), code=code)
        assert ("no prices of the tariff" in told) is (code == 2)
