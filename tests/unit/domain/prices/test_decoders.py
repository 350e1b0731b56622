"""Prices: what each provider documents is read, what it does not is refused with a sentence."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from domain.prices.decode import answered_prices, filed_prices
from domain.prices.source import Provider
from domain.prices.steps import PriceFault, PriceStep, by_interval
from domain.series.columns import Options
from tests.support.cloud import price_answers as answers

START = datetime(2026, 3, 17, 23, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)

energy_charts = partial(answered_prices, provider=Provider.ENERGY_CHARTS)
awattar = partial(answered_prices, provider=Provider.AWATTAR)
tibber = partial(answered_prices, provider=Provider.TIBBER)
octopus = partial(answered_prices, provider=Provider.OCTOPUS)
entsoe = partial(answered_prices, provider=Provider.ENTSOE)


def price_file(text: str, currency: str = "EUR", **said: str) -> dict[datetime, int]:
    """Return the prices of a file by interval."""
    return by_interval(filed_prices(text.encode(), Options(wanted="price", **said), currency=currency))


def test_quarters_stay_quarters_and_an_hour_holds_in_four() -> None:
    """Retail prices by quarter of an hour are what owners pay by."""
    fine = by_interval(energy_charts(answers.energy_charts(START, [50.0, -12.34, 60.0, 70.01]), currency="EUR"))
    assert list(fine.values()) == [5000, -1234, 6000, 7001]
    coarse = by_interval(awattar(answers.awattar(START, [50.0, 60.5]), currency="EUR"))
    assert list(coarse.values()) == [5000] * 4 + [6050] * 4


def test_prices_per_kwh_and_in_pence_come_to_the_same_unit() -> None:
    """A factor of ten or a thousand would be traded on."""
    assert list(by_interval(tibber(answers.tibber(START, [0.1234, -0.01]), currency="EUR")).values()) == [12340, -1000]
    halves = by_interval(octopus(answers.octopus(START, [12.5, 40.0]), currency="GBP"))
    assert list(halves.values()) == [12500, 12500, 40000, 40000]


def test_entsoe_repeats_a_price_over_the_points_that_it_leaves_out() -> None:
    """Curve type A03 tells a point only where the price changes."""
    body = answers.entsoe(answers.entsoe_series(START, {1: 50.0, 4: 70.0}, count=6))
    assert list(by_interval(entsoe(body, currency="EUR")).values()) == [5000] * 3 + [7000] * 3


def test_entsoe_first_auction_counts_and_quarters_win_over_hours() -> None:
    """An area with two auctions publishes both in one document."""
    body = answers.entsoe(
        answers.entsoe_series(START, {1: 10.0}, count=1, resolution="PT60M"),
        answers.entsoe_series(START, {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0}, count=4, auction=1),
        answers.entsoe_series(START, {1: 99.0}, count=4, auction=2),
    )
    assert list(by_interval(entsoe(body, currency="EUR")).values()) == [100, 200, 300, 400]


def test_a_price_that_is_not_known_yet_is_left_out() -> None:
    """An empty cell is no price of zero."""
    told = by_interval(energy_charts(answers.energy_charts(START, [50.0, None, 70.0]), currency="EUR"))
    assert list(told) == [START, START + 2 * QUARTER]


def test_a_hole_between_quarters_is_no_price_of_the_quarter_before() -> None:
    """A step ends where the next one would begin."""
    body = answers.energy_charts(START, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    steps = energy_charts(
        body.replace(f"{int(START.timestamp()) + 2700}, ".encode(), b"", 1).replace(b"4.0, ", b"", 1), currency="EUR"
    )
    assert sorted(by_interval(steps)) == [START + number * QUARTER for number in (0, 1, 2, 4, 5)]


def test_a_file_names_its_unit_in_its_header() -> None:
    """A price per kWh read as one per MWh would look like a gift."""
    lines = "start,price_ct_per_kwh\n2026-03-18T00:00+01:00,5.0\n2026-03-18T01:00+01:00,\n2026-03-18T02:00+01:00,-1.5\n"
    told = price_file(lines)
    assert list(told.values()) == [5000] * 4 + [-1500] * 4
    with pytest.raises(PriceFault, match="names no unit"):
        price_file("start,price\n2026-03-18T00:00Z,5\n")
    with pytest.raises(PriceFault, match=r"line 2.*no time zone"):
        price_file("start,price_eur_per_mwh\n2026-03-18T00:00,5\n")


CUT: list[tuple[Callable[..., list[PriceStep]], bytes]] = [
    (energy_charts, answers.energy_charts(START, [50.0] * 96)[:700]),
    (awattar, answers.awattar(START, [50.0] * 24)[:900]),
    (tibber, answers.tibber(START, [0.1] * 96)[:900]),
    (entsoe, answers.entsoe(answers.entsoe_series(START, {1: 50.0}, count=96))[:500]),
]


@pytest.mark.parametrize(("decode", "body"), CUT)
def test_an_answer_cut_short_is_refused_whole(decode: Callable[..., list[PriceStep]], body: bytes) -> None:
    """Half a day of prices would make the rest look unpublished."""
    with pytest.raises(PriceFault, match="cut short"):
        decode(body, currency="EUR")


WRONG: list[tuple[Callable[..., list[PriceStep]], bytes, str]] = [
    (energy_charts, answers.energy_charts(START, [50.0], unit="EUR / kWh"), "expected EUR/MWh"),
    (energy_charts, answers.energy_charts(START, [float("nan")]), "no number"),
    (energy_charts, answers.energy_charts(START, [50_000.0]), "outside"),
    (energy_charts, b'{"unit": "EUR/MWh", "unix_seconds": [1], "price": []}', "one length"),
    (energy_charts, b'{"unit": "EUR/MWh", "unix_seconds": [1e30], "price": [1]}', "no instant"),
    (awattar, answers.awattar(START, [50.0], unit="ct/kWh"), "expected EUR/MWh"),
    (awattar, b"[]", "no list of records"),
    (awattar, answers.energy_charts(START, [50.0]), "it is Energy-Charts, no answer of aWATTar"),
    (tibber, answers.tibber(START, [0.1], currency="SEK"), "expected EUR"),
    (tibber, b'{"errors": [{"message": "invalid token"}]}', "invalid token"),
    (tibber, b'{"data": {"viewer": {"homes": []}}}', "subscription"),
    (octopus, answers.octopus(START, [12.0]), "the zone's currency is EUR"),
    (entsoe, answers.ENTSOE_NOTHING, "No matching data"),
    (entsoe, answers.entsoe(answers.entsoe_series(START, {1: 5.0}, count=4, currency="PLN")), "expected EUR/MWh"),
    (entsoe, b'<!DOCTYPE a [<!ENTITY b "c">]><a/>', "entities"),
    (entsoe, b"<html/>", "web page"),
    (entsoe, b"<GL_MarketDocument/>", "no Green Button"),
]


@pytest.mark.parametrize(("decode", "body", "sentence"), WRONG)
def test_what_is_not_documented_is_refused_with_a_sentence(
    decode: Callable[..., list[PriceStep]], body: bytes, sentence: str
) -> None:
    """A provider changes its unit on some day; nobody may trade on that."""
    with pytest.raises(PriceFault, match=sentence):
        decode(body, currency="EUR")


def test_two_prices_of_one_quarter_are_refused() -> None:
    """Neither could be told to be the right one."""
    step = PriceStep(start=START, end=START + HOUR, price_mct_per_kwh=1)
    with pytest.raises(PriceFault, match="two prices"):
        by_interval([step, PriceStep(start=START + QUARTER, end=START + HOUR, price_mct_per_kwh=2)])
