"""What holds in every event, whatever the sites do: leases, abilities, numbers, an end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.grid.actions import RecordEvent, ReleaseCommand, SendCommand
from cloud.grid.model import FlexibleSite, OrderBy
from contracts.control import BatteryPower, LimitExport, LimitImport, Refusal
from contracts.grid import FeederState
from tests.support.cloud.feeder import SimFeeder, SimSite
from tests.support.cloud.feeder import settings as feeder_settings


@st.composite
def sites(draw: st.DrawFn) -> list[SimSite]:
    """Return a load that rises by steps to above the limit or far below zero, and sites that may or may not help."""
    peak_w = draw(st.sampled_from([-120_000.0, 104_000.0, 130_000.0]))
    since_s, until_s = draw(st.integers(10, 100)), draw(st.integers(200, 500))
    base = SimSite(FlexibleSite(site="rest"), lambda t_s: peak_w if since_s < t_s < until_s else 20_000.0)
    found = [base]
    for index in range(draw(st.integers(0, 4))):
        power_w = draw(st.integers(500, 30_000))
        flexible = FlexibleSite(
            site=f"site-{index}",
            order_by=draw(st.sampled_from(OrderBy)),
            battery_charge_w_max=power_w,
            battery_discharge_w_max=power_w,
            battery_capacity_wh=draw(st.integers(500, 50_000)),
            battery_price_mct_per_kwh=draw(st.integers(0, 20_000)),
        )
        found.append(
            SimSite(
                flexible,
                lambda t_s: 1_000.0 + t_s,
                soc_percent=draw(st.floats(5, 95)),
                obeys=draw(st.booleans()),
                refuses=draw(st.sampled_from([None, None, Refusal.INFEASIBLE, Refusal.TOO_OLD])),
                silent=draw(st.sampled_from([False, False, True])),
            )
        )
    return found


@settings(max_examples=20, deadline=None)
@given(sites(), st.sampled_from([1, 5, 10]), st.sampled_from([10, 60]), st.sampled_from([0, 20]))
def test_every_event_keeps_its_laws_and_ends(sims: list[SimSite], tick_s: int, telemetry_s: int, lag_s: int) -> None:
    """No order without a lease, none beyond a site's ability, none left when all is over."""
    feeder = SimFeeder(sims, feeder_settings(), tick_s=tick_s, telemetry_s=telemetry_s, feeder_lag_s=lag_s)
    feeder.run(1_300)
    able = {sim.flexible.site: sim.flexible for sim in sims}
    ids = [action.command_id for _, action in feeder.log if isinstance(action, SendCommand | ReleaseCommand)]
    assert len(set(ids)) == len(ids) and all(len(each) <= 64 for each in ids)
    for at, action in feeder.log:
        if isinstance(action, SendCommand):
            assert action.issued_at == at
            assert (action.expires_at - at).total_seconds() == feeder.settings.lease_s
            match action.action:
                case BatteryPower(power_w=power_w):
                    site = able[action.site]
                    assert -site.battery_discharge_w_max <= power_w <= site.battery_charge_w_max
                case LimitImport(max_w=max_w) | LimitExport(max_w=max_w):
                    assert max_w >= 0
        elif isinstance(action, RecordEvent):
            assert action.effective <= action.applied <= action.commands
            assert action.delivered_wh >= 0 and action.released == (action.ended_at is not None)
    assert feeder.state.state is FeederState.NORMAL and feeder.state.event is None
    assert all(not sim.orders for sim in sims)
