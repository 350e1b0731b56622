"""The gate for commands from outside: signed, fresh, in order, permitted, possible, and the same answer every time.

The gate's state is a plain value that the caller persists before it acts, so that a restart forgets no answer.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from contracts.control import KINDS, Action, BatteryPower, Command, LimitLoad, Refusal, Switch
from contracts.units import ClockTrust, Id, SiteId, epoch_ms
from contracts.wire import UnknownVersion, WireError, read_json
from edge.control.feasible import Reach, infeasibility
from edge.control.gate_state import ANSWERS_MAX, RUNNING_PER_ISSUER_MAX, Answer, GateState
from edge.control.keys import PERMISSIONS, Role, TrustedKey

# A command is a few hundred bytes; whatever is larger is not read at all.
PAYLOAD_BYTES_MAX = 8 * 1024
_ID: TypeAdapter[str] = TypeAdapter(Id)
_HOUR = timedelta(hours=1)
_STEERING = frozenset({"limit_import", "limit_export", "battery_power", "limit_load", "switch"})
# What still passes while the site is locked: ending the lock, ending an order, and looking.
_UNLOCKED = frozenset({"maintenance_lock", "release", "read", "live", "diagnostics"})


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """Bounds on time; a setpoint older than ``age_max`` says nothing about now.

    Source: field practice (commands by MQTT: 30 s for setpoints; two seconds of clock offset).
    """

    age_max: timedelta = timedelta(seconds=30)
    skew_max: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What the gate judges by: the instant, the clock, the keys, and what the site could do.

    Args:
        now: Wall clock.
        clock: How far it may be trusted; while it is not, no order is taken.
        site: Whose gate this is.
        trusted: Issuers by name.
        able: What the site could do now.
        locked: Whether a maintenance lock is on, whoever set it.
        settings: Bounds on time.
        exhausted: Issuers that have used up what they may send for now.
    """

    now: datetime
    clock: ClockTrust
    site: SiteId
    trusted: Mapping[str, TrustedKey]
    able: Reach
    locked: bool = False
    settings: GateSettings = GateSettings()
    exhausted: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to one message.

    ``command`` is set where it could be read, ``role`` where its signature was right. A ``duplicate`` gets the answer
    that was given before, and no further effect. ``command_id`` is ``None`` where not even that could be read.
    """

    accepted: bool
    command_id: str | None
    command: Command | None = None
    role: Role | None = None
    duplicate: bool = False
    reason: Refusal | None = None
    detail: str | None = None
    feasible: Action | None = None


def judge(
    payload: bytes, *, retained: bool, state: GateState, circumstances: Circumstances
) -> tuple[Verdict, GateState]:
    """Answer one message from the command topic, and return what the gate must remember of it.

    Nothing unsigned changes the state. A refused command with a good signature uses up its sequence number and keeps
    its refusal, so that sending it again later does not turn a no into a yes.
    """
    command, refused = _read(payload)
    if command is None:
        return refused, state
    unsigned = _before_signature(command, retained=retained, circumstances=circumstances)
    if unsigned is not None:
        return _refuse(command, *unsigned), state
    key = circumstances.trusted[command.issuer]
    digest = hashlib.sha256(command.signing_bytes()).hexdigest()
    earlier = state.answers.get(command.command_id)
    if earlier is not None:
        return _again(command, key.role, digest, earlier), state
    reason = _in_time(command, circumstances) or _in_order(command, state)
    if reason is not None:
        # Neither may use up a number: a late copy of a good command must not block the next one.
        return replace(_refuse(command, *reason), role=key.role), state
    overload = _overload(command, key.role, state, circumstances)
    if overload is not None:
        return replace(_refuse(command, Refusal.OVERLOADED, overload), role=key.role), state
    verdict = _content(command, key, state, circumstances)
    answer = Answer(
        digest=digest,
        issuer=command.issuer,
        seq=command.seq,
        ends_ms=epoch_ms(command.expires_at),
        accepted=verdict.accepted,
        holds=_lever(command) if verdict.accepted else None,
        reason=verdict.reason,
        detail=verdict.detail,
        feasible=verdict.feasible,
    )
    after = state.remembering(command.command_id, answer, circumstances.now)
    if verdict.accepted and command.action.kind == "maintenance_lock":
        after = replace(after, locked_until_ms=answer.ends_ms if command.action.on else None)
    if verdict.accepted and command.action.kind == "release":
        after = after.released(command.action.command_id)
    return verdict, after


def _read(payload: bytes) -> tuple[Command | None, Verdict]:
    if len(payload) > PAYLOAD_BYTES_MAX:
        detail = f"{len(payload)} bytes, above {PAYLOAD_BYTES_MAX}; not read"
        return None, Verdict(accepted=False, command_id=None, reason=Refusal.MALFORMED, detail=detail)
    try:
        return Command.decode(payload), Verdict(accepted=False, command_id=None)
    except UnknownVersion as error:
        reason, detail = Refusal.UNKNOWN_VERSION, str(error)
    except WireError as error:
        kind = _unknown_kind(payload)
        reason, detail = Refusal.MALFORMED, str(error)
        if kind is not None:
            reason, detail = Refusal.UNSUPPORTED, f"this gateway's version knows no order {kind!r}; not taken"
    return None, Verdict(accepted=False, command_id=_id_of(payload), reason=reason, detail=detail)


def _unknown_kind(payload: bytes) -> str | None:
    """Return the kind of an order that a newer sender knows; ``None`` where the kind is not what is wrong."""
    try:
        raw = read_json(payload)
        kind = _ID.validate_python(raw["action"]["kind"])
    except (ValueError, TypeError, KeyError):
        return None
    return None if kind in KINDS else kind


def _id_of(payload: bytes) -> str | None:
    """Return the id of a message that cannot be read otherwise, so that its sender hears of it."""
    try:
        raw = read_json(payload)
        return _ID.validate_python(raw.get("command_id")) if isinstance(raw, dict) else None
    except ValueError:
        return None


def _before_signature(command: Command, *, retained: bool, circumstances: Circumstances) -> tuple[Refusal, str] | None:
    if retained:
        return Refusal.RETAINED, "a retained message is a copy from the past; no effect"
    if command.site != circumstances.site:
        return Refusal.WRONG_SITE, f"for {command.site}, this is {circumstances.site}; no effect"
    key = circumstances.trusted.get(command.issuer)
    if key is None:
        return Refusal.UNKNOWN_ISSUER, f"{command.issuer} is not among the issuers that this site trusts"
    because = key.not_signed(command, now=circumstances.now)
    return None if because is None else (Refusal.BAD_SIGNATURE, because)


def _again(command: Command, role: Role, digest: str, earlier: Answer) -> Verdict:
    if digest != earlier.digest:
        detail = f"{command.command_id} was another order before; no effect"
        return replace(_refuse(command, Refusal.CONFLICTING_ID, detail), role=role)
    return Verdict(
        accepted=earlier.accepted,
        command_id=command.command_id,
        command=command,
        role=role,
        duplicate=True,
        reason=earlier.reason,
        detail=earlier.detail,
        feasible=earlier.feasible,
    )


def _in_time(command: Command, circumstances: Circumstances) -> tuple[Refusal, str] | None:
    now, settings = circumstances.now, circumstances.settings
    if circumstances.clock is ClockTrust.UNTRUSTED:
        return Refusal.CLOCK_UNTRUSTED, "the site cannot tell the time; no order is taken"
    if command.issued_at - now > settings.skew_max:
        ahead_s = (command.issued_at - now).total_seconds()
        return Refusal.FROM_THE_FUTURE, f"issued {ahead_s:.1f} s ahead of the site's clock"
    if command.expires_at <= now:
        return Refusal.EXPIRED, f"expired {(now - command.expires_at).total_seconds():.1f} s ago"
    age = now - command.issued_at
    if command.action.kind in _STEERING and age > settings.age_max:
        bound_s = settings.age_max.total_seconds()
        return Refusal.TOO_OLD, f"issued {age.total_seconds():.1f} s ago, above {bound_s:.0f} s"
    return None


def _in_order(command: Command, state: GateState) -> tuple[Refusal, str] | None:
    last = state.last_seq.get(command.issuer, 0)
    if command.seq > last:
        return None
    reason = Refusal.REPLAYED if command.seq == last else Refusal.OUT_OF_ORDER
    return reason, f"sequence {command.seq} of {command.issuer} is not above {last}"


def _overload(command: Command, role: Role, state: GateState, circumstances: Circumstances) -> str | None:
    """Return why an issuer asks too much of the gate, ``None`` where it does not.

    Each issuer has a share of its own, so none can use up another's; the grid operator is never kept out by others.
    """
    if command.issuer in circumstances.exhausted:
        return f"{command.issuer} sends more than a {role.value} may; not taken, send it again later"
    lever = _lever(command)
    if lever is None:
        return None
    running = state.running(circumstances.now).values()
    others = [answer for answer in running if (answer.issuer, answer.holds) != (command.issuer, lever)]
    if sum(answer.issuer == command.issuer for answer in others) >= RUNNING_PER_ISSUER_MAX:
        return f"{RUNNING_PER_ISSUER_MAX} orders of {command.issuer} are still running; not taken"
    if len(others) >= ANSWERS_MAX and role is not Role.GRID_OPERATOR:
        return f"{ANSWERS_MAX} orders are still running; not taken"
    return None


def _lever(command: Command) -> str | None:
    """Return what an order holds while it runs; a newer one of its issuer for the same takes its place."""
    action = command.action
    if action.kind not in _STEERING:
        return None
    return f"{action.kind}/{action.device}" if isinstance(action, Switch | LimitLoad) else action.kind


def _content(command: Command, key: TrustedKey, state: GateState, circumstances: Circumstances) -> Verdict:
    """Judge what a genuine, timely command asks."""
    action, permission = command.action, PERMISSIONS[key.role]
    refusal: tuple[Refusal, str] | None = None
    feasible: Action | None = None
    # From the issuer's instant where our clock is a little behind: the longest order must not fail for that.
    lasts = command.expires_at - max(circumstances.now, command.issued_at)
    if action.kind not in permission.kinds:
        refusal = Refusal.NOT_PERMITTED, f"a {key.role.value} may not order {action.kind}"
    elif lasts > permission.order_max:
        hours, bound_hours = lasts / _HOUR, permission.order_max / _HOUR
        detail = f"lasts {hours:.1f} h, above the {bound_hours:.0f} h of a {key.role.value}"
        refusal = Refusal.OUT_OF_BOUNDS, detail
    elif isinstance(action, BatteryPower) and abs(action.power_w) > (bound_w := key.battery_power_w_max or math.inf):
        detail = f"battery power of {action.power_w} W is beyond the {bound_w} W that {command.issuer} may order"
        refusal = Refusal.OUT_OF_BOUNDS, detail
        feasible = BatteryPower(power_w=int(math.copysign(bound_w, action.power_w)))
    elif (circumstances.locked or state.locked(circumstances.now)) and action.kind not in _UNLOCKED:
        refusal = Refusal.LOCKED, "the site is locked for maintenance"
    elif action.kind == "release":
        held = state.answers.get(action.command_id)
        if held is None or not held.accepted:
            refusal = Refusal.INFEASIBLE, f"{action.command_id} is not an order that this site took"
        elif held.issuer != command.issuer:
            refusal = Refusal.NOT_PERMITTED, f"{action.command_id} is an order of {held.issuer}"
    else:
        cannot = infeasibility(
            action,
            able=circumstances.able,
            lasts_s=lasts.total_seconds(),
            best_effort=key.role is Role.GRID_OPERATOR,
        )
        if cannot is not None:
            reason = Refusal.UNSUPPORTED if cannot.nearest is None else Refusal.INFEASIBLE
            refusal, feasible = (reason, cannot.detail), cannot.nearest
    if refusal is not None:
        return replace(_refuse(command, *refusal), role=key.role, feasible=feasible)
    return Verdict(accepted=True, command_id=command.command_id, command=command, role=key.role)


def _refuse(command: Command, reason: Refusal, detail: str) -> Verdict:
    return Verdict(accepted=False, command_id=command.command_id, command=command, reason=reason, detail=detail)
