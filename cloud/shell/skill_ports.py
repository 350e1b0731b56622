"""What the agents' skills stand on, over the stores and the market's writer."""

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Lock
from typing import Any, Final

from pydantic import TypeAdapter

from cloud.agents.ports import FleetPort, SetAsidePort
from cloud.agents.skills import Ports
from cloud.errors import PublishError, SkillError, SkillMissing
from cloud.grid.actions import RecordEvent
from cloud.grid.state import load_state
from cloud.market import commands
from cloud.market.product import TRADING
from cloud.market.shapes import Command
from cloud.market.stages import REPEATS_MS
from cloud.market.state import Product
from cloud.shell.forecast.outlook_port import StoreOutlook
from cloud.shell.forecast.scoring import score
from cloud.shell.grid.network import network_status
from cloud.shell.grid.relief_port import StoreRelief
from cloud.shell.grid.requests import held, request_at
from cloud.shell.grid.view import FREQUENCY, VOLTAGES, settings_of
from cloud.shell.join_port import StoreJoins
from cloud.shell.market.books_port import StoreBooks
from cloud.shell.market.fold import Fold
from cloud.shell.market.journal import Journal
from cloud.shell.market.projection import committed_upto
from cloud.shell.market.reading import read_fold
from cloud.shell.market.review import estimates, waiting_claims
from cloud.shell.market.rules_port import StoreRules
from cloud.shell.market.writer import MarketWriter, market_of
from cloud.shell.not_here import NoFleet, NoSetAside
from cloud.shell.plan_port import StorePlans
from cloud.shell.publishing import Outgoing
from cloud.shell.records_port import StoreRecords
from cloud.shell.services import Services
from cloud.shell.site_port import StoreSites
from cloud.stores import keys
from cloud.stores.registry import Registry
from cloud.stores.tables import Table, Tables, prefix
from contracts.forecast import ForecastKind, ForecastSeries
from contracts.grid import Disturbance, FeederState, GridBroadcast
from contracts.market import MarketBroadcast, OrderStatus, ProductState, Side
from contracts.skills.forecast import ScoreAnswer
from contracts.skills.grid import EvidenceRecord, NetworkStatus, SupplyValue
from contracts.skills.market import ClaimDecision, EstimatedSettlement, HealthFigures, PriceQuote, WaitingClaim
from contracts.units import Quality, SiteId, ZoneId, epoch_ms, instant

_EVENT: Final = TypeAdapter(RecordEvent)
_WAITING: Final = frozenset({ProductState.CLEARED, ProductState.DELIVERED, ProductState.METERED})
_SETTLED: Final = frozenset({ProductState.SETTLED, ProductState.CORRECTED})

Submit = Callable[[ZoneId, Command], None]


def ports_of(services: Services) -> Ports:
    """Return the ports of running services; a halt goes through the market's one writer."""

    def submit(zone: ZoneId, command: Command) -> None:
        market = market_of(services, zone)
        assert market is not None, "the port knows the zone"
        market.submit([command], at_ms=command["at_ms"])

    return _ports(services.stores.tables, services.registry, submit)


def reading_ports(tables: Tables, registry: Registry) -> Ports:
    """Return ports that only look at what a cloud keeps; they refuse to act."""

    def refuse(zone: ZoneId, command: Command) -> None:
        raise SkillError(f"market of {zone} is only read here; {command['op']} was not done")

    return _ports(tables, registry, refuse, acts=False)


def journal_ports(
    tables: Tables, registry: Registry, *, set_aside: SetAsidePort | None = None, fleet: FleetPort | None = None
) -> Ports:
    """Return ports beside a cloud of another process: a halt is journalled here, and that cloud tells the sites of it.

    The journal takes entries from any writer; who finds it ahead of what the sites were told tells the rest.
    """

    return _ports(tables, registry, beside(tables, registry), set_aside=set_aside, fleet=fleet)


def beside(tables: Tables, registry: Registry) -> Submit:
    """Return what journals a command of a market beside the cloud that runs it; that cloud tells the sites of it.

    Each zone's writer is kept, which proves at each command that its memory is the newest: another one would read the
    journal anew.
    """
    writers: dict[ZoneId, MarketWriter] = {}
    lock = Lock()

    def submit(zone: ZoneId, command: Command) -> None:
        record = registry.zone(zone)
        assert record is not None, "the port knows the zone"
        with lock:
            if (writer := writers.get(zone)) is None:
                writer = MarketWriter(zone=record, tables=tables, publisher=_LeftToTheCloud(), registry=registry)
                writers[zone] = writer
        later = command.copy()
        later["at_ms"] = max(command["at_ms"], writer.fold(at_ms=command["at_ms"]).engine.now_ms)
        with contextlib.suppress(_LeftUntold):
            writer.submit([later], at_ms=later["at_ms"])

    return submit


