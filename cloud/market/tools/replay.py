"""A market again from its journal: the same trades, the same ledger, the same state, or the line where they part.

A journal is one JSON object a line: first ``{"rules": …}`` or ``{"snapshot": …}``, then commands as the engine takes
them, and anywhere ``{"check": {"commands": n, "state_hash": …}}`` with what the writer had at that point.
"""

import gc
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from cloud.market.engine import BadCommand, Engine
from cloud.market.journal import decode
from cloud.market.rules import MarketRules
from cloud.market.state import Outcome, SiteSettlement
from cloud.market.tools.inputs import BadInput, mapping
from contracts.spelling import first_fault

# So many readings and claims that the market did not take are named.
HELD_MAX = 100


@dataclass(kw_only=True, slots=True)
class Replay:
    """What a journal led to; ``parted_at`` names the first check that did not hold.

    ``held`` are the readings and demand-response lines that were not taken, and why.
    """

    engine: Engine
    commands: int = 0
    refused: int = 0
    trades: int = 0
    lines: int = 0
    checks: int = 0
    parted_at: str | None = None
    settlements: list[SiteSettlement] = field(default_factory=list)
    held: list[dict[str, object]] = field(default_factory=list)
    _digest: Any = field(default_factory=hashlib.sha256)

    def take(self, outcome: Outcome) -> None:
        """Count an outcome and fold its trades and ledger lines into the digest."""
        self.trades += len(outcome.trades)
        self.lines += len(outcome.lines)
        self.refused += sum(reply.status == "rejected" for reply in outcome.replies)
        self.settlements += outcome.settlements
        self.held += [
            {"site": answer.site, "start_ms": answer.interval_ms, "reading": answer.order_id, "reason": answer.reason}
            for answer in outcome.answers
            if answer.reason is not None
        ]
        if outcome.trades or outcome.lines:
            self._digest.update(repr((list(map(tuple, outcome.trades)), list(map(tuple, outcome.lines)))).encode())

    def answer(self) -> dict[str, Any]:
        """Return the result as plain values."""
        money, energy = self.engine.ledger_sums()
        return {
            "agrees": self.parted_at is None,
            "parted_at": self.parted_at,
            "commands": self.commands,
            "refused": self.refused,
            "held": self.held[:HELD_MAX],
            "trades": self.trades,
            "ledger": {"lines": self.lines, "sum_uct": money, "sum_wh": energy},
            "checks": self.checks,
            "state_hash": self.engine.state_hash(),
            "outcome_hash": self._digest.hexdigest(),
        }


def replay(lines: Iterable[str], *, watch: Callable[[Engine, Outcome], None] | None = None) -> Replay:
    """Apply a journal's lines and return what came of them; ``watch`` sees every outcome as it arises.

    Raises:
        BadInput: A line is not JSON or no part of a journal; the message names the line.
    """
    with collector_at_rest():
        return _replay(lines, watch)


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Keep the cyclic garbage collector from walking over the market again and again while commands are applied.

    The engine forgets by its own rules and leaves no cycle behind: the collector finds nothing while a market lives and
    costs a sixth of the time. A market that is given up whole is the collector's.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _replay(lines: Iterable[str], watch: Callable[[Engine, Outcome], None] | None) -> Replay:
    found: Replay | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"line {number} of the journal"
        try:
            entry = mapping(decode(line), where)
        except ValueError as error:
            raise BadInput(f"{where} is not a JSON object: {error}") from error
        if found is None:
            found = Replay(engine=_begin(entry, where))
        elif "check" in entry:
            _check(found, mapping(entry["check"], where), where)
        else:
            try:
                outcome = found.engine.apply(entry)
            except BadCommand as error:
                raise BadInput(f"{where}: {error}") from error
            found.take(outcome)
            found.commands += 1
            if watch is not None:
                watch(found.engine, outcome)
    if found is None:
        raise BadInput("the journal is empty")
    return found


def _begin(entry: Mapping[str, object], where: str) -> Engine:
    try:
        if "snapshot" in entry:
            return Engine.restore(mapping(entry["snapshot"], where))
        if "rules" in entry:
            return Engine(MarketRules.model_validate(entry["rules"]))
    except ValidationError as error:
        fault = first_fault(error, of=MarketRules, whole="rules")
        raise BadInput(f"{where}: rules break their schema at {fault}") from error
    except (BadCommand, KeyError, TypeError) as error:
        raise BadInput(f"{where}: snapshot cannot be restored: {error}") from error
    raise BadInput(f"{where} is neither rules nor a snapshot, with which a journal begins")


def _check(found: Replay, check: Mapping[str, object], where: str) -> None:
    found.checks += 1
    if found.parted_at is not None:
        return
    wanted, here = check.get("state_hash"), found.engine.state_hash()
    if wanted != here:
        found.parted_at = f"{where}: state after {found.commands} commands has hash {here}, the writer had {wanted}"
