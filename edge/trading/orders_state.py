"""The agent's orders as JSON: kept by the gateway, so that a restart neither forgets an order nor sends it twice."""

import json
from typing import Any

from contracts.market import Side
from contracts.units import epoch_ms, instant
from edge.trading.model import Leg
from edge.trading.orders import OwnOrder, OwnOrders


def dump_orders(own: OwnOrders) -> str:
    """Return the orders as JSON; ``load_orders`` is its inverse."""
    return json.dumps(
        {
            "orders": [
                [
                    epoch_ms(start),
                    leg,
                    order.order_id,
                    order.revision,
                    order.side,
                    order.quantity_wh,
                    order.price_mct_per_kwh,
                    order.traded_wh,
                    order.open,
                    order.confirmed,
                ]
                for (start, leg), order in own.orders.items()
            ],
            "positions": [[epoch_ms(start), energy_wh] for start, energy_wh in own.positions.items()],
            "trades": [[trade_id, epoch_ms(start)] for trade_id, start in own.trades.items()],
        },
        separators=(",", ":"),
    )


def load_orders(text: str) -> OwnOrders:
    """Return the orders from JSON.

    Raises:
        ValueError: The text is not what ``dump_orders`` wrote.
    """
    try:
        raw: dict[str, Any] = json.loads(text)
        return OwnOrders(
            orders={(instant(row[0]), Leg(row[1])): _order(row) for row in raw["orders"]},
            positions={instant(start_ms): int(energy_wh) for start_ms, energy_wh in raw["positions"]},
            trades={str(trade_id): instant(start_ms) for trade_id, start_ms in raw["trades"]},
        )
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"orders have no valid {error}; they cannot be used") from error


def _order(row: list[Any]) -> OwnOrder:
    confirmed = row[9]
    return OwnOrder(
        order_id=row[2],
        revision=row[3],
        side=Side(row[4]),
        quantity_wh=row[5],
        price_mct_per_kwh=row[6],
        traded_wh=row[7],
        open=row[8],
        confirmed=None if confirmed is None else (confirmed[0], confirmed[1]),
    )