class _LeftUntold(PublishError):
    """A message waits for the cloud that has the broker."""


class _LeftToTheCloud:
    """A publisher without a broker: whatever is to be told stays marked as untold."""

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Refuse messages, so that the writer that has a broker sends them."""
        if messages:
            raise _LeftUntold(f"{len(messages)} messages are left to the cloud that has the broker")


def _ports(
    tables: Tables,
    registry: Registry,
    submit: Submit,
    *,
    acts: bool = True,
    set_aside: SetAsidePort | None = None,
    fleet: FleetPort | None = None,
) -> Ports:
    return Ports(
        market=StoreMarket(tables, registry, submit),
        rules=StoreRules(tables, registry, submit),
        forecasts=StoreForecasts(tables, registry),
        grid=StoreGrid(tables, registry),
        sites=StoreSites(tables, registry),
        books=StoreBooks(tables, registry),
        plans=StorePlans(tables, registry),
        outlook=StoreOutlook(tables, registry),
        relief=StoreRelief(tables, registry, acts=acts),
        joins=StoreJoins(tables, registry, acts=acts),
        records=StoreRecords(tables, acts=acts),
        set_aside=set_aside or NoSetAside(),
        fleet=fleet or NoFleet(),
    )


class StoreMarket:
    """The market of each zone as its journal and tables have it."""

    def __init__(self, tables: Tables, registry: Registry, submit: Submit) -> None:
        self._tables = tables
        self._registry = registry
        self._submit = submit
        self._folds: dict[ZoneId, tuple[int, Fold]] = {}

    def products(self, zone: ZoneId, *, since: datetime, until: datetime) -> Sequence[MarketBroadcast]:
        """Return the newest state of each delivery interval that starts in ``[since, until)``, in time order."""
        fold = self._fold(zone)
        return [
            commands.broadcast(product.view(), zone=zone, at_ms=fold.engine.now_ms)
            for product in _between(fold, since, until)
        ]

    def quotes(self, zone: ZoneId, *, since: datetime, until: datetime) -> Sequence[PriceQuote]:
        """Return what each interval that still trades is worth to those who have orders in it, in time order."""
        return [_quote(product) for product in _between(self._fold(zone), since, until) if product.state in TRADING]

    def health(self, zone: ZoneId) -> HealthFigures:
        """Return whether the market's parts agree, and how it does."""
        fold = self._fold(zone)
        stored = committed_upto(self._tables, zone)
        fence = Journal(self._tables, zone).fence()
        engine = fold.engine
        money, energy = engine.ledger_sums()
        products = [product for view in engine.products() if (product := engine.product(view.interval_ms)) is not None]
        settled = [line for product in products if product.state in _SETTLED for line in product.settled.values()]
        orders = self._orders(zone, products, engine.now_ms, stored=stored)
        return HealthFigures(
            at=instant(engine.now_ms),
            halted=engine.halted,
            participants=len(engine.participants()),
            entries=fold.position,
            entries_stored=min(stored, fold.position),
            entries_told=min(fence.projected, fold.position),
            commands=engine.commands,
            state_hash=engine.state_hash(),
            ledger_lines=engine.ledger_lines(),
            ledger_sum_uct=money,
            ledger_sum_wh=energy,
            states={state.value: count for state, count in Counter(product.state for product in products).items()},
            overdue=sum(
                product.state in _WAITING and product.times.meter_deadline_ms < engine.now_ms for product in products
            ),
            settlements=len(settled),
            estimated=sum(line.estimated for line in settled),
            corrected=sum(product.state is ProductState.CORRECTED for product in products),
            orders=len(orders),
            refused=sum(status == OrderStatus.REJECTED for status in orders),
        )

    def _orders(self, zone: ZoneId, products: Sequence[Product], now_ms: int, *, stored: int) -> list[str]:
        """Return how each order stands whose interval ended less than a day ago or is still to come, once committed."""
        partitions = [
            keys.market(zone, instant(product.start_ms))
            for product in products
            if product.times.end_ms + REPEATS_MS > now_ms
        ]
        found = (self._tables.query(Table.MARKET_DATA, pk, **prefix(keys.ORDERS)) for pk in partitions)
        return [item.body["status"] for items in found for item in items if item.body["position"] <= stored]

    def now(self, zone: ZoneId) -> datetime:
        """Return the market's own instant."""
        return instant(self._fold(zone).engine.now_ms)

    def halted(self, zone: ZoneId) -> str | None:
        """Return why trading is halted, ``None`` while it is not."""
        return self._fold(zone).engine.halted

    def halt(self, zone: ZoneId, *, reason: str, at: datetime) -> None:
        """Take no more orders in the zone until ``resume``."""
        self._known(zone)
        self._submit(zone, commands.halt(reason=reason, at_ms=epoch_ms(at)))

    def resume(self, zone: ZoneId, *, at: datetime) -> None:
        """End a halt."""
        self._known(zone)
        self._submit(zone, commands.resume(at_ms=epoch_ms(at)))

    def claims(self, zone: ZoneId) -> Sequence[WaitingClaim]:
        """Return the flagged claims that nobody has decided."""
        self._known(zone)
        return [
            WaitingClaim(
                event=claim["event"],
                site=claim["site"],
                flags=tuple(claim["flags"]),
                first_start=datetime.fromisoformat(claim["intervals"][0]["start"]),
                intervals=len(claim["intervals"]),
                committed_wh=sum(interval["committed_wh"] for interval in claim["intervals"]),
                claimed_uct=claim["claimed_uct"],
            )
            for claim in waiting_claims(self._tables, zone)
        ]

    def estimates(self, zone: ZoneId) -> Sequence[EstimatedSettlement]:
        """Return what was settled without a reading and may still be corrected, the earliest first."""
        self._known(zone)
        names = EstimatedSettlement.model_fields
        return [
            EstimatedSettlement.model_validate({name: _plain(row[name], name) for name in names})
            for row in estimates(self._tables, zone)
        ]

    def decide(self, decision: ClaimDecision, *, at: datetime) -> None:
        """Take a person's word on a claim."""
        self._known(decision.zone)
        words = decision.model_dump(exclude={"zone"})
        self._submit(decision.zone, commands.claim(**words, at_ms=epoch_ms(at)))

    def _fold(self, zone: ZoneId) -> Fold:
        """Return the market as it stands; what was read before serves again while the journal has not grown."""
        self._known(zone)
        version = Journal(self._tables, zone).fence().version
        kept = self._folds.get(zone)
        if kept is not None and kept[0] == version:
            return kept[1]
        fold = read_fold(self._tables, zone)
        if fold is None:
            raise SkillMissing(f"market of {zone} has not begun; there is nothing to show")
        self._folds[zone] = (version, fold)
        return fold

    def _known(self, zone: ZoneId) -> None:
        if self._registry.zone(zone) is None:
            known = ", ".join(record.id for record in self._registry.zones)
            raise SkillMissing(f"no zone {zone!r}; there are {known}")


