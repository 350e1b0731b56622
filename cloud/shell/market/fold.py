"""What the journal of a zone's market adds up to: the same inputs give the same state, trades and notices, always.

The fold holds the engine, the gateways' sequences, and the number of the last notice to each site. It reads no clock
and no table, so a process that has lost its memory gets it back by reading the journal again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict

from cloud.market import commands
from cloud.market.engine import BadCommand, Engine
from cloud.market.rules import MarketRules
from cloud.market.shapes import Command, EventCommand
from cloud.market.state import Outcome
from cloud.shell.market.sequencer import OrderInput, Sequencer
from contracts.market import MarketBroadcast, OrderMessage, TradesMessage
from contracts.units import instant


class Begin(TypedDict):
    """The journal's first entry, alone: the rules of the market, and the epoch of all its notices."""

    op: Literal["begin"]
    at_ms: int
    epoch: int
    rules: dict[str, Any]


class Void(TypedDict):
    """Stands where an entry stood that the engine could not apply, with that entry and why it was voided."""

    op: Literal["void"]
    at_ms: int
    reason: str
    voided: NotRequired[list[Any]]


class Erased(TypedDict):
    """Stands where a site's name was taken out of all that lies before; only a snapshot leads past it."""

    op: Literal["erased"]
    at_ms: int
    stand_in: NotRequired[str]


Input = Command | OrderInput | Begin | Void | Erased


