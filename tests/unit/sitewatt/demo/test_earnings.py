"""What a site earned is told beside what it would have without a market, and without its battery, too."""

from pathlib import Path

from cloud.market.rules import LastResort
from cloud.shell.market.reading import read_fold
from sitewatt.demo.earnings import compared, earnings
from tests.support.cloud.sites import START, ZONE, house_in
from tests.support.market.shell import run_events, story

UTILITY = LastResort(import_mct_per_kwh=30_000, export_mct_per_kwh=8_000)


def test_the_three_sums_can_be_reckoned_by_hand() -> None:
    """It sold 1 kWh at 20 that its battery gave, and bought 0.5 kWh at the tariff in the next interval."""
    row = compared(
        "home-1",
        net_wh={0: -1_000, 900_000: 500},
        paid_uct={0: -1_000 * 20_000, 900_000: 500 * 30_000},
        battery_wh={0: -1_200.4, 900_000: 0.0},
        utility=UTILITY,
    )
    assert row["paid_uct"] == -5_000_000
    assert row["without_market_uct"] == -1_000 * 8_000 + 500 * 30_000
    assert row["without_battery_uct"] == 200 * 30_000 + 500 * 30_000
    assert row["intervals"] == 2


def test_a_run_tells_each_site_what_its_ledger_and_its_meter_say(tmp_path: Path) -> None:
    """What the farm was settled at is its account's balance; the home bought nothing and pays the tariff either way."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        rows = {
            row["site"]: row for row in earnings(services.stores.tables, ZONE, ["farm", "home-2"], started_at=START)
        }
        assert rows["farm"]["intervals"] == 1 and rows["farm"]["without_market_uct"] == -3_800 * 8_000
        fold = read_fold(services.stores.tables, ZONE)
        assert fold is not None and rows["farm"]["paid_uct"] == fold.engine.balances()["farm"][0]
        assert rows["home-2"]["paid_uct"] == 80 * 30_000 == rows["home-2"]["without_market_uct"]