def _plain(value: Any, name: str) -> Any:
    """Return a value of a row as a skill tells it: instants, which stand there as text, are instants."""
    return datetime.fromisoformat(value) if name in ("start", "final_at") else value


class StoreForecasts:
    """The forecasts as they were kept."""

    def __init__(self, tables: Tables, registry: Registry) -> None:
        self._tables = tables
        self._registry = registry

    def newest(self, zone: ZoneId, *, kind: ForecastKind, site: SiteId | None) -> ForecastSeries | None:
        """Return the newest forecast of a kind, of one site or of the zone, ``None`` where none was issued."""
        pk = keys.forecast(site or zone, kind, instant(0), instant(0)).pk
        items = self._tables.query(Table.FORECAST_DATA, pk, reverse=True, limit=1)
        return ForecastSeries.model_validate(items[0].body) if items else None

    def score(self, site: SiteId, *, kind: ForecastKind, since: datetime, until: datetime) -> ScoreAnswer:
        """Return how good a site's forecasts were for the delivery intervals in ``[since, until)``."""
        record = self._registry.site(site)
        if record is None or kind is ForecastKind.PRICE:
            raise SkillError(f"no forecasts of {kind} of a site {site!r} can be judged")
        return score(self._tables, record, kind=kind, since=since, until=until)


