"""The life of an accepted command, as a table: accepted, applied, effective or not, and how it ended.

Accepted says that the checks passed; applied, that the registers read back what was written; effective, that the meter
saw it. What is not read back in time is ineffective for that reason, and applied once it is after all. A command that
was never seen at the meter does not end as completed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from contracts.control import (
    AckStage,
    Action,
    BatteryPower,
    Command,
    LimitExport,
    LimitImport,
    LimitLoad,
    Refusal,
    Switch,
)
from edge.control.feasible import tolerance_w

# Source: field proposal for the effect check, 15 s after the registers were read back.
EFFECT_S = 15.0
# An order is read back within so many seconds after it was taken, or its sender hears that it is not: the write, three
# tries to read it back, and a device that comes back from a short silence.
APPLY_S = 30.0


class Event(StrEnum):
    """What can happen to a command."""

    READ_BACK = "read_back"
    NOT_READ_BACK = "not_read_back"
    MOVED = "moved"
    NOT_MOVED = "not_moved"
    DONE = "done"
    EXPIRE = "expire"
    RELEASE = "release"
    SUPERSEDE = "supersede"


_S, _E = AckStage, Event
# Pairs that are not here cannot happen: ``after`` refuses them.
TRANSITIONS: Mapping[tuple[AckStage, Event], AckStage] = {
    (_S.ACCEPTED, _E.READ_BACK): _S.APPLIED,
    (_S.ACCEPTED, _E.NOT_READ_BACK): _S.INEFFECTIVE,
    (_S.ACCEPTED, _E.DONE): _S.COMPLETED,
    (_S.ACCEPTED, _E.EXPIRE): _S.EXPIRED,
    (_S.ACCEPTED, _E.RELEASE): _S.RELEASED,
    (_S.ACCEPTED, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.APPLIED, _E.MOVED): _S.EFFECTIVE,
    (_S.APPLIED, _E.NOT_MOVED): _S.INEFFECTIVE,
    (_S.APPLIED, _E.EXPIRE): _S.EXPIRED,
    (_S.APPLIED, _E.RELEASE): _S.RELEASED,
    (_S.APPLIED, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.EFFECTIVE, _E.EXPIRE): _S.COMPLETED,
    (_S.EFFECTIVE, _E.RELEASE): _S.RELEASED,
    (_S.EFFECTIVE, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.INEFFECTIVE, _E.READ_BACK): _S.APPLIED,
    (_S.INEFFECTIVE, _E.MOVED): _S.EFFECTIVE,
    (_S.INEFFECTIVE, _E.EXPIRE): _S.EXPIRED,
    (_S.INEFFECTIVE, _E.RELEASE): _S.RELEASED,
    (_S.INEFFECTIVE, _E.SUPERSEDE): _S.SUPERSEDED,
}
FINAL = frozenset({_S.REJECTED, _S.COMPLETED, _S.EXPIRED, _S.RELEASED, _S.SUPERSEDED})


class IllegalStep(ValueError):
    """A command was asked to take a step that its stage does not have: a mistake of ours."""


def after(stage: AckStage, event: Event) -> AckStage:
    """Return the stage that follows.

    Raises:
        IllegalStep: The table has no such step.
    """
    try:
        return TRANSITIONS[stage, event]
    except KeyError:
        raise IllegalStep(f"a command that is {stage.value} cannot take {event.value}") from None


@dataclass(frozen=True, kw_only=True)
class AckDraft:
    """One answer to send; the caller adds site, epoch, sequence and instant."""

    command_id: str
    stage: AckStage
    event_id: str | None = None
    reason: Refusal | None = None
    detail: str | None = None
    feasible: Action | None = None
    readback: dict[str, float | None] | None = None
    measured_w: float | None = None
    values: dict[str, float | str | None] | None = None


@dataclass(frozen=True, kw_only=True)
class Life:
    """Where an accepted command stands; instants are monotonic seconds."""

    command: Command
    taken_s: float
    expires_s: float
    stage: AckStage = AckStage.ACCEPTED
    applied_s: float | None = None

    @property
    def over(self) -> bool:
        """Say whether nothing more can happen to it."""
        return self.stage in FINAL


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What the site saw since the command was taken.

    Args:
        now_s: The instant.
        readback: What the registers said, by ``<device>/<point>``.
        readback_equal: Whether every register that the cycle wrote for it reads as written; ``None`` while not known.
        missing: Which device does not hold it, and what it says.
        connection_w: Measured at the connection point, ``None`` with a blind meter.
        battery_w: Measured sum of the batteries.
        switched_on: State of the load that it is about.
        load_w: Measured power of that load.
        released: Whether a release of it was taken.
        superseded: Whether a newer order of its issuer took its place.
        done: Whether a command that moves no power was answered, with ``values``.
    """

    now_s: float
    readback: dict[str, float | None] = field(default_factory=dict)
    readback_equal: bool | None = None
    missing: str = ""
    connection_w: float | None = None
    battery_w: float | None = None
    switched_on: bool | None = None
    load_w: float | None = None
    released: bool = False
    superseded: bool = False
    done: bool = False
    values: dict[str, float | str | None] | None = None


