"""Who is asked for how much: giving, renewing and taking back the orders of an event."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from cloud.grid.actions import EvidenceKind, GridAction, OrderAction, RecordEvidence, ReleaseCommand, SendCommand
from cloud.grid.dispatch import Dispatch
from cloud.grid.effect import delivered_until, natural_of
from cloud.grid.judging import with_part
from cloud.grid.missing import TRANSFORMER, missing
from cloud.grid.model import FlexibleSite, GridSettings, Means, SiteObservation
from cloud.grid.network_watch import Strained
from cloud.grid.offers import Natural, Offer, offers_of
from cloud.grid.orders import action_for, eased, eased_by_w, held_fraction, release_delay_s
from cloud.grid.state import Asked, Baseline, Event, Order, Participation

ASKED_MAX = 8  # Commands of a site whose answers are waited for; older ones have expired.


class _Ask(NamedTuple):
    """What a site is to be asked for; the figures are those of its order."""

    action: OrderAction
    change_w: float
    full_change_w: float
    beyond_battery_w: float


def order(
    event: Event,
    *,
    fresh: Mapping[str, SiteObservation],
    baselines: Mapping[str, Baseline],
    sites: Sequence[FlexibleSite],
    settings: GridSettings,
    now: datetime,
    strained: Strained | None = None,
) -> tuple[Event, list[GridAction]]:
    """Meet the event's need at least cost: keep what is ordered, ask for what is missing, renew what would end.

    An order only shrinks where its site cannot keep it; taking back is the release's affair. So nothing is let go
    before its replacement acts. Where the network is known, ``strained`` says how it would stand with changes.
    """
    naturals, offers = _offered(event, fresh=fresh, baselines=baselines, sites=sites, settings=settings, now=now)
    kept = _kept(event, offers, fresh, settings, now)
    dispatch, added, left = missing(event, offers=offers, kept=kept, settings=settings, strained=strained)
    actions: list[GridAction] = []
    for site in sites:
        part = event.part(site.site)
        wanted_w = kept.get(site.site, 0.0) + added.get(site.site, 0.0)
        if part is not None and part.order is not None:
            if abs(wanted_w - part.order.change_w) <= settings.dead_band_w or site.site not in naturals:
                event, done = _renew(event, part, part.order, settings, now)
            elif wanted_w < max(1.0, settings.dead_band_w):
                event, done = _end(event, part, part.order, now, reason="cannot go on")
            else:
                ask = _ask(site, wanted_w, offers, naturals[site.site], event)
                event, done = _give(event, part, ask=ask, settings=settings, now=now)
        elif wanted_w >= max(1.0, settings.dead_band_w) and site.site in naturals:
            part = part or Participation(
                site=site.site, baseline=baselines.get(site.site) or _baseline_now(fresh[site.site])
            )
            ask = _ask(site, wanted_w, offers, naturals[site.site], event)
            event, done = _give(event, part, ask=ask, settings=settings, now=now)
        else:
            continue
        actions += done
    event, said = _shortfall(event, dispatch, settings, now)
    event, also = _left(event, left, now)
    return event, [*actions, *said, *also]


def release(
    event: Event,
    *,
    fresh: Mapping[str, SiteObservation],
    sites: Sequence[FlexibleSite],
    settings: GridSettings,
    now: datetime,
) -> tuple[Event, list[GridAction]]:
    """Take the orders back in steps, each site at its own time, and renew what is still held meanwhile."""
    actions: list[GridAction] = []
    started_at = event.release_started_at or now
    for part in event.parts:
        held = part.order
        if held is None:
            continue
        delay_s = release_delay_s(event.event_id, part.site, spread_s=settings.release_spread_s)
        fraction = held_fraction(
            elapsed_s=(now - started_at).total_seconds() - delay_s,
            steps=settings.release_steps,
            step_s=settings.release_step_s,
        )
        change_w = held.full_change_w * fraction
        if fraction <= 0:
            event, done = _end(event, part, held, now, reason="released")
        elif change_w < held.change_w - 1:
            ask = _Ask(
                action=eased(held.action, by_w=held.change_w - change_w, direction=event.direction),
                change_w=change_w,
                full_change_w=held.full_change_w,
                beyond_battery_w=min(held.beyond_battery_w, change_w),
            )
            event, done = _give(event, part, ask=ask, settings=settings, now=now)
        else:
            event, done = _renew(event, part, held, settings, now)
        actions += done
    return event, actions


def _offered(
    event: Event,
    *,
    fresh: Mapping[str, SiteObservation],
    baselines: Mapping[str, Baseline],
    sites: Sequence[FlexibleSite],
    settings: GridSettings,
    now: datetime,
) -> tuple[dict[str, Natural], dict[str, tuple[Offer, ...]]]:
    """Return what each observed site would do without an order, and what it can change in all, cheapest first."""
    naturals: dict[str, Natural] = {}
    offers: dict[str, tuple[Offer, ...]] = {}
    for site in sites:
        seen = fresh.get(site.site)
        if seen is None:
            continue
        part = event.part(site.site)
        natural = natural_of(part, seen=seen, baseline=baselines.get(site.site), direction=event.direction)
        found = offers_of(
            site,
            seen=seen,
            natural=natural,
            direction=event.direction,
            duration_s=settings.duration_s,
            cap_w=_cap_w(part, settings, now),
        )
        naturals[site.site] = natural
        offers[site.site] = tuple(sorted(found, key=lambda offer: offer.price_mct_per_kwh))
    return naturals, offers


def _cap_w(part: Participation | None, settings: GridSettings, now: datetime) -> float | None:
    """Return what a site is capped at; a cap is forgotten after a while, since sites come back."""
    if part is None or part.cap_w is None or part.capped_at is None:
        return None
    return part.cap_w if (now - part.capped_at).total_seconds() < settings.retry_s else None


def _kept(
    event: Event,
    offers: Mapping[str, tuple[Offer, ...]],
    fresh: Mapping[str, SiteObservation],
    settings: GridSettings,
    now: datetime,
) -> dict[str, float]:
    """Return what each ordered site goes on with: its order, or less where it cannot keep it."""
    kept = {}
    for part in event.parts:
        if part.order is None:
            continue
        reach_w = sum(offer.change_w_max for offer in offers.get(part.site, ()))
        cap_w = _cap_w(part, settings, now)
        kept_w = part.order.change_w if part.site not in fresh else min(part.order.change_w, reach_w)
        kept[part.site] = kept_w if cap_w is None else min(kept_w, cap_w)
    return kept


def _ask(
    site: FlexibleSite, wanted_w: float, offers: Mapping[str, tuple[Offer, ...]], natural: Natural, event: Event
) -> _Ask:
    """Return the order for a site's whole change, spread over its means from the cheapest on."""
    changes_w: dict[Means, float] = {}
    left_w = wanted_w
    for offer in offers.get(site.site, ()):
        changes_w[offer.means] = min(left_w, offer.change_w_max)
        left_w -= changes_w[offer.means]
    return _Ask(
        action=action_for(site, changes_w=changes_w, natural=natural, direction=event.direction),
        change_w=wanted_w,
        full_change_w=wanted_w,
        beyond_battery_w=sum(change_w for means, change_w in changes_w.items() if means is not Means.BATTERY),
    )


