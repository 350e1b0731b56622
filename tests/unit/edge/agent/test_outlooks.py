"""The gateway's own forecast: from its history file to the plan, and who serves what both it and the cloud tell."""

import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
from pydantic import ValidationError

from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.units import DELIVERY_INTERVAL, ClockTrust, epoch_ms
from domain.calendar.zone_place import place_of_zone
from edge.agent.held_back import HeldBack
from edge.agent.outlooks import OWN_EVERY, Outlooks
from edge.agent.own_history import place_of, read_own
from edge.agent.trader import Trader
from edge.config import PlaneSection, SiteConfig
from edge.control.model import Measured
from edge.loop.readings import BATTERY_POWER, POWER, PV_POWER, SOC
from edge.loop.seen import CycleSeen
from edge.outbox.outbox import Outbox
from edge.state_store import VolatileStateStore
from edge.telemetry.history_file import FILE, HistoryFile, Row
from edge.trading.model import ForecastSource, IntervalEnergy
from edge.trading.plan.scenarios import SCENARIOS
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import SITE, config, reading

FRIDAY = datetime(2026, 3, 20, 16, 0, tzinfo=UTC)
WORKS_W, REST_W = 6_000.0, 1_000.0


def _load_w(at: datetime) -> float:
    """Return the load of works that run from eight to sixteen on working days."""
    return WORKS_W if at.weekday() < 5 and 8 <= at.hour < 16 else REST_W


