"""A load that takes a limit keeps the fuse of each phase that it is wired to."""

from dataclasses import replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from edge.control.cycle import decide
from edge.control.model import AssetState, Capability, ControlSettings, Measured, Memory, Priority, Snapshot, load
from tests.support.rigs.control import battery, charger, good, request, value_of

FUSE_W = 5_750.0  # 25 A.
SITE = ControlSettings(import_w_max=17_250, export_w_max=15_000, phase_w_max=FUSE_W, self_consumption=False)
LIMIT = Capability.LIMIT_CONSUMPTION


def _limit(phases_w: tuple[float | None, float | None, float | None], *assets: AssetState) -> float | None:
    """Return the limit of the charger in the first cycle on a site that draws so much on each phase."""
    told = sum(one or 0.0 for one in phases_w)
    powers = tuple(Measured() if one is None else good(one) for one in phases_w)
    seen = Snapshot(taken_s=0, connection_power=good(told), phase_power=powers, assets=assets)  # type: ignore[arg-type]
    decision, _ = decide(seen, (), SITE, Memory())
    return value_of(decision, "ev", LIMIT)


def test_a_charger_of_one_phase_is_held_by_that_phase_alone() -> None:
    """The connection has 10 kW left, and the second phase 1.75 kW beside the car's own 3.68."""
    one = charger(power_w=3_680, rated_w=7_360, phases=(2,))
    assert _limit((500, 4_000, 500), one) == pytest.approx(5_430)
    assert _limit((5_700, 3_680, 5_700), one) == pytest.approx(5_750)


def test_a_charger_of_three_phases_gets_what_the_tightest_leaves_on_each() -> None:
    """Neither a charger nor a charging profile can be told another current on each phase."""
    three = charger(power_w=6_900, phases=(1, 2, 3))
    assert _limit((2_300, 5_000, 2_300), three) == pytest.approx(6_900 + 3 * 750)
    assert _limit((2_300, 6_000, 2_300), three) == pytest.approx(6_900 - 3 * 250)


def test_a_charger_pauses_where_its_least_does_not_fit() -> None:
    """6 A is the least that a car may be told; an oven on one phase stops a car on three."""
    assert _limit((2_300, 7_200, 2_300), charger(power_w=4_200, phases=(1, 2, 3))) == 0


def test_a_charger_takes_no_more_while_a_phase_is_not_measured() -> None:
    """What nobody sees may already be too much."""
    three = charger(power_w=6_900, phases=(1, 2, 3))
    assert _limit((2_300, None, 2_300), three) == pytest.approx(6_900)


def test_a_charger_and_a_battery_share_the_room_of_a_phase() -> None:
    """Both would take all of it in the same second."""
    three = charger(power_w=4_140, phases=(1, 2, 3))
    alone = _limit((3_000, 3_000, 3_000), three)
    shared = _limit((3_000, 3_000, 3_000), three, battery("bat", 0.0, phases=(1, 2, 3)))
    assert alone is None or alone > 8_265
    assert shared == pytest.approx(4_140 + 3 * 2_750 / 2)


def test_a_car_on_one_phase_of_three_is_held_by_what_it_draws_there() -> None:
    """10 A on the first phase alone: that one bears 15 A, so it is told 15 A, and 9 A where another has no more."""
    one = charger(power_w=2_300, phase_power=(good(2_300), good(0), good(0)))
    assert _limit((4_600, 500, 500), one) == pytest.approx(3 * (2_300 + 1_150))
    assert _limit((4_600, 3_680, 500), one) == pytest.approx(3 * 2_070)


def test_the_order_of_its_phases_is_that_of_its_wires() -> None:
    """Its first is the house's second; what it draws there is there."""
    turned = charger(power_w=2_300, phases=(2, 3, 1), phase_power=(good(2_300), good(0), good(0)))
    assert _limit((500, 4_600, 500), turned) == pytest.approx(3 * (2_300 + 1_150))
    assert _limit((4_000, 2_300, 500), turned) == pytest.approx(3 * 1_750), "its third"