def advance(life: Life, seen: Effect) -> tuple[Life, tuple[AckDraft, ...]]:
    """Return where the command stands after what was seen, and the answers to send, in order."""
    drafts: list[AckDraft] = []
    while not life.over:
        event = _event(life, seen)
        if event is None:
            break
        stage = after(life.stage, event)
        applied_s = seen.now_s if stage is AckStage.APPLIED else life.applied_s
        life = replace(life, stage=stage, applied_s=applied_s)
        drafts.append(_draft(life, seen))
    return life, tuple(drafts)


def is_effective(action: Action, seen: Effect) -> bool | None:
    """Say whether the meter shows what the order asks; ``None`` where nothing measured can tell."""
    if isinstance(action, LimitImport):
        if seen.connection_w is None:
            return None
        return seen.connection_w <= action.max_w + tolerance_w(action.max_w)
    if isinstance(action, LimitExport):
        if seen.connection_w is None:
            return None
        return -seen.connection_w <= action.max_w + tolerance_w(action.max_w)
    if isinstance(action, BatteryPower):
        if seen.battery_w is None:
            return None
        return abs(seen.battery_w - action.power_w) <= tolerance_w(action.power_w)
    if isinstance(action, Switch):
        return None if seen.switched_on is None else seen.switched_on == action.on
    if isinstance(action, LimitLoad):
        return None if seen.load_w is None else seen.load_w <= action.max_w + tolerance_w(action.max_w)
    return None


def _event(life: Life, seen: Effect) -> Event | None:
    """Return the next thing that happened to a command; its ends come before its progress."""
    if seen.released:
        return Event.RELEASE
    if seen.superseded:
        return Event.SUPERSEDE
    if seen.now_s >= life.expires_s:
        return Event.EXPIRE
    if life.applied_s is None:
        return _until_applied(life, seen)
    moved = is_effective(life.command.action, seen)
    if life.stage in (AckStage.APPLIED, AckStage.INEFFECTIVE) and moved:
        return Event.MOVED
    if life.stage is AckStage.APPLIED and seen.now_s - (life.applied_s or seen.now_s) >= EFFECT_S:
        return Event.NOT_MOVED
    return None


def _until_applied(life: Life, seen: Effect) -> Event | None:
    if seen.readback_equal:
        return Event.READ_BACK
    if life.stage is not AckStage.ACCEPTED:
        return None
    if seen.done:
        return Event.DONE
    return Event.NOT_READ_BACK if seen.now_s - life.taken_s >= APPLY_S else None


def _draft(life: Life, seen: Effect) -> AckDraft:
    battery = isinstance(life.command.action, BatteryPower)
    detail = f"battery {seen.battery_w:.0f} W" if battery and seen.battery_w is not None else None
    not_applied = life.stage is AckStage.INEFFECTIVE and life.applied_s is None
    if not_applied:
        detail = f"not read back within {APPLY_S:.0f} s: {seen.missing or 'no device says what it holds'}"
    return AckDraft(
        command_id=life.command.command_id,
        event_id=life.command.event_id,
        stage=life.stage,
        reason=Refusal.NOT_APPLIED if not_applied else None,
        readback=seen.readback or None if life.stage is AckStage.APPLIED else None,
        measured_w=seen.connection_w,
        detail=detail,
        values=seen.values if life.stage is AckStage.COMPLETED else None,
    )