def _give(
    event: Event, part: Participation, *, ask: _Ask, settings: GridSettings, now: datetime
) -> tuple[Event, list[GridAction]]:
    """Order a change; where the former order was of another kind it is ended after the new one."""
    former = part.order
    event, done = _send(
        event,
        part,
        Order(
            command_id="",
            action=ask.action,
            change_w=ask.change_w,
            full_change_w=ask.full_change_w,
            ordered_at=now,
            asked=() if former is None else former.asked,
            issued_at=now,
            expires_at=now,
            eased_w=0.0 if former is None else eased_by_w(former.action, ask.action, direction=event.direction),
            beyond_battery_w=ask.beyond_battery_w,
        ),
        settings,
        now,
    )
    if former is not None and former.action.kind != ask.action.kind:
        event, ended = _release_command(event, part, former, now)
        done.append(ended)
    return event, done


def _renew(
    event: Event, part: Participation, held: Order, settings: GridSettings, now: datetime
) -> tuple[Event, list[GridAction]]:
    """Order the same again once its renewal is due."""
    if now - held.issued_at < timedelta(seconds=settings.renew_s):
        return event, []
    return _send(event, part, held, settings, now)


def _send(
    event: Event, part: Participation, wanted: Order, settings: GridSettings, now: datetime
) -> tuple[Event, list[GridAction]]:
    issued = event.issued + 1
    command_id = f"{event.event_id}-{issued}"
    asked = Asked(command_id=command_id, ordered_at=wanted.ordered_at, asked_at=now)
    sent = replace(
        wanted,
        command_id=command_id,
        asked=(*wanted.asked, asked)[-ASKED_MAX:],
        issued_at=now,
        expires_at=now + timedelta(seconds=settings.lease_s),
    )
    event = replace(with_part(event, replace(part, order=sent)), issued=issued, commands=event.commands + 1)
    command = SendCommand(
        command_id=sent.command_id,
        site=part.site,
        action=sent.action,
        issued_at=now,
        expires_at=sent.expires_at,
        event_id=event.event_id,
    )
    evidence = RecordEvidence(
        event_id=event.event_id,
        kind=EvidenceKind.ORDERED,
        at=now,
        site=part.site,
        fields={
            "command_id": sent.command_id,
            "expires_at": sent.expires_at.isoformat(),
            "change_w": round(sent.change_w),
            "renewal": sent.ordered_at != now,
            "baseline_w": round(part.baseline.connection_w, 1),
            **sent.action.model_dump(),
        },
    )
    return event, [command, evidence]


