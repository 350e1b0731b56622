"""Most of what has bounds cannot be: the map is wrong, and not one sensor."""

import struct

from hypothesis import event, given
from hypothesis import strategies as st

from edge.devices.doubt import could_be, has_turned_words, is_misread

VOLTS = (85.0, 300.0)


def swapped(value: float) -> float:
    """Return what a float reads in the other word order."""
    high, low = struct.unpack(">2H", struct.pack(">f", value))
    return float(struct.unpack(">f", struct.pack(">2H", low, high))[0])


def test_nothing_connected_speaks_neither_for_nor_against() -> None:
    """At night, or in a blackout, an inverter's grid reads zero or a few volts."""
    assert [could_be(volts, VOLTS) for volts in (0.0, 4.2, 84.9)] == [None, None, None]
    assert could_be(230.1, VOLTS) and could_be(-5.0, VOLTS) is False and could_be(5e6, VOLTS) is False
    assert not is_misread([None] * 9)


def test_one_broken_sensor_is_no_other_map() -> None:
    """A torn sample is left out alone."""
    assert not is_misread([False]) and not is_misread([False, False, True, True])
    assert is_misread([False, False]) and is_misread([False, False, False, True, True, None])


@given(st.lists(st.floats(min_value=200, max_value=260, width=32), min_size=6, max_size=6))
def test_a_grid_in_the_other_word_order_does_not_read_as_one(volts: list[float]) -> None:
    """Whatever the voltages are, the other order does not read as a healthy grid."""
    verdicts = [could_be(swapped(one), VOLTS) for one in volts]
    event(f"misread: {is_misread(verdicts)}")
    assert not all(verdicts) and all(could_be(one, VOLTS) for one in volts)


def test_a_usual_grid_in_the_other_word_order_is_found() -> None:
    """Three phases and the frequency, as most meters have them."""
    for volts in (229.7, 230.1, 231.4, 236.9):
        grid = [could_be(swapped(volts + step), VOLTS) for step in (0.0, 0.3, 1.1)]
        assert is_misread([*grid, could_be(swapped(50.01), (45.0, 65.0))])


@given(st.integers(min_value=1, max_value=255), st.integers(min_value=0, max_value=7))
def test_a_round_power_in_the_other_word_order_is_known_by_itself(digits: int, zeros: int) -> None:
    """A power has no bounds below: 1000 W that read as 2e-41 W would be a good zero."""
    power_w = float(digits << zeros)  # Eight binary digits: the lower word of the float is zero.
    event(f"more than eight digits: {zeros > 0}")
    for value in (power_w, -power_w):
        assert not has_turned_words(value)
    assert has_turned_words(swapped(power_w))


def test_what_is_merely_small_is_a_measurement() -> None:
    """Meters compute what is left of nothing, and a zero is a zero."""
    assert not any(map(has_turned_words, (0.0, -0.0, 1e-9, -1e-30)))


@given(st.floats(min_value=1, max_value=100_000, width=32), st.floats(min_value=0.5, max_value=0.999))
def test_what_a_filter_leaves_of_a_power_speaks_against_no_map(power_w: float, share: float) -> None:
    """A smoothed value falls through all magnitudes when a device goes to sleep, and may stay at the least float."""
    left_w, shown = power_w, set[bool]()
    for _ in range(10_000):
        left_w = float(struct.unpack(">f", struct.pack(">f", left_w * share))[0])
        shown.add(has_turned_words(left_w))
        if left_w == 0 or left_w < 1e-44:
            break
    event(f"on its way it looks turned: {True in shown}")
    assert not has_turned_words(left_w)
