"""A cycle decides from one frozen picture, in which what is not known is not a number."""

import pytest

from contracts.units import Quality
from edge.config import LoadSection
from edge.control.model import AssetKind, Measured
from edge.loop.load_state import load_is_on
from edge.loop.measured import measured
from edge.loop.readings import samples
from edge.loop.snapshot import SnapshotBuilder, phase_power
from edge.modbus.point import Reading
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import NOON, config, fake_site, reading


def test_the_picture_holds_meter_and_assets_with_their_ages() -> None:
    """Ages are of the reading, not of the cycle."""
    clock = ManualClock(NOON)
    fakes = fake_site(clock)
    snapshots = SnapshotBuilder(config().devices, meter="meter")
    readings = {name: fake.snapshot() for name, fake in fakes.items()}
    found = snapshots.build(fakes, readings, now_s=2.5, confirmed={})
    assert (found.connection_power.value, found.connection_power.age_s) == (1_000.0, 2.5)
    (inverter,) = found.assets
    assert (inverter.kind, inverter.generation_rated_w, inverter.charge_w_max) == (AssetKind.HYBRID, 5_000.0, 4_000.0)
    assert inverter.soc_percent is not None
    assert inverter.soc_percent.value == 50.0


def test_a_silent_asset_keeps_its_last_good_power_for_the_worst_case() -> None:
    """Unreachable is not idle."""
    clock = ManualClock(NOON)
    fakes = fake_site(clock)
    snapshots = SnapshotBuilder(config().devices, meter="meter")
    fakes["inverter"].values["active_power_w"] = -3_000.0
    snapshots.build(fakes, {name: fake.snapshot() for name, fake in fakes.items()}, now_s=0.0, confirmed={})
    fakes["inverter"].online = False
    (inverter,) = snapshots.build(fakes, {"meter": {}, "inverter": {}}, now_s=60.0, confirmed={}).assets
    assert (inverter.online, inverter.power.value, inverter.last_power_w) == (False, None, -3_000.0)


def test_phases_count_only_where_all_three_are_known() -> None:
    """Two of three would be taken for the whole."""
    clock = ManualClock(NOON)
    fakes = fake_site(clock)
    snapshots = SnapshotBuilder(config().devices, meter="meter")
    for phase in (1, 2, 3):
        readings = {name: fake.snapshot() for name, fake in fakes.items()}
        assert snapshots.build(fakes, readings, now_s=0.0, confirmed={}).phase_power is None
        fakes["meter"].values[f"active_power_l{phase}_w"] = 300.0
    readings = {name: fake.snapshot() for name, fake in fakes.items()}
    assert snapshots.build(fakes, readings, now_s=0.0, confirmed={}).phase_power is not None


def test_what_a_charger_draws_on_each_phase_is_its_power_or_its_current_there() -> None:
    """A car on one phase of three is no third on each; one that is not told is not known."""
    readings = {name: reading(value) for name, value in (("current_l1_a", 10.0), ("voltage_l1_v", 228.0))}
    assert phase_power(readings, 3, now_s=0.0) is None
    readings |= {"current_l2_a": reading(0.0), "active_power_l3_w": reading(40.0)}
    told = phase_power(readings, 3, now_s=1.0)
    assert told is not None and [one.value for one in told] == [2_280.0, 0.0, 40.0]
    assert [one.age_s for one in told] == [1.0, 1.0, 1.0]
    assert phase_power(readings, 1, now_s=1.0) == told[:1]


@pytest.mark.parametrize("value", [None, True])
def test_what_is_no_number_measures_nothing(value: bool | None) -> None:
    """A contact is not one watt."""
    assert measured(reading(value), 0.0) == Measured()
    (sample,) = samples({"meter": {"active_power_w": reading(value)}}, names=frozenset({"active_power_w"}), now=NOON)
    assert (sample.value, sample.quality) == (None, Quality.INVALID)


def test_a_relay_is_no_asset() -> None:
    """It draws nothing and generates nothing; it only says something."""
    clock = ManualClock(NOON)
    fakes = fake_site(clock)
    devices = [one.model_dump() for one in config().devices]
    box = {"id": "box", "profile": "kmtronic_relay", "url": "tcp://127.0.0.1:1?unit=1", "role": "relay"}
    snapshots = SnapshotBuilder(config(devices=[*devices, box]).devices, meter="meter")
    found = snapshots.build(
        fakes,
        {**{name: fake.snapshot() for name, fake in fakes.items()}, "box": {}},
        now_s=0.0,
        confirmed={},
    )
    assert [asset.id for asset in found.assets] == ["inverter"]


@pytest.mark.parametrize(("value", "on"), [(1, False), (2, True), ("1", False), ("3", True), ("?", None)])
def test_a_heat_pump_is_locked_in_state_one_however_its_map_says_it(value: int | str, on: bool | None) -> None:
    """A Daikin has codes of its own for the states of SG Ready; its map names them by the label's numbers."""
    said = Reading(value=value, raw=None, quality=Quality.GOOD, source_at=None, monotonic_s=0.0)
    section = LoadSection(rated_w=3_000, state="sg_ready_state")
    assert load_is_on(section, {"sg_ready_state": said}, is_told=False, told_w=None) is on
