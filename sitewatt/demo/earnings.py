"""What each site of a run was settled at, beside the same meters without a market, and without a market and a battery.

Without a market all that the meter counted is at the utility's tariffs. Without its battery the meter would have
counted what the battery took less, and what it gave more.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cloud.local.report import ledger_lines, products
from cloud.market.rules import LastResort
from cloud.shell.aggregates import mean_of
from cloud.shell.market.projection import committed_upto
from cloud.shell.market.reading import read_fold
from cloud.stores import keys
from cloud.stores.tables import Table, Tables, prefix
from contracts.units import DELIVERY_INTERVAL_S, SiteId, ZoneId, epoch_ms, instant

_BATTERY = "battery_power_w"


def earnings(tables: Tables, zone: ZoneId, sites: Iterable[SiteId], *, started_at: datetime) -> list[dict[str, Any]]:
    """Return for each site what it owes (negative: is owed) as settled and in both other cases, in uct.

    Only intervals with a reading count. Nothing where the zone has no utility to compare with.

    Raises:
        StoreError: The tables failed.
    """
    fold = read_fold(tables, zone)
    utility = None if fold is None else fold.engine.rules.last_resort
    if utility is None:
        return []
    metered = _metered(tables, zone)
    paid: dict[tuple[str, int], int] = defaultdict(int)
    for line in ledger_lines(tables, zone):
        paid[line["account"], line["interval_ms"]] += line["money_uct"]
    days = [started_at, started_at + timedelta(days=1)]
    return [
        compared(
            site,
            net_wh=metered.get(site, {}),
            paid_uct={start: paid[site, start] for start in metered.get(site, {})},
            battery_wh=_battery_wh(tables, site, days),
            utility=utility,
        )
        for site in sites
    ]


def compared(
    site: SiteId,
    *,
    net_wh: Mapping[int, int],
    paid_uct: Mapping[int, int],
    battery_wh: Mapping[int, float],
    utility: LastResort,
) -> dict[str, Any]:
    """Return one site's three sums; each argument is by the interval's start in epoch milliseconds.

    Args:
        site: Whose.
        net_wh: Metered, import positive.
        paid_uct: What it was settled at, positive is owed.
        battery_wh: What its battery took, positive for charging.
        utility: Whose tariffs stand without a market.
    """

    def alone(net: int, start_ms: int) -> int:
        prices = utility.prices_at(start_ms)
        return net * (prices.import_mct_per_kwh if net > 0 else prices.export_mct_per_kwh)

    return {
        "site": site,
        "intervals": len(net_wh),
        "paid_uct": sum(paid_uct.values()),
        "without_market_uct": sum(alone(net, start) for start, net in net_wh.items()),
        "without_battery_uct": sum(
            alone(net - round(battery_wh.get(start, 0.0)), start) for start, net in net_wh.items()
        ),
    }


def _metered(tables: Tables, zone: ZoneId) -> dict[str, dict[int, int]]:
    upto = committed_upto(tables, zone)
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for product in products(tables, zone):
        start_ms = product["interval_ms"]
        partition = keys.market(zone, instant(start_ms))
        items = tables.query(Table.TRADE_DATA, partition, **prefix(keys.SETTLED))
        # By site and version: the newest stands last.
        for body in (item.body for item in items if item.body["position"] <= upto):
            if body["estimated"]:
                found[body["site"]].pop(start_ms, None)
            else:
                found[body["site"]][start_ms] = body["metered_wh"]
    return found


def _battery_wh(tables: Tables, site: SiteId, days: Sequence[datetime]) -> dict[int, float]:
    found: dict[int, float] = defaultdict(float)
    for pk in sorted({keys.energy_day(site, epoch_ms(day)) for day in days}):
        for item in tables.query(Table.ENERGY_METRICS, pk):
            power_w = mean_of(item.body, _BATTERY)
            if power_w is not None:
                found[item.body["begin_ms"]] += power_w * DELIVERY_INTERVAL_S / 3600
    return found
