"""Known exports: small samples in the vendors' own shapes give the values that they say."""

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from domain.series.columns import Options
from domain.series.read import read
from sitewatt.commands.forecast import app
from tests.support.cloud import price_answers

ESPI = """<?xml version="1.0"?><feed xmlns="http://naesb.org/espi"><ReadingType><flowDirection>1</flowDirection>
<powerOfTenMultiplier>0</powerOfTenMultiplier><uom>72</uom></ReadingType><IntervalBlock>
<IntervalReading><timePeriod><duration>3600</duration><start>1760047200</start></timePeriod><value>450</value>
</IntervalReading><IntervalReading><timePeriod><duration>3600</duration><start>1760050800</start></timePeriod>
<value>900</value></IntervalReading></IntervalBlock></feed>"""
TELEGRAMS = "".join(
    f"/KFM5KAIFA-METER\n\n0-0:1.0.0(25101012{minute:02d}00S)\n1-0:1.8.1({100 + minute / 60:.3f}*kWh)\n"
    f"1-0:1.7.0(0{minute % 5}.100*kW)\n!ABCD\n"
    for minute in range(0, 50, 5)
)
NEM12 = (
    "100,NEM12,202510100000,A,B\n200,1,E1B1,E1,E1,,9,KWH,30,\n300,20251010," + ",".join(["0.5"] * 48) + ",A,,,\n900\n"
)
SAMPLES: dict[str, tuple[str, str, str, list[float]]] = {
    "Home Assistant history": (
        "entity_id,state,last_changed\nsensor.p,400,2025-10-10T00:00:00.000Z\nsensor.p,500,2025-10-10T01:00:00.000Z\n",
        "load",
        "",
        [400, 500],
    ),
    "Home Assistant statistics": (
        "statistic_id,unit,start,mean\nsensor.p,W,2025-10-10T00:00:00+00:00,400\n"
        "sensor.p,W,2025-10-10T01:00:00+00:00,500\n",
        "load",
        "W",
        [400, 500],
    ),
    "Home Assistant energy": (
        "entity_id,type,unit,2025-10-20,2025-10-21\nsensor.grid,grid_consumption,kWh,24,12\n",
        "load",
        "kW",
        [1, 0.5],
    ),
    "ENTSO-E": (
        '"MTU (CET/CEST)","Area","Sequence","Day-ahead Price (EUR/MWh)"\n'
        '"01/10/2025 00:00:00 - 01/10/2025 00:15:00","BZN|DE-LU","Sequence Sequence 1","102.01"\n'
        '"01/10/2025 00:15:00 - 01/10/2025 00:30:00","BZN|DE-LU","Sequence Sequence 1","96.51"\n',
        "price",
        "EUR/MWh",
        [102.01, 96.51],
    ),
    "Nord Pool": (
        "Date;Hours;SE3 (EUR/MWh)\n13.10.2025;00 - 01;12,5\n13.10.2025;01 - 02;-1,5\n",
        "price",
        "EUR/MWh",
        [12.5, -1.5],
    ),
    "aWATTar": (
        '{"object":"list","data":[{"start_timestamp":1760047200000,"end_timestamp":1760050800000,"marketprice":80.5,'
        '"unit":"Eur/MWh"},{"start_timestamp":1760050800000,"end_timestamp":1760054400000,"marketprice":-2,'
        '"unit":"Eur/MWh"}]}',
        "price",
        "EUR/MWh",
        [80.5, -2],
    ),
    "Energy-Charts": (
        '{"unix_seconds":[1760047200,1760050800],"price":[80.5,-2.0],"unit":"EUR / MWh"}',
        "price",
        "EUR/MWh",
        [80.5, -2],
    ),
    "Tibber": (
        '{"data":{"viewer":{"homes":[{"currentSubscription":{"priceInfo":{"today":[{"total":0.31,"currency":"EUR",'
        '"startsAt":"2025-10-10T00:00:00.000+02:00"},{"total":0.29,"currency":"EUR",'
        '"startsAt":"2025-10-10T01:00:00.000+02:00"}],'
        '"tomorrow":[]}}}]}}}',
        "price",
        "EUR/kWh",
        [0.31, 0.29],
    ),
    "Octopus": (
        "Consumption (kwh), Estimated Cost Inc. Tax (p), Start, End\n"
        "0.2, 2.1, 2025-10-26T00:00:00+01:00, 2025-10-26T00:30:00+01:00\n"
        "0.1, 2.0, 2025-10-26T00:30:00+01:00, 2025-10-26T01:00:00+01:00\n",
        "load",
        "kW",
        [0.4, 0.2],
    ),
    "Fluvius": (
        "Van (datum);Van (tijdstip);Tot (datum);Tot (tijdstip);Register;Volume;Eenheid\n"
        "02-09-2025;00:00:00;02-09-2025;00:15:00;Afname Nacht;0,065;kWh\n"
        "02-09-2025;00:00:00;02-09-2025;00:15:00;Injectie Nacht;0,000;kWh\n"
        "02-09-2025;00:15:00;02-09-2025;00:30:00;Afname Nacht;0,075;kWh\n",
        "load",
        "kW",
        [0.26, 0.3],
    ),
    "Enedis": (
        "Identifiant PRM;Grandeur physique;Unite\n123;Energie active;W\nHorodate;Valeur\n"
        "2025-10-10T00:30:00+02:00;420\n2025-10-10T01:00:00+02:00;380\n",
        "load",
        "W",
        [420, 380],
    ),
    "Green Button": (ESPI, "load", "W", [450, 900]),
    "NEM12": (NEM12, "load", "kW", [1.0] * 48),
    "DSMR telegrams": (TELEGRAMS, "load", "kW", [0.1, 0.1, 0.1]),
    "Fronius Solar.web": (
        "Date and time;PV production\n[dd.MM.yyyy HH:mm];[Wh]\n13.10.2025 12:00;100\n13.10.2025 12:15;200\n",
        "pv",
        "W",
        [400, 800],
    ),
    "SolarEdge": (
        "Time,System Production (W)\n10/13/2025 12:00,100\n10/13/2025 12:15,200\n",
        "pv",
        "W",
        [100, 200],
    ),
}


