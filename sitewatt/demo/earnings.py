"""What each site of a run was settled at, beside three cases at the utility's tariffs alone and perfect foresight.

The three: the same meter; its battery run by self-consumption, without a plan; no battery at all. What the meter would
have counted without its battery is what it counted less what the battery took. What the battery holds more or less at
the end than in the other case is counted at the tariff.

What demand response paid or took is a sum of its own. It is no part of perfect foresight: that is the gateway's planner
over the intervals as they came, at the market's price of each (the tariff where nothing cleared or is better), with the
battery at the end as full as it was. It takes any quantity at that price, so it is a bound, not a result one can reach.
Only batteries move in it: a car or a heat pump draws what it drew, and sun that an order or a full inverter held back
is missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cloud.local.report import ledger_lines, products
from cloud.market.ledger import Kind
from cloud.market.rules import LastResort
from cloud.shell.forecast.site_history import battery_power_w
from cloud.shell.market.projection import committed_upto
from cloud.shell.market.reading import read_fold
from cloud.stores import keys
from cloud.stores.registry import BatteryRecord, SiteRecord
from cloud.stores.tables import Table, Tables, prefix
from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S, SiteId, ZoneId, epoch_ms, instant
from edge.trading.plan.linear import linear_plan
from edge.trading.plan.problem import Connection, PlanInterval, Problem, Store
from edge.trading.plan.programme import SolverFailed, SolverMissing
from edge.trading.plan.rule import self_consumption

SUMS = ("paid_uct", "event_uct", "without_market_uct", "without_plan_uct", "without_battery_uct", "perfect_uct")
_HOURS = DELIVERY_INTERVAL_S / 3600


def earnings(
    tables: Tables, zone: ZoneId, sites: Iterable[SiteRecord], *, soc_percent: Mapping[SiteId, float]
) -> list[dict[str, Any]]:
    """Return for each site what it owes (negative: is owed) as settled and in the other cases, in uct.

    Only intervals with a reading count; a case that needs the battery's power is ``None`` where that is not known in
    one of them. Nothing where the zone has no utility to compare with.

    Args:
        tables: Of the run.
        zone: Of the sites.
        sites: Whose.
        soc_percent: How full each battery was at the beginning.

    Raises:
        StoreError: The tables failed.
    """
    fold = read_fold(tables, zone)
    utility = None if fold is None else fold.engine.rules.last_resort
    if utility is None:
        return []
    metered = _metered(tables, zone)
    lines = list(ledger_lines(tables, zone))
    paid, event = _sums(lines), _sums(demand_response(lines))
    price_mct = {product["interval_ms"]: product["price"] for product in products(tables, zone)}
    return [
        compared(
            site.id,
            net_wh=metered.get(site.id, {}),
            paid_uct={start: paid[site.id, start] for start in metered.get(site.id, {})},
            event_uct={start: event[site.id, start] for start in metered.get(site.id, {})},
            price_mct=price_mct,
            battery_wh=_battery_wh(tables, site, metered.get(site.id, {})) if site.battery else {},
            battery=site.battery,
            soc_percent=soc_percent.get(site.id, 0.0),
            connection=Connection(
                import_w_max=float(site.import_limit_w), export_w_max=float(site.export_limit_w), curtailable=False
            ),
            utility=utility,
        )
        | {"agent": site.agent.value}
        for site in sites
    ]


def by_agent(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the sums over the sites of each kind of agent, in uct; ``None`` where it is not known of one of them."""
    kinds: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        kinds[row["agent"]].append(row)

    def total(members: Iterable[Mapping[str, Any]], name: str) -> int | None:
        values = [member[name] for member in members]
        return None if None in values else sum(values)

    return [
        {"agent": agent, "sites": len(members), **{name: total(members, name) for name in SUMS}}
        for agent, members in sorted(kinds.items())
    ]


