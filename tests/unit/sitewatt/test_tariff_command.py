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
    assert [day[index]["export_mct_per_kwh"] for index in (0, 4, 95)] == [-500, 500, 22_500]
    load = tmp_path / "load.csv"
    load.write_text("time,load_kw\n2026-06-01T00:00Z,1\n2026-06-01T01:00Z,2\n", encoding="utf-8")
    assert "no prices" in _run("price", "at-dynamic", "--day", "2026-06-01", "--spot", str(load), code=2)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("price", "de-dynamic", "--day", "2026-06-01"), "give --spot"),
        (("price", "flat", "--day", "June"), "not like 2026-11-29"),
        (("price", "de-dynamic", "--day", "2026-06-01", "--spot", "cheap"), "neither a number nor a file"),
        (("show", "nothing"), "neither a file nor one of"),
    ],
)
def test_what_cannot_be_priced_is_one_sentence(arguments: tuple[str, ...], word: str) -> None:
    """No traceback, no silent zero."""
    assert word in _run(*arguments, code=2)
