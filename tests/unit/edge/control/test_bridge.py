"""A cycle that misses a power goes on from the picture of a moment ago, and no limit waits for longer than that."""

from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.units import Quality
from edge.control.bridge import BRIDGE_S, SOC_BRIDGE_S, Bridge, bridged
from edge.control.cycle import decide
from edge.control.model import CONNECTION, FRESH_S, SOC_FRESH_S, Measured, Memory, Priority, Request, Snapshot
from tests.support.rigs.control import SETTINGS, Plant, battery, good, hybrid, request, snapshot

REACTION_S = 5.0  # Source: target of the field notes for a limit to take effect at the site.
PARTS = ("meter", "battery", "sun")


def without(seen: Snapshot, *parts: str) -> Snapshot:
    """Return a picture in which parts gave a sample without a value."""
    (asset,) = seen.assets
    if "battery" in parts:
        asset = replace(asset, battery_power=Measured())
    if "sun" in parts:
        asset = replace(asset, pv_power=Measured())
    if "charge" in parts:
        asset = replace(asset, soc_percent=Measured())
    connection = Measured() if "meter" in parts else seen.connection_power
    return replace(seen, connection_power=connection, assets=(asset,))


class Bridged:
    """A plant whose devices leave samples out, under a gateway."""

    def __init__(self, plant: Plant, *requests: Request) -> None:
        self.plant = plant
        self.powers: list[float] = []
        self._requests = requests
        self._memory = Memory()
        self._bridge = Bridge()

    def second(self, at_s: float, *missing: str, late_s: float = 0.0) -> None:
        """Let a second pass, in which some parts gave no value, and the meter's last one came ``late_s`` ago."""
        seen = self.plant.snapshot(at_s)
        seen = replace(
            seen, connection_power=replace(seen.connection_power, age_s=late_s or seen.connection_power.age_s)
        )
        picture, self._bridge = bridged(without(seen, *missing), self._bridge)
        decision, self._memory = decide(picture, self._requests, SETTINGS, self._memory)
        self.plant.obey(decision)
        self.powers.append(self.plant.battery_w)


def test_a_bridge_is_shorter_than_a_limit_may_take_and_than_a_value_counts() -> None:
    """It may never be what makes a limit late, nor keep a value that would have been too old by itself."""
    assert BRIDGE_S + 1.0 < REACTION_S < FRESH_S
    assert SOC_BRIDGE_S < SOC_FRESH_S


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("part", [*PARTS, "charge"])
def test_a_battery_goes_on_over_a_missing_sample(part: str, missing: int) -> None:
    """Nothing changed at the site, so nothing is written."""
    site = Bridged(Plant(load_w=3_000, sun_w=0))
    for second in range(30):
        site.second(second, *([part] if 10 <= second < 10 + missing else []))
    assert site.powers[2:] == [-3_000] * 28


@pytest.mark.parametrize("aged_s", [0.01, 0.2, 0.45])
def test_two_missing_samples_are_bridged_where_the_good_ones_around_them_come_just_after_a_cycle(aged_s: float) -> None:
    """Four cycles pass between two samples that are three seconds apart, as both keep their own second."""
    site = Bridged(Plant(load_w=3_000, sun_w=0))
    for second in range(30):
        is_missing, late_s = second in (12, 13), {10: aged_s, 11: 1.0 + aged_s}.get(second, 0.0)
        site.second(second, *(["meter"] if is_missing else []), late_s=late_s)
    assert site.powers[2:] == [-3_000] * 28


@pytest.mark.parametrize("part", ["meter", "battery"])
def test_a_battery_on_its_way_is_not_counted_with_a_meter_of_before(part: str) -> None:
    """The meter's last sample less what the battery does by now would be a load that nobody has."""
    lagging = Bridged(Plant(load_w=3_000, sun_w=0, lag=0.3))
    for second in range(30):
        lagging.second(second, *([part] if second in (2, 3) else []))
    assert min(lagging.powers) >= -3_000 - 1e-6
    assert lagging.powers[-1] == pytest.approx(-3_000, abs=30)


def test_a_meter_that_stays_without_a_value_lets_the_battery_rest() -> None:
    """What is not known for longer is not known; the charge counts for longer, as it moves slowly."""
    site, uncharged = (Bridged(Plant(load_w=3_000, sun_w=0)) for _ in range(2))
    for second in range(60):
        site.second(second, *(["meter"] if second >= 10 else []))
        uncharged.second(second, *(["charge"] if second >= 10 else []))
    held = 9 + ceil(BRIDGE_S - 0.2)  # The last sample is 0.2 s old as it is seen.
    assert site.powers[2:held] == [-3_000] * (held - 2)
    assert site.powers[held:] == [0.0] * (60 - held)
    held = 9 + ceil(SOC_BRIDGE_S - 0.2)
    assert uncharged.powers[2:held] == [-3_000] * (held - 2)
    assert uncharged.powers[held:] == [0.0] * (60 - held)


