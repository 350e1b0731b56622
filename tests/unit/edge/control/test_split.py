"""Sharing a sum among levers."""

from hypothesis import given
from hypothesis import strategies as st

from edge.control.model import Interval
from edge.control.split import split

ends = st.integers(-20_000, 20_000).map(float)
ranges = st.lists(st.tuples(ends, ends).map(lambda pair: Interval(min(pair), max(pair))), min_size=1, max_size=6)


def test_the_more_efficient_battery_is_used_first() -> None:
    """Two half-used batteries lose more than one well-used."""
    both = [Interval(-5_000, 5_000), Interval(-5_000, 5_000)]
    assert split(6_000, both, ranks=[0.90, 0.95]) == (1_000, 5_000)


def test_equal_levers_share_by_their_room() -> None:
    """Proportional shares keep batteries of different size in step."""
    assert split(-3_000, [Interval(-2_000, 2_000), Interval(-4_000, 4_000)]) == (-1_000, -2_000)


def test_a_single_watt_is_shared_too_and_little_room_is_used() -> None:
    """Half a watt up or down moves by half a watt; a lever with less than a watt of room gives what it has."""
    one = [Interval(-2, 2)]
    assert (split(0.5, one), split(-0.5, one), split(1, one)) == ((0.5,), (-0.5,), (1,))
    assert split(10, [Interval(0, 0.5), Interval(0, 20)], ranks=[0.95, 0.90]) == (0.5, 9.5)


@given(st.floats(-1e5, 1e5), ranges, st.data())
def test_no_lever_passes_its_cap_and_the_sum_is_met_when_caps_allow(
    total_w: float, own: list[Interval], data: st.DataObject
) -> None:
    """The law of dispatch, for any sum, any ranges, any order of use."""
    ranks = data.draw(st.lists(st.sampled_from([0.9, 0.95]), min_size=len(own), max_size=len(own)))
    powers = split(total_w, own, ranks=ranks)
    assert all(interval.contains(power_w) for interval, power_w in zip(own, powers, strict=True))
    room = Interval(sum(item.min_w for item in own), sum(item.max_w for item in own))
    assert abs(sum(powers) - room.clamp(total_w)) < 1e-6