def demand_response(lines: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the ledger lines that pay for demand response or fine it, with what reversed them."""
    lines = list(lines)
    kinds = {Kind.DEMAND_RESPONSE.value, Kind.PENALTY.value}
    postings = {f"posting {line['posting']}" for line in lines if line["kind"] in kinds}
    return [
        line
        for line in lines
        if line["kind"] in kinds or (line["kind"] == Kind.REVERSAL.value and line["reference"] in postings)
    ]


def _sums(lines: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = defaultdict(int)
    for line in lines:
        found[line["account"], line["interval_ms"]] += line["money_uct"]
    return found


def compared(
    site: SiteId,
    *,
    net_wh: Mapping[int, int],
    paid_uct: Mapping[int, int],
    event_uct: Mapping[int, int],
    price_mct: Mapping[int, int | None],
    battery_wh: Mapping[int, float | None],
    battery: BatteryRecord | None,
    soc_percent: float,
    connection: Connection,
    utility: LastResort,
) -> dict[str, Any]:
    """Return one site's sums; each mapping is by the interval's start in epoch milliseconds.

    Args:
        site: Whose.
        net_wh: Metered, import positive.
        paid_uct: What it was settled at, positive is owed.
        event_uct: What of it is for demand response.
        price_mct: What a kWh cost on the market, ``None`` where nothing cleared.
        battery_wh: What its battery took, positive for charging; ``None`` where it is not known.
        battery: Its battery, ``None`` without one.
        soc_percent: How full that was before the first interval.
        connection: What perfect foresight may take and give.
        utility: Whose tariffs stand without a market.
    """

    def alone_uct(use_wh: Mapping[int, int]) -> int:
        total = 0
        for start, net in use_wh.items():
            prices = utility.prices_at(start)
            total += net * (prices.import_mct_per_kwh if net > 0 else prices.export_mct_per_kwh)
        return total

    known = {start: 0.0 if battery is None else battery_wh.get(start) for start in net_wh}
    moved = {start: wh for start, wh in known.items() if wh is not None}
    bare = {start: net_wh[start] - round(wh) for start, wh in moved.items()}
    row: dict[str, Any] = {
        "site": site,
        "intervals": len(net_wh),
        "paid_uct": sum(paid_uct.values()),
        "event_uct": sum(event_uct.values()),
        "without_market_uct": alone_uct(net_wh),
        "without_plan_uct": None,
        "without_battery_uct": None,
        "perfect_uct": None,
    }
    if len(moved) < len(net_wh):
        return row
    if battery is None or not net_wh:
        unmoved = row["without_market_uct"]
        perfect = _perfect_uct(net_wh, (), price_mct=price_mct, connection=connection, utility=utility)
        return row | {"without_plan_uct": unmoved, "without_battery_uct": unmoved, "perfect_uct": perfect}
    store = _store(battery, soc_percent=soc_percent)
    ruled = _by_rule(bare, store)
    used = {start: bare[start] + round(ruled[start]) for start in bare}
    # What the battery holds more than in another case serves the site's need later, or is fed in where it has none.
    last = utility.prices_at(max(net_wh))
    worth = last.import_mct_per_kwh if sum(bare.values()) > 0 else last.export_mct_per_kwh
    left_wh = _to_give_wh(moved.values(), store)
    last_wh = min(max(store.stored_wh + left_wh / store.discharge_efficiency, 0.0), store.stored_wh_max)
    kept = replace(store, target_wh=last_wh, target_at=instant(max(net_wh)) + DELIVERY_INTERVAL, wear_mct_per_kwh=0.0)
    return row | {
        "without_plan_uct": alone_uct(used) + round((left_wh - _to_give_wh(ruled.values(), store)) * worth),
        "without_battery_uct": alone_uct(bare) + round(left_wh * worth),
        "perfect_uct": _perfect_uct(bare, (kept,), price_mct=price_mct, connection=connection, utility=utility),
    }


def _perfect_uct(
    bare_wh: Mapping[int, int],
    stores: Sequence[Store],
    *,
    price_mct: Mapping[int, int | None],
    connection: Connection,
    utility: LastResort,
) -> int | None:
    """Return what the site would have owed, had the planner known what came; ``None`` without a solver."""
    prices: dict[int, tuple[int, int]] = {}
    for start in sorted(bare_wh):
        tariff, cleared = utility.prices_at(start), price_mct.get(start)
        buy, sell = tariff.import_mct_per_kwh, tariff.export_mct_per_kwh
        prices[start] = (buy, sell) if cleared is None else (min(buy, cleared), max(sell, cleared))
    intervals = _intervals(bare_wh, prices)
    problem = Problem(intervals=intervals, stores=stores, connection=connection, end_mct_per_kwh=0.0)
    try:
        actions = linear_plan(problem, tie_break_ct_per_kwh=0.0)
    except (SolverMissing, SolverFailed):
        return None
    total = 0.0
    for (start, (buy, sell)), action in zip(prices.items(), actions, strict=True):
        net = bare_wh[start] + sum(action.battery_wh)
        total += net * (buy if net > 0 else sell)
    return round(total)


def _store(battery: BatteryRecord, *, soc_percent: float) -> Store:
    return Store(
        id="battery",
        capacity_wh=battery.capacity_wh,
        charge_w_max=battery.charge_w_max,
        discharge_w_max=battery.discharge_w_max,
        stored_wh=battery.capacity_wh * soc_percent / 100,
        stored_wh_max=battery.capacity_wh,
    )


def _by_rule(bare_wh: Mapping[int, int], store: Store) -> dict[int, float]:
    """Return what self-consumption would have had the battery take in each interval, in Wh."""
    intervals = _intervals(bare_wh, dict.fromkeys(bare_wh, (0, 0)))
    unbounded = Connection(import_w_max=float("inf"), export_w_max=float("inf"))
    problem = Problem(intervals=intervals, stores=[store], connection=unbounded, end_mct_per_kwh=0.0)
    actions = self_consumption(problem)
    return {start: action.battery_wh[0] for start, action in zip(sorted(bare_wh), actions, strict=True)}


def _intervals(bare_wh: Mapping[int, int], prices: Mapping[int, tuple[int, int]]) -> list[PlanInterval]:
    """Return the intervals as they came, with what a kWh from and to the grid cost and brought, in mct."""
    return [
        PlanInterval(
            start=instant(start),
            hours=_HOURS,
            load_wh=max(0, bare_wh[start]),
            pv_wh=min(0, bare_wh[start]),
            buy_mct_per_kwh=float(prices[start][0]),
            sell_mct_per_kwh=float(prices[start][1]),
        )
        for start in sorted(bare_wh)
    ]


def _to_give_wh(moved_wh: Iterable[float], store: Store) -> float:
    """Return what could still be given of what a battery took over time; negative where it gave more."""
    taken, given = 0.0, 0.0
    for wh in moved_wh:
        taken, given = taken + max(0.0, wh), given + max(0.0, -wh)
    return taken * store.charge_efficiency * store.discharge_efficiency - given


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


def _battery_wh(tables: Tables, site: SiteRecord, starts_ms: Iterable[int]) -> dict[int, float | None]:
    power_w = battery_power_w(tables, site, [instant(start) for start in starts_ms])
    return {epoch_ms(start): None if watts is None else watts * _HOURS for start, watts in power_w.items()}
