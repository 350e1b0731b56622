"""A zone's price file: any file that the reader knows, a saved answer, and every file that was accepted before."""

import csv
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from domain.prices.decode import answered_prices, filed_prices
from domain.prices.source import Provider
from domain.prices.steps import PriceFault, PriceStep, by_interval, ends_of, from_per_mwh, instant_of
from domain.series.columns import Options
from domain.series.read import read
from tests.support.cloud import price_answers as answers

START = datetime(2026, 3, 17, 23, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
PRICES = [50.0, -12.34, 60.0, 70.01, 0.0, 55.5, 10.0, 999.99]

SAVED = {
    Provider.ENERGY_CHARTS: (answers.energy_charts(START, PRICES), "EUR", [price * 100 for price in PRICES]),
    Provider.AWATTAR: (answers.awattar(START, PRICES), "EUR", [price * 100 for price in PRICES]),
    Provider.TIBBER: (
        answers.tibber(START, [price / 1000 for price in PRICES], currency="SEK"),
        "SEK",
        [price * 100 for price in PRICES],
    ),
    Provider.OCTOPUS: (answers.octopus(START, PRICES), "GBP", [price * 1000 for price in PRICES]),
    Provider.ENTSOE: (
        answers.entsoe(
            answers.entsoe_series(START, {place + 1: price for place, price in enumerate(PRICES)}, count=len(PRICES))
        ),
        "EUR",
        [price * 100 for price in PRICES],
    ),
}


def _prices(data: str | bytes, currency: str = "EUR", **said: str) -> dict[datetime, int]:
    data = data.encode() if isinstance(data, str) else data
    return by_interval(filed_prices(data, Options(wanted="price", **said), currency=currency))


@pytest.mark.parametrize("provider", SAVED)
def test_a_saved_answer_is_the_answer(provider: Provider) -> None:
    """What a provider sends and what a person saved of it are decoded by the same code, to the same series."""
    body, currency, expected = SAVED[provider]
    fetched = answered_prices(body, provider, currency=currency)
    assert [step.price_mct_per_kwh for step in fetched] == [round(price) for price in expected]
    assert filed_prices(body, Options(wanted="price"), currency=currency) == fetched
    reading = read(body, Options(wanted="price"))
    in_mct = {"EUR/MWh": 100, "SEK/kWh": 100_000, "p/kWh": 1000}[reading.unit]
    assert reading.series.start == fetched[0].start
    assert [round(value * in_mct) for value in reading.series.values] == [step.price_mct_per_kwh for step in fetched]


def test_of_a_price_with_and_without_taxes_the_one_without_is_the_markets() -> None:
    """A tariff adds taxes to what the market asks; a saved answer of Octopus was read with them in it."""
    body = answers.octopus(START, [50.0, 40.0])
    assert read(body, Options(wanted="price")).column == "value_exc_vat"
    taxed = _prices(body, "GBP", column="value_inc_vat")
    assert taxed[START] == 52_500


def _before(text: str) -> list[PriceStep]:
    """Decode ``start,price_<unit>`` as a zone's file was decoded when it could be nothing else."""
    units = {"eur_per_mwh": 1.0, "per_mwh": 1.0, "ct_per_kwh": 10.0, "eur_per_kwh": 1000.0, "mct_per_kwh": 0.01}
    lines = csv.reader(text.lstrip("\ufeff").splitlines())
    header = [name.strip().lower() for name in next(lines)]
    factor = next(units[unit] for unit in sorted(units, key=len, reverse=True) if header[1].endswith(unit))
    rows = [cells for cells in lines if any(cell.strip() for cell in cells)]
    starts = [instant_of(cells[0].strip(), where="line") for cells in rows]
    return [
        PriceStep(start=start, end=end, price_mct_per_kwh=from_per_mwh(float(cells[1].strip()) * factor, where="line"))
        for start, end, cells in zip(starts, ends_of(starts), rows, strict=True)
        if cells[1].strip()
    ]


STAMPS = ("{:%Y-%m-%dT%H:%M}", "{:%Y-%m-%dT%H:%M:%S}", "{:%Y-%m-%d %H:%M:%S}", "{:%Y%m%dT%H%M}")
WRITTEN = ("{:.2f}", "{:.0f}", "{!r}", "{:e}", "{:+.3f}", " {:.4f} ")


@given(
    unit=st.sampled_from(["eur_per_mwh", "per_mwh", "ct_per_kwh", "eur_per_kwh", "mct_per_kwh", "sek_per_mwh"]),
    prices=st.lists(st.one_of(st.none(), st.floats(-900, 9000)), min_size=1, max_size=60),
    lengths=st.lists(st.sampled_from([QUARTER, QUARTER, 2 * QUARTER, HOUR, HOUR, 3 * HOUR]), min_size=60, max_size=60),
    stamp=st.sampled_from(STAMPS),
    written=st.sampled_from(WRITTEN),
    hours=st.sampled_from([-11, -5, -1, 0, 1, 2, 5.75, 12]),
    more=st.sampled_from(["", ",note,a"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_a_file_that_was_accepted_before_reads_to_the_last_unit_as_before(
    unit: str,
    prices: list[float | None],
    lengths: list[timedelta],
    stamp: str,
    written: str,
    hours: float,
    more: str,
    mark: str,
) -> None:
    """It may be a year old and settle money today: equal steps or not, a fixed price, a spike, one row, empty cells."""
    zone = timezone(timedelta(hours=hours))
    offset = f"{START.astimezone(zone):%z}"
    offset = "Z" if hours == 0 else f"{offset[:3]}:{offset[3:]}"
    scale = {"ct_per_kwh": 0.1, "eur_per_kwh": 0.001, "mct_per_kwh": 100.0}.get(unit, 1.0)
    at, rows = START, []
    for price, length in zip(prices, lengths, strict=False):
        value = "" if price is None else written.format(price * scale)
        rows.append(f"{stamp.format(at.astimezone(zone))}{offset},{value}{',x,1' if more else ''}")
        at += length
    text = mark + "\n".join([f"start,price_{unit}{more}", *rows, ""])
    event(f"{len(rows) == 1} {None in prices} {len(set(prices)) == 1}")
    assert filed_prices(text.encode(), Options(wanted="price"), currency="EUR") == _before(text)


def test_a_fixed_price_and_a_spike_stay_in_a_file_of_prices() -> None:
    """A forecast takes a flat line and an outlier for faults of a sensor; money does not."""
    values = [30.0] * 60 + [4000.0] + [30.5] * 59
    rows = [f"{START + place * HOUR:%Y-%m-%dT%H:%MZ};{value}" for place, value in enumerate(values)]
    told = _prices("\n".join(["time;EUR/MWh", *rows]))
    assert list(told.values()) == [round(value * 100) for value in values for _ in range(4)]


def test_a_file_of_a_spreadsheet_is_read_by_the_clock_of_its_zone() -> None:
    """Semicolons, decimal commas, the newest first, and the two hours of autumn told apart by their order."""
    first = datetime(2026, 10, 24, 22, tzinfo=UTC)
    berlin = [first + place * HOUR for place in range(25)]
    rows = [
        f"{at + timedelta(hours=2 if at.hour < 1 or at.day == 24 else 1):%d.%m.%Y %H:%M};{place},25"
        for place, at in enumerate(berlin)
    ]
    text = "\n".join(["Zeit;Preis [ct/kWh]", *reversed(rows)])
    told = _prices(text.encode("utf-16"), timezone="Europe/Berlin")
    assert list(told) == [first + place * QUARTER for place in range(100)]
    assert [told[at] for at in berlin] == [place * 1000 + 250 for place in range(25)]


def test_exports_of_exchanges_are_a_zones_prices() -> None:
    """ENTSO-E's table and Nord Pool's, hours of a day in the exchange's own clock."""
    entsoe = '"MTU (CET/CEST)","Area","Day-ahead Price (EUR/MWh)"\n' + "\n".join(
        f'"14/10/2026 {hour:02d}:00 - 14/10/2026 {hour + 1:02d}:00","BZN|BE","{hour}.5"' for hour in range(3)
    )
    assert list(_prices(entsoe).values()) == [50] * 4 + [150] * 4 + [250] * 4
    assert min(_prices(entsoe)) == datetime(2026, 10, 13, 22, tzinfo=UTC)
    two = entsoe + "\n" + "\n".join(line.replace("BE", "NL").replace(".5", ".75") for line in entsoe.split("\n")[1:])
    with pytest.raises(PriceFault, match=r"BZN\|BE, BZN\|NL may be meant; say which column"):
        _prices(two)
    assert list(_prices(two, column="BZN|NL").values())[:5] == [75] * 4 + [175]
    nord = "Date;Hours;SE3 (EUR/MWh);SE4 (EUR/MWh)\n13.10.2025;00 - 01;12,5;13\n13.10.2025;01 - 02;-1,5;14\n"
    assert list(_prices(nord, column="SE3 (EUR/MWh)").values()) == [1250] * 4 + [-150] * 4
    with pytest.raises(PriceFault, match="say which column"):
        _prices(nord)


@pytest.mark.parametrize(
    ("text", "currency", "said", "sentence"),
    [
        ("time,kWh\n2026-03-18T00:00Z,5\n", "EUR", {}, "names no unit of a price"),
        ("time,price\n2026-03-18T00:00Z,5\n", "EUR", {}, "names no unit"),
        ("time,EUR/MWh\n2026-03-18T00:00,5\n", "EUR", {}, r"line 2: '2026-03-18T00:00' names no time zone"),
        ("time,EUR/MWh\n2026-03-18T00:00Z,5\n", "SEK", {}, "'EUR/MWh', the zone's currency is SEK"),
        ("time,öre/kWh\n2026-03-18T00:00Z,5\n", "EUR", {}, "the zone's currency is EUR"),
        ("time,EUR/MWh\n2026-03-18T00:00Z,nan\n", "EUR", {}, "line 2: EUR/MWh 'nan' is no number"),
        ("time,EUR/MWh\n2026-03-18T00:00Z,5\n2026-03-18T01:00Z\n", "EUR", {}, "line 3: 1 column, fewer than 2"),
        (
            "time,EUR/MWh\n2026-03-18T00:00Z,5\nnoon,5\n2026-03-18T02:00Z,5\n2026-03-18T03:00Z,5\n",
            "EUR",
            {},
            "line 3: 'noon' is no instant",
        ),
        ("time,EUR/MWh\n2026-03-18T01:00Z,5\n2026-03-18T01:00Z,6\n", "EUR", {}, "line 3: two prices of"),
        ("start,price_eur_per_mwh\n2026-03-18T00:00Z,5,3\n2026-03-18T01:00Z,5,4\n", "EUR", {}, "commas decimals"),
        ("start,price_eur_per_mwh\n2026-03-18T00:00Z,5.1\n2026-03-18T01:00Z,5,4\n", "EUR", {}, "line 3 has 3 cells"),
        ("start,price_eur_per_mwh\n2026-03-18T00:00Z,57,3\n", "EUR", {}, "line 2 has 3 cells under 2 names"),
        ("time,EUR/MWh\n2026-03-18T00:00Z,50000\n", "EUR", {}, "outside -1000 to 10000"),
        ("time,EUR/MWh\n2026-03-29T02:30,5\n", "EUR", {"timezone": "Europe/Berlin"}, "the clock skips"),
        ("time,EUR/MWh\n2026-03-18T00:00,5\n", "EUR", {"timezone": "Europe/Atlantis"}, "no IANA time zone"),
        ("time,price\n2026-03-18T00:00Z,5\n", "EUR", {"unit": "furlong"}, "'furlong' is none of"),
        ("time,EUR/MWh\n2026-03-18T00:00Z,5\n", "EUR", {"column": "NO2"}, "no column 'NO2'"),
        ('{"data": {}}', "EUR", {}, "no list of records"),
    ],
)
def test_a_file_that_leaves_something_open_is_refused_with_what_to_say(
    text: str, currency: str, said: dict[str, str], sentence: str
) -> None:
    """No price is better than a wrong one."""
    with pytest.raises(PriceFault, match=sentence) as refused:
        _prices(text, currency, **said)
    assert "not used" in str(refused.value)


def test_a_unit_and_a_currency_are_what_the_zone_says() -> None:
    """Öre of Sweden, pence of Britain, and a column whose header names no unit."""
    rows = "\n2026-03-18T00:00Z,12.5\n"
    quarter = datetime(2026, 3, 18, tzinfo=UTC)
    assert _prices("time,öre/kWh" + rows, "SEK")[quarter] == 12_500
    assert _prices("time,p/kWh" + rows, "GBP")[quarter] == 12_500
    assert _prices("time,SEK/MWh" + rows, "SEK")[quarter] == 1250
    assert _prices("time,price" + rows, "SEK", unit="SEK/MWh")[quarter] == 1250
    assert _prices("time,price" + rows, "SEK", unit="ct/kWh")[quarter] == 12_500
    assert _prices("time,€/kWh\n2026-03-18T00:00Z,0.125\n")[quarter] == 12_500
