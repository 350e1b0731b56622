"""What a site earned is told beside what it would have without a market, without a plan and without its battery."""

from datetime import timedelta
from pathlib import Path

import pytest

from cloud.handlers import telemetry as store_telemetry
from cloud.market.rules import LastResort
from cloud.shell.market.reading import read_fold
from cloud.stores.registry import BatteryRecord
from contracts.topics import Up
from sitewatt.demo.earnings import compared, earnings
from tests.support.cloud.sites import ZONE, batch, house_in, telemetry
from tests.support.market.shell import INTERVAL, run_events, story

UTILITY = LastResort(import_mct_per_kwh=30_000, export_mct_per_kwh=8_000)


BATTERY = BatteryRecord(capacity_wh=10_000, charge_w_max=5_000, discharge_w_max=5_000)


def test_the_sums_can_be_reckoned_by_hand() -> None:
    """It sold 1 kWh at 20 that its battery gave, and bought 0.5 kWh at the tariff in the next interval."""
    row = compared(
        "home-1",
        net_wh={0: -1_000, 900_000: 500},
        paid_uct={0: -1_000 * 20_000, 900_000: 500 * 30_000},
        battery_wh={0: -1_200.4, 900_000: 0.0},
        battery=BATTERY,
        soc_percent=50,
        utility=UTILITY,
    )
    assert row["paid_uct"] == -5_000_000
    assert row["without_market_uct"] == -1_000 * 8_000 + 500 * 30_000
    # Without it, it buys what it needs, and the 1200.4 Wh that were given are no loss: it takes more than it gives.
    assert row["without_battery_uct"] == 200 * 30_000 + 500 * 30_000 - 1_200.4 * 30_000
    # By self-consumption it serves both needs, nothing is bought or sold, and 500.4 Wh more are left at the end.
    assert row["without_plan_uct"] == round((-1_200.4 + 700) * 30_000)
    assert row["intervals"] == 2


@pytest.mark.parametrize(
    ("battery", "moved", "plan", "bare"),
    [
        # Without one its meter is the same in every case: 400 Wh sold at 8.
        (None, {}, -400 * 8_000, -400 * 8_000),
        # It took 100 of 500 Wh of surplus. Self-consumption takes all; 90.25 % of the other 400 are left to be sold.
        (BATTERY, {0: 100.0}, -round(400 * 0.9025 * 8_000), -500 * 8_000 + round(90.25 * 8_000)),
        (BATTERY, {0: None}, None, None),
        (BATTERY, {}, None, None),
    ],
)
def test_a_case_that_needs_the_battery_is_told_where_its_power_is_known_alone(
    battery: BatteryRecord | None, moved: dict[int, float | None], plan: int | None, bare: int | None
) -> None:
    """A column that repeats the one beside it would say that the battery did nothing."""
    row = compared(
        "home-1",
        net_wh={0: -400},
        paid_uct={0: 0},
        battery_wh=moved,
        battery=battery,
        soc_percent=50,
        utility=UTILITY,
    )
    assert (row["without_plan_uct"], row["without_battery_uct"]) == (plan, bare)


def test_a_run_tells_each_site_what_its_ledger_its_meter_and_its_battery_say(tmp_path: Path) -> None:
    """What the farm was settled at is its account's balance; the home bought nothing and pays the tariff either way."""
    with house_in(tmp_path) as (services, _):
        power = {"inverter/battery_power_w": [-8_000.0] * 16}
        told = telemetry("farm", 1, INTERVAL, power, step_s=60)
        came = batch(Up.TELEMETRY, told, at=INTERVAL + timedelta(minutes=15))
        run_events(services, [*story(), (store_telemetry.handler, came)])
        farm, home = services.registry.site("farm"), services.registry.site("home-2")
        assert farm is not None and home is not None
        rows = {
            row["site"]: row for row in earnings(services.stores.tables, ZONE, [farm, home], soc_percent={"farm": 50.0})
        }
        assert rows["farm"]["intervals"] == 1 and rows["farm"]["without_market_uct"] == -3_800 * 8_000
        assert rows["farm"]["without_battery_uct"] == -1_800 * 8_000 - 2_000 * 8_000
        fold = read_fold(services.stores.tables, ZONE)
        assert fold is not None and rows["farm"]["paid_uct"] == fold.engine.balances()["farm"][0]
        assert rows["home-2"]["paid_uct"] == 80 * 30_000 == rows["home-2"]["without_market_uct"]
        assert rows["home-2"]["without_plan_uct"] == rows["home-2"]["without_battery_uct"] == 80 * 30_000
