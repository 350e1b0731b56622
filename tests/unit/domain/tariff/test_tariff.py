"""Tariffs as series: seasons, days and hours, the market, tax, bounds, and what the highest power costs."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import tariffs
from domain.tariff.model import FeedInCap, Tariff, Values, flat
from domain.tariff.peak import peak_cost, peaks_kw
from domain.tariff.price import SpotMissing, local_day, price_at, prices
from domain.tariff.read import BadTariff, read_tariff, tariff_of


def ready(name: str) -> Tariff:
    """Return a ready tariff."""
    text = tariffs.text(name)
    assert text is not None
    return read_tariff(text, where=name)


def made(**changes: Any) -> Tariff:
    """Return a small tariff in ct/kWh."""
    plain = {
        "name": "t",
        "title": "t",
        "time_zone": "Europe/Berlin",
        "unit": "ct/kWh",
        "sources": ["test"],
        "import": {"parts": [{"name": "p", "fixed": 10}]},
    }
    return tariff_of(plain | changes, where="t")


def import_at(tariff: Tariff, *when: int, **more: Any) -> int:
    """Return the import price at a UTC instant."""
    return price_at(tariff, datetime(*when, tzinfo=UTC), **more).import_mct_per_kwh  # type: ignore[misc,arg-type]


@pytest.mark.parametrize("name", tariffs.names())
def test_every_ready_tariff_is_valid_sourced_and_prices_a_year(name: str) -> None:
    """A file that nobody could read would be found by its first customer."""
    tariff = ready(name)
    assert tariff.name == name
    assert tariff.sources
    begin, end = local_day(tariff, date(2026, 1, 1))[0], local_day(tariff, date(2027, 1, 1))[0]
    for at in (begin + timedelta(hours=hours) for hours in range(0, int((end - begin).total_seconds() // 3600), 7)):
        point = price_at(tariff, at, spot=-1234)
        assert -100_000 < point.export_mct_per_kwh <= 200_000
        assert 0 < point.import_mct_per_kwh + 10_000 < 400_000


def test_the_schema_is_the_models() -> None:
    """An editor that checks a file by the schema says what ``sitewatt tariff check`` says."""
    stored = json.loads(files("tariffs").joinpath("schema.json").read_text(encoding="utf-8"))
    made = json.loads(json.dumps(Tariff.model_json_schema(by_alias=True)))
    assert stored == _without_number_patterns(made)


def _without_number_patterns(schema: Any) -> Any:
    """Return a schema without the pattern of a number's text, which pydantic 2.12 writes and later ones do not."""
    if isinstance(schema, dict):
        return {
            key: _without_number_patterns(value)
            for key, value in schema.items()
            if not (key == "pattern" and "[+-]?0*" in value)
        }
    return [_without_number_patterns(part) for part in schema] if isinstance(schema, list) else schema


def test_seasons_weekdays_and_holidays_decide_the_period() -> None:
    """Spain's weekends and holidays are valley hours; a workday's evening is not."""
    tariff = ready("es-2.0td")
    peak, valley = 28_744, 15_135
    assert import_at(tariff, 2026, 11, 30, 18) == peak
    assert import_at(tariff, 2026, 11, 29, 18) == valley
    assert import_at(tariff, 2026, 12, 8, 18, is_holiday=lambda day: day == date(2026, 12, 8)) == valley
    winter = ready("de-14a-module-3")
    assert import_at(winter, 2026, 1, 5, 16) > import_at(winter, 2026, 1, 5, 12) > import_at(winter, 2026, 1, 5, 2)
    assert import_at(winter, 2026, 7, 6, 15) == import_at(winter, 2026, 7, 6, 2) == import_at(winter, 2026, 1, 5, 12)
    danish = ready("dk-tariff-model-3")
    bands = [import_at(danish, 2026, month, 5, hour, spot=0) for month, hour in ((1, 17), (7, 16), (1, 12), (7, 3))]
    assert bands == sorted(bands, reverse=True)


def test_a_period_over_midnight_belongs_to_the_day_it_began() -> None:
    """Friday's night rate holds until Saturday morning, not from Friday morning."""
    night = {"price": 2, "days": ["fri"], "from": "22:00", "to": "06:00"}
    part = {"name": "p", "time_of_use": {"default": 9, "periods": [night]}}
    tariff = made(**{"import": {"parts": [part]}})
    assert import_at(tariff, 2026, 11, 27, 22) == 2000
    assert import_at(tariff, 2026, 11, 28, 3) == 2000
    assert import_at(tariff, 2026, 11, 27, 3) == 9000
    assert import_at(tariff, 2026, 11, 28, 22) == 9000


@pytest.mark.parametrize(("day", "count"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (date(2026, 6, 1), 96)])
def test_a_local_day_has_all_its_intervals(day: date, count: int) -> None:
    """The clock changes; no quarter of an hour is missing or there twice."""
    tariff = ready("de-14a-module-3")
    begin, end = local_day(tariff, day)
    points = prices(tariff, start=begin, end=end)
    assert len({point.start for point in points}) == len(points) == count