def _end(
    event: Event, part: Participation, held: Order, now: datetime, *, reason: str
) -> tuple[Event, list[GridAction]]:
    """Take an order back now."""
    event, ended = _release_command(event, part, held, now)
    delivered_wh = delivered_until(part, now)
    event = with_part(event, replace(part, order=None, delivered_wh=delivered_wh))
    evidence = RecordEvidence(
        event_id=event.event_id,
        kind=EvidenceKind.RELEASED,
        at=now,
        site=part.site,
        fields={
            "command_id": held.command_id,
            "reason": reason,
            "delivered_wh": round(delivered_wh, 1),
        },
    )
    return event, [ended, evidence]


def _release_command(event: Event, part: Participation, held: Order, now: datetime) -> tuple[Event, ReleaseCommand]:
    issued = event.issued + 1
    ended = ReleaseCommand(
        command_id=f"{event.event_id}-{issued}",
        site=part.site,
        releases=held.command_id,
        issued_at=now,
        expires_at=max(held.expires_at, now + timedelta(seconds=30)),
        event_id=event.event_id,
    )
    return replace(event, issued=issued), ended


def _shortfall(
    event: Event, dispatch: Dispatch, settings: GridSettings, now: datetime
) -> tuple[Event, list[GridAction]]:
    """Record what no offer could give, when it changes by more than the dead band."""
    short_w = dispatch.shortfall_w.get(TRANSFORMER, 0.0)
    if abs(short_w - event.shortfall_w) <= settings.dead_band_w:
        return event, []
    evidence = RecordEvidence(
        event_id=event.event_id, kind=EvidenceKind.SHORTFALL, at=now, fields={"shortfall_w": round(short_w)}
    )
    return replace(event, shortfall_w=short_w), [evidence]


def _left(event: Event, left: tuple[str, ...], now: datetime) -> tuple[Event, list[GridAction]]:
    """Record which limits within the network no offer could bring back, when they change."""
    if left == event.left:
        return event, []
    evidence = RecordEvidence(
        event_id=event.event_id, kind=EvidenceKind.SHORTFALL, at=now, fields={"network": "; ".join(left)}
    )
    return replace(event, left=left), [evidence]


def _baseline_now(seen: SiteObservation) -> Baseline:
    """Return a baseline from a single observation, for a site that was not seen before the event."""
    return Baseline(
        site=seen.site,
        at=seen.at,
        connection_w=seen.connection_power_w or 0.0,
        battery_w=seen.battery_power_w or 0.0,
        pv_w=seen.pv_power_w or 0.0,
    )
