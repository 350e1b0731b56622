"""A site's own orders in the market, and its last days, as they are kept over a restart."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from contracts.units import epoch_ms, instant
from edge.trading.model import IntervalEnergy, Leg
from edge.trading.orders import OwnOrder, OwnOrders

_ORDER: Final[TypeAdapter[OwnOrder]] = TypeAdapter(OwnOrder)


def dump_orders(own: OwnOrders) -> dict[str, Any]:
    """Return orders, positions and trades as plain values."""
    return {
        "orders": [
            [epoch_ms(start), leg, _ORDER.dump_python(order, mode="json")] for (start, leg), order in own.orders.items()
        ],
        "positions": [[epoch_ms(start), energy_wh] for start, energy_wh in own.positions.items()],
        "trades": {trade: epoch_ms(start) for trade, start in own.trades.items()},
    }


def load_orders(kept: Any) -> OwnOrders:
    """Return what ``dump_orders`` made; nothing kept are no orders."""
    if not kept:
        return OwnOrders()
    return OwnOrders(
        orders={(instant(start), Leg(leg)): _ORDER.validate_python(order) for start, leg, order in kept["orders"]},
        positions={instant(start): int(energy_wh) for start, energy_wh in kept["positions"]},
        trades={str(trade): instant(start) for trade, start in kept["trades"].items()},
    )


def dump_history(history: Mapping[datetime, IntervalEnergy]) -> list[list[float]]:
    """Return load and generation of past intervals as plain values."""
    return [[epoch_ms(at), round(one.load_wh, 1), round(one.pv_wh, 1)] for at, one in history.items()]


def load_history(kept: Any) -> dict[datetime, IntervalEnergy]:
    """Return what ``dump_history`` made; nothing kept is no history."""
    return {
        instant(at): IntervalEnergy(load_wh=float(load_wh), pv_wh=float(pv_wh)) for at, load_wh, pv_wh in kept or []
    }
