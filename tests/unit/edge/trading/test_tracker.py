"""Following the schedule during delivery."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.trading.tracker import schedule_power_w
from tests.support.branches import Branches

LIMITS = {"import_w_max": 17_000.0, "export_w_max": 10_000.0}


def test_at_the_beginning_the_power_is_that_of_the_traded_energy() -> None:
    """500 Wh sold in a quarter of an hour is 2 kW of export."""
    assert schedule_power_w(position_wh=-500, metered_wh=0, elapsed_s=0, **LIMITS) == -2_000


def test_what_is_missing_is_made_good_over_what_is_left() -> None:
    """Settlement looks at the energy of the whole interval."""
    assert schedule_power_w(position_wh=-500, metered_wh=-100, elapsed_s=450, **LIMITS) == -3_200


def test_without_a_trade_no_schedule_binds_the_site() -> None:
    """Then the battery serves the house."""
    assert schedule_power_w(position_wh=0, metered_wh=300, elapsed_s=10, **LIMITS) is None


def test_a_site_that_follows_ends_with_the_traded_energy() -> None:
    """Second by second, with a disturbance in the middle."""
    metered_wh = 0.0
    for second in range(900):
        power_w = schedule_power_w(position_wh=400, metered_wh=metered_wh, elapsed_s=second, **LIMITS)
        assert power_w is not None
        metered_wh += (power_w + (3_000 if 300 <= second < 360 else 0)) / 3600
    assert metered_wh == pytest.approx(400, abs=10)


_asks = Branches("asks for power", "leaves it")


@_asks
@given(st.integers(-9_000, 9_000), st.floats(-9_000, 9_000), st.floats(0, 900))
@example(100, 0.0, 450.0)
@example(100, 0.0, 900.0)
def test_the_schedule_never_asks_for_more_than_the_connection_carries(
    position_wh: int, metered_wh: float, elapsed_s: float
) -> None:
    """Also in the last second of an interval that went wrong."""
    power_w = schedule_power_w(position_wh=position_wh, metered_wh=metered_wh, elapsed_s=elapsed_s, **LIMITS)
    _asks.met("leaves it" if power_w is None else "asks for power")
    assert power_w is None or -10_000 <= power_w <= 17_000
