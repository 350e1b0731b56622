"""Where commands arrive: judged at the gate, held while they run, answered at each step of their life.

What the gate remembers, which orders run, and the answers to them are one transaction on the disk, and no answer leaves
before: a crash at any moment leaves either the site as it was, or an order that was taken, runs and is answered. An
order of the grid operator goes on after a restart until it ends, because our death is no reason to give back the power
that it took. Any other command does not survive: whoever still wants it says so again, and until then its device has
fallen back.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from contracts.clock import Clock
from contracts.control import (
    VALUES_MAX,
    AckStage,
    Command,
    CommandAck,
    Diagnostics,
    Live,
    MaintenanceLock,
    Read,
    Release,
)
from contracts.topics import Up
from contracts.units import ClockTrust, SiteId, epoch_ms, measured
from contracts.wire import WireError
from edge.commands.allowance import Allowance
from edge.commands.effect import effect_of, told
from edge.commands.evidence_book import EvidenceBook
from edge.commands.grid_limits import GridLimits
from edge.control.commands import Circumstances, Verdict, judge
from edge.control.envelope import envelope
from edge.control.feasible import Reach, reach
from edge.control.gate_state import GateState, dump_gate, load_gate
from edge.control.keys import Role, TrustedKey
from edge.control.lease import Leases, drop, live, renew
from edge.control.life import AckDraft, Effect, Life, advance
from edge.control.model import Priority, Request
from edge.control.orders import request_of, requester_of
from edge.loop.cycle import Cycle
from edge.loop.lever_records import Lever
from edge.loop.readings import Readings
from edge.outbox.outbox import Outbox

log = logging.getLogger(__name__)

_KEY = "commands.gate"
_RUNNING_KEY = "commands.grid_operator"
_NO_REACH = Reach()
ValueT = TypeVar("ValueT")
# Answers to what anybody could send (unsigned, wrongly signed, repeated): so many at once, so many a second. A flood
# must not fill the outbox; what is not answered is counted.
ANSWERS_BURST = 30
ANSWERS_PER_S = 0.5
# What one issuer may send that is new: so many at once, so many a second. A heartbeat a minute is far below; a flood of
# signed orders must not fill the outbox either. The grid operator's share is the largest.
ORDERS_BURST: Mapping[Role, int] = {Role.GRID_OPERATOR: 1200}
ORDERS_BURST_OTHERS = 600
ORDERS_PER_S: Mapping[Role, float] = {Role.GRID_OPERATOR: 5.0}
ORDERS_PER_S_OTHERS = 1.0


class Telemetry(Protocol):
    """Whoever reports what the devices read."""

    def live(self, *, period_s: float, for_s: float) -> None:
        """Report every ``period_s`` for the next ``for_s`` seconds: somebody watches."""


@dataclass(frozen=True, kw_only=True)
class ExecutorPorts:
    """What the executor needs of the rest of the site."""

    site: SiteId
    clock: Clock
    outbox: Outbox
    telemetry: Telemetry
    trusted: Mapping[str, TrustedKey]
    capacity_wh: Mapping[str, float]
    clock_trust: Callable[[], ClockTrust]
    local_lock: Callable[[], bool]
    evidence: EvidenceBook
    grid_limits: GridLimits
    diagnostics: Callable[[], dict[str, float | str | None]]


class Executor:
    """The commands of one site."""

    def __init__(self, executor: ExecutorPorts) -> None:
        """Go on where an earlier process stopped."""
        self._executor = executor
        kept = executor.outbox.recall(_KEY)
        self._gate = load_gate(kept) if kept else GateState()
        self._lock_ends_s = self._lock_end()
        self._leases = Leases()
        self._lives: dict[str, Life] = {}
        self._requests: dict[str, Request] = {}
        self._cycle: Cycle | None = None
        self._told: dict[str, dict[Lever, float | None]] = {}
        self._told_s = float("-inf")
        # By issuer; anybody's, who cannot sign, are under the empty name.
        self._answers: dict[str, Allowance] = {}
        self._orders = {
            issuer: Allowance(
                burst=ORDERS_BURST.get(key.role, ORDERS_BURST_OTHERS),
                per_s=ORDERS_PER_S.get(key.role, ORDERS_PER_S_OTHERS),
            )
            for issuer, key in executor.trusted.items()
        }
        self._reach: Reach | None = None
        self.stats = {"accepted": 0, "rejected": 0, "duplicate": 0, "unanswered": 0}
        self.refusals: dict[str, int] = {}
        self._resume()

    def locked(self) -> bool:
        """Say whether the site is locked for maintenance, by a command or on site."""
        return self._executor.clock.monotonic() < self._lock_ends_s or self._executor.local_lock()

    def command_of(self, requester: str) -> str | None:
        """Return which running command a requester's wish came with, ``None`` where it is no command's."""
        return next(
            (one for one, life in self._lives.items() if requester_of(life.command) == requester),
            None,
        )

    def requests(self, now_s: float, _: Mapping[str, Readings]) -> list[Request]:
        """Return what running commands ask of the arbiter."""
        return [*live(self._leases, now_s=now_s), *self._executor.grid_limits.requests(now_s)]

    def take(self, payload: bytes, *, retained: bool) -> bool:
        """Judge one message from the command topic, answer it, and let it run if it was accepted.

        Returns:
            Whether something else is asked of the site now.
        """
        with self._executor.outbox.together():
            return self._take(payload, retained=retained)

    def _take(self, payload: bytes, *, retained: bool) -> bool:
        verdict, gate = judge(payload, retained=retained, state=self._gate, circumstances=self._circumstances())
        fresh = gate is not self._gate
        if fresh:
            was_until_ms, self._gate = self._gate.locked_until_ms, gate
            if gate.locked_until_ms != was_until_ms:
                self._lock_ends_s = self._lock_end()
            self._executor.outbox.remember(_KEY, dump_gate(gate))
        self._executor.evidence.judged(verdict, fresh=fresh)
        if fresh and verdict.role is Role.GRID_OPERATOR:
            self._executor.grid_limits.heard(now_s=self._executor.clock.monotonic())
        self._count(verdict)
        if fresh and verdict.command is not None:
            self._orders[verdict.command.issuer].take(self._executor.clock.monotonic())
        if not fresh and not self._may_answer(verdict):
            self.stats["unanswered"] += 1
            return False
        self._answer(verdict)
        if not (verdict.accepted and fresh) or verdict.command is None or verdict.role is None:
            return False
        self._begin(verdict.command, verdict.role, now=self._executor.clock.now())
        return not isinstance(verdict.command.action, Read | Diagnostics | Live)

    def finished(self, cycle: Cycle) -> None:
        """Look at every running command after a control cycle, and send the answers that are due."""
        self._cycle, self._reach = cycle, None
        with self._executor.outbox.together():
            for command_id, life in list(self._lives.items()):
                requester = requester_of(life.command)
                before = self._told.get(requester, {}) if life.taken_s < self._told_s else {}
                stepped, drafts = advance(life, effect_of(self._requests[command_id], requester, cycle, before=before))
                self._executor.evidence.watched(life.command, cycle)
                self._say(life.command, drafts)
                if stepped.over:
                    self._end(command_id, stepped.command)
                else:
                    self._lives[command_id] = stepped
        self._told, self._told_s = told(cycle), cycle.snapshot.taken_s

    def running(self) -> list[Life]:
        """Return the commands that run now, and how far each has come."""
        return list(self._lives.values())

    def _begin(self, command: Command, role: Role, *, now: datetime, resumed: bool = False) -> None:
        executor = self._executor
        now_s = executor.clock.monotonic()
        action = command.action
        if isinstance(action, Release):
            self._release(action.command_id, now_s)
            self._finish_at_once(command, {})
            return
        if isinstance(action, Read | Diagnostics | MaintenanceLock):
            self._finish_at_once(command, self._report(action))
            return
        expires_s = now_s + (command.expires_at - now).total_seconds()
        if isinstance(action, Live):
            executor.telemetry.live(period_s=float(action.period_s), for_s=expires_s - now_s)
            self._finish_at_once(command, {})
            return
        request = request_of(command, role=role, now_s=now_s, now=now)
        assert request is not None, f"{action.kind} asks for power and has no request"
        if role is Role.GRID_OPERATOR and executor.grid_limits.falls_to_failsafe(command):
            # A dead gateway hears nobody, and a device that it left alone can only lift the limit or keep it.
            request = replace(request, bound_until_s=float("inf"))
        self._supersede(requester_of(command), now_s)
        self._leases = renew(self._leases, request, now_s=now_s, lease_s=None)
        self._requests[command.command_id] = request
        self._lives[command.command_id] = Life(command=command, taken_s=now_s, expires_s=expires_s)
        self._keep_running(request)
        if role is Role.GRID_OPERATOR and not resumed:
            self._executor.grid_limits.began(command, expires_s=expires_s, now_s=now_s)

    def _lock_end(self) -> float:
        """Return when a lock that came as a command ends, on the monotonic clock, which no step of the wall moves."""
        until_ms, clock = self._gate.locked_until_ms, self._executor.clock
        if until_ms is None:
            return float("-inf")
        return clock.monotonic() + (until_ms - epoch_ms(clock.now())) / 1000

    def _resume(self) -> None:
        """Take up the grid operator's orders that ran when an earlier process ended.

        A clock that was set back meanwhile lets none of them last longer than it was to last at all. An issuer that the
        site no longer trusts as its grid operator loses them.
        """
        for text in self._executor.outbox.recall(_RUNNING_KEY) or []:
            try:
                command = Command.decode(text.encode())
            except WireError as error:  # Written by another version of this software.
                log.error("order not resumed", extra={"reason": str(error)})  # noqa: TRY400 (no fault of this code)
                continue
            now = max(self._executor.clock.now(), command.issued_at)
            key = self._executor.trusted.get(command.issuer)
            if command.expires_at > now and key is not None and key.role is Role.GRID_OPERATOR:
                log.warning("order resumed", extra={"command": command.command_id})
                self._begin(command, Role.GRID_OPERATOR, now=now, resumed=True)

    def _keep_running(self, changed: Request) -> None:
        """Keep on the disk which orders of the grid operator run, after one of them began or ended."""
        if changed.priority is not Priority.GRID_OPERATOR:
            return
        running = [
            life.command.encode().decode()
            for command_id, life in self._lives.items()
            if self._requests[command_id].priority is Priority.GRID_OPERATOR
        ]
        self._executor.outbox.remember(_RUNNING_KEY, running or None)

    def _supersede(self, requester: str, now_s: float) -> None:
        for command_id, life in list(self._lives.items()):
            if requester_of(life.command) == requester:
                _, drafts = advance(life, Effect(now_s=now_s, superseded=True))
                self._say(life.command, drafts)
                self._end(command_id, life.command)

    def _release(self, command_id: str, now_s: float) -> None:
        life = self._lives.get(command_id)
        if life is None:
            return
        _, drafts = advance(life, Effect(now_s=now_s, released=True, connection_w=self._connection_w()))
        self._say(life.command, drafts)
        self._executor.grid_limits.released(life.command, now_s=now_s)
        self._end(command_id, life.command)

    def _end(self, command_id: str, command: Command) -> None:
        self._lives.pop(command_id, None)
        request = self._requests.pop(command_id, None)
        if request is not None:
            self._leases = drop(self._leases, requester=requester_of(command), resource=request.resource)
            self._keep_running(request)

    def _finish_at_once(self, command: Command, values: dict[str, float | str | None]) -> None:
        now_s = self._executor.clock.monotonic()
        life = Life(command=command, taken_s=now_s, expires_s=float("inf"))
        _, drafts = advance(life, Effect(now_s=now_s, done=True, values=values or None))
        self._say(command, drafts)

    def _report(self, action: Read | Diagnostics | MaintenanceLock) -> dict[str, float | str | None]:
        if isinstance(action, MaintenanceLock):
            return {"locked": str(action.on).lower()}
        if isinstance(action, Diagnostics):
            return self._executor.diagnostics()
        values: dict[str, float | str | None] = {}
        for point in action.points:
            device, _, name = point.partition("/")
            reading = self._cycle.readings.get(device, {}).get(name) if self._cycle else None
            value = reading.value if reading is not None else None
            values[point] = float(value) if isinstance(value, bool) else value
        return values

    def _circumstances(self) -> Circumstances:
        executor = self._executor
        now_s = executor.clock.monotonic()
        return Circumstances(
            exhausted=frozenset(issuer for issuer, orders in self._orders.items() if not orders.has(now_s)),
            now=executor.clock.now(),
            clock=executor.clock_trust(),
            site=executor.site,
            trusted=executor.trusted,
            able=self._able(),
            locked=self.locked(),
        )

    def _able(self) -> Reach:
        """Return what the site could do after the last cycle; worked out once a cycle, a flood asks often."""
        if self._cycle is None:
            return _NO_REACH
        if self._reach is None:
            self._reach = self._reach_of(self._cycle)
        return self._reach

    def _reach_of(self, cycle: Cycle) -> Reach:
        return reach(envelope(cycle.snapshot, cycle.settings), capacity_wh=dict(self._executor.capacity_wh))

    def _connection_w(self) -> float | None:
        return self._cycle.snapshot.connection_power.usable() if self._cycle else None

    def _count(self, verdict: Verdict) -> None:
        self.stats["duplicate" if verdict.duplicate else "accepted" if verdict.accepted else "rejected"] += 1
        if verdict.reason is not None and not verdict.duplicate:
            self.refusals[verdict.reason] = self.refusals.get(verdict.reason, 0) + 1

    def _may_answer(self, verdict: Verdict) -> bool:
        """Take one of the answers that what is not new may still have: each issuer has its own, anybody has some."""
        issuer = verdict.command.issuer if verdict.command is not None and verdict.role is not None else ""
        answers = self._answers.setdefault(issuer, Allowance(burst=ANSWERS_BURST, per_s=ANSWERS_PER_S))
        return answers.take(self._executor.clock.monotonic())

    def _answer(self, verdict: Verdict) -> None:
        if not verdict.accepted:
            log.warning("command refused", extra={"command": verdict.command_id, "reason": verdict.reason})
        elif verdict.command is not None and not verdict.duplicate:
            told = {"issuer": verdict.command.issuer, "action": verdict.command.action.kind}
            log.info("command accepted", extra={"command": verdict.command_id, **told})
        if verdict.command_id is None:
            return
        self._send(
            AckDraft(
                command_id=verdict.command_id,
                event_id=verdict.command.event_id if verdict.command else None,
                stage=AckStage.ACCEPTED if verdict.accepted else AckStage.REJECTED,
                reason=verdict.reason,
                detail=verdict.detail,
                feasible=verdict.feasible,
                measured_w=self._connection_w(),
            )
        )

    def _say(self, command: Command, drafts: Iterable[AckDraft]) -> None:
        """Send the answers of a command's life, each with its evidence."""
        for draft in drafts:
            self._executor.evidence.stepped(command, draft)
            log.info("command answered", extra={"command": command.command_id, "stage": draft.stage.value})
            self._send(draft)

    def _send(self, draft: AckDraft) -> None:
        at, sayable = self._executor.clock.now(), _sayable(draft)

        def build(epoch: int, seq: int) -> CommandAck:
            return CommandAck(site=self._executor.site, epoch=epoch, seq=seq, sent_at=at, at=at, **vars(sayable))

        self._executor.outbox.append(Up.ACKS, build)


def _sayable(draft: AckDraft) -> AckDraft:
    """Return an answer that the wire can carry, whatever the devices said: a reading that is no number is absent."""
    readback = None if draft.readback is None else {name: measured(value) for name, value in _some(draft.readback)}
    values = None
    if draft.values is not None:
        values = {
            name: value if value is None or isinstance(value, str) else measured(value)
            for name, value in _some(draft.values)
        }
    return replace(draft, measured_w=measured(draft.measured_w), readback=readback, values=values)


def _some(named: Mapping[str, ValueT]) -> list[tuple[str, ValueT]]:
    return list(named.items())[:VALUES_MAX]
