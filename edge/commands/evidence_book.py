"""Keeps the proof of each event: a chain of records in the outbox, sent to the cloud, readable on site.

One chain for each demand-response event, or for a command that belongs to none. Records are committed in order, with
the answer that follows them or with the flush window, so no answer leaves before its evidence is on the disk. The
chain's end is committed together with its records: a kill at any moment leaves a chain that verifies.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from contracts.clock import Clock
from contracts.control import AckStage, Command
from contracts.telemetry import EventMessage
from contracts.topics import Up
from contracts.units import ClockTrust, SiteId
from edge.commands.evidence_chain import INDEX_KEY, PHRASE, as_fields, head_key, head_of, known_events, record_key
from edge.control.commands import Verdict
from edge.control.evidence import EvidenceKind, Head, Value, append
from edge.control.life import AckDraft
from edge.control.orders import requester_of
from edge.devices.device import Applied
from edge.loop.cycle import Cycle
from edge.loop.lever_records import Lever
from edge.outbox.outbox import Outbox
from edge.outbox.records import RecordClass

# Events whose chains stay on site; older ones were sent and are forgotten here.
EVENTS_KEPT = 100
# Between two records of the meter, and of a setpoint that moves each cycle, while a command runs.
METER_S = 15.0
SETPOINT_S = 5.0


@dataclass(kw_only=True)
class _Seen:
    """What was last recorded for a running command."""

    meter_s: float = float("-inf")
    setpoint_s: float = float("-inf")
    setpoints: dict[Lever, float | None] = field(default_factory=dict)
    readbacks: dict[Lever, Applied] = field(default_factory=dict)


class EvidenceBook:
    """The evidence of one site's commands."""

    def __init__(self, *, site: SiteId, clock: Clock, outbox: Outbox, clock_trust: Callable[[], ClockTrust]) -> None:
        """Go on with the chains of an earlier process."""
        self._site = site
        self._clock = clock
        self._outbox = outbox
        self._clock_trust = clock_trust
        self._heads = {event: head for event in known_events(outbox.recall) if (head := head_of(outbox.recall, event))}
        self._seen: dict[str, _Seen] = {}

    def judged(self, verdict: Verdict, *, fresh: bool) -> None:
        """Record a genuine order and what the checks said; nothing of what anybody could send."""
        command = verdict.command
        if command is None or verdict.role is None or not fresh:
            return
        order: dict[str, Value] = {
            "command": command.command_id,
            "issuer": command.issuer,
            "seq": command.seq,
            "issued_at_ms": _ms(command, "issued_at"),
            "expires_at_ms": _ms(command, "expires_at"),
            "action": command.action.model_dump_json(),
            "signature": command.signature,
        }
        check: dict[str, Value] = {
            "command": command.command_id,
            "role": verdict.role.value,
            "accepted": verdict.accepted,
            "reason": None if verdict.reason is None else verdict.reason.value,
            "detail": verdict.detail,
            "feasible": None if verdict.feasible is None else verdict.feasible.model_dump_json(),
        }
        self._add(command, EvidenceKind.ORDER, order)
        self._add(command, EvidenceKind.CHECK, check)

    def stepped(self, command: Command, draft: AckDraft) -> None:
        """Record a step of a command's life."""
        fields: dict[str, Value] = {
            "command": command.command_id,
            "stage": draft.stage.value,
            "measured_w": draft.measured_w,
            "detail": draft.detail,
        }
        self._add(command, EvidenceKind.STAGE, fields)
        if draft.stage in (AckStage.COMPLETED, AckStage.EXPIRED, AckStage.RELEASED, AckStage.SUPERSEDED):
            self._seen.pop(command.command_id, None)

    def watched(self, command: Command, cycle: Cycle) -> None:
        """Record what a cycle did for a running command: setpoints, read-backs and the meter, each when it is news."""
        now_s = cycle.snapshot.taken_s
        seen = self._seen.setdefault(command.command_id, _Seen())
        self._setpoints(command, cycle, seen, now_s)
        self._readbacks(command, cycle, seen)
        if now_s - seen.meter_s >= METER_S:
            seen.meter_s = now_s
            meter = cycle.snapshot.connection_power
            fields: dict[str, Value] = {
                "command": command.command_id,
                "connection_w": meter.value,
                "quality": meter.quality.value,
                "age_s": None if meter.value is None else round(meter.age_s, 3),
            }
            self._add(command, EvidenceKind.METER, fields)

    def _setpoints(self, command: Command, cycle: Cycle, seen: _Seen, now_s: float) -> None:
        mine = {
            (one.asset, one.capability): one
            for one in cycle.decision.setpoints
            if one.requester == requester_of(command)
        }
        values = {lever: one.value_w for lever, one in mine.items()}
        moved = {lever for lever, value_w in values.items() if lever not in seen.setpoints}
        if now_s - seen.setpoint_s >= SETPOINT_S:
            moved |= {lever for lever, value_w in values.items() if seen.setpoints.get(lever) != value_w}
        if not moved:
            return
        seen.setpoint_s = now_s
        for lever in sorted(moved):
            seen.setpoints[lever] = values[lever]
            fields: dict[str, Value] = {
                "command": command.command_id,
                "device": lever[0],
                "capability": lever[1].value,
                "value_w": values[lever],
                "reason": mine[lever].reason.value,
                "cycle": cycle.number,
            }
            self._add(command, EvidenceKind.SETPOINT, fields)

    def _readbacks(self, command: Command, cycle: Cycle, seen: _Seen) -> None:
        for lever, setpoint_w in seen.setpoints.items():
            applied = cycle.applied.get(lever)
            before = seen.readbacks.get(lever)
            if applied is None or applied.value_w != setpoint_w:
                continue
            if before is not None and (before.ok, before.readback) == (applied.ok, applied.readback):
                continue
            seen.readbacks[lever] = applied
            fields: dict[str, Value] = {
                "command": command.command_id,
                "device": lever[0],
                "capability": lever[1].value,
                "value_w": applied.value_w,
                "equal": applied.ok,
                "detail": applied.detail,
                **applied.readback,
            }
            self._add(command, EvidenceKind.READ_BACK, fields)

    def _add(self, command: Command, kind: EvidenceKind, fields: Mapping[str, Value]) -> None:
        event = command.event_id or command.command_id
        at = self._clock.now()
        record, head = append(
            self._heads.get(event, Head()),
            event_id=event,
            kind=kind,
            at=at,
            clock=self._clock_trust(),
            fields=fields,
        )
        if event not in self._heads:
            self._forget_oldest()
            self._outbox.remember(INDEX_KEY, [*self._heads, event], durable=False)
        self._heads[event] = head
        plain = as_fields(record)
        self._outbox.remember(record_key(event, record.seq), plain, durable=False)
        self._outbox.remember(head_key(event), [head.seq, head.hash], durable=False)

        def build(epoch: int, seq: int) -> EventMessage:
            return EventMessage(
                site=self._site, epoch=epoch, seq=seq, sent_at=at, at=at, phrase=PHRASE, fields=dict(plain)
            )

        self._outbox.append(Up.EVENTS, build, record_class=RecordClass.SETTLEMENT, durable=False)

    def _forget_oldest(self) -> None:
        while len(self._heads) >= EVENTS_KEPT:
            oldest = next(iter(self._heads))
            self._outbox.remember(head_key(oldest), None, durable=False)
            for seq in range(1, self._heads.pop(oldest).seq + 1):
                self._outbox.remember(record_key(oldest, seq), None, durable=False)


def _ms(command: Command, name: str) -> int:
    return int(command.model_dump(include={name}, mode="json")[name])