def test_the_market_price_with_factor_adder_tax_and_a_part_without_tax() -> None:
    """What a dynamic tariff costs can be reckoned by hand, below zero too."""
    parts = [{"name": "spot", "dynamic": {"factor": "1.1", "adder": 2}}, {"name": "levy", "fixed": 1, "vat": False}]
    tariff = made(**{"import": {"parts": parts, "vat_percent": 20}})
    assert import_at(tariff, 2026, 1, 1, spot=10_000) == (11_000 + 2_000) * 12 // 10 + 1_000
    assert import_at(tariff, 2026, 1, 1, spot=-10_000) == (-11_000 + 2_000) * 12 // 10 + 1_000
    with pytest.raises(SpotMissing, match="no price at 2026-01-01"):
        import_at(tariff, 2026, 1, 1)


def test_feed_in_earns_nothing_at_negative_prices_and_is_capped() -> None:
    """New German plants get nothing while the market's price is negative, and feed in at most 60 percent."""
    tariff = ready("de-dynamic")
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert price_at(tariff, at, spot=-1).export_mct_per_kwh == 0
    assert price_at(tariff, at, spot=0).export_mct_per_kwh == 7_940
    assert tariff.feed_in_cap is not None
    assert tariff.feed_in_cap.limit_w(10_000) == 6_000
    assert tariff.feed_in_cap.limit_w(0) is None, "a share of a peak that nobody told"
    watts = FeedInCap(power_w=12_000)
    assert [watts.limit_w(peak_w) for peak_w in (0, 10_000)] == [12_000, 12_000], "batteries feed in too"
    assert FeedInCap(percent_of_peak=Decimal(60), power_w=5_000).limit_w(10_000) == 5_000
    bounded = made(export={"parts": [{"name": "spot", "dynamic": {}}], "price_min": 0, "price_max": 5})
    assert [price_at(bounded, at, spot=spot).export_mct_per_kwh for spot in (-9, 9_000, 4_000)] == [0, 5_000, 4_000]


@pytest.mark.parametrize(
    ("unit", "number"), [("ct/kWh", "12.3"), ("EUR/MWh", 123), ("EUR/kWh", "0.123"), ("mct/kWh", 12300)]
)
def test_a_price_is_the_same_in_every_unit(unit: str, number: Any) -> None:
    """The unit is named; a factor of ten or a thousand is no guess."""
    assert import_at(made(unit=unit, **{"import": {"parts": [{"name": "p", "fixed": number}]}}), 2026, 1, 1) == 12_300


@given(imports=st.integers(-50_000, 400_000), exports=st.integers(-50_000, 400_000), hours=st.integers(0, 9000))
def test_the_short_form_is_its_two_numbers_at_all_times(imports: int, exports: int, hours: int) -> None:
    """Two flat numbers in a configuration stay what they were."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    text = yaml.safe_dump({"import_mct_per_kwh": imports, "export_mct_per_kwh": exports})
    for tariff in (flat(import_mct_per_kwh=imports, export_mct_per_kwh=exports), read_tariff(text, where="f")):
        point = price_at(tariff, at)
        assert (point.import_mct_per_kwh, point.export_mct_per_kwh) == (imports, exports)


def test_the_belgian_peak_is_the_mean_of_months_and_at_least_two_and_a_half_kilowatts() -> None:
    """A quarter of an hour at 10 kW is paid for a year; a month at rest counts 2.5 kW."""
    tariff = ready("be-flanders-capacity")
    energy = {
        datetime(2026, 1, 5, 12, tzinfo=UTC): 2_500,
        datetime(2026, 1, 5, 13, tzinfo=UTC): 500,
        datetime(2026, 2, 5, 12, tzinfo=UTC): 100,
    }
    assert peaks_kw(tariff, energy) == {date(2026, 1, 1): Decimal(10), date(2026, 2, 1): Decimal("6.25")}
    assert peak_cost(tariff, energy)[date(2026, 1, 1)] == Decimal(10) * Decimal("4.363992")
    assert price_at(tariff, datetime(2026, 5, 5, 12, tzinfo=UTC)).import_mct_per_kwh == 31_110, "the card's five parts"


def test_a_peak_of_different_days_takes_hours_of_three_and_half_at_night() -> None:
    """Two high hours of one evening are one; the night weighs half."""
    night = {"when": {"from": "06:00", "to": "22:00"}, "weight_outside": 0.5}
    days = {"price_per_kw": 65, "interval_min": 60, "highest": 3, "different_days": True}
    tariff = made(time_zone="Europe/Stockholm", peak={**days, **night})
    energy = {
        datetime(2026, 1, day, hour, minute, tzinfo=UTC): wh
        for day, hour, wh in ((5, 17, 1_500), (5, 18, 1_400), (6, 17, 1_000), (7, 23, 1_800))
        for minute in (0, 15, 30, 45)
    }
    assert peaks_kw(tariff, energy) == {date(2026, 1, 1): (Decimal(6) + Decimal(4) + Decimal("3.6")) / 3}
    assert peaks_kw(made(), energy) == peak_cost(made(), energy) == {}


def _hours(*spans: tuple[int, int, int, int]) -> dict[datetime, int]:
    """Return whole hours of power: month, day, hour and the Wh of each of its quarters."""
    return {
        datetime(2026, month, day, hour, minute, tzinfo=UTC): wh
        for month, day, hour, wh in spans
        for minute in (0, 15, 30, 45)
    }


def test_the_swedish_power_is_dearer_in_winter_and_free_outside_its_hours() -> None:
    """A published price sheet: 111.50 a kW in winter, 55.75 in summer, workdays from 7 to 19, nothing at night."""
    tariff = ready("se-power-tariff")
    energy = _hours((1, 7, 10, 1_500), (1, 7, 22, 9_000), (1, 10, 10, 9_000), (7, 7, 10, 1_500))
    # One hour at 6 kW, the others of the three highest at nothing.
    assert peaks_kw(tariff, energy)[date(2026, 7, 1)] == Decimal(6)
    winter, summer = peak_cost(tariff, energy)[date(2026, 1, 1)], peak_cost(tariff, energy)[date(2026, 7, 1)]
    assert (winter, summer) == (Decimal(6) / 3 * Decimal("111.50"), Decimal(6) * Decimal("55.75"))


def test_the_norwegian_power_costs_by_steps() -> None:
    """The mean of three days' highest hours says which step is paid, whole."""
    tariff = ready("no-day-night")
    energy = _hours((4, 1, 10, 1_000), (4, 2, 10, 1_500), (4, 3, 10, 1_250), (4, 3, 12, 1_200), (5, 1, 10, 400))
    assert peaks_kw(tariff, energy) == {date(2026, 4, 1): Decimal(5), date(2026, 5, 1): Decimal("1.6")}
    assert peak_cost(tariff, energy) == {date(2026, 4, 1): Decimal(335), date(2026, 5, 1): Decimal(155)}
    with pytest.raises(BadTariff, match="steps of a peak rise"):
        made(peak={"steps": [{"kw_below": 5, "price": 1}, {"kw_below": 2, "price": 2}, {"price": 3}]})


