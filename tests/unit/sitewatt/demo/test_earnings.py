"""What a site earned is told beside what it would have without a market, without a plan and without its battery."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.handlers import telemetry as store_telemetry
from cloud.market.rules import LastResort
from cloud.shell.market.reading import read_fold
from cloud.stores.registry import BatteryRecord
from contracts.topics import Up
from edge.trading.plan.problem import Connection
from sitewatt.demo.earnings import SUMS, by_agent, compared, demand_response, earnings
from tests.support.cloud.sites import ZONE, batch, house_in, telemetry
from tests.support.market.shell import INTERVAL, run_events, story

WIDE = Connection(import_w_max=20_000, export_w_max=20_000, curtailable=False)
UTILITY = LastResort(import_mct_per_kwh=30_000, export_mct_per_kwh=8_000)


BATTERY = BatteryRecord(capacity_wh=10_000, charge_w_max=5_000, discharge_w_max=5_000)


def test_the_sums_can_be_reckoned_by_hand() -> None:
    """It sold 1 kWh at 20 that its battery gave, and bought 0.5 kWh at the tariff in the next interval."""
    row = compared(
        "home-1",
        net_wh={0: -1_000, 900_000: 500},
        paid_uct={0: -1_000 * 20_000, 900_000: 500 * 30_000 + 700},
        event_uct={0: 0, 900_000: 700},
        price_mct={0: 20_000, 900_000: None},
        battery_wh={0: -1_200.4, 900_000: 0.0},
        battery=BATTERY,
        soc_percent=50,
        connection=WIDE,
        utility=UTILITY,
    )
    assert (row["paid_uct"], row["event_uct"]) == (-5_000_000 + 700, 700)
    assert row["without_market_uct"] == -1_000 * 8_000 + 500 * 30_000
    # Without it, it buys what it needs, and the 1200.4 Wh that were given are no loss: it takes more than it gives.
    assert row["without_battery_uct"] == 200 * 30_000 + 500 * 30_000 - 1_200.4 * 30_000
    # By self-consumption it serves both needs, nothing is bought or sold, and 500.4 Wh more are left at the end.
    assert row["without_plan_uct"] == round((-1_200.4 + 700) * 30_000)
    # With the future known it gives 500 Wh of its 1200.4 when they are worth 30, and the other 700.4 at 20 before.
    assert row["perfect_uct"] == pytest.approx((200 - 700.4) * 20_000, abs=20)
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
        event_uct={0: 0},
        price_mct={},
        battery_wh=moved,
        battery=battery,
        soc_percent=50,
        connection=WIDE,
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
        assert (rows["farm"]["agent"], rows["home-2"]["agent"]) == ("producer", "consumer")
        assert all(row["perfect_uct"] <= row["paid_uct"] - row["event_uct"] for row in rows.values())
        assert rows["home-2"]["without_plan_uct"] == rows["home-2"]["without_battery_uct"] == 80 * 30_000


def test_foresight_may_not_pass_the_connection_and_leaves_the_battery_as_it_was() -> None:
    """A bound that emptied the battery, or gave more than the fuse carries, would shame every honest plan."""
    row = compared(
        "home-1",
        net_wh={0: -100, 900_000: -100},
        paid_uct={0: -800_000, 900_000: -800_000},
        event_uct={0: 0, 900_000: 0},
        price_mct={0: 10_000, 900_000: 25_000},
        battery_wh={0: 0.0, 900_000: 0.0},
        battery=BATTERY,
        soc_percent=50,
        connection=Connection(import_w_max=400, export_w_max=800, curtailable=False),
        utility=UTILITY,
    )
    # It takes 100 Wh of sun and 10.8 Wh of the grid at 10, and gives the 100 Wh that the fuse leaves at 25.
    taken = 100 / 0.95 / 0.95
    assert row["perfect_uct"] == pytest.approx((taken - 100) * 10_000 - 200 * 25_000, abs=20)


def test_a_site_without_a_battery_would_have_sold_at_the_market_s_price() -> None:
    """Foresight of a site that moves nothing is the right orders: all of it at what the market paid."""
    row = compared(
        "home-3", net_wh={0: -400}, paid_uct={0: -3_200_000}, event_uct={0: 0}, price_mct={0: 28_000}, battery_wh={},
        battery=None, soc_percent=0, connection=WIDE, utility=UTILITY,
    )  # fmt: skip
    assert row["perfect_uct"] == -400 * 28_000


def test_money_of_an_event_is_told_apart_with_what_reversed_it() -> None:
    """A fine for a site that obeyed is no loss on the market, and a corrected one is none at all."""

    def line(posting: int, kind: str, reference: str) -> dict[str, object]:
        return {"posting": posting, "kind": kind, "reference": reference}

    lines = [
        line(1, "imbalance", "meter v1"), line(2, "penalty", "dr-1"), line(3, "reversal", "posting 1"),
        line(4, "reversal", "posting 2"), line(5, "demand-response", "dr-1"),
    ]  # fmt: skip
    assert [one["posting"] for one in demand_response(lines)] == [2, 4, 5]


def test_agents_of_a_kind_are_summed_and_an_unknown_sum_stays_unknown() -> None:
    """A sum that left a site out would be taken for all of them."""
    one: dict[str, Any] = dict.fromkeys(SUMS, 5)
    rows: list[dict[str, Any]] = [
        {**one, "agent": "producer"},
        {**one, "agent": "consumer"},
        {**one, "agent": "consumer", "perfect_uct": None},
    ]
    consumers, producers = by_agent(rows)
    assert (consumers["agent"], consumers["sites"], consumers["paid_uct"], consumers["perfect_uct"]) == (
        "consumer", 2, 10, None,
    )  # fmt: skip
    assert (producers["sites"], producers["perfect_uct"]) == (1, 5)
