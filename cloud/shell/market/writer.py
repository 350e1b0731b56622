"""The one writer of a zone's market: journal, engine, sites, tables, in this order.

Nothing is acted on before it is in the journal, and what is in the journal stands. Everything after that is derived
from it, so sites hear of their trades before the tables do: whoever finds the journal ahead of its consequences, after
a crash or because another writer was cut short, tells and stores them again, with the same ids and numbers.
"""

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Final

from cloud.errors import CloudError, ConditionFailed, JournalStuck, PublishError, StoreError
from cloud.figures import CLAIMS_WAITING, LEDGER_LINES, ORDERS, READINGS_HELD, SETTLEMENTS, TRADES, WRITER_RACES
from cloud.market import commands
from cloud.market.product import INTERVAL_MS
from cloud.market.rules import MarketRules, Participant
from cloud.market.settling import IMPLAUSIBLE
from cloud.shell.counting import count
from cloud.shell.intake import LOG
from cloud.shell.market.fold import Begin, Fold, Input, Step, takes_names_out
from cloud.shell.market.journal import Fence, Journal
from cloud.shell.market.projection import committed_upto, messages, transactions
from cloud.shell.market.snapshots import Snapshots
from cloud.shell.publishing import Publisher
from cloud.shell.services import Services
from cloud.stores.registry import Registry, SiteRecord, ZoneRecord
from cloud.stores.tables import Tables
from contracts.units import DELIVERY_INTERVAL_S, ZoneId, instant, printable

ATTEMPTS_MAX: Final = 10
# A month at the full connection, at 0.40 EUR/kWh: years of an ordinary bill, and an end to a dishonest one.
CREDIT_H: Final = 30 * 24
CREDIT_MCT: Final = 40_000
# A snapshot copies the whole market and holds orders up for as long; a cold start reads as many entries, two pages.
SNAPSHOT_EVERY: Final = 2_000


