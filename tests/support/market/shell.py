"""One product's story, from its opening to a corrected settlement, as events for the functions."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cloud.handlers import market_tick, meter, orders
from cloud.shell import services as shell_services
from cloud.shell.services import Services
from contracts.market import Availability, OrderMessage, Side
from contracts.topics import Up
from tests.support.cloud.sites import START, ZONE, batch, context, order, reading

INTERVAL = START + timedelta(minutes=15)
Event = tuple[Callable[[dict[str, Any], Any], Any], dict[str, Any]]


def tick_at(minutes: float) -> Event:
    """Return a tick so many minutes after the start."""
    at = START + timedelta(minutes=minutes)
    return market_tick.handler, {"time": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "zone": ZONE}


def orders_at(minutes: float, *messages: Any) -> Event:
    """Return a batch of orders so many minutes after the start."""
    return orders.handler, batch(Up.ORDERS, *messages, at=START + timedelta(minutes=minutes))


def meters_at(minutes: float, *messages: Any) -> Event:
    """Return a batch of readings so many minutes after the start."""
    return meter.handler, batch(Up.METER, *messages, at=START + timedelta(minutes=minutes))


def order_of(site: str, seq: int, side: Side, wh: int, price: int) -> OrderMessage:
    """Return an order for the story's interval."""
    return order(site, seq, INTERVAL, side, wh, price, at=START)


def able(message: OrderMessage, *, export_wh: int, stored_wh: int, room_wh: int = 0) -> OrderMessage:
    """Return an order that says what its site can do in the story's interval."""
    availability = Availability(
        interval_start=INTERVAL,
        import_wh=(message.quantity_wh,),
        export_wh=(export_wh,),
        own_net_wh=(0,),
        stored_wh=stored_wh,
        room_wh=room_wh,
    )
    return message.model_copy(update={"ability": availability})


def story() -> list[Event]:
    """Return one product from its opening to a correction."""
    return [
        tick_at(0),
        orders_at(
            1,
            able(order_of("farm", 1, Side.SELL, 4_000, 9_000), export_wh=5_000, stored_wh=4_500),
            order_of("factory", 1, Side.BUY, 3_000, 20_000),
        ),
        orders_at(
            2,
            order_of("home-1", 2, Side.BUY, 500, 25_000),  # Comes before its predecessor.
            order_of("home-1", 1, Side.BUY, 700, 35_000),
            order_of("factory", 2, Side.BUY, 9_000, 40_000),
        ),
        tick_at(10),
        orders_at(11, order_of("farm", 2, Side.SELL, 100, 9_000)),  # Too late.
        tick_at(30),
        meters_at(
            31,
            reading("farm", 1, INTERVAL, export_wh=3_800),
            reading("factory", 1, INTERVAL, import_wh=12_500),
            reading("home-1", 1, INTERVAL, import_wh=1_000),
        ),
        meters_at(32, reading("home-2", 1, INTERVAL, import_wh=50)),
        tick_at(33),
        meters_at(34, reading("home-2", 2, INTERVAL, import_wh=80, version=2)),
        tick_at(35),
    ]


def run_events(services: Services, events: list[Event]) -> None:
    """Call the functions with the events, over services."""
    shell_services.install(services)
    try:
        for handler, event in events:
            handler(event, context())
    finally:
        shell_services.install(None)
