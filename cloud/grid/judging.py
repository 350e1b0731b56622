"""What became of the orders: answers, meters, and whom to give up on."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from cloud.grid.actions import EvidenceKind, EvidenceValue, GridAction, RecordEvidence, ReleaseCommand
from cloud.grid.model import GridSettings, SiteObservation
from cloud.grid.orders import value_w
from cloud.grid.state import Asked, Event, Order, Participation
from contracts.control import AckStage, BatteryPower, CommandAck, LimitExport, LimitImport, Refusal

EFFECTIVE_SHARE_MIN = 0.5  # A site that moves less than half of what it was asked for is replaced.
REFUSALS_MAX = 3

_RANK = {AckStage.ACCEPTED: 1, AckStage.APPLIED: 2, AckStage.INEFFECTIVE: 3, AckStage.EFFECTIVE: 4}
_OVER = {AckStage.COMPLETED, AckStage.EXPIRED, AckStage.RELEASED, AckStage.SUPERSEDED}
_PASSING = {Refusal.TOO_OLD, Refusal.OUT_OF_ORDER, Refusal.OVERLOADED, Refusal.FROM_THE_FUTURE, Refusal.EXPIRED}


def with_part(event: Event, part: Participation) -> Event:
    """Return the event with one site's part replaced or added, in the order of the sites' names."""
    others = [other for other in event.parts if other.site != part.site]
    return replace(event, parts=tuple(sorted([*others, part], key=lambda each: each.site)))


def take_acks(event: Event, acks: Sequence[CommandAck], *, now: datetime) -> tuple[Event, list[GridAction]]:
    """Let the sites' answers into the event; every answer to it becomes evidence."""
    actions: list[GridAction] = []
    for ack in acks:
        part = event.part(ack.site)
        order = part.order if part is not None else None
        asked = next((each for each in order.asked if each.command_id == ack.command_id), None) if order else None
        if asked is None and ack.event_id != event.event_id:
            continue
        actions.append(_evidence_of_ack(event, ack))
        if part is not None and order is not None and asked is not None:
            event = _take_ack(event, part, order, asked, ack=ack, now=now)
    return event, actions


def _take_ack(
    event: Event, part: Participation, order: Order, asked: Asked, *, ack: CommandAck, now: datetime
) -> Event:
    """Count what an answer says about its own command, and let it into the order if that still is the same."""
    same = asked.ordered_at == order.ordered_at
    if ack.stage is AckStage.REJECTED:
        event = replace(event, rejected=event.rejected + 1)
        return with_part(event, _refused(part, order, ack, now)) if same else event
    if ack.stage in _OVER:
        # A command that a newer one superseded is over, the order is not.
        return with_part(event, replace(part, order=None)) if asked.command_id == order.command_id else event
    reached, rank = _RANK.get(asked.stage, 0) if asked.stage else 0, _RANK[ack.stage]
    if rank <= reached:
        return event
    entries = tuple(replace(each, stage=ack.stage) if each is asked else each for each in order.asked)
    event = with_part(event, replace(part, order=replace(order, asked=entries), refusals=0))
    if reached < _RANK[AckStage.APPLIED] <= rank and ack.reason is not Refusal.NOT_APPLIED:
        event = replace(event, applied=event.applied + 1)
    if ack.stage is AckStage.EFFECTIVE:
        event = replace(event, effective=event.effective + 1, effective_at=event.effective_at or ack.at)
        if same:
            event = _with_effect(event, ack)
        if asked.asked_at == asked.ordered_at:
            delay_ms = round((ack.at - asked.asked_at).total_seconds() * 1000)
            event = replace(event, effect_ms=(*event.effect_ms, max(0, delay_ms)))
    return event


def _with_effect(event: Event, ack: CommandAck) -> Event:
    """Note when the site's order became effective; a renewal's effect is no new one."""
    part = event.part(ack.site)
    if part is None or part.order is None or part.order.effective_at is not None:
        return event
    return with_part(event, replace(part, order=replace(part.order, effective_at=ack.at)))


def _refused(part: Participation, order: Order, ack: CommandAck, now: datetime) -> Participation:
    """Return a part without its order: what would have been feasible is the new cap, a passing reason is none."""
    if ack.reason in _PASSING and part.refusals + 1 < REFUSALS_MAX:
        return replace(part, order=None, refusals=part.refusals + 1)
    feasible, cap_w = ack.feasible, 0.0
    if isinstance(feasible, BatteryPower | LimitImport | LimitExport) and feasible.kind == order.action.kind:
        cap_w = max(0.0, order.change_w - abs(value_w(feasible) - value_w(order.action)))
    return replace(part, order=None, cap_w=cap_w, capped_at=now, refusals=0)