class MarketWriter:
    """Writes for one zone; keeps the fold in memory between calls and proves at each that it is still the newest."""

    def __init__(self, *, zone: ZoneRecord, tables: Tables, publisher: Publisher, registry: Registry) -> None:
        self._zone = zone
        self._tables = tables
        self._publisher = publisher
        self.registry = registry
        self._participants = [_participant(site) for site in registry.sites_in(zone.id)]
        self._journal = Journal(tables, zone.id)
        self._snapshots = Snapshots(tables, zone.id)
        self._lock = Lock()
        self._fold: Fold | None = None
        self._fence = Fence()
        self._committed = 0
        self._untold: list[Step] = []

    def submit(
        self, inputs: Sequence[Input], *, at_ms: int, newest: Callable[[], Registry] | None = None
    ) -> list[Step]:
        """Journal inputs, apply them, store and tell what follows; return the steps that were stored and told.

        Without inputs it only finishes what an earlier call could not.

        Args:
            inputs: What comes in, in its order.
            at_ms: Now.
            newest: Reads the registry as it is now. With it sites that are not in the registry leave the market, and
                the accounts of those that left are closed when they are final.

        Raises:
            ConditionFailed: Other writers were first, again and again; deliver the inputs again.
            StoreError: The tables failed; deliver the inputs again.
            PublishError: The broker did not take the notices; the inputs stand, the next call tells them.
        """
        with self._lock:
            for attempt in range(ATTEMPTS_MAX):
                try:
                    fold = self._newest(at_ms)
                    entry = [
                        *self._registrations(fold, at_ms),
                        *self._partings(fold, newest, at_ms),
                        *fold.news(inputs),
                    ]
                    if entry:
                        self._fence = self._journal.append(self._fence, entry, projected=self._told_up_to())
                        self._untold.append(self._apply(fold, entry))
                    return self._finish()
                except ConditionFailed:
                    if attempt == ATTEMPTS_MAX - 1:
                        raise
                    count(WRITER_RACES)
                    LOG.info("market written by another", extra={"zone": self._zone.id, "attempt": attempt})
        raise AssertionError("a loop that returns or raises came to its end")

    def tidy(self) -> None:
        """Keep a snapshot once the journal is long enough, of what is stored and told, and archive what is behind it.

        It takes a while, so it is done by the tick and not by the order that happens to be the last of so many; orders
        wait only while the state is copied.

        Raises:
            StoreError: The tables failed; the next tick does it.
        """
        with self._lock:
            fold = self._fold
            if fold is None or self._untold or fold.position - self._snapshots.position() < SNAPSHOT_EVERY:
                return
            snapshot = fold.snapshot()
        if self._snapshots.save(snapshot):
            self._journal.prune(upto=snapshot["position"])

    def void(self, position: int, *, reason: str, at_ms: int) -> None:
        """Put a void with a reason in the place of the first entry that cannot be applied; what it held stays in it.

        Raises:
            StoreError: It is not that entry, or the tables failed; nothing was changed.
        """
        with self._lock:
            self._fold = None
            try:
                self._newest(at_ms)
            except JournalStuck as error:
                if f"entry {position}," not in str(error):
                    raise StoreError(
                        f"entry {position} is not the one that is stuck; nothing voided: {error}"
                    ) from error
            else:
                raise StoreError(f"entry {position} of {self._zone.id} can be applied; nothing voided")
            self._journal.void(position, reason=reason, at_ms=at_ms)

    def fold(self, *, at_ms: int) -> Fold:
        """Return the market as it is now, to be read only.

        Raises:
            ConditionFailed: Other writers were at it, again and again.
            StoreError: The tables failed.
        """
        with self._lock:
            for attempt in range(ATTEMPTS_MAX):
                try:
                    return self._newest(at_ms)
                except ConditionFailed:
                    if attempt == ATTEMPTS_MAX - 1:
                        raise
        raise AssertionError("a loop that returns or raises came to its end")

    def _newest(self, at_ms: int) -> Fold:
        """Bring the memory up to the journal's end, from a snapshot where that is shorter."""
        fence = self._journal.fence()
        if fence.version == 0:
            self._begin(at_ms)
            fence = self._journal.fence()
        if self._fold is not None and fence.version == self._fence.version:
            return self._fold
        fold, told_up_to = self._fold, fence.projected
        if fold is None:
            self._untold = []
            if (snapshot := self._snapshots.load()) is not None:
                fold = Fold.restore(snapshot)
                # A snapshot is only kept once everything up to it is stored and told.
                told_up_to = max(told_up_to, fold.position)
        self._committed = committed_upto(self._tables, self._zone.id)
        self._untold = [step for step in self._untold if step.position > told_up_to]
        self._fold = None
        for position, inputs in self._journal.entries(after=fold.position if fold else 0):
            if takes_names_out(inputs):
                raise ConditionFailed(f"a name was taken out of {self._zone.id}; begin at the snapshot")
            if position != (fold.position if fold else 0) + 1:
                raise ConditionFailed(f"journal of {self._zone.id} was archived while it was read; read again")
            if fold is None:
                fold = Fold.begin(inputs)
                continue
            step = self._apply(fold, inputs)
            if position > told_up_to:
                self._untold.append(step)
        if fold is None or fold.position != fence.position:
            raise ConditionFailed(f"journal of {self._zone.id} grew while it was read; read again")
        self._fold = fold
        self._fence = Fence(position=fold.position, projected=told_up_to, version=fence.version)
        return fold

    def _begin(self, at_ms: int) -> None:
        rules = MarketRules.model_validate({**self._zone.market, "zone": self._zone.id})
        first: Begin = {"op": "begin", "at_ms": at_ms, "epoch": at_ms, "rules": rules.model_dump(mode="json")}
        try:
            self._journal.append(Fence(), [first], projected=1)
        except ConditionFailed:
            LOG.info("market begun by another", extra={"zone": self._zone.id})

    def _apply(self, fold: Fold, inputs: Sequence[Input]) -> Step:
        position = fold.position + 1
        try:
            step = fold.apply(inputs)
        except Exception as error:
            # Half applied, so this memory is worth nothing; the entry stands, and raises for everyone who reads it.
            self._fold = None
            raise JournalStuck(
                f"journal of {self._zone.id} has entry {position}, which cannot be applied: {type(error).__name__}: "
                f"{printable(str(error), 200)}; nothing behind it is, until it is voided (`cloud journal void`)"
            ) from error
        for refused in step.refused:
            LOG.error("journalled command refused", extra={"zone": self._zone.id, "reason": refused})
        return step

    def _told_up_to(self) -> int:
        """Return the position up to which everything is stored and told, as far as this writer knows."""
        return self._untold[0].position - 1 if self._untold else self._fence.position

    def _finish(self) -> list[Step]:
        """Tell and store what is not yet told; another writer at the fence takes it over.

        Raises:
            PublishError: The broker did not take the notices; they are stored all the same.
        """
        steps = list(self._untold)
        failed: PublishError | None = None
        try:
            self._publisher.publish([message for step in steps for message in messages(self._zone.id, step)])
        except PublishError as error:
            failed = error
        for step in steps:
            if step.position > self._committed:  # Else it is stored, and waits to be told alone.
                self._store(step)
                self._say(step)
                _count(step)
        if failed is not None:
            raise failed
        self._untold.clear()
        return steps

    def _say(self, step: Step) -> None:
        """Log what a person should look at."""
        for claim in step.waiting:
            named = {"site": claim.line["site"], "event": claim.line["event"], "flags": claim.line["flags"]}
            LOG.warning("claim waits for a person", extra={"zone": self._zone.id, **named})
        for answer in step.outcome.answers:
            if answer.refusal == IMPLAUSIBLE:
                LOG.warning("reading held as implausible", extra={"site": answer.site, "reason": answer.reason})

    def _store(self, step: Step) -> None:
        fence = self._journal.check(self._fence)
        for part in transactions(self._zone.id, step, fence=fence, committed=self._committed):
            self._tables.transact(part)
        self._committed = max(self._committed, step.position)

    def _registrations(self, fold: Fold, at_ms: int) -> list[Input]:
        """Return the commands that bring the registry's sites and limits into the market, where it admits them."""
        known = {participant.site: participant for participant in fold.engine.participants()}
        changed = [one for one in self._participants if known.get(one.site) != one and fold.engine.admits(one)]
        return [commands.register(one, at_ms=at_ms) for one in changed]

    def _partings(self, fold: Fold, newest: Callable[[], Registry] | None, at_ms: int) -> list[Input]:
        """Return the commands by which sites leave that are in no registry, and close the accounts that are final."""
        if newest is None or not self._parting(fold, self.registry):
            return []
        try:
            # This writer's registry may be a minute old, and a site that joined meanwhile must not lose its orders.
            return [one(at_ms=at_ms) for one in self._parting(fold, newest())]
        except CloudError as error:
            LOG.warning("registry not read, no site leaves", extra={"zone": self._zone.id, "error": str(error)})
            return []

    def _parting(self, fold: Fold, registry: Registry) -> list[Callable[..., Input]]:
        here = {site.id for site in registry.sites_in(self._zone.id)}
        gone = [one.site for one in fold.engine.participants() if one.site not in here]
        final = [one for one in fold.engine.departed() if not one.open_intervals]
        return [
            *(partial(commands.leave, site=site, reason="it is not in the registry") for site in gone),
            *(
                partial(
                    commands.close_account,
                    site=one.participant.site,
                    reason=f"left at {instant(one.left_ms).isoformat()}, its last interval is final",
                    interval_ms=fold.engine.now_ms - fold.engine.now_ms % INTERVAL_MS,
                )
                for one in final
                if one.participant.site not in here
            ),
        ]