class StoreGrid:
    """The feeders as the grid agent's item and events have them."""

    def __init__(self, tables: Tables, registry: Registry) -> None:
        self._tables = tables
        self._registry = registry

    def feeders(self, zone: ZoneId) -> Sequence[SiteId]:
        """Return the feeders of a zone."""
        return [record.id for record in self._registry.feeders if record.zone == zone]

    def status(self, feeder: SiteId) -> GridBroadcast | None:
        """Return the newest state of a feeder, ``None`` where it is not known."""
        record = self._registry.feeder(feeder)
        items = self._tables.query(Table.GRID_METRICS, keys.feeder_state(feeder).pk, **prefix(keys.GRID_EVENTS))
        newest = max((item.body for item in items), key=lambda body: str(body["detected_at"]), default=None)
        seen = self._newest_power(feeder)
        if record is None or seen is None:
            return None
        at, power_w = seen
        limits = held(settings_of(record), request_at(self._tables, feeder, at=at))
        open_event = newest if newest is not None and newest["ended_at"] is None else None
        return GridBroadcast(
            zone=record.zone,
            feeder=feeder,
            at=at,
            state=FeederState(open_event["state"]) if open_event else FeederState.NORMAL,
            power_w=power_w,
            limit_w=limits.import_limit_w if power_w >= 0 else limits.export_limit_w,
            event_id=open_event["event_id"] if open_event else None,
            disturbances=self._disturbances(feeder),
        )

    def supply(self, feeder: SiteId) -> Sequence[SupplyValue]:
        """Return frequency and voltages as the feeder's meter last told them, good readings alone."""
        record = self._registry.feeder(feeder)
        item = self._tables.get(keys.site_state(feeder, keys.LATEST))
        if record is None or item is None:
            return ()
        told = ((name, item.body["points"].get(f"{record.meter}/{name}")) for name in (FREQUENCY, *VOLTAGES))
        return [
            SupplyValue(name=name, value=value[1], at=instant(value[0]))
            for name, value in told
            if value is not None and value[1] is not None and value[2] == Quality.GOOD
        ]

    def network(self, feeder: SiteId) -> NetworkStatus | None:
        """Return how the feeder's network stands, ``None`` where there is no such feeder."""
        record = self._registry.feeder(feeder)
        return network_status(self._tables, self._registry, record) if record is not None else None

    def events(self, feeder: SiteId, *, count: int) -> Sequence[RecordEvent]:
        """Return the newest demand-response events, the newest first."""
        items = self._tables.query(Table.GRID_METRICS, keys.feeder_state(feeder).pk, **prefix(keys.GRID_EVENTS))
        bodies: list[dict[str, Any]] = sorted(
            (item.body for item in items), key=lambda body: str(body["detected_at"]), reverse=True
        )
        return [_EVENT.validate_python(body) for body in bodies[:count]]

    def evidence(self, feeder: SiteId, *, event_id: str, first: int, count: int) -> Sequence[EvidenceRecord]:
        """Return records of an event's evidence from a number on."""
        if self._tables.get(keys.grid_event(feeder, event_id)) is None:
            raise SkillMissing(f"{feeder} has no event {event_id!r}")
        start = keys.grid_evidence(event_id, first)
        items = self._tables.query(Table.GRID_METRICS, start.pk, first=start.sk, limit=count)
        return [
            EvidenceRecord(number=int(item.key.sk), **{name: item.body[name] for name in ("kind", "site", "fields")},
                           at=datetime.fromisoformat(item.body["at"]))
            for item in items
        ]  # fmt: skip

    def _disturbances(self, feeder: SiteId) -> tuple[Disturbance, ...]:
        item = self._tables.get(keys.feeder_state(feeder))
        return load_state(item.body["state"] if item else None).told

    def _newest_power(self, feeder: SiteId) -> tuple[datetime, float] | None:
        state = self._tables.get(keys.feeder_state(feeder))
        if state is None:
            return None
        pk = keys.feeder_sample(feeder, instant(state.body["at"])).pk
        items = self._tables.query(Table.GRID_METRICS, pk, reverse=True, limit=1)
        return (instant(int(items[0].key.sk) * 1000), float(items[0].body["power_w"])) if items else None


def _between(fold: Fold, since: datetime, until: datetime) -> list[Product]:
    found = (fold.engine.product(view.interval_ms) for view in fold.engine.products())
    first, end = epoch_ms(since), epoch_ms(until)
    return [product for product in found if product is not None and first <= product.start_ms < end]


def _quote(product: Product) -> PriceQuote:
    resting = list(product.book.orders())
    buys = [order for order in resting if order.side is Side.BUY]
    sells = [order for order in resting if order.side is Side.SELL]
    view = product.view()
    return PriceQuote(
        interval_start=instant(product.start_ms),
        state=product.state,
        last_price_mct_per_kwh=view.price,
        best_buy_mct_per_kwh=max((order.price for order in buys), default=None),
        best_sell_mct_per_kwh=min((order.price for order in sells), default=None),
        buy_wh=sum(order.quantity for order in buys),
        sell_wh=sum(order.quantity for order in sells),
        volume_wh=view.volume_wh,
    )