def _evidence_of_ack(event: Event, ack: CommandAck) -> RecordEvidence:
    fields: dict[str, EvidenceValue] = {
        "command_id": ack.command_id,
        "stage": ack.stage,
        "measured_w": ack.measured_w,
        "reason": ack.reason,
        "detail": ack.detail,
    }
    fields |= {f"readback {point}": value for point, value in (ack.readback or {}).items()}
    return RecordEvidence(
        event_id=event.event_id, kind=EvidenceKind.ACKNOWLEDGED, at=ack.at, site=ack.site, fields=fields
    )


def metered(
    event: Event, observations: Sequence[SiteObservation], *, now: datetime, every_s: float
) -> tuple[Event, list[GridAction]]:
    """Return meter evidence of the sites that carry an order, each at most every so many seconds."""
    actions: list[GridAction] = []
    for seen in observations:
        part = event.part(seen.site)
        if part is None or part.order is None or part.latest is None or part.latest.at != seen.at:
            continue
        if part.evidence_at is not None and (seen.at - part.evidence_at).total_seconds() < every_s:
            continue
        event = with_part(event, replace(part, evidence_at=seen.at))
        actions.append(
            RecordEvidence(
                event_id=event.event_id,
                kind=EvidenceKind.METERED,
                at=seen.at,
                site=seen.site,
                fields={
                    "command_id": part.order.command_id,
                    "connection_power_w": seen.connection_power_w,
                    "baseline_w": round(part.baseline.connection_w, 1),
                    "delivered_w": round(part.metered_w, 1),
                    "delivered_wh": round(part.delivered_wh, 1),
                    "moved_w": round(part.latest.moved_w, 1),
                    "battery_power_w": seen.battery_power_w,
                    "soc_percent": seen.soc_percent,
                    "clock": seen.clock,
                    "seen_at": now.isoformat(),
                },
            )
        )
    return event, actions


def replace_failed(event: Event, *, settings: GridSettings, now: datetime) -> tuple[Event, list[GridAction]]:
    """Cap the sites that do not answer or do not move, so that the next dispatch asks others; end their orders."""
    actions: list[GridAction] = []
    for part in event.parts:
        order = part.order
        reason = None if order is None else _failure(part, order, settings, now)
        if order is None or reason is None:
            continue
        moves_w = part.latest.moved_w if part.latest is not None and part.latest.at > order.ordered_at else 0.0
        keeps = moves_w >= settings.dead_band_w
        cap_w = moves_w if keeps else 0.0
        if not keeps:
            event = replace(event, issued=event.issued + 1)
            actions.append(
                ReleaseCommand(
                    command_id=f"{event.event_id}-{event.issued}",
                    site=part.site,
                    releases=order.command_id,
                    issued_at=now,
                    expires_at=max(order.expires_at, now),
                    event_id=event.event_id,
                )
            )
        event = with_part(event, replace(part, order=order if keeps else None, cap_w=cap_w, capped_at=now))
        actions.append(
            RecordEvidence(
                event_id=event.event_id,
                kind=EvidenceKind.FAILED,
                at=now,
                site=part.site,
                fields={
                    "command_id": order.command_id,
                    "reason": reason,
                    "ordered_w": round(order.change_w),
                    "moved_w": round(moves_w),
                },
            )
        )
    return event, actions


def _failure(part: Participation, order: Order, settings: GridSettings, now: datetime) -> str | None:
    """Return why a site is to be replaced, or ``None``."""
    if _complies(part, order, settings):
        return None
    since_at = order.unanswered_since_at
    if since_at is not None and (now - since_at).total_seconds() > settings.ack_deadline_s:
        return "no answer"
    if part.capped_at is not None and part.capped_at >= order.ordered_at:
        return None
    if order.stage is AckStage.INEFFECTIVE:
        return "ineffective"
    if (now - order.ordered_at).total_seconds() > settings.effect_deadline_s and order.stage is not AckStage.EFFECTIVE:
        return "no effect in time"
    return None


def _complies(part: Participation, order: Order, settings: GridSettings) -> bool:
    """Return whether the site's meter, read after the order, shows that it does what it was asked for."""
    latest = part.latest
    if latest is None or latest.at <= order.ordered_at:
        return False
    if latest.moved_w >= EFFECTIVE_SHARE_MIN * order.change_w:
        return True
    if isinstance(order.action, LimitImport):
        return latest.connection_w <= order.action.max_w + settings.dead_band_w
    if isinstance(order.action, LimitExport):
        return -latest.connection_w <= order.action.max_w + settings.dead_band_w
    return False
