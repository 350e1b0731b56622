"""Time moves the market: products open, close, deliver and settle even when nobody sends anything."""

from datetime import datetime
from typing import Any

from cloud.errors import SetupError
from cloud.market import commands
from cloud.shell.counting import counted
from cloud.shell.market.writer import market_of
from cloud.shell.services import current
from contracts.units import epoch_ms


@counted("market-tick")
def handler(event: dict[str, Any], context: Any) -> None:
    """Let the market of one zone move on to the schedule's own time.

    Raises:
        SetupError: The schedule names a zone that is not registered.
        CloudError: The tick was not taken; the next one brings the same.
    """
    services = current()
    market = market_of(services, event["zone"])
    if market is None:
        raise SetupError(f"market tick for zone {event['zone']}, which is not registered; nothing done")
    at_ms = epoch_ms(datetime.fromisoformat(event["time"]))
    market.submit([commands.tick(at_ms=at_ms)], at_ms=at_ms, newest=services.newest_registry)
    market.tidy()