def market_of(services: Services, zone: ZoneId) -> MarketWriter | None:
    """Return the writer of a zone; ``None`` for an unknown zone.

    It is the same in each call of a warm process while the registry is, so that whoever joins takes part.
    """
    record = services.registry.zone(zone)
    if record is None:
        return None
    with services.lock:
        kept = services.memory.get(f"market {zone}")
        writer = kept if isinstance(kept, MarketWriter) and kept.registry == services.registry else None
        if writer is None:
            writer = MarketWriter(
                zone=record, tables=services.stores.tables, publisher=services.publisher, registry=services.registry
            )
            services.memory[f"market {zone}"] = writer
        return writer


def _count(step: Step) -> None:
    outcome = step.outcome
    count(ORDERS, len(outcome.replies))
    count(TRADES, len(outcome.trades))
    count(LEDGER_LINES, len(outcome.lines))
    count(SETTLEMENTS, len(outcome.settlements))
    count(READINGS_HELD, sum(answer.refusal == IMPLAUSIBLE for answer in outcome.answers))
    count(CLAIMS_WAITING, len(step.waiting))


def _participant(site: SiteRecord) -> Participant:
    return Participant(
        site=site.id,
        owner=site.owner,
        import_limit_wh=site.import_limit_w * DELIVERY_INTERVAL_S // 3600,
        export_limit_wh=site.export_limit_w * DELIVERY_INTERVAL_S // 3600,
        area=site.area,
        credit_limit_uct=default_credit_uct(site) if site.credit_limit_uct is None else site.credit_limit_uct,
    )


def default_credit_uct(site: SiteRecord) -> int:
    """Return what a site may owe where nobody says: what its connection carries in CREDIT_H at CREDIT_MCT."""
    return max(site.import_limit_w, site.export_limit_w) * CREDIT_H * CREDIT_MCT
