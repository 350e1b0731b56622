"""Readings per delivery interval from rising counters."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.units import ClockTrust, Quality
from domain.plausibility import POWER_FACTOR, STEP_WH_MAX, carried_wh, slack_wh
from edge.telemetry.metering import IntervalMeter, MeteredInterval, Observation
from tests.support.branches import Branches

START = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


def seen(
    after_s: float,
    import_wh: float | None,
    *,
    export_wh: float | None = 0.0,
    power_w: float | None = None,
    clock: ClockTrust = ClockTrust.SYNCED,
) -> Observation:
    """Return an observation so long after the start."""
    at = START + timedelta(seconds=after_s)
    return Observation(at=at, import_wh=import_wh, export_wh=export_wh, power_w=power_w, clock=clock)


def test_a_constant_load_is_metered_to_the_watt_hour() -> None:
    """1 kW for a quarter of an hour is 250 Wh, wherever the observations fall."""
    meter = IntervalMeter()
    finished: list[MeteredInterval] = []
    for second in range(0, 2 * 900 + 20, 7):
        finished += meter.observe(seen(second, 5000 + second * 1000 / 3600, power_w=1000))
    assert [energy.import_wh for energy in finished] == [250, 250]
    assert finished[0].register_import_wh == 5250
    assert all(energy.quality is Quality.GOOD for energy in finished)


@given(
    steps=st.lists(
        st.tuples(
            st.floats(min_value=0.5, max_value=2000),
            st.floats(min_value=0.5, max_value=1.8),
            st.booleans(),
            st.booleans(),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_the_intervals_sum_to_the_counters_difference(steps: list[tuple[float, float, bool, bool]]) -> None:
    """Settlement bills what the meter counted: gaps, missing counters and restarts may shift energy, never make any."""
    meter = IntervalMeter()
    at_s, counter_wh = 0.0, 100.25
    meter.observe(seen(at_s, counter_wh, power_w=900.0))
    finished: list[MeteredInterval] = []
    for gap_s, share, missing, restart in steps:
        at_s += gap_s
        counter_wh += share * 900.0 * gap_s / 3600
        finished += meter.observe(seen(at_s, None if missing else counter_wh, power_w=900.0))
        if restart:
            meter = IntervalMeter(meter.state())
    # The counter is there again, for long enough that no estimate is left, and an interval ends exactly here.
    end_s = (at_s // 900 + 3) * 900
    counter_wh += 900.0 * (end_s - at_s) / 3600 + 500_000
    finished += meter.observe(seen(end_s - 901, counter_wh - 1, power_w=900.0))
    finished += meter.observe(seen(end_s, counter_wh, power_w=900.0))
    assert sum(energy.import_wh for energy in finished) == int(counter_wh + 1e-6) - 100
    assert [energy.interval.start for energy in finished] == [
        START + timedelta(seconds=900 * index) for index in range(len(finished))
    ]
    assert all(energy.import_wh >= 0 for energy in finished)


def test_a_missing_counter_is_bridged_by_power_and_trued_up() -> None:
    """A meter whose counter is silent still settles, flagged, and the next interval repairs the estimate."""
    meter = IntervalMeter()
    meter.observe(seen(0, 1000.0, power_w=4000.0))
    finished: list[MeteredInterval] = []
    for second in range(10, 901, 10):
        finished += meter.observe(seen(second, None, power_w=4000.0))
    assert [(energy.import_wh, energy.quality) for energy in finished] == [(1000, Quality.SUBSTITUTED)]
    # In truth only 900 Wh passed; the counter shows it when it comes back.
    for second in range(910, 1801, 10):
        finished += meter.observe(seen(second, 1900.0 + (second - 900) * 4000 / 3600, power_w=4000.0))
    assert [energy.import_wh for energy in finished] == [1000, 900]
    assert finished[1].quality is Quality.SUBSTITUTED


def test_an_exchanged_meter_goes_on_from_its_own_register() -> None:
    """A new meter starts at zero; the energy of an interval must not become negative or huge."""
    meter = IntervalMeter()
    meter.observe(seen(0, 50_000.0, power_w=3600.0))
    finished: list[MeteredInterval] = []
    for second in range(10, 1801, 10):
        finished += meter.observe(seen(second, float(second), power_w=3600.0))
    assert [energy.import_wh for energy in finished] == [900, 900]
    assert finished[1].register_import_wh == 1800


def test_an_interval_whose_beginning_was_not_seen_is_not_reported() -> None:
    """A gateway that starts in the middle cannot know; silence is better than half the energy."""
    meter = IntervalMeter()
    meter.observe(seen(400, 1000.0))
    assert meter.observe(seen(901, 1100.0)) == []
    assert len(meter.observe(seen(1801, 1200.0))) == 1


def test_a_start_soon_after_the_boundary_is_reported_as_substituted() -> None:
    """A restart at the quarter of an hour costs a flag, not the interval."""
    meter = IntervalMeter()
    meter.observe(seen(36, 1010.0, power_w=1000.0))
    (energy,) = [energy for second in range(60, 910, 30) for energy in meter.observe(seen(second, 1000 + second / 3.6))]
    assert (energy.import_wh, energy.quality) == (250, Quality.SUBSTITUTED)


def test_one_untrusted_moment_marks_the_interval() -> None:
    """The cloud decides what an interval is worth whose clock was doubtful; the gateway only says so."""
    meter = IntervalMeter()
    meter.observe(seen(0, 0.0))
    meter.observe(seen(450, 10.0, clock=ClockTrust.UNTRUSTED))
    (energy,) = meter.observe(seen(900, 20.0))
    assert energy.clock is ClockTrust.UNTRUSTED


LOAD_W = 2000.0


def quarters(
    register: Callable[[int, float], float | None], *, connection_w: float | None = 20_000.0, count: int = 4
) -> list[MeteredInterval]:
    """Return the intervals of a 2 kW load whose meter shows ``register(second, truth)``, an observation each 10 s."""
    meter = IntervalMeter(connection_w=connection_w)
    finished: list[MeteredInterval] = []
    for second in range(0, count * 900 + 10, 10):
        true_wh = 110_000 + LOAD_W * second / 3600
        finished += meter.observe(seen(second, register(second, true_wh), export_wh=5000.0, power_w=LOAD_W))
        if second % 450 == 0:
            meter = IntervalMeter(json.loads(json.dumps(meter.state())), connection_w=connection_w)
    return finished


@pytest.mark.parametrize(
    ("register", "doubt"),
    [
        (lambda second, wh: 4_294_967_295.0 if second == 2000 else wh, "import: jump"),
        (lambda second, wh: wh + 1_000_000 if second == 2000 else wh, "import: jump"),
        (lambda second, wh: 0.0 if second == 2000 else wh, "import: fall"),
        (lambda second, wh: wh + 35_000_000 if second >= 2000 else wh, "import: other-level"),
        (lambda second, wh: wh - 109_000 if second >= 2000 else wh, "import: other-level"),
        (lambda second, wh: wh - 111_111 if second >= 2000 else wh, "import: other-level"),
        (lambda second, wh: 0.0 if 2000 <= second < 2240 else wh, "import: other-level"),
        (lambda second, wh: (wh + 2**32 - 111_111) % 2**32, "import: other-level"),
        (lambda second, wh: wh if second < 1900 else 111_056.0, "import: stuck"),
        (lambda second, wh: wh if second < 1900 else 111_056 + (wh - 111_056) / 1000, "import: stuck"),
        (lambda second, wh: wh if second < 1900 else 111_056 + (wh - 111_056) * 1000, "import: jump"),
    ],
    ids=["glitch", "MWh", "zero", "swap-up", "swap-down", "reset", "asleep", "wrap", "stuck", "in-kWh", "in-mWh"],
)
@pytest.mark.parametrize("connection_w", [20_000.0, None])
def test_a_counter_that_cannot_be_is_replaced_by_power_and_said(
    register: Callable[[int, float], float | None], doubt: str, connection_w: float | None
) -> None:
    """Money follows the reading: one wrong register must not become megawatt-hours, nor a silent zero."""
    finished = quarters(register, connection_w=connection_w)
    # A counter that stands still is noticed after 100 Wh; half of what began the watch may be lost.
    assert all(abs(energy.import_wh - 500) <= (55 if doubt.endswith("stuck") else 12) for energy in finished)
    doubted = [energy for energy in finished if doubt in energy.doubts]
    assert doubted, [energy.doubts for energy in finished]
    assert all(energy.quality is Quality.SUBSTITUTED for energy in doubted)
    assert finished[0].quality is Quality.GOOD or doubt == "import: jump"


@pytest.mark.parametrize("factor", [5, 10, 20, 100])
@pytest.mark.parametrize("connection_w", [20_000.0, None])
def test_a_counter_ten_times_too_fast_is_replaced_by_power_after_a_kilowatt_hour(
    factor: int, connection_w: float | None
) -> None:
    """Each of its steps could be; all together are more than the power, and were settled as good."""
    finished = quarters(lambda _, wh: 110_000 + (wh - 110_000) * factor, connection_w=connection_w)
    assert finished[0].import_wh <= POWER_FACTOR * 500 + STEP_WH_MAX
    assert [energy.import_wh for energy in finished[1:]] == [500] * 3
    assert all("import: jump" in energy.doubts for energy in finished)
    assert {energy.quality for energy in finished} == {Quality.SUBSTITUTED}


def test_a_fast_counter_beside_no_power_is_bounded_by_the_connection() -> None:
    """Each step had a hundred Wh of rounding to spare: 58 kW on a connection of 20."""
    meter = IntervalMeter(connection_w=20_000)
    finished: list[MeteredInterval] = []
    for second in range(0, 3610, 10):
        finished += meter.observe(seen(second, 5000 + second * 40_000 / 3600))
    assert sum(energy.import_wh for energy in finished) <= 22_000 + slack_wh(20_000)
    assert {energy.quality for energy in finished} == {Quality.SUBSTITUTED}


def test_a_counter_whose_unit_is_mended_is_believed_again() -> None:
    """Whoever corrects the scale must not wait for a restart."""
    finished = quarters(lambda second, wh: wh if second >= 900 else 110_000 + (wh - 110_000) * 10, count=10)
    assert finished[0].quality is Quality.SUBSTITUTED
    assert [energy.quality for energy in finished[-4:]] == [Quality.GOOD] * 4
    assert [energy.import_wh for energy in finished[-4:]] == [500] * 4


def test_a_meter_that_counts_each_phase_counts_both_ways_at_once() -> None:
    """One phase exports what another imports: both registers run, power is their difference, and both are right."""
    meter = IntervalMeter(connection_w=20_000)
    finished: list[MeteredInterval] = []
    for second in range(0, 8 * 900 + 10, 10):
        observed = seen(second, 5000 + second * 3000 / 3600, export_wh=7000 + second * 2950 / 3600, power_w=50.0)
        finished += meter.observe(observed)
    assert {(energy.import_wh, energy.quality) for energy in finished} == {(750, Quality.GOOD)}
    assert sum(energy.export_wh for energy in finished) == 8 * 2950 // 4


PHYSICS = Branches("good", "substituted", "above a hundredth of what the connection carries")
register_fault = st.sampled_from(["true", "true", "fast", "jump", "zero", "missing", "garbage"])
power_fault = st.sampled_from(["true", "true", "missing", "garbage"])


@PHYSICS
@given(
    spans=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from([10, 45, 80, 300]), register_fault, power_fault),
        min_size=3,
        max_size=8,
    ),
    connection_w=st.sampled_from([3_000.0, 20_000.0]),
    load_w=st.integers(0, 3_000),
    garbage=st.floats(min_value=-1e12, max_value=1e12),
    factor=st.integers(2, 400),
)
def test_no_register_and_no_power_make_more_energy_than_the_connection_carries(
    spans: list[tuple[int, int, str, str]], connection_w: float, load_w: int, garbage: float, factor: int
) -> None:
    """Whatever is read: from its first to its last interval a meter counts what its connection can have carried."""
    meter = IntervalMeter(connection_w=connection_w)
    at_s, register_wh = 0, 100_000.0
    finished = list(meter.observe(seen(0, register_wh, power_w=float(load_w))))
    for gap_s, register, power in [span[1:] for span in spans for _ in range(span[0])]:
        at_s += gap_s
        truth_wh = load_w * gap_s / 3600
        register_wh += truth_wh * factor if register == "fast" else abs(garbage) if register == "jump" else truth_wh
        shown = {"zero": 0.0, "missing": None, "garbage": garbage}.get(register, register_wh)
        watts = {"missing": None, "garbage": garbage}.get(power, float(load_w))
        finished += meter.observe(seen(at_s, shown, power_w=watts))
    carried = carried_wh(elapsed_s=at_s, connection_w=connection_w)
    for wh in (sum(energy.import_wh for energy in finished), sum(energy.export_wh for energy in finished)):
        assert 0 <= wh <= carried + 2 * slack_wh(connection_w) + len(finished)  # Each in whole watt hours.
        PHYSICS.met("above a hundredth of what the connection carries", wh > carried / 100)
    for energy in finished:
        PHYSICS.met("good" if energy.quality is Quality.GOOD else "substituted")


def test_a_counter_that_wakes_up_returns_to_its_own_level() -> None:
    """A lifetime counter that reads 0 for four minutes is the same counter: not a watt-hour is lost."""
    finished = quarters(lambda second, wh: 0.0 if 600 <= second < 840 else wh)
    assert [energy.import_wh for energy in finished] == [500] * 4
    assert [energy.quality for energy in finished][1:] == [Quality.GOOD] * 3
    assert finished[-1].register_import_wh == 112_000


def test_a_young_counter_that_slept_at_zero_is_not_paid_for_once_more() -> None:
    """A meter of last week has counted so little that it could have risen by all of it at once."""
    start = datetime(2026, 6, 1, 6, tzinfo=UTC)
    meter = IntervalMeter(connection_w=30_000.0)
    told: list[MeteredInterval] = []
    for second in range(0, 3700, 10):
        asleep = 1200 <= second < 1400
        seen = Observation(
            at=start + timedelta(seconds=second),
            import_wh=0.0 if asleep else 10_000_000.0 + second / 3.6,
            export_wh=0.0 if asleep else 500.0,
            power_w=1000.0,
        )
        told += meter.observe(seen)
    assert sum(one.export_wh for one in told) == 0
    assert sum(one.import_wh for one in told) == pytest.approx(1000, abs=5)


@pytest.mark.parametrize("begin_s", [100, 700, 1000, 1700, 1790, 1850, 2000, 2600])
@pytest.mark.parametrize("asleep_s", [0, 20, 60, 200, 400, 1200])
def test_a_counter_that_never_counts_is_replaced_by_power_and_sleep_changes_nothing(
    begin_s: int, asleep_s: int
) -> None:
    """Each interval takes what flowed in it, not what earlier ones lacked, on whichever side of its bounds it slept."""
    finished = quarters(lambda second, _: 0.0 if begin_s <= second < begin_s + asleep_s else 110_000.0, count=6)
    assert all(abs(energy.import_wh - 500) <= 100 for energy in finished), finished
    assert sum(energy.import_wh for energy in finished) == pytest.approx(3000, abs=100)
    assert {energy.quality for energy in finished} == {Quality.SUBSTITUTED}


@pytest.mark.parametrize("step_wh", [100, 500, 1000])
def test_a_counter_in_coarse_steps_loses_nothing(step_wh: int) -> None:
    """It is no fault: power stands in until the first step; after it the sum is the register's difference."""
    finished = quarters(lambda _, wh: wh // step_wh * step_wh, count=16)
    assert sum(energy.import_wh for energy in finished) == 8000
    assert {energy.quality for energy in finished[4:]} == {Quality.GOOD}


def test_a_meter_at_rest_is_not_taken_for_stuck() -> None:
    """At a few watts a meter may rightly count nothing for a day."""
    meter = IntervalMeter(connection_w=20_000)
    finished: list[MeteredInterval] = []
    for second in range(0, 86_400, 60):
        finished += meter.observe(seen(second, 7000.0, power_w=8.0))
    assert {energy.quality for energy in finished} == {Quality.GOOD}
    assert sum(energy.import_wh for energy in finished) == 0


def test_the_register_of_a_glitch_after_an_outage_is_bounded_by_the_connection() -> None:
    """Nobody watched power while the gateway was off; the connection still says what cannot have flowed."""
    meter = IntervalMeter(connection_w=20_000)
    meter.observe(seen(0, 1000.0, power_w=500.0))
    finished = meter.observe(seen(7200, 1_001_000.0, power_w=500.0))
    finished += meter.observe(seen(9000, 3000.0, power_w=500.0))
    assert sum(energy.import_wh for energy in finished) <= 2000
    assert all(energy.quality is Quality.SUBSTITUTED for energy in finished)


def test_a_counter_beyond_physics_is_not_good_and_still_makes_a_message() -> None:
    """A register of 64 bits may hold anything: the reading must be worth nothing, and end nobody."""
    meter = IntervalMeter()
    finished: list[MeteredInterval] = []
    for after_s, import_wh in ((0, 1e6), (30, 1.8e19), (60, float("inf")), (890, 1e6 + 100), (910, 9e14), (1810, 9e14)):
        finished += meter.observe(seen(after_s, import_wh, power_w=1000))
    assert finished[-1].quality is not Quality.GOOD
    for energy in finished:
        energy.build("site-1", START)(1, 1).encode()
