"""What a person has to look at in a zone's market: claims that wait, and what was settled on estimates."""

from datetime import datetime
from typing import Any

from cloud.market.statement import eur
from cloud.shell.market.projection import READING_HELD
from cloud.shell.market.reading import read_fold
from cloud.stores import keys
from cloud.stores.tables import Tables, prefix
from contracts.units import DELIVERY_INTERVAL, SiteId, ZoneId, instant


def waiting_claims(tables: Tables, zone: ZoneId) -> list[dict[str, Any]]:
    """Return the flagged claims of a zone that nobody has decided, by site and event; empty where it has not begun.

    Raises:
        StoreError: The tables failed.
    """
    fold = read_fold(tables, zone)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for product, site, line in fold.engine.open_claims() if fold is not None else ():
        meter = product.meters.get(site)
        claim = found.setdefault(
            (line.event, site),
            {"zone": zone, "event": line.event, "site": site, "flags": [], "intervals": [], "claimed_uct": 0},
        )
        claim["flags"] = sorted({*claim["flags"], *line.flags})
        claim["claimed_uct"] += abs(line.committed_wh) * line.price_mct_per_kwh
        claim["claimed_eur"] = eur(claim["claimed_uct"])
        claim["intervals"].append(
            {
                "start": instant(product.start_ms).isoformat(),
                "committed_wh": line.committed_wh,
                "baseline_wh": line.baseline_wh,
                "metered_wh": None if meter is None or meter.estimated else meter.net_wh,
                "method": line.method,
            }
        )
    return list(found.values())


def held_readings(tables: Tables, zone: ZoneId) -> list[dict[str, Any]]:
    """Return the readings that are held as implausible, each with the reason that its event has, the earliest first.

    Raises:
        StoreError: The tables failed.
    """
    return [
        {**row, "reason": _reason(tables, row["site"], row["start"])}
        for row in estimates(tables, zone)
        if row["held"] is not None
    ]


def _reason(tables: Tables, site: SiteId, start: str) -> str:
    key = keys.site_event(site, datetime.fromisoformat(start) + DELIVERY_INTERVAL, 0, 0)
    items = tables.query(key.table, key.pk, **prefix(key.sk.split("#")[0]))
    reasons = [item.body["fields"]["reason"] for item in items if item.body["phrase"] == READING_HELD]
    return str(reasons[-1]).partition("; held as implausible")[0] if reasons else "above its connection"


def estimates(tables: Tables, zone: ZoneId) -> list[dict[str, Any]]:
    """Return what stands on an estimate and may still be corrected, the earliest first.

    Raises:
        StoreError: The tables failed.
    """
    fold = read_fold(tables, zone)
    if fold is None:
        return []
    products = (fold.engine.product(view.interval_ms) for view in fold.engine.products())
    return [
        {
            "zone": zone,
            "site": settled.site,
            "start": instant(product.start_ms).isoformat(),
            "method": settled.method,
            "metered_wh": settled.metered_wh,
            "imbalance_wh": settled.imbalance_wh,
            "imbalance_uct": settled.imbalance_uct,
            "held": None if (held := product.held.get(settled.site)) is None else held.net_wh,
            "final_at": instant(product.times.forgotten_ms).isoformat(),
        }
        for product in products
        if product is not None
        for _, settled in sorted(product.settled.items())
        if settled.estimated
    ]