def test_an_order_that_comes_meanwhile_is_obeyed_at_once() -> None:
    """The picture is of before, what is asked is of now."""
    memory, bridge = Memory(), Bridge()
    picture, bridge = bridged(snapshot(3_000, battery(power_w=0.0)), bridge)
    _, memory = decide(picture, (), SETTINGS, memory)
    picture, bridge = bridged(snapshot(None, battery(power_w=0.0), at_s=1.0), bridge)
    limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, max_w=500)
    decision, _ = decide(picture, (limit,), SETTINGS, memory)
    assert decision.connection.max_w == 500
    assert picture.connection_power == Measured(3_000.0, Quality.SUBSTITUTED, 1.2)
    assert decision.setpoints[0].value_w == -3_000


def test_a_phase_that_is_not_read_just_now_is_bridged_with_the_others() -> None:
    """Phases are of one instant, as the connection's power is."""
    phased = replace(snapshot(900, battery()), phase_power=(good(300.0), good(200.0), good(400.0)))
    _, bridge = bridged(phased, Bridge())
    picture, _ = bridged(snapshot(950, battery(), at_s=1.0), bridge)
    assert picture.phase_power is not None and [one.value for one in picture.phase_power] == [300.0, 200.0, 400.0]
    assert picture.connection_power.value == 900
    picture, _ = bridged(snapshot(950, battery(), at_s=4.0), bridge)
    assert (picture.phase_power, picture.connection_power.value) == (None, 950.0)


def test_what_has_long_been_missing_bridges_nothing_and_keeps_no_other_from_it() -> None:
    """An inverter that gives no value at night must not turn each picture into one of before."""
    bridge = Bridge()
    for second in range(20):
        dark = without(snapshot(3_000 + second, hybrid(battery_w=-500.0), at_s=second), "sun")
        picture, bridge = bridged(dark, bridge)
        assert picture == dark
    picture, _ = bridged(without(replace(dark, taken_s=20.0), "sun", "meter"), bridge)
    assert picture.connection_power.value == 3_019


def test_an_asset_that_fell_silent_is_at_its_worst_at_once() -> None:
    """Unreachable is not missing a sample."""
    _, bridge = bridged(snapshot(3_000, battery(power_w=-1_000.0)), Bridge())
    silent = snapshot(3_000, battery(online=False), at_s=1.0)
    assert bridged(silent, bridge)[0] == silent


@given(
    rise_at_s=st.integers(20, 30),
    rise_w=st.integers(0, 6_900),
    sun_w=st.integers(0, 9_000),
    gaps=st.lists(
        st.tuples(st.integers(18, 32), st.integers(1, 6), st.sets(st.sampled_from(PARTS), min_size=1)), max_size=3
    ),
    limits_export=st.booleans(),
    lag=st.sampled_from([1.0, 0.6]),
)
def test_a_limit_waits_for_no_longer_than_the_bridge(
    rise_at_s: int,
    rise_w: int,
    sun_w: int,
    gaps: list[tuple[int, int, set[str]]],
    limits_export: bool,
    lag: float,
) -> None:
    """The worst case: the sample that would show a rise of load, or of export as a load ends, is the missing one.

    A limit holds again as soon as a whole picture was seen after the rise; where none comes, the meter's fallback acts
    in time.
    """
    missing: dict[int, set[str]] = {}
    for begin, lasts, parts in gaps:
        for second in range(begin, begin + lasts):
            missing.setdefault(second, set()).update(parts)
    if limits_export:
        limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, min_w=-2_000.0)
    else:
        limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, max_w=2_000.0)
    before_w, after_w = (rise_w, 0) if limits_export else (0, rise_w)
    site = Bridged(Plant(load_w=before_w, sun_w=sun_w, lag=lag), limit)
    settles_s = 1 if lag == 1.0 else 5
    for second in range(45):
        site.plant.load_w = before_w if second < rise_at_s else after_w
        site.second(second, *missing.get(second, ()))
        since_s = next((back for back in range(second) if second - back not in missing), second)
        power_w = site.plant.connection_w
        is_beyond = power_w < -2_050 if limits_export else power_w > 2_050
        if since_s < BRIDGE_S and second - since_s >= rise_at_s + settles_s and not _was_blind(second, missing):
            assert not is_beyond, f"{power_w} W at {second} s, seen {since_s} s ago"
        if all("meter" in missing.get(second - back, ()) for back in range(ceil(BRIDGE_S))) and lag == 1.0:
            assert site.powers[-1] == 0.0, f"a meter unread for {since_s} s left the battery at {site.powers[-1]} W"


def _was_blind(second: int, missing: dict[int, set[str]]) -> bool:
    """Say whether values were missing for longer than the bridge lately: then a battery rested, and is on its way."""
    longest = ceil(BRIDGE_S)
    return any(all(at - back in missing for back in range(longest)) for at in range(second - longest - 2, second + 1))