def takes_names_out(inputs: Sequence[Input]) -> bool:
    """Return whether an entry says that a name was taken out of all before it, so that a snapshot alone leads on."""
    return any(one.get("op") == "erased" for one in inputs)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One site's line of a demand-response event, as the market took or refused it.

    ``line`` is the command's, with the event and its prices; ``reason`` says why it was refused.
    """

    line: dict[str, Any]
    reason: str | None


@dataclass(kw_only=True)
class Step:
    """What one journal entry brought about, ready to be stored and told; ``waiting`` are claims that a flag holds."""

    position: int
    at_ms: int
    outcome: Outcome = field(default_factory=Outcome)
    refused: list[str] = field(default_factory=list)
    notices: list[TradesMessage] = field(default_factory=list)
    broadcasts: list[MarketBroadcast] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    waiting: list[Claim] = field(default_factory=list)


class Fold:
    """One zone's market after so many journal entries."""

    def __init__(
        self, *, engine: Engine, sequencer: Sequencer, epoch: int, told: dict[str, int], position: int
    ) -> None:
        self.engine = engine
        self.sequencer = sequencer
        self.position = position
        self._epoch = epoch
        self._told = told

    @classmethod
    def begin(cls, inputs: Sequence[Input]) -> "Fold":
        """Return the fold of the journal's first entry."""
        (first,) = inputs
        assert first["op"] == "begin", "a journal begins with its rules"
        engine = Engine(MarketRules.model_validate(first["rules"]))
        return cls(engine=engine, sequencer=Sequencer(), epoch=first["epoch"], told={}, position=1)

    @classmethod
    def restore(cls, raw: dict[str, Any]) -> "Fold":
        """Return the fold of a snapshot.

        Raises:
            BadCommand: The engine's state does not have the hash that it carries.
        """
        return cls(
            engine=Engine.restore(raw["engine"]),
            sequencer=Sequencer.from_json(raw["sequencer"]),
            epoch=raw["epoch"],
            told=dict(raw["told"]),
            position=raw["position"],
        )

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as JSON values."""
        return {
            "engine": self.engine.snapshot(),
            "sequencer": self.sequencer.to_json(),
            "epoch": self._epoch,
            "told": dict(self._told),
            "position": self.position,
        }

    @property
    def due_ms(self) -> int:
        """Return from when on time alone changes something: a product moves, or an order has waited long enough."""
        waiting = self.sequencer.due_ms
        return self.engine.due_ms if waiting is None else min(self.engine.due_ms, waiting)

    def news(self, inputs: Sequence[Input]) -> list[Input]:
        """Return the inputs without those that are known and could change nothing.

        A batch that is delivered again, perhaps many times, must not fill the journal, nor must time alone.
        """
        return [one for one in inputs if not self._is_known(one)]

    def _is_known(self, one: Input) -> bool:
        match one["op"]:
            case "order":
                return self.sequencer.has_taken(one)
            case "tick":
                return bool(one["at_ms"] < self.due_ms)
            case "meter":
                product = self.engine.product(one["interval_ms"])
                if product is None:
                    return False
                known = (product.meters.get(one["site"]), product.held.get(one["site"]))
                return any(meter is not None and meter.version >= one["version"] for meter in known)
            case _:
                return False

    def apply(self, inputs: Sequence[Input]) -> Step:
        """Take one journal entry in and return what it brought about."""
        self.position += 1
        step = Step(position=self.position, at_ms=self.engine.now_ms)
        for one in inputs:
            if one["op"] == "void":
                step.refused.append(f"entry {self.position} was voided: {one['reason']}")
                continue
            if one["op"] == "begin":
                step.refused.append(f"entry {self.position} begins a market that runs; refused")
                continue
            if one["op"] == "erased":
                continue
            for command in self._commands(one):
                try:
                    self.engine.apply(command, step.outcome)
                except BadCommand as error:
                    step.refused.append(str(error))
                    continue
                if command["op"] == "dr_event":
                    claims = _claims(command, step.outcome)
                    step.claims += claims
                    step.waiting += [claim for claim in claims if self._waits(claim)]
        step.at_ms = self.engine.now_ms
        self._tell(step)
        return step

    def _waits(self, claim: Claim) -> bool:
        return claim.reason is None and self.engine.claim_waits(claim.line["site"], claim.line["interval_ms"])

    def _commands(self, one: Command | OrderInput) -> list[Command]:
        released = self.sequencer.overdue(one["at_ms"])
        if one["op"] == "order":
            released += self.sequencer.take(one)
        found = [command for order in released for command in _order(order, at_ms=one["at_ms"])]
        if one["op"] != "order":
            found.append(one)
        return found

    def _tell(self, step: Step) -> None:
        zone, issued_at = self.engine.rules.zone, instant(step.at_ms)
        for notice in commands.notices(step.outcome):
            seq = self._told[notice.site] = self._told.get(notice.site, 0) + 1
            step.notices.append(
                TradesMessage(
                    zone=zone,
                    site=notice.site,
                    interval_start=instant(notice.interval_ms),
                    issued_at=issued_at,
                    epoch=self._epoch,
                    seq=seq,
                    results=notice.results,
                    trades=notice.trades,
                    settlement=notice.settlement,
                )
            )
        newest = {view.interval_ms: view for view in step.outcome.broadcasts}
        step.broadcasts = [commands.broadcast(newest[start], zone=zone, at_ms=step.at_ms) for start in sorted(newest)]


def order_input(message: OrderMessage, *, at_ms: int) -> OrderInput:
    """Return the journal's form of an order that arrived at an instant."""
    return {
        "op": "order",
        "at_ms": at_ms,
        "site": message.site,
        "epoch": message.epoch,
        "seq": message.seq,
        "message": message.model_dump(mode="json", exclude_none=True),
    }


def _order(one: OrderInput, *, at_ms: int) -> list[Command]:
    """Return the commands of an order message: what its site can do comes before what it asks."""
    message, found = OrderMessage.model_validate(one["message"]), list[Command]()
    if message.ability is not None:
        found += commands.availability_inputs(message.site, message.ability, at_ms=at_ms)
    return [*found, commands.order(message, at_ms=at_ms)]


def _claims(command: EventCommand, outcome: Outcome) -> list[Claim]:
    """Return what became of each line of an event; the engine answers every line, in their order."""
    terms = {
        "event": command["event"],
        "price_mct_per_kwh": command["price_mct_per_kwh"],
        "penalty_mct_per_kwh": command["penalty_mct_per_kwh"],
    }
    answers = outcome.answers[-len(command["lines"]) :] if command["lines"] else []
    return [
        Claim(line={**line, **terms}, reason=answer.reason)
        for line, answer in zip(command["lines"], answers, strict=True)
    ]