@pytest.mark.parametrize("form", SAMPLES)
def test_a_known_export_is_recognised_and_read(form: str) -> None:
    """Its name, unit and values are those of the export, with no option at all."""
    text, wanted, unit, values = SAMPLES[form]
    reading = read(text.encode(), Options(wanted=wanted))
    assert reading.understood.startswith(form) and reading.unit == unit
    if form != "DSMR telegrams":
        assert reading.series.values.tolist() == pytest.approx(values)


def test_of_a_price_with_and_without_taxes_the_one_without_is_read() -> None:
    """A tariff adds its taxes to what the market asks; a person may still name the other column."""
    start = datetime(2026, 3, 17, 23, tzinfo=UTC)
    octopus = price_answers.octopus(start, [50.0, 40.0])
    assert read(octopus, Options(wanted="price")).column == "value_exc_vat"
    assert read(octopus, Options(wanted="price", column="value_inc_vat")).series.values.tolist() == [52.5, 42.0]
    tibber = price_answers.tibber(start, [0.5, 0.4], currency="SEK").replace(b'"energy"', b'"total": 0.9, "energy"')
    told = read(tibber, Options(wanted="price"))
    assert (told.column, told.unit, told.series.values.tolist()) == ("energy", "SEK/kWh", [0.5, 0.4])


PAGE = (Path(__file__).parents[4] / "docs" / "files.md").read_text(encoding="utf-8")


def test_the_page_lists_every_export_that_is_recognised_and_no_other() -> None:
    """A reader who finds an export on the page has it read; each name there is that of a sample above."""
    table = PAGE[PAGE.index("## Known exports") :]
    names = [row.split("|")[1].strip() for row in table.splitlines() if row.startswith("| ")][2:]
    listed = {name for row in names for name in row.removesuffix(" prices").removesuffix(" consumption").split(", ")}
    assert listed - {"Linky"} == {form.removesuffix(" telegrams") for form in SAMPLES}


def test_the_first_command_of_the_page_prints_what_it_says(tmp_path: Path) -> None:
    """A counter of two weeks with three gaps and a row that stands twice."""
    counter, rows = 12_000.0, []
    for hour in range(24 * 14):
        counter += 0.7 if hour % 24 > 17 else 0.4
        if not any(first <= hour < first + 8 for first in (50, 120, 200)):
            rows.append(f"{datetime(2025, 10, 20) + timedelta(hours=hour):%Y-%m-%d %H:%M},{counter:.3f}")  # noqa: DTZ001
    (tmp_path / "meter.csv").write_text("\n".join(["time,meter kWh", *rows[:80], *rows[79:]]), encoding="utf-8")
    (command, printed), *_ = re.findall(r"```\nsitewatt forecast (.*)\n(.*)\n```", PAGE)
    words = [str(tmp_path / word) if word == "meter.csv" else word for word in shlex.split(command)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and printed in result.output.splitlines()