def _keep_history(folder: Path, *, until: datetime, days: int, without: str = "") -> None:
    """Write what a gateway would have kept: a battery that charged 500 W and a sun of 2 kW at noon, beside the load."""
    rows = []
    for step in range(days * 96):
        at = until - (step + 1) * DELIVERY_INTERVAL
        pv_w = -2_000.0 if at.hour == 12 else 0.0
        values = {f"meter/{POWER}": _load_w(at) + pv_w + 500.0, f"inverter/{PV_POWER}": pv_w}
        values |= {f"inverter/{BATTERY_POWER}": 500.0, f"inverter/{POWER}": pv_w + 500.0}
        values.pop(without, None)
        rows.append(Row(step_s=900, start_s=epoch_ms(at) // 1000, cycles=900, values=values))
    file = HistoryFile(folder / FILE, now_ms=epoch_ms(until))
    file.write(rows)
    file.close()


def _config(folder: Path, **site: object) -> SiteConfig:
    told = {"id": SITE, "zone": "zone-1", "agent": "consumer", **site}
    return config(site=told, trading={"enabled": True}, state_dir=str(folder))


def _cloud(issued_at: datetime, *, load_w: int, steps: int = 40) -> ForecastBroadcast:
    values = (load_w,) * steps
    series = tuple(
        ForecastSeries(kind=kind, site=SITE, start=issued_at, p10=told, p50=told, p90=told)
        for kind, told in ((ForecastKind.LOAD, values), (ForecastKind.PV, (0,) * steps))
    )
    return ForecastBroadcast(zone="zone-1", issued_at=issued_at, series=series)


def test_load_is_what_the_meter_shows_without_sun_and_battery(tmp_path: Path) -> None:
    """The house's use is metered nowhere; a quarter in which a device was silent is a gap and not a guess."""
    first = FRIDAY - timedelta(days=20)
    _keep_history(tmp_path, until=FRIDAY, days=15)
    load, pv = read_own(_config(tmp_path), first=first, until=FRIDAY)
    assert pv is not None and (load.start, len(load.values), load.end) == (first, 20 * 96, FRIDAY)
    told = {
        at: load.values[(at - first) // DELIVERY_INTERVAL] for at in (FRIDAY - timedelta(hours=h) for h in (1, 4, 9))
    }
    assert told == {at: _load_w(at) for at in told}
    assert pv.values[(FRIDAY - timedelta(hours=4) - first) // DELIVERY_INTERVAL] == -2_000
    assert load.values[0] != load.values[0], "before the first day nothing is known"
    _keep_history(tmp_path, until=FRIDAY, days=15, without=f"inverter/{BATTERY_POWER}")
    silent, _ = read_own(_config(tmp_path), first=first, until=FRIDAY)
    assert not (silent.values == silent.values).any()


def test_quarters_in_which_generation_was_held_back_teach_no_sun(tmp_path: Path) -> None:
    """A noon that was cut to nothing for a negative price would be forecast as a dark one."""
    noon = FRIDAY - timedelta(hours=4)
    _keep_history(tmp_path, until=FRIDAY, days=2)
    load, pv = read_own(_config(tmp_path), first=FRIDAY - timedelta(days=2), until=FRIDAY, held_back=frozenset({noon}))
    assert pv is not None
    index = (noon - pv.start) // DELIVERY_INTERVAL
    assert load.values[index] == WORKS_W
    assert pv.values[index] != pv.values[index] and pv.values[index + 1] == -2_000


def test_a_quarter_is_held_back_where_a_limit_was_reached_for_a_while_and_is_remembered(tmp_path: Path) -> None:
    """A limit far above the sun holds nothing back; a restart forgets none."""
    clock = ManualClock(FRIDAY)
    path = tmp_path / "journal.db"
    with closing(Outbox.open(path, site=SITE, clock=clock)) as outbox:
        held_back = HeldBack(outbox)
        for limit_w, quarter in ((5_000.0, FRIDAY), (1_950.0, FRIDAY + DELIVERY_INTERVAL), (None, FRIDAY)):
            for _ in range(100):
                held_back.saw(_limited(clock, limit_w), 1.0)
            assert held_back.close(quarter) is (limit_w == 1_950.0)
    with closing(Outbox.open(path, site=SITE, clock=clock)) as outbox:
        assert HeldBack(outbox).quarters == {FRIDAY + DELIVERY_INTERVAL}


def _limited(clock: ManualClock, limit_w: float | None) -> CycleSeen:
    """Return a cycle that limits an inverter which gives 1,950 W."""
    return CycleSeen(
        number=1,
        taken_s=clock.monotonic(),
        connection_power=Measured(),
        readings={"inverter": {PV_POWER: reading(-1_950.0, at_s=clock.monotonic())}},
        generation_limits_w={} if limit_w is None else {"inverter": limit_w},
    )


def test_wall_clock_and_holidays_are_those_of_the_tariff(tmp_path: Path) -> None:
    """Weekdays begin at the site's midnight; without a tariff the sun's time is near enough."""
    priced = config(trading={"enabled": True, "tariff": "de-14a-module-3"})
    assert place_of(priced).clock == ZoneInfo("Europe/Berlin")
    west = place_of(_config(tmp_path, latitude_deg=40, longitude_deg=-105))
    assert (west.clock, west.latitude_deg, west.pv_peak_w) == (timezone(timedelta(hours=-7)), 40, 5_000)
    assert place_of(_config(tmp_path, time_zone="America/Denver")).clock == ZoneInfo("America/Denver")


def test_panels_count_as_they_look_where_all_of_them_are_told(tmp_path: Path) -> None:
    """A roof to the west earns in the evening; half a truth about two roofs would be worse than none."""
    told = _config(tmp_path)
    meter, inverter = told.devices
    planes = (PlaneSection(tilt_deg=20, azimuth_deg=270, peak_w=5_000),)
    west = inverter.model_copy(update={"pv_planes": planes})
    known = place_of(told.model_copy(update={"devices": (meter, west)}))
    assert [(plane.azimuth_deg, plane.peak_w) for plane in known.planes] == [(270, 5_000)]
    other = inverter.model_copy(update={"id": "second"})
    assert place_of(told.model_copy(update={"devices": (meter, west, other)})).planes == ()


def test_holidays_that_the_site_names_come_before_those_of_the_tariff(tmp_path: Path) -> None:
    """A works in Bavaria rests on Epiphany, whatever its tariff says; without either every day is what it is."""
    epiphany = date(2026, 1, 6)
    named = place_of(_config(tmp_path, holidays="DE-BY")).holidays
    assert named is not None and epiphany in named and date(2026, 10, 3) in named
    assert place_of(_config(tmp_path)).holidays is None
    with pytest.raises(ValidationError, match="no holidays are known of 'DE-XX'"):
        _config(tmp_path, holidays="DE-XX")


async def test_works_without_a_cloud_expect_their_rest_on_saturday(tmp_path: Path) -> None:
    """Yesterday was a Friday: only the gateway's own history knows that tomorrow is another kind of day."""
    _keep_history(tmp_path, until=FRIDAY, days=60)
    clock = ManualClock(FRIDAY)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = Trader(
            config=_config(tmp_path),
            clock=clock,
            outbox=outbox,
            clock_trust=lambda: ClockTrust.SYNCED,
        )
        await trader.replan()
        assert trader.plan is not None
        intervals = trader.plan.problem.intervals
        assert intervals[-1].end - FRIDAY >= timedelta(hours=47)
        noon = next(each for each in intervals if each.start == FRIDAY + timedelta(hours=18))
        assert noon.load_wh / noon.hours == pytest.approx(REST_W, abs=300)


async def test_the_own_outlook_goes_on_where_the_clouds_ends(tmp_path: Path) -> None:
    """The cloud tells ten hours, a plan needs two days."""
    _keep_history(tmp_path, until=FRIDAY, days=30)
    outlooks, settings = Outlooks(VolatileStateStore()), _config(tmp_path)
    outlooks.cloud = _cloud(FRIDAY, load_w=3_000)
    await outlooks.refresh(settings, FRIDAY)
    starts = [FRIDAY + step * DELIVERY_INTERVAL for step in range(96)]
    told = outlooks.over(starts, settings, history={}, now=FRIDAY)
    assert [each.source for each in told] == [ForecastSource.BROADCAST] * 40 + [ForecastSource.OWN] * 56
    assert told[0].load_wh == 750


@pytest.mark.parametrize(("cloud_w", "first"), [(5_000, ForecastSource.OWN), (1_000, ForecastSource.BROADCAST)])
async def test_who_was_better_on_this_site_serves_what_both_tell(
    tmp_path: Path, cloud_w: int, first: ForecastSource
) -> None:
    """A registry that knows a wrong load, or none, must not cost the site its own knowledge for ever."""
    _keep_history(tmp_path, until=FRIDAY, days=30)
    memory, settings = VolatileStateStore(), _config(tmp_path)
    outlooks = Outlooks(memory)
    history: dict[datetime, IntervalEnergy] = {}
    now = FRIDAY
    for _ in range(130):
        outlooks.cloud = _cloud(now, load_w=cloud_w)
        if outlooks.own is None:
            await outlooks.refresh(settings, now)
            assert outlooks.own is not None
        outlooks.own = outlooks.own.model_copy(update={"issued_at": now})
        outlooks.over([now], settings, history=history, now=now)
        outlooks.happened(now, IntervalEnergy(load_wh=REST_W / 4, pv_wh=0.0))
        now += DELIVERY_INTERVAL
    assert outlooks.own is not None
    outlooks.cloud = _cloud(now, load_w=cloud_w)
    (told,) = outlooks.over([now], settings, history=history, now=now)
    assert told.source is first
    restarted = Outlooks(memory)
    restarted.cloud, restarted.own = outlooks.cloud, outlooks.own.model_copy(update={"issued_at": now})
    (told,) = restarted.over([now], settings, history=history, now=now)
    assert told.source is first, "a restart is no reason to trust again who was wrong for weeks"


async def test_the_own_outlook_is_made_once_an_hour(tmp_path: Path) -> None:
    """It costs a second of a small board's time."""
    _keep_history(tmp_path, until=FRIDAY, days=9)
    outlooks, settings = Outlooks(VolatileStateStore()), _config(tmp_path)
    await outlooks.refresh(settings, FRIDAY)
    issued = outlooks.own
    await outlooks.refresh(settings, FRIDAY + OWN_EVERY / 2)
    assert outlooks.own is issued is not None
    await outlooks.refresh(settings, FRIDAY + OWN_EVERY)
    assert outlooks.own is not issued


async def test_on_its_first_evening_a_site_expects_the_sun_of_its_place(tmp_path: Path) -> None:
    """A new battery was filled from the grid for a day on which its panels were thought to give nothing."""
    HistoryFile(tmp_path / FILE, now_ms=epoch_ms(FRIDAY)).close()
    evening = FRIDAY + timedelta(hours=4)
    outlooks, settings = Outlooks(VolatileStateStore()), _config(tmp_path, latitude_deg=48.1, longitude_deg=11.6)
    await outlooks.refresh(settings, evening)
    assert outlooks.own is not None
    assert [series.kind for series in outlooks.own.series] == [ForecastKind.PV]
    last_quarter = {evening - DELIVERY_INTERVAL: IntervalEnergy(load_wh=250, pv_wh=0)}
    noon = evening + timedelta(hours=15)
    (told,) = outlooks.over([noon], settings, history=last_quarter, now=evening)
    assert told.pv_wh < -250, "a generator of 5 kW at noon in March"
    assert told.load_wh == 250, "of the load nothing is known but the last quarter"

    quarter = {f"meter/{POWER}": 800.0, f"inverter/{PV_POWER}": 0.0, f"inverter/{BATTERY_POWER}": 0.0}
    file = HistoryFile(tmp_path / FILE, now_ms=epoch_ms(evening))
    file.write([Row(step_s=900, start_s=epoch_ms(evening) // 1000, cycles=900, values=quarter)])
    file.close()
    await outlooks.refresh(settings, evening + DELIVERY_INTERVAL)
    assert {series.kind for series in outlooks.own.series} == {ForecastKind.PV, ForecastKind.LOAD}


async def test_a_gateway_without_history_or_numpy_goes_on_without_an_own_outlook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A first start, a damaged card and a 32-bit board all end in the simpler forecast, and each says so once."""
    caplog.set_level("INFO")
    outlooks, settings = Outlooks(VolatileStateStore()), _config(tmp_path)
    await outlooks.refresh(settings, FRIDAY)
    await outlooks.refresh(settings, FRIDAY)
    assert outlooks.own is None
    assert len(caplog.records) == 1
    _keep_history(tmp_path, until=FRIDAY, days=9)
    monkeypatch.setitem(sys.modules, "edge.agent.own_history", None)
    await outlooks.refresh(settings, FRIDAY)
    assert outlooks.own is None
    assert [record.__dict__["reason"] for record in caplog.records][1:] == ["numpy is not installed"]
    past = {FRIDAY - DELIVERY_INTERVAL: IntervalEnergy(load_wh=100, pv_wh=0)}
    (told,) = outlooks.over([FRIDAY], settings, history=past, now=FRIDAY)
    assert (told.load_wh, told.source) == (100, ForecastSource.LEVEL)


async def test_the_plan_is_made_under_scenarios_of_the_sites_own_weeks(tmp_path: Path) -> None:
    """What past days differed by stands beside the forecast; a quarter with a silent device is no example."""
    _keep_history(tmp_path, until=FRIDAY, days=40)
    outlooks, settings = Outlooks(VolatileStateStore()), _config(tmp_path)
    await outlooks.refresh(settings, FRIDAY)
    past = outlooks.past
    assert len(past.energies) == 28 * 96
    assert past.energies[FRIDAY - timedelta(hours=4)] == IntervalEnergy(load_wh=WORKS_W / 4, pv_wh=-500.0)
    held_back = frozenset({FRIDAY - timedelta(hours=4)})
    again = Outlooks(VolatileStateStore())
    await again.refresh(settings, FRIDAY, held_back=held_back)
    assert set(past.energies) - set(again.past.energies) == held_back
    clock = ManualClock(FRIDAY)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = Trader(config=settings, clock=clock, outbox=outbox, clock_trust=lambda: ClockTrust.SYNCED)
        cycle = CycleSeen(
            number=1,
            taken_s=clock.monotonic(),
            connection_power=Measured(),
            readings={"meter": {}, "inverter": {SOC: reading(50.0, at_s=clock.monotonic())}},
        )
        trader.finished(cycle)
        await trader.replan()
        assert trader.plan is not None and trader.plan.problem.stores
        assert len(trader.plan.problem.scenarios) == SCENARIOS


def test_a_site_that_tells_no_place_has_the_latitude_of_its_clocks_city(tmp_path: Path) -> None:
    """In Sydney the days grow to Christmas: told by a northern sky, a third of its sun was missing."""
    assert place_of(_config(tmp_path, time_zone="Australia/Sydney")).latitude_deg == pytest.approx(-33.87, abs=0.01)
    assert place_of(_config(tmp_path, time_zone="UTC")).latitude_deg is None
    assert place_of(_config(tmp_path)).latitude_deg is None
    told = _config(tmp_path, time_zone="Australia/Sydney", latitude_deg=-12.5, longitude_deg=130.8)
    assert place_of(told).latitude_deg == -12.5


def test_cities_of_time_zones_lie_where_they_are() -> None:
    """Each line of the table is read, seconds too, and of what is no city nothing is known."""
    new_york = place_of_zone("America/New_York")
    assert new_york is not None
    assert new_york.latitude_deg == pytest.approx(40.714, abs=0.001)
    assert new_york.longitude_deg == pytest.approx(-74.006, abs=0.001)
    assert place_of_zone("Etc/UTC") is None
    zones = {zone for zone in available_timezones() if "/" in zone and place_of_zone(zone) is not None}
    assert len(zones) > 300
