"""The wire that goes wrong: seeded, so that a failing run can be had again."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet

from contracts.clock import Clock
from firmware_sim.bank import Bank
from firmware_sim.errors import ExceptionCode
from firmware_sim.fault_rules import FaultKind, FaultRule, Requests
from firmware_sim.pdu import READ_HOLDING, READ_INPUT, WRITES, answer, exception_response
from firmware_sim.spoilt import foreign_write, one_fewer, span_of, touches, with_values, with_zeros, without_values

# Answers still to come; a client that has so many outstanding has lost count, and gets no more.
_OUTSTANDING_MAX = 10_000
_NEXT_INSTANT_S = 1e-6
_USUAL_CODE = {
    FaultKind.EXCEPTION: ExceptionCode.SERVER_DEVICE_BUSY,
    FaultKind.HOLE: ExceptionCode.ILLEGAL_DATA_ADDRESS,
    FaultKind.TOO_LONG: ExceptionCode.ILLEGAL_DATA_VALUE,
}
# Rules about a connection, or about who answers: no request is spoilt by them.
_OF_REGISTERS = frozenset({FaultKind.SENTINELS, FaultKind.ZEROS, FaultKind.HOLE, FaultKind.VALUES, FaultKind.SHORT})
_STANDING = frozenset({FaultKind.ANY_UNIT, FaultKind.CLOSE_IDLE})


class Peer(Protocol):
    """A connection or a line, as the faults see it."""

    def frame(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """Return a PDU as it goes on the wire."""

    def send(self, data: bytes) -> float:
        """Put bytes on the wire, if the other side is still there, and return when the last will have left."""

    def hang_up(self) -> None:
        """End the connection once what was sent has left; a line that is no connection stays."""


class Host(Protocol):
    """What the peers are connected to."""

    @property
    def units(self) -> Mapping[int, Bank]:
        """Return the devices by unit id."""

    def drop_clients(self) -> None:
        """End every connection."""


class FaultyWire:
    """Answers requests, and spoils those that its rules say."""

    def __init__(self, rules: Sequence[FaultRule], *, seed: int | str, clock: Clock) -> None:
        """Begin now on the clock: windows and silences are counted on it, delays in real time."""
        self.seed = seed
        self.happened: Counter[FaultKind] = Counter()
        self._random = random.Random(str(seed))
        self._clock = clock
        self.follow(rules)
        self._silent_until_s = self._started_s
        self._half_open: WeakSet[Peer] = WeakSet()
        self._held_until_s: WeakKeyDictionary[Peer, float] = WeakKeyDictionary()
        self._before: WeakKeyDictionary[Peer, int] = WeakKeyDictionary()
        self._opened_s: WeakKeyDictionary[Peer, float] = WeakKeyDictionary()
        self._outstanding = 0
        self._answered_at_s = -math.inf

    def follow(self, rules: Sequence[FaultRule]) -> None:
        """Follow these rules from now on, with their windows counted from now; what is under way goes its way."""
        self._rules = tuple(rules)
        self._used = [0] * len(self._rules)
        self._started_s = self._clock.monotonic()

    def opened(self, peer: Peer) -> None:
        """Take note of a new connection."""
        loop = asyncio.get_running_loop()
        self._opened_s[peer] = loop.time()
        for rule in self._rules:
            if rule.kind is FaultKind.CLOSE_IDLE:
                loop.call_later(rule.delay_s, self._close_idle, peer)

    def _close_idle(self, peer: Peer) -> None:
        if peer not in self._before:
            self.happened[FaultKind.CLOSE_IDLE] += 1
            peer.hang_up()

    def deliver(self, peer: Peer, host: Host, *, transaction: int, unit: int, request: bytes) -> None:
        """Answer one request now, later, wrongly or never."""
        now_s = self._clock.monotonic()
        if peer in self._half_open or now_s < self._silent_until_s:
            return
        bank = host.units.get(unit)
        if bank is None and any(rule.kind is FaultKind.ANY_UNIT for rule in self._rules):
            bank = next(iter(host.units.values()))
        if bank is None:
            return
        rule = self._choose(peer, request, unit, now_s - self._started_s)
        before = self._before.get(peer, (transaction - 1) & 0xFFFF)
        self._before[peer] = transaction
        if rule is None:
            self._send(peer, peer.frame(transaction, unit, answer(bank, request)))
            return
        self.happened[rule.kind] += 1
        self._spoil(rule, peer, host, bank, before=before, transaction=transaction, unit=unit, request=request)

    def _choose(self, peer: Peer, request: bytes, unit: int, since_s: float) -> FaultRule | None:
        """Return the first rule that applies and is drawn."""
        loop_s = asyncio.get_running_loop().time()
        since_answer_s = loop_s - self._answered_at_s
        since_open_s = loop_s - self._opened_s.get(peer, -math.inf)
        for index, rule in enumerate(self._rules):
            if rule.kind in _STANDING or (rule.kind is FaultKind.DEAF and since_open_s >= rule.delay_s):
                continue
            if rule.count_max is not None and self._used[index] >= rule.count_max:
                continue
            if not applies(rule, request=request, unit=unit, since_s=since_s, since_answer_s=since_answer_s):
                continue
            if self._random.random() < rule.probability:
                self._used[index] += 1
                return rule
        return None

    def _spoil(
        self,
        rule: FaultRule,
        peer: Peer,
        host: Host,
        bank: Bank,
        *,
        before: int,
        transaction: int,
        unit: int,
        request: bytes,
    ) -> None:
        match rule.kind:
            case FaultKind.DROP:
                answer(bank, request)
            case FaultKind.HASTY | FaultKind.DEAF | FaultKind.ANY_UNIT | FaultKind.CLOSE_IDLE:
                return
            case FaultKind.HALF_OPEN:
                self._half_open.add(peer)
            case FaultKind.REBOOT:
                self._silent_until_s = self._clock.monotonic() + rule.silent_s
                for one in host.units.values():
                    one.reset()
                host.drop_clients()
            case FaultKind.DELAY:
                self._send(peer, peer.frame(transaction, unit, answer(bank, request)), hold_s=rule.delay_s)
            case FaultKind.LATE:
                at_s = asyncio.get_running_loop().time() + rule.delay_s
                self._later(peer, peer.frame(transaction, unit, answer(bank, request)), at_s=at_s)
            case FaultKind.DUPLICATE:
                reply = peer.frame(transaction, unit, answer(bank, request))
                self._send(peer, reply)
                self._send(peer, reply)
            case FaultKind.TRUNCATE:
                reply = peer.frame(transaction, unit, answer(bank, request))
                self._send(peer, reply[: self._random.randrange(1, len(reply))])
            case FaultKind.WRONG_UNIT:
                self._send(peer, peer.frame(transaction, (unit + 1) % 248, answer(bank, request)))
            case FaultKind.SWAP:
                self._send(peer, peer.frame(before, unit, answer(bank, request)))
            case FaultKind.UNIT_REPLY:
                assert rule.as_unit is not None, "the rule was checked when it was read"
                self._send(peer, peer.frame(transaction, rule.as_unit, answer(bank, request)))
            case FaultKind.CLOSE:
                self._send(peer, peer.frame(transaction, unit, answer(bank, request)))
                peer.hang_up()
            case FaultKind.ECHO:
                reply = peer.frame(transaction, unit, answer(bank, request))
                self._send(peer, peer.frame(transaction, unit, request) + reply)
            case FaultKind.SHORT:
                self._send(peer, peer.frame(transaction, unit, one_fewer(answer(bank, request))))
            case FaultKind.STICKY:
                self._send(peer, peer.frame(transaction, unit, request[:5]))
            case FaultKind.VALUES:
                self._send(peer, peer.frame(transaction, unit, with_values(rule, request, answer(bank, request))))
            case FaultKind.EXCEPTION | FaultKind.HOLE | FaultKind.TOO_LONG:
                self._send(
                    peer,
                    peer.frame(transaction, unit, exception_response(request[0], rule.code or _USUAL_CODE[rule.kind])),
                )
            case FaultKind.SENTINELS:
                self._send(peer, peer.frame(transaction, unit, without_values(bank, request)))
            case FaultKind.ZEROS:
                self._send(peer, peer.frame(transaction, unit, with_zeros(rule, request, answer(bank, request))))
            case FaultKind.SCALE_FLIP:
                bank.flip_scales()
                self._send(peer, peer.frame(transaction, unit, answer(bank, request)))
            case FaultKind.SECOND_MASTER:
                assert rule.address is not None, "the rule was checked when it was read"
                foreign_write(bank, rule.address, rule.values)
                self._send(peer, peer.frame(transaction, unit, answer(bank, request)))

    def _send(self, peer: Peer, data: bytes, *, hold_s: float = 0.0) -> None:
        """Send in the order of the requests, not before what is held back."""
        now_s = asyncio.get_running_loop().time()
        held_until_s = self._held_until_s.get(peer, now_s)
        at_s = (held_until_s + _NEXT_INSTANT_S if held_until_s > now_s else now_s) + hold_s
        if at_s <= now_s:
            self._answered_at_s = peer.send(data)
            return
        self._held_until_s[peer] = at_s
        self._later(peer, data, at_s=at_s)

    def _later(self, peer: Peer, data: bytes, *, at_s: float) -> None:
        if self._outstanding >= _OUTSTANDING_MAX:
            return
        self._outstanding += 1
        asyncio.get_running_loop().call_at(at_s, self._arrive, peer, data)

    def _arrive(self, peer: Peer, data: bytes) -> None:
        self._outstanding -= 1
        if peer not in self._half_open:
            self._answered_at_s = peer.send(data)


def applies(rule: FaultRule, *, request: bytes, unit: int, since_s: float, since_answer_s: float) -> bool:
    """Return whether a rule is about a request, before chance decides.

    Args:
        rule: The rule.
        request: The PDU.
        unit: Whom it is for.
        since_s: Seconds on the plant's clock since the device was switched on.
        since_answer_s: Real seconds since its last answer.
    """
    if rule.unit is not None and rule.unit != unit:
        return False
    if since_s < rule.from_s or (rule.to_s is not None and since_s >= rule.to_s):
        return False
    writes = request[0] in WRITES
    if rule.requests is Requests.READS and writes:
        return False
    if rule.requests is Requests.WRITES and not writes:
        return False
    if rule.kind is FaultKind.HASTY:
        return since_answer_s < rule.delay_s
    if rule.kind is FaultKind.TOO_LONG:
        return request[0] in (READ_HOLDING, READ_INPUT) and span_of(request)[1] > rule.count
    if rule.kind in _OF_REGISTERS and request[0] not in (READ_HOLDING, READ_INPUT):
        return False
    return rule.kind is FaultKind.SECOND_MASTER or rule.address is None or touches(rule, request)
