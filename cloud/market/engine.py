"""The single writer of one zone's market: command in, outcome out, the same for the same commands always.

The shell journals a command before it calls ``apply`` and stores the outcome after; a snapshot plus the commands after
it restore the same state, proven by ``state_hash``. Commands are JSON objects with the instant at which the sequencer
took them (``at_ms``, epoch milliseconds); nothing here reads a clock. ``commands.py`` builds them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Self

from pydantic import ValidationError

from cloud.market import leaving, ledger, moving, settling, stages, trading
from cloud.market.leaving import Departed
from cloud.market.rules import NO_SITE, MarketRules, Participant
from cloud.market.shapes import Capacity, Halt, Invoice, Register, Resume, StorageWord, Tick
from cloud.market.snapshot import from_json, to_json
from cloud.market.state import Account, DrLine, Order, Outcome, Product, ProductView, State, Storage
from contracts.units import INSTANT_MS_MAX

# Each takes the shape of its own command, which the engine has checked by then.
_Handler = Callable[[State, Any, Outcome], None]
_Owed = tuple[tuple[str, type], ...]


class BadCommand(ValueError):
    """A command that no caller of the engine may send; nothing was changed."""


class Engine:
    """One zone's products, books, positions, holds, settlements and ledger."""

    def __init__(self, rules: MarketRules) -> None:
        self._state = State(rules=rules)
        self._due_ms = 0

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> Self:
        """Return the engine of a snapshot; commands applied after it follow.

        Raises:
            BadCommand: The snapshot's state does not have the hash that it carries.
        """
        state = from_json(snapshot["state"])
        engine = cls(state.rules)
        engine._state = state
        engine._due_ms = snapshot.get("due_ms", 0)
        if engine.state_hash() != snapshot["state_hash"]:
            raise BadCommand(f"snapshot after {state.commands} commands does not have its hash; not restored")
        return engine

    def snapshot(self) -> dict[str, Any]:
        """Return the state as JSON values, with the number of commands behind it and its hash."""
        return {
            "commands": self._state.commands,
            "state_hash": self.state_hash(),
            "due_ms": self._due_ms,
            "state": to_json(self._state),
        }

    @classmethod
    def rehashed(cls, snapshot: Mapping[str, Any]) -> dict[str, Any]:
        """Return a snapshot whose state was changed on purpose, as when a name is taken out of it, with its new hash.

        Raises:
            ValueError: The changed state is none.
        """
        engine = cls(MarketRules.model_validate(snapshot["state"]["rules"]))
        engine._state = from_json(snapshot["state"])
        engine._due_ms = snapshot.get("due_ms", 0)
        return engine.snapshot()

    def state_hash(self) -> str:
        """Return the SHA-256 of the whole state in canonical JSON."""
        canonical = json.dumps(to_json(self._state), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def apply(self, command: Mapping[str, object], out: Outcome | None = None) -> Outcome:
        """Apply one command and return everything that it brought about, added to ``out`` where one is given.

        Moves that are due by the command's instant (openings, gate closures, settlements) come first and are part of
        the outcome. An instant earlier than the last one counts as the last one.

        Raises:
            BadCommand: The command has no known ``op`` or no instant, or a field that the shell owes is missing; the
                state is as before. An order that breaks its schema is no such case: it is refused with a reply.
        """
        state = self._state
        at_ms = command.get("at_ms")
        if type(at_ms) is not int or not 0 <= at_ms <= INSTANT_MS_MAX:
            raise BadCommand(f"command {command.get('op')!r} has no instant at_ms, 0 to {INSTANT_MS_MAX}; refused")
        op = command.get("op")
        known = _COMMANDS.get(op) if isinstance(op, str) else None
        if known is None:
            raise BadCommand(f"command {op!r} is not known; refused")
        handler, owed = known
        if owed:
            _check_owed(state, command, owed)
        if out is None:
            out = Outcome()
        state.commands += 1
        now_ms = state.now_ms
        if at_ms > now_ms:
            state.now_ms = now_ms = at_ms
        if now_ms >= self._due_ms:
            self._due_ms = stages.advance_to(state, now_ms, out)
        handler(state, command, out)
        if state.expiries and state.expiries[0][0] < self._due_ms:
            self._due_ms = state.expiries[0][0]
        return out

    @property
    def rules(self) -> MarketRules:
        """Return the market's rules."""
        return self._state.rules

    @property
    def now_ms(self) -> int:
        """Return the latest instant that the engine was given."""
        return self._state.now_ms

    @property
    def due_ms(self) -> int:
        """Return from when on time alone would change something; a tick before it leaves everything as it is."""
        return self._due_ms

    @property
    def commands(self) -> int:
        """Return how many commands were applied since the beginning."""
        return self._state.commands

    @property
    def halted(self) -> str | None:
        """Return why trading is halted, ``None`` while it is not."""
        return self._state.halted

    def admits(self, participant: Participant) -> bool:
        """Return whether a site's registration would be taken."""
        return _unfit(self._state, participant) is None

    def participants(self) -> tuple[Participant, ...]:
        """Return who takes part."""
        return tuple(one.participant for one in self._state.accounts.values() if one.left_ms is None)

    def departed(self) -> tuple[Departed, ...]:
        """Return who left and whose account is still open."""
        return leaving.departed(self._state)

    def storage_of(self, site: str) -> Storage | None:
        """Return what a site last announced of its battery."""
        account = self._state.accounts.get(site)
        return account.storage if account is not None else None

    def products(self) -> tuple[ProductView, ...]:
        """Return the public state of every product that is remembered, the earliest first."""
        return tuple(product.view() for _, product in sorted(self._state.products.items()))

    def product(self, interval_ms: int) -> Product | None:
        """Return everything known of one product, to be read only."""
        return self._state.products.get(interval_ms)

    def open_claims(self) -> list[tuple[Product, str, DrLine]]:
        """Return the flagged claims that wait for a person, the earliest first; to be read only."""
        return settling.open_claims(self._state)

    def claim_waits(self, site: str, interval_ms: int) -> bool:
        """Return whether a site's claim in an interval waits for a person."""
        return settling.claim_waits(self._state, site, interval_ms)

    def order(self, site: str, order_id: str) -> Order | None:
        """Return an order while it is remembered, to be read only."""
        return self._state.order(f"{site}/{order_id}")

    def balances(self) -> dict[str, tuple[int, int]]:
        """Return every account's money (uct, positive: owes) and energy (Wh, positive: took)."""
        balances = self._state.ledger.balances
        return {account: (one.money_uct, one.energy_wh) for account, one in sorted(balances.items())}

    def ledger_sums(self) -> tuple[int, int]:
        """Return the sum over all accounts in money and energy; both are zero."""
        return self._state.ledger.sums()

    def ledger_lines(self) -> int:
        """Return how many lines were posted since the beginning."""
        return self._state.ledger.lines


def _check_owed(state: State, command: Mapping[str, object], owed: _Owed) -> None:
    for name, kind in owed:
        if type(command.get(name)) is not kind:
            raise BadCommand(f"command {command['op']} needs {name} as {kind.__name__}; refused")
    if command["op"] == "register":
        _check_participant(state, command)
    if command["op"] == "move_rules":
        _check_rules(state, command)
    own_net_wh = command.get("own_net_wh")
    if isinstance(own_net_wh, list) and any(type(wh) is not int for wh in own_net_wh):
        raise BadCommand(f"command storage of {command['site']} needs own_net_wh in whole Wh; refused")


def _check_rules(state: State, command: Mapping[str, object]) -> None:
    try:
        fault = moving.unfit(state.rules, MarketRules.model_validate(command["rules"]))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadCommand(f"rules break their schema at {first['loc']}: {first['msg']}; refused") from error
    if fault is not None:
        raise BadCommand(f"a move of zone {state.rules.zone} {fault}; refused")


def _check_participant(state: State, command: Mapping[str, object]) -> None:
    try:
        participant = Participant.model_validate(command["participant"])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadCommand(f"participant breaks its schema at {first['loc']}: {first['msg']}; refused") from error
    fault = _unfit(state, participant)
    if fault is not None:
        raise BadCommand(f"site {participant.site} {fault}; refused")


def _unfit(state: State, participant: Participant) -> str | None:
    """Return why a site cannot be admitted, ``None`` where it can."""
    if participant.site in RESERVED:
        return "has the name of an account of the market"
    if "/" in participant.site:
        return "has a slash in its name, which parts site and order id"
    if state.rules.links and participant.area not in state.rules.areas:
        return f"is in area {participant.area!r}, which is none of {', '.join(state.rules.areas)}"
    known = state.accounts.get(participant.site)
    if known is None:
        return None
    before = known.participant
    if before.account_owner != participant.account_owner:
        return f"belongs to {before.account_owner}, not {participant.account_owner}"
    if state.rules.links and before.area != participant.area:
        return f"is in area {before.area}, where its positions are, not {participant.area}"
    return None


def _register(state: State, command: Register, _out: Outcome) -> None:
    participant = Participant.model_validate(command["participant"])
    account = state.accounts.get(participant.site)
    if account is None:
        state.accounts[participant.site] = Account(participant=participant)
    else:
        account.admit(participant)
        account.left_ms = None


def _capacity(state: State, command: Capacity, _out: Outcome) -> None:
    """Lower what a site can carry in one interval, as with a battery whose energy is forecast to be short."""
    product = state.products.get(command["interval_ms"])
    if product is not None:
        product.caps[command["site"]] = (max(0, command["import_wh"]), max(0, command["export_wh"]))


def _storage(state: State, command: StorageWord, _out: Outcome) -> None:
    """Take a site's latest word on its battery; what was traded before stands, open orders are checked at the gate."""
    account = state.accounts.get(command["site"])
    if account is not None:
        account.storage = Storage(
            command["interval_ms"],
            max(0, command["stored_wh"]),
            max(0, command["room_wh"]),
            tuple(command["own_net_wh"]),
        )


def _halt(state: State, command: Halt, _out: Outcome) -> None:
    if command.get("site") is None:
        state.halted = command["reason"]
    elif command["site"] in state.accounts:
        state.accounts[command["site"]].halted = command["reason"]


def _resume(state: State, command: Resume, _out: Outcome) -> None:
    if command.get("site") is None:
        state.halted = None
    elif command["site"] in state.accounts:
        state.accounts[command["site"]].halted = None


def _invoice(state: State, command: Invoice, out: Outcome) -> None:
    out.lines += state.ledger.invoice(
        command["site"], interval_ms=command["interval_ms"], rules_version=state.rules.version
    )


def _tick(_state: State, _command: Tick, _out: Outcome) -> None:
    """Do nothing more than the moves that are due."""


RESERVED = NO_SITE | {
    ledger.FEES,
    ledger.LINK_FEES,
    ledger.RENT,
    ledger.BALANCING,
    ledger.DEMAND_RESPONSE,
    ledger.ROUNDING,
    ledger.CASH,
    ledger.CHARGES,
    ledger.TAXES,
}

# What each command does, and what the shell owes with it. Orders come from strangers: what is wrong with them is a
# reply, so nothing is owed.
_COMMANDS: dict[str, tuple[_Handler, _Owed]] = {
    "new": (trading.new, ()),
    "modify": (trading.modify, ()),
    "cancel": (trading.cancel, ()),
    "tick": (_tick, ()),
    "meter": (
        settling.take_meter,
        (("site", str), ("interval_ms", int), ("import_wh", int), ("export_wh", int), ("version", int)),
    ),
    "dr_event": (
        settling.take_event,
        (("event", str), ("price_mct_per_kwh", int), ("penalty_mct_per_kwh", int), ("lines", list)),
    ),
    "claim": (settling.take_decision, (("event", str), ("site", str), ("approve", bool), ("by", str), ("reason", str))),
    "hold_reading": (
        settling.hold,
        (("site", str), ("interval_ms", int), ("version", int), ("reason", str)),
    ),
    "release_reading": (settling.release, (("site", str), ("interval_ms", int), ("by", str), ("reason", str))),
    "move_rules": (moving.move, (("rules", dict), ("by", str), ("reason", str))),
    "register": (_register, (("participant", dict),)),
    "leave": (leaving.leave, (("site", str), ("reason", str))),
    "close_account": (leaving.close, (("site", str), ("interval_ms", int), ("reason", str))),
    "capacity": (_capacity, (("site", str), ("interval_ms", int), ("import_wh", int), ("export_wh", int))),
    "storage": (
        _storage,
        (("site", str), ("interval_ms", int), ("stored_wh", int), ("room_wh", int), ("own_net_wh", list)),
    ),
    "halt": (_halt, (("reason", str),)),
    "resume": (_resume, ()),
    "invoice": (_invoice, (("site", str), ("interval_ms", int))),
}
