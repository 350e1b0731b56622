"""A running market's parameters, and what it would say to a change or a bid: a copy of its engine is asked."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from cloud.errors import SkillError, SkillMissing
from cloud.market import commands
from cloud.market.engine import BadCommand, Engine
from cloud.market.moving import PARAMETERS_SINCE, with_parameters
from cloud.market.rules import MarketRules
from cloud.market.shapes import Command, OrderCommand
from cloud.market.trial import tried
from cloud.shell.market.reading import read_fold
from cloud.stores.registry import Registry
from cloud.stores.tables import Tables
from contracts.market import OrderStatus
from contracts.skills.parameters import BidAnswer, BidQuestion, MarketParameters, RulesAnswer
from contracts.units import ZoneId, epoch_ms

# So long a copy lives on: until all that now trades has been cleared and delivered.
TRIAL_MS: Final = 24 * 3600 * 1000
_BY: Final = "set_market_parameters"
_TRIED: Final = "tried"


class StoreRules:
    """The markets of a registry's zones.

    Args:
        tables: Where their journals are.
        registry: Which zones there are.
        submit: Takes a command for a zone's journal.
    """

    def __init__(self, tables: Tables, registry: Registry, submit: Callable[[ZoneId, Command], None]) -> None:
        self._tables = tables
        self._registry = registry
        self._submit = submit

    def in_force(self, zone: ZoneId) -> RulesAnswer:
        """Return the parameters of a zone's market as it runs, of a market that has not begun as it would begin."""
        engine = self._engine(zone)
        rules = engine.rules if engine is not None else self._configured(zone)
        return RulesAnswer(
            zone=zone,
            edition=rules.edition,
            version=rules.version,
            mechanism=str(rules.mechanism),
            opening_s=rules.opening_s,
            call_s=rules.call_s,
            gate_closure_s=rules.gate_closure_s,
            price_mct_per_kwh_min=rules.price_mct_per_kwh_min,
            price_mct_per_kwh_max=rules.price_mct_per_kwh_max,
            parameters=MarketParameters(
                fee_mct_per_kwh=rules.fee_mct_per_kwh,
                quantity_wh_min=rules.quantity_wh_min,
                open_orders_max=rules.open_orders_max,
                commands_per_minute=rules.commands_per_minute,
                implausible_permille=rules.implausible_permille,
                capped_free_uct=rules.claims.capped_free_uct,
            ),
        )

    def refusal(self, zone: ZoneId, changes: Mapping[str, int], *, reason: str, at: datetime) -> str | None:
        """Return why parameters would not be taken, ``None`` where they would.

        The market's copy takes them and lives a day on, with the orders that stand. They are refused where it would
        not take them, where less would be traded, and where the fees would come to more than a tenth of what trades.
        """
        engine = self._running(zone)
        at_ms = max(epoch_ms(at), engine.now_ms)
        if engine.rules.edition < PARAMETERS_SINCE:
            return f"the market of {zone} has edition {engine.rules.edition} of the rules; move it first"
        told = {**self.in_force(zone).parameters.model_dump(), **changes}
        if told == self.in_force(zone).parameters.model_dump():
            return f"the market of {zone} has these parameters already"
        try:
            changed = with_parameters(engine.rules, changes)
            command = commands.move_rules(changed, by=_BY, reason=reason, at_ms=at_ms)
            after = tried(engine, [command], until_ms=at_ms + TRIAL_MS)
        except (BadCommand, ValidationError, ValueError) as error:
            return f"the market of {zone} would not take them: {error}"
        before = tried(engine, [], until_ms=at_ms + TRIAL_MS)
        if not after.balanced:
            return "the ledger would not sum to zero"
        if after.traded_wh < before.traded_wh:
            return f"of the orders that stand {before.traded_wh - after.traded_wh} Wh would trade no more"
        worth_uct = sum(abs(paid_uct) for paid_uct in before.paid_uct.values())
        if after.fees_uct > before.fees_uct and after.fees_uct * 10 > worth_uct:
            return f"fees of {after.fees_uct} uct would be more than a tenth of the {worth_uct} uct that trade hands"
        return None

    def change(self, zone: ZoneId, changes: Mapping[str, int], *, reason: str, at: datetime) -> RulesAnswer:
        """Set parameters anew and return what is in force.

        Raises:
            SkillError: The market would not take them, or another change came first; nothing was changed.
        """
        if (why := self.refusal(zone, changes, reason=reason, at=at)) is not None:
            raise SkillError(f"{why}; nothing was changed")
        rules = with_parameters(self._running(zone).rules, changes)
        self._submit(zone, commands.move_rules(rules, by=_BY, reason=reason, at_ms=epoch_ms(at)))
        if self._running(zone).rules != rules:
            raise SkillError(f"another change of the rules of {zone} came first; look at them again")
        return self.in_force(zone)

    def bid(self, zone: ZoneId, bid: BidQuestion, *, at: datetime) -> BidAnswer:
        """Return what a zone's market would say to a bid, on a copy of itself."""
        engine = self._running(zone)
        at_ms, start_ms = max(epoch_ms(at), engine.now_ms), epoch_ms(bid.interval_start)
        product = engine.product(start_ms)
        command: OrderCommand = {
            "op": "new", "at_ms": at_ms, "id": _TRIED, "site": bid.site, "order_id": _TRIED, "interval_ms": start_ms,
            "quantity_wh": bid.quantity_wh, "price_mct_per_kwh": bid.price_mct_per_kwh, "side": bid.side.value,
            "tif": "gtc",
        }  # fmt: skip
        until_ms = product.times.gate_ms if product is not None else at_ms
        wanted, without = tried(engine, [command], until_ms=until_ms), tried(engine, [], until_ms=until_ms)
        reply = next(reply for reply in wanted.replies if reply.order_id == _TRIED)
        traded_wh = abs(wanted.bought_wh.get(bid.site, 0) - without.bought_wh.get(bid.site, 0))
        accepted = reply.status is not OrderStatus.REJECTED
        told = f"{reply.refusal}: {reply.reason}" if not accepted else _sentence(bid, traded_wh)
        return BidAnswer(
            site=bid.site,
            accepted=accepted,
            reason=told,
            status=reply.status,
            traded_wh=traded_wh,
            paid_uct=wanted.paid_uct.get(bid.site, 0) - without.paid_uct.get(bid.site, 0),
        )

    def _running(self, zone: ZoneId) -> Engine:
        engine = self._engine(zone)
        if engine is None:
            raise SkillMissing(f"market of {zone} has not begun; there is nothing to ask")
        return engine

    def _engine(self, zone: ZoneId) -> Engine | None:
        self._known(zone)
        fold = read_fold(self._tables, zone)
        return fold.engine if fold is not None else None

    def _configured(self, zone: ZoneId) -> MarketRules:
        record = self._registry.zone(zone)
        assert record is not None, "the zone is known"
        return MarketRules.model_validate({**record.market, "zone": zone})

    def _known(self, zone: ZoneId) -> None:
        if self._registry.zone(zone) is None:
            known = ", ".join(record.id for record in self._registry.zones)
            raise SkillMissing(f"no zone {zone!r}; there are {known}")


def _sentence(bid: BidQuestion, traded_wh: int) -> str:
    left_wh = bid.quantity_wh - traded_wh
    if not traded_wh:
        return "the market would take it; with the orders that stand nothing of it would trade"
    return f"{traded_wh} Wh would trade" + (f", {left_wh} Wh would wait for somebody" if left_wh else "")
