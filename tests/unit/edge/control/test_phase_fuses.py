"""A load that takes a limit keeps the fuse of each phase that it is wired to."""

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from edge.control.cycle import decide
from edge.control.model import AssetState, Capability, ControlSettings, Measured, Memory, Snapshot
from tests.support.rigs.control import battery, charger, good, value_of

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
