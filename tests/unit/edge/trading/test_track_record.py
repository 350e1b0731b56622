"""Who serves a site its forecast: whoever did best there, for load and generation apart."""

import json
from datetime import UTC, datetime

import pytest

from contracts.units import DELIVERY_INTERVAL
from edge.trading.model import ForecastSource, IntervalEnergy, SiteForecast
from edge.trading.track_record import JUDGED, TrackRecord

T0 = datetime(2026, 3, 2, tzinfo=UTC)
CAME = IntervalEnergy(load_wh=500.0, pv_wh=-300.0)


def _record(off_wh: dict[ForecastSource, tuple[int, int]], *, quarters: int) -> TrackRecord:
    """Return what is known of sources that were off by so much in load and generation, in every quarter."""
    record = TrackRecord()
    for number in range(quarters):
        start = T0 + number * DELIVERY_INTERVAL
        for source, (load_wh, pv_wh) in off_wh.items():
            told = SiteForecast(start=start, load_wh=500 + load_wh, pv_wh=-300 + pv_wh, source=source)
            record.told(source, told)
        record.judge(start, CAME)
    return record


OFF = {
    ForecastSource.BROADCAST: (100, 50),
    ForecastSource.OWN: (20, 50),
    ForecastSource.BLEND: (60, 10),
}


def test_each_quantity_is_served_by_who_told_it_best() -> None:
    """A home whose yesterday tells its sun better than the own model keeps the own model for its load."""
    ranking = _record(OFF, quarters=7 * 96).ranking
    assert ranking.load[0] is ForecastSource.OWN
    assert ranking.pv[0] is ForecastSource.BLEND


def test_yesterday_serves_nothing_before_a_week_was_judged() -> None:
    """On a Friday it is the best of all, and its Saturday is a working day."""
    off = {**OFF, ForecastSource.BLEND: (0, 0)}
    ranking = _record(off, quarters=7 * 96 - 1).ranking
    assert ranking.load == (ForecastSource.OWN, ForecastSource.BROADCAST, ForecastSource.BLEND)
    assert ranking.pv == JUDGED
    assert _record(off, quarters=7 * 96).ranking.load[0] is ForecastSource.BLEND


@pytest.mark.parametrize("quarters", [0, 95])
def test_before_a_day_was_judged_the_order_is_the_natural_one(quarters: int) -> None:
    """A morning of luck decides nothing."""
    ranking = _record(OFF, quarters=quarters).ranking
    assert ranking.load == ranking.pv == JUDGED


def test_a_little_better_is_not_enough_and_noise_within_hours_is_not_counted() -> None:
    """What is too much in one quarter and too little in the next is the same energy."""
    record = TrackRecord()
    for number in range(7 * 96):
        start = T0 + number * DELIVERY_INTERVAL
        wave = 200 if number % 2 else -200
        for source, off_wh in ((ForecastSource.BROADCAST, 100), (ForecastSource.OWN, 95), (ForecastSource.BLEND, wave)):
            record.told(source, SiteForecast(start=start, load_wh=500 + off_wh, pv_wh=-300, source=source))
        record.judge(start, CAME)
    assert record.ranking.load == (ForecastSource.BLEND, ForecastSource.BROADCAST, ForecastSource.OWN)


def test_a_source_that_told_only_half_of_a_span_is_not_judged_by_it() -> None:
    """A link that was down for hours makes no record, good or bad."""
    record = TrackRecord()
    for number in range(96):
        start = T0 + number * DELIVERY_INTERVAL
        record.told(ForecastSource.OWN, SiteForecast(start=start, load_wh=700, pv_wh=-300, source=ForecastSource.OWN))
        if number % 24 >= 12:
            source = ForecastSource.BROADCAST
            record.told(source, SiteForecast(start=start, load_wh=500, pv_wh=-300, source=source))
        record.judge(start, CAME)
    assert record.ranking.load[0] is ForecastSource.OWN


def test_a_record_goes_on_from_what_was_kept_of_it() -> None:
    """A gateway that starts again each night would otherwise never have judged anybody for a week."""
    for quarters in (7 * 96 - 24, 7 * 96):
        record = _record(OFF, quarters=quarters)
        again = TrackRecord(json.loads(json.dumps(record.kept)))
        assert again.ranking == record.ranking
        assert again.kept == record.kept
    assert _record(OFF, quarters=7 * 96).ranking != TrackRecord().ranking
