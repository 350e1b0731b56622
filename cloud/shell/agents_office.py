"""The agents over a cloud's tables: skills behind rights and records, at the market's own instant."""

from collections.abc import Callable
from datetime import UTC, datetime

from cloud.agents.office import CallBook, Office
from cloud.agents.ports import FleetPort, SetAsidePort
from cloud.errors import SkillError
from cloud.shell.call_book import StoreCallBook
from cloud.shell.skill_ports import journal_ports
from cloud.stores.registry import Registry
from cloud.stores.tables import Tables


def office_of(
    tables: Tables,
    registry: Registry,
    *,
    now: Callable[[], datetime] | None = None,
    set_aside: SetAsidePort | None = None,
    fleet: FleetPort | None = None,
    book: CallBook | None = None,
) -> Office:
    """Return the office of a cloud whose tables are at hand, whether that cloud runs or not.

    Args:
        tables: Where it reads, and records calls.
        registry: Who takes part.
        now: What time it is; without it the newest instant of any market, for a run may be recorded or hurried. A live
            market is at most one tick behind.
        set_aside: The records that functions could not take; without it none are kept here.
        fleet: The gateways; without it there is no fleet here.
        book: Where calls are recorded; without it each by itself, before its answer.
    """
    ports = journal_ports(tables, registry, set_aside=set_aside, fleet=fleet)

    def market_now() -> datetime:
        instants = []
        for zone in registry.zones:
            try:
                instants.append(ports.market.now(zone.id))
            except SkillError:
                continue  # Its market has not begun.
        return max(instants, default=datetime.now(UTC))

    return Office(ports=ports, places=registry, book=book or StoreCallBook(tables), now=now or market_now)