def test_a_charger_that_uses_one_phase_is_held_by_that_one() -> None:
    """3.7 kW over one phase are 16 A there, whatever the others leave."""
    one = charger(power_w=1_840, phase_power=(good(1_840), good(0), good(0)), all_phases_from_w=float("inf"))
    one = replace(one, load_w_min=1_380.0)
    assert _limit((4_600, 500, 500), one) == pytest.approx(1_840 + 1_150)


def test_no_limit_lies_between_what_one_phase_bears_and_what_is_drawn_over_all() -> None:
    """The house leaves 4 kW: over one phase the fuse bears 2.9 of them, and from 4.6 on all are used."""
    car = charger(power_w=1_840, phase_power=(good(1_840), good(0), good(0)), all_phases_from_w=4_554.0)
    car = replace(car, load_w_min=1_380.0)
    assert _limit((4_600, 500, 500), car) == pytest.approx(3 * 2_990)
    asked = request("ems", load("ev"), Priority.OPERATOR_OVERRIDE, max_w=4_000, preferred_w=4_000)
    seen = Snapshot(
        taken_s=0, connection_power=good(5_600), phase_power=(good(4_600), good(500), good(500)), assets=(car,)
    )
    decision, _ = decide(seen, (asked,), SITE, Memory())
    assert value_of(decision, "ev", LIMIT) == pytest.approx(2_990)


@given(
    house=st.tuples(*[st.floats(-4_000, 9_000)] * 3),
    own=st.tuples(*[st.sampled_from([0.0, 1_380.0, 3_680.0])] * 3),
    phases=st.permutations([1, 2, 3]),
    from_w=st.sampled_from([0.0, 4_140.0, 4_554.0, float("inf")]),
    asked_w=st.floats(0, 11_000),
)
def test_what_a_charger_is_told_passes_no_fuse_however_it_draws_it(
    house: tuple[float, float, float],
    own: tuple[float, float, float],
    phases: list[int],
    from_w: float,
    asked_w: float,
) -> None:
    """Its currents differ by phase, its wires are turned, and less than some power it draws over one phase alone."""
    drawn = list(house)
    for phase, own_w in zip(phases, own, strict=True):
        drawn[phase - 1] += own_w
    car = charger(power_w=sum(own), phases=tuple(phases), phase_power=tuple(map(good, own)), all_phases_from_w=from_w)
    asked = request("ems", load("ev"), Priority.OPERATOR_OVERRIDE, max_w=asked_w, preferred_w=asked_w)
    powers = (good(drawn[0]), good(drawn[1]), good(drawn[2]))
    seen = Snapshot(
        taken_s=0,
        connection_power=good(sum(drawn)),
        phase_power=powers,
        assets=(replace(car, load_w_min=1_380.0 if from_w else 4_140.0),),
    )
    decision, _ = decide(seen, (asked,), SITE, Memory())
    limit_w = value_of(decision, "ev", LIMIT)
    told_w = 11_000.0 if limit_w is None else limit_w
    used = phases if told_w >= from_w else phases[:1]
    event(f"over {len(used)}" if told_w else "paused")
    for phase in used:
        assert not told_w or house[phase - 1] + told_w / len(used) <= FUSE_W + 1.0


@given(
    house=st.tuples(*[st.floats(-4_000, 9_000)] * 3),
    car_w=st.sampled_from([0.0, 4_140.0, 6_900.0, 11_000.0]),
    phases=st.sampled_from([(1,), (2,), (1, 2, 3)]),
)
def test_what_a_charger_is_told_passes_no_fuse_that_it_can_keep(
    house: tuple[float, float, float], car_w: float, phases: tuple[int, ...]
) -> None:
    """Whatever the house does, the car's own share of a phase never makes it too much."""
    own_w = car_w / len(phases)
    drawn = tuple(one + (own_w if number in phases else 0.0) for number, one in enumerate(house, start=1))
    limit_w = _limit(drawn, charger(power_w=car_w, phases=phases))  # type: ignore[arg-type]
    told_w = 11_000.0 if limit_w is None else limit_w
    event("free" if limit_w is None else "paused" if not told_w else "limited")
    for number in phases:
        assert not told_w or house[number - 1] + told_w / len(phases) <= FUSE_W + 1.0
