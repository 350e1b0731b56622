"""What cannot be true is not believed, and what is true is not lost."""

from hypothesis import given
from hypothesis import strategies as st

from edge.devices.quality import CONFIRMATIONS, CounterGuard, is_counter, plausible_range

RATED_W = 10_000.0


def test_a_counter_that_jumps_is_quarantined_until_it_is_confirmed() -> None:
    """53.7 MWh in one slot would have been settled; a replaced meter must come back by itself."""
    guard = CounterGuard(rated_w=RATED_W)
    assert guard.accepts(1_000, now_s=0)
    assert not guard.accepts(53_700_000, now_s=10)
    assert guard.accepts(1_020, now_s=20)
    for reading in range(CONFIRMATIONS):
        assert not guard.accepts(5 + reading, now_s=30 + 10 * reading)
    assert guard.accepts(5 + CONFIRMATIONS, now_s=60)


@given(st.lists(st.tuples(st.floats(0.1, 3600), st.floats(0, 1)), min_size=1, max_size=30))
def test_what_the_device_can_count_is_always_believed(steps: list[tuple[float, float]]) -> None:
    """No energy is lost to caution: rising at or below rated power is accepted whatever the gaps."""
    guard = CounterGuard(rated_w=RATED_W)
    now_s, value_wh = 0.0, 0.0
    for step_s, share in steps:
        now_s += step_s
        value_wh += share * RATED_W * step_s / 3600
        assert guard.accepts(value_wh, now_s=now_s)


@given(st.floats(1, 1e9), st.floats(0.1, 100))
def test_a_single_fall_is_never_believed(fall_wh: float, after_s: float) -> None:
    """Settlement sees no negative energy from one bad reading."""
    guard = CounterGuard(rated_w=RATED_W)
    guard.accepts(1e9, now_s=0)
    assert not guard.accepts(1e9 - fall_wh, now_s=after_s)


def test_quantities_have_the_ranges_of_a_commissioning_check() -> None:
    """A swapped word or a wrong scale shows at the voltage, the frequency, the state of charge."""
    assert plausible_range("voltage_l1_v") == (85, 300)
    assert plausible_range("grid_voltage_l2_v") == (85, 300)
    assert plausible_range("frequency_hz") == plausible_range("grid_frequency_hz") == (45, 65)
    assert plausible_range("soc_pct") == (0, 100)
    assert plausible_range("dc1_voltage_v") is None and plausible_range("active_power_w") is None


def test_counters_are_told_from_other_energies() -> None:
    """The energy of today falls at midnight and the available energy with every use; neither is quarantined."""
    assert is_counter("energy_import_wh") and is_counter("grid_export_wh") and is_counter("energy_charged_wh")
    assert not any(map(is_counter, ("energy_today_wh", "available_energy_wh", "capacity_wh", "soc_pct")))
