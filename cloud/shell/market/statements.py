"""A site's month out of the tables: its ledger lines and settlements, interval by interval of the local month."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from cloud.market.ledger import Kind
from cloud.market.rules import NO_SITE, LastResort, MarketRules
from cloud.market.statement import Metered, Statement, StatementLine, make_statement
from cloud.shell.market.projection import committed_upto
from cloud.shell.market.reading import read_fold
from cloud.stores import keys
from cloud.stores.registry import ZoneRecord
from cloud.stores.tables import Tables, prefix
from contracts.units import DELIVERY_INTERVAL, ZoneId, instant


def time_zone_of(zone: ZoneRecord) -> tzinfo:
    """Return the time zone of a zone's bills: its named one where it has one, else its fixed offset."""
    name = getattr(zone, "timezone", None) or getattr(zone, "time_zone", None)
    if isinstance(name, str) and name:
        return ZoneInfo(name)
    return zone.clock


def statements(tables: Tables, zone: ZoneRecord, *, month: date, site: str | None) -> list[Statement]:
    """Return the statement of one site, or of every site with anything in the month, by name.

    Raises:
        StoreError: The tables failed.
    """
    local = time_zone_of(zone)
    end = (month.replace(day=1) + timedelta(days=32)).replace(day=1)
    at, until = (datetime(day.year, day.month, day.day, tzinfo=local).astimezone(UTC) for day in (month, end))
    upto = committed_upto(tables, zone.id)
    rules = _rules(tables, zone)
    lines: dict[str, list[StatementLine]] = {}
    metered: dict[str, list[Metered]] = {}
    while at < until:
        for body in _of(tables, zone.id, at, keys.LEDGER, upto):
            if body["account"] not in NO_SITE and site in (None, body["account"]):
                lines.setdefault(body["account"], []).append(_line(body, local))
        newest: dict[str, dict[str, Any]] = {}
        for body in _of(tables, zone.id, at, keys.SETTLED, upto):
            if site in (None, body["site"]):
                newest[body["site"]] = max(newest.get(body["site"], body), body, key=lambda one: int(one["version"]))
        for name, body in newest.items():
            metered.setdefault(name, []).append(_metered(body, rules.last_resort, local))
        at += DELIVERY_INTERVAL
    # A site that traded ahead has no settlement yet; the market's own accounts never trade.
    traders = {name for name, of_it in lines.items() if any(line.kind == Kind.TRADE for line in of_it)}
    names = [site] if site is not None else sorted(traders | metered.keys())
    return [
        make_statement(
            site=name,
            zone=zone.id,
            month=f"{month:%Y-%m}",
            lines=lines.get(name, ()),
            metered=metered.get(name, ()),
        )
        for name in names
    ]


def _rules(tables: Tables, zone: ZoneRecord) -> MarketRules:
    fold = read_fold(tables, zone.id)
    return MarketRules.model_validate({**zone.market, "zone": zone.id}) if fold is None else fold.engine.rules


def _of(tables: Tables, zone: ZoneId, start: datetime, what: str, upto: int) -> list[dict[str, Any]]:
    key = keys.trade_item(zone, start, what)
    items = tables.query(key.table, key.pk, **prefix(what))
    return [item.body for item in items if item.body["position"] <= upto]


def _line(body: dict[str, Any], local: tzinfo) -> StatementLine:
    return StatementLine(
        at=instant(body["interval_ms"]).astimezone(local),
        number=body["number"],
        kind=body["kind"],
        energy_wh=body["energy_wh"],
        money_uct=body["money_uct"],
        reference=body["reference"],
        meter_version=body["meter_version"],
        rules_version=body["rules_version"],
    )


def _metered(body: dict[str, Any], utility: LastResort | None, local: tzinfo) -> Metered:
    return Metered(
        at=instant(body["interval_ms"]).astimezone(local),
        net_wh=body["metered_wh"],
        estimated=body["estimated"],
        method=body["method"],
        utility=None if utility is None else utility.prices_at(body["interval_ms"]),
    )