def test_the_british_price_is_the_markets_times_a_factor_and_capped() -> None:
    """The supplier's own example: 2.2 times the market's price, 12 pence more from 16 to 19, never above the cap."""
    tariff = ready("gb-agile")
    assert import_at(tariff, 2026, 1, 5, 12, spot=10_000) == 22_000 * 105 // 100
    assert import_at(tariff, 2026, 1, 5, 16, spot=10_000) == 34_000 * 105 // 100
    assert import_at(tariff, 2026, 7, 6, 15, spot=10_000) == 34_000 * 105 // 100, "British summer time"
    assert import_at(tariff, 2026, 1, 5, 16, spot=90_000) == 78_000
    assert import_at(tariff, 2026, 1, 5, 12, spot=-5_000) < 0


def test_published_numbers_are_those_of_their_sheets() -> None:
    """What a German and a Danish customer pays can be reckoned from the sheets that the files name."""
    german = ready("de-14a-module-3")
    parts = Decimal("16.04") + Decimal("10.84") + Decimal("2.651") + Decimal("1.67") + Decimal("2.05")
    assert import_at(german, 2026, 1, 5, 16) == round(parts * Decimal("1.19") * 1000)
    danish = ready("dk-tariff-model-3")
    assert import_at(danish, 2026, 1, 5, 16, spot=0) == 98_840 + (11_500 + 800) * 125 // 100
    published = {name for name in tariffs.names() if ready(name).values is Values.PUBLISHED}
    assert published == set(tariffs.names()) - {"flat"}, "its two numbers are a form, nobody's prices"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"time_zone": "Berlin"}, "no IANA time zone"),
        ({"time_zone": "Europe"}, "no IANA time zone"),
        ({"time_zone": "x" * 300}, "no IANA time zone"),
        ({"unit": "ct"}, "unit"),
        ({"sources": []}, "sources"),
        ({"import": {"parts": [{"name": "p"}]}}, "one of the three is needed"),
        ({"import": {"parts": [{"name": "p", "fixed": 1, "dynamic": {}}]}}, "one of the three is needed"),
        ({"peak": {"price_per_kw": 1, "interval_min": 10}}, "not 15, 30 or 60"),
        ({"exports": {}}, "exports"),
        ({"colour": 1}, "colour"),
    ],
)
def test_what_is_no_tariff_is_refused_by_name(change: dict[str, Any], word: str) -> None:
    """One sentence says what to change."""
    with pytest.raises(BadTariff, match=word):
        made(**change)
    with pytest.raises(BadTariff, match="is not YAML"):
        read_tariff("a: [", where="file")
    with pytest.raises(BadTariff, match="not a tariff's fields"):
        read_tariff("- 1", where="file")
