"""A site offers what would show at its meter, not what its battery alone could do."""

from datetime import UTC, datetime

import pytest

from cloud.grid.model import Direction, FlexibleSite, Means, SiteObservation
from cloud.grid.offers import Natural, offers_of


def _battery_change_w(*, inverter_w_max: int | None, battery_w: float, pv_w: float, direction: Direction) -> float:
    """Return what a home with 10 kWh, half full, and 4 kW offers of its battery for a quarter of an hour."""
    home = FlexibleSite(
        site="home",
        battery_charge_w_max=4_000,
        battery_discharge_w_max=4_000,
        battery_capacity_wh=10_000,
        inverter_w_max=inverter_w_max,
    )
    connection_w = 400.0 + battery_w + pv_w
    seen = SiteObservation(
        site="home", at=datetime(2026, 3, 17, 12, tzinfo=UTC), connection_power_w=connection_w, soc_percent=50.0
    )
    natural = Natural(connection_w=connection_w, battery_w=battery_w, pv_w=pv_w)
    found = offers_of(home, seen=seen, natural=natural, direction=direction, duration_s=900)
    return sum(offer.change_w_max for offer in found if offer.means is Means.BATTERY)


@pytest.mark.parametrize(
    ("inverter_w_max", "battery_w", "pv_w", "change_w"),
    [
        (None, 4_000.0, -4_900.0, 8_000),
        # 900 W leave the hybrid while its battery charges; its rating lets 4,100 W more out, then the sun goes down.
        (5_000, 4_000.0, -4_900.0, 4_100),
        (5_000, 0.0, -4_900.0, 100),
        (5_000, 0.0, -5_200.0, 0),
        (5_000, 0.0, 0.0, 4_000),
    ],
)
def test_a_hybrid_offers_no_more_than_its_inverter_lets_out(
    inverter_w_max: int | None, battery_w: float, pv_w: float, change_w: float
) -> None:
    """A battery that pushes the sun back changes nothing at the meter, and its site was fined for the difference."""
    assert _battery_change_w(
        inverter_w_max=inverter_w_max, battery_w=battery_w, pv_w=pv_w, direction=Direction.REDUCE_IMPORT
    ) == pytest.approx(change_w)


def test_charging_is_not_bound_by_what_the_inverter_lets_out() -> None:
    """The sun then goes into the battery behind the inverter."""
    assert _battery_change_w(
        inverter_w_max=5_000, battery_w=0.0, pv_w=-4_900.0, direction=Direction.REDUCE_EXPORT
    ) == pytest.approx(4_000)
