"""A site's flow adds up: the connection's power is the sum of the assets', and a missing reading is no zero."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.units import Quality
from edge.control.flow import AssetFlow, flow
from edge.control.model import AssetKind, AssetState, Measured, Snapshot

WATTS = st.floats(-1e5, 1e5)


def _good(value: float) -> Measured:
    return Measured(value=value, quality=Quality.GOOD, age_s=0.0)


def _site(grid: Measured, *assets: AssetState) -> Snapshot:
    return Snapshot(taken_s=0.0, connection_power=grid, assets=assets)


@given(house=WATTS, pv=WATTS, battery=WATTS, load=WATTS)
def test_what_nobody_measures_is_what_is_left_of_the_connection(
    house: float, pv: float, battery: float, load: float
) -> None:
    """Law 1, for a hybrid beside a measured load."""
    hybrid = AssetState(
        id="inverter",
        kind=AssetKind.HYBRID,
        power=_good(pv + battery),
        pv_power=_good(pv),
        battery_power=_good(battery),
    )
    charger = AssetState(id="charger", kind=AssetKind.LOAD, power=_good(load))
    shown = flow(_site(_good(house + pv + battery + load), hybrid, charger))
    assert (shown.pv_w, shown.battery_w, shown.loads_w) == (pv, battery, load)
    assert shown.house_w is not None
    assert abs(shown.house_w - house) < 1e-6


@given(house=st.floats(0.0, 1e5), pumps=st.lists(st.tuples(st.floats(1.0, 1e4), st.floats(0.0, 1.0)), max_size=3))
def test_a_load_known_by_its_rating_never_makes_the_house_negative(
    house: float, pumps: list[tuple[float, float]]
) -> None:
    """A heat pump that may run was shown at its rating, and the house at 1.6 kW below zero."""
    loads = [
        AssetState(
            id=f"pump-{number}",
            kind=AssetKind.LOAD,
            power=Measured(value=rated_w, quality=Quality.SUBSTITUTED, age_s=0.0),
        )
        for number, (rated_w, _) in enumerate(pumps)
    ]
    grid_w = house + sum(rated_w * part for rated_w, part in pumps)
    shown = flow(_site(_good(grid_w), *loads))
    assert shown.house_w is not None and shown.loads_w is not None
    assert shown.house_w >= -1e-6
    assert abs(shown.house_w + shown.loads_w - grid_w) < 1e-6
    assert all(0.0 <= (one.power_w or 0.0) <= rated_w for one, (rated_w, _) in zip(shown.assets, pumps, strict=True))


def test_a_silent_inverter_leaves_the_house_unknown() -> None:
    """Taken for zero, its power would be shown as the house's."""
    pv = AssetState(id="pv", kind=AssetKind.PV, online=False, power=Measured())
    shown = flow(_site(_good(-2000.0), pv))
    assert (shown.grid_w, shown.pv_w, shown.house_w) == (-2000.0, None, None)


def test_a_site_without_assets_is_its_house() -> None:
    """A meter alone: everything goes into the house."""
    shown = flow(_site(_good(700.0)))
    assert (shown.pv_w, shown.battery_w, shown.loads_w, shown.house_w) == (0.0, 0.0, 0.0, 700.0)


def test_each_asset_is_shown_as_it_was_read() -> None:
    """A battery and a generator without readings of their parts are read at their terminals; the meter is no asset."""
    pv = AssetState(id="pv", kind=AssetKind.PV, power=_good(-3_000.0))
    battery = AssetState(
        id="store", kind=AssetKind.BATTERY, online=False, power=_good(1_000.0), soc_percent=_good(40.0)
    )
    meter = AssetState(id="meter", kind=AssetKind.METER, power=_good(500.0))
    shown = flow(_site(_good(500.0), pv, battery, meter))
    assert (shown.pv_w, shown.battery_w, shown.house_w) == (-3_000.0, 1_000.0, 2_500.0)
    assert shown.assets == (
        AssetFlow(id="pv", kind=AssetKind.PV, online=True, power_w=-3_000.0, soc_percent=None),
        AssetFlow(id="store", kind=AssetKind.BATTERY, online=False, power_w=1_000.0, soc_percent=40.0),
    )
