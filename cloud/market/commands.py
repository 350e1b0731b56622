"""Engine commands from the messages of the wire, and messages of the wire from outcomes."""

from collections.abc import Sequence
from typing import NamedTuple

from cloud.market.product import INTERVAL_MS
from cloud.market.rules import NO_SITE, MarketRules, Participant
from cloud.market.shapes import (
    Capacity,
    ClaimWord,
    CloseAccount,
    EventCommand,
    EventLine,
    Halt,
    HoldReading,
    Invoice,
    Leave,
    MeterCommand,
    MoveRules,
    OrderCommand,
    Register,
    ReleaseReading,
    Resume,
    StorageWord,
    Tick,
)
from cloud.market.state import Outcome, ProductView, SiteSettlement
from contracts.market import (
    Availability,
    MarketBroadcast,
    OrderMessage,
    OrderResult,
    SettlementLine,
    Side,
    TradeLine,
)
from contracts.metering import MeterReading
from contracts.units import Quality, epoch_ms, instant


class Notice(NamedTuple):
    """What one site is told about one interval; the shell numbers it and wraps it into a ``TradesMessage``."""

    site: str
    interval_ms: int
    results: tuple[OrderResult, ...]
    trades: tuple[TradeLine, ...]
    settlement: SettlementLine | None


def register(participant: Participant, *, at_ms: int) -> Register:
    """Return the command that admits a site or changes its limits."""
    return {"op": "register", "at_ms": at_ms, "participant": participant.model_dump(mode="json")}


def leave(*, site: str, reason: str, at_ms: int) -> Leave:
    """Return the command by which a site takes part no more; registered again, it does."""
    return {"op": "leave", "at_ms": at_ms, "site": site, "reason": reason}


def close_account(*, site: str, reason: str, interval_ms: int, at_ms: int) -> CloseAccount:
    """Return the command that closes the account of a site that left: its balance moves to cash."""
    return {"op": "close_account", "at_ms": at_ms, "site": site, "interval_ms": interval_ms, "reason": reason}


def order(message: OrderMessage, *, at_ms: int) -> OrderCommand:
    """Return the command of an order message, taken by the sequencer at an instant."""
    command: OrderCommand = {
        "op": message.op.value,
        "at_ms": at_ms,
        "id": f"{message.epoch}.{message.seq}",
        "site": message.site,
        "order_id": message.order_id,
        "interval_ms": epoch_ms(message.interval_start),
    }
    if message.op.value == "cancel":
        return command
    command["quantity_wh"], command["price_mct_per_kwh"] = message.quantity_wh, message.price_mct_per_kwh
    if message.op.value == "new":
        command["side"], command["tif"] = message.side.value, message.time_in_force.value
        if message.good_till is not None:
            command["good_till_ms"] = epoch_ms(message.good_till)
        if message.post_only:
            command["post_only"] = True
    return command


def availability_inputs(site: str, availability: Availability, *, at_ms: int) -> list[Capacity | StorageWord]:
    """Return the commands of what a site announced: what it can carry in each interval, and its battery."""
    first_ms = epoch_ms(availability.interval_start)
    found: list[Capacity | StorageWord] = [
        capacity(
            site=site, interval_ms=first_ms + step * INTERVAL_MS, import_wh=imports, export_wh=exports, at_ms=at_ms
        )
        for step, (imports, exports) in enumerate(zip(availability.import_wh, availability.export_wh, strict=True))
    ]
    if availability.stored_wh is not None and availability.room_wh is not None:
        found.append(
            storage(
                site=site,
                interval_ms=first_ms,
                stored_wh=availability.stored_wh,
                room_wh=availability.room_wh,
                own_net_wh=availability.own_net_wh,
                at_ms=at_ms,
            )
        )
    return found


def tick(*, at_ms: int) -> Tick:
    """Return the command that lets time pass."""
    return {"op": "tick", "at_ms": at_ms}


def meter(reading: MeterReading, *, at_ms: int, doubt: str | None = None) -> MeterCommand | None:
    """Return the command of a meter reading; ``None`` where its quality is bad and the estimate must stand.

    Args:
        reading: What the meter is said to have counted.
        at_ms: When the sequencer took it.
        doubt: Why it cannot be, ``None`` where nothing speaks against it.
    """
    if reading.quality in (Quality.INVALID, Quality.UNKNOWN):
        return None
    command: MeterCommand = {
        "op": "meter",
        "at_ms": at_ms,
        "site": reading.site,
        "interval_ms": epoch_ms(reading.interval_start),
        "import_wh": reading.import_wh,
        "export_wh": reading.export_wh,
        "version": reading.version,
        "estimated": reading.quality is not Quality.GOOD,
    }
    if doubt is not None:
        command["doubt"] = doubt
    return command


def storage(
    *, site: str, interval_ms: int, stored_wh: int, room_wh: int, own_net_wh: Sequence[int] = (), at_ms: int
) -> StorageWord:
    """Return the command that announces a site's battery as it will stand when an interval begins.

    Args:
        site: Whose battery.
        interval_ms: The interval, in epoch milliseconds; earlier ones are not bounded.
        stored_wh: What the battery can give from then on, its losses left out.
        room_wh: What it can take.
        own_net_wh: Load less generation of the site in that interval and those after it, positive for import.
        at_ms: When the sequencer took the announcement.
    """
    return {
        "op": "storage",
        "at_ms": at_ms,
        "site": site,
        "interval_ms": interval_ms,
        "stored_wh": stored_wh,
        "room_wh": room_wh,
        "own_net_wh": list(own_net_wh),
    }


def capacity(*, site: str, interval_ms: int, import_wh: int, export_wh: int, at_ms: int) -> Capacity:
    """Return the command that lowers what a site can carry in one interval, in Wh."""
    return {
        "op": "capacity",
        "at_ms": at_ms,
        "site": site,
        "interval_ms": interval_ms,
        "import_wh": import_wh,
        "export_wh": export_wh,
    }


def dr_line(
    *, site: str, interval_ms: int, committed_wh: int, baseline_wh: int, method: str, flags: tuple[str, ...] = ()
) -> EventLine:
    """Return one site's commitment in one interval: positive Wh for a reduction of net import."""
    return {
        "site": site,
        "interval_ms": interval_ms,
        "committed_wh": committed_wh,
        "baseline_wh": baseline_wh,
        "method": method,
        "flags": list(flags),
    }


def dr_event(
    *, event: str, price_mct_per_kwh: int, penalty_mct_per_kwh: int, lines: list[EventLine], at_ms: int
) -> EventCommand:
    """Return the command that brings a demand-response event's commitments and baselines into settlement."""
    return {
        "op": "dr_event",
        "at_ms": at_ms,
        "event": event,
        "price_mct_per_kwh": price_mct_per_kwh,
        "penalty_mct_per_kwh": penalty_mct_per_kwh,
        "lines": lines,
    }


def claim(*, event: str, site: str, approve: bool, by: str, reason: str, at_ms: int) -> ClaimWord:
    """Return a person's word on a flagged claim: whether what its site delivered for an event is paid."""
    return {
        "op": "claim",
        "at_ms": at_ms,
        "event": event,
        "site": site,
        "approve": approve,
        "by": by,
        "reason": reason,
    }


def release_reading(*, site: str, interval_ms: int, by: str, reason: str, at_ms: int) -> ReleaseReading:
    """Return a person's word that a reading that was held as implausible is right."""
    return {
        "op": "release_reading",
        "at_ms": at_ms,
        "site": site,
        "interval_ms": interval_ms,
        "by": by,
        "reason": reason,
    }


def hold_reading(*, site: str, interval_ms: int, version: int, reason: str, at_ms: int) -> HoldReading:
    """Return the command that takes back a reading which was believed: what was known later speaks against it."""
    return {
        "op": "hold_reading",
        "at_ms": at_ms,
        "site": site,
        "interval_ms": interval_ms,
        "version": version,
        "reason": reason,
    }


def move_rules(rules: MarketRules, *, by: str, reason: str, at_ms: int) -> MoveRules:
    """Return the command that moves a market to rules of the present edition."""
    return {"op": "move_rules", "at_ms": at_ms, "rules": rules.model_dump(mode="json"), "by": by, "reason": reason}


def halt(*, reason: str, at_ms: int, site: str | None = None) -> Halt:
    """Return the kill switch: no order of the zone, or of one site, is taken until ``resume``; open ones may go."""
    return {"op": "halt", "at_ms": at_ms, "site": site, "reason": reason}


def resume(*, at_ms: int, site: str | None = None) -> Resume:
    """Return the command that ends a halt."""
    return {"op": "resume", "at_ms": at_ms, "site": site}


def invoice(*, site: str, interval_ms: int, at_ms: int) -> Invoice:
    """Return the command that moves a site's balance to cash in whole cents."""
    return {"op": "invoice", "at_ms": at_ms, "site": site, "interval_ms": interval_ms}


def notices(outcome: Outcome) -> list[Notice]:
    """Return what each site is told of an outcome, one notice per site and interval, in a fixed order."""
    results: dict[tuple[str, int], list[OrderResult]] = {}
    trades: dict[tuple[str, int], list[TradeLine]] = {}
    for reply in outcome.replies:
        if not reply.order_id:
            continue
        results.setdefault((reply.site, reply.interval_ms), []).append(
            OrderResult(
                order_id=reply.order_id,
                status=reply.status,
                reason=None if reply.refusal is None else f"{reply.refusal}: {reply.reason}",
                traded_wh=reply.traded_wh,
            )
        )
    for trade in outcome.trades:
        for site, order_id, side in (
            (trade.buy_site, trade.buy_order, Side.BUY),
            (trade.sell_site, trade.sell_order, Side.SELL),
        ):
            trades.setdefault((site, trade.interval_ms), []).append(
                TradeLine(
                    trade_id=trade.trade_id,
                    order_id=order_id,
                    side=side,
                    quantity_wh=trade.quantity_wh,
                    price_mct_per_kwh=trade.price_mct_per_kwh,
                )
            )
    settlements = {(line.site, line.interval_ms): settlement_line(line) for line in outcome.settlements}
    keys = sorted({*results, *trades, *settlements})
    return [
        Notice(site, start, tuple(results.get((site, start), ())), tuple(trades.get((site, start), ())),
               settlements.get((site, start)))
        for site, start in keys
        if site and site not in NO_SITE
    ]  # fmt: skip


def settlement_line(settled: SiteSettlement) -> SettlementLine:
    """Return a settlement as its site is told; fees are part of what its trades cost."""
    return SettlementLine(
        metered_wh=settled.metered_wh,
        traded_wh=settled.traded_wh,
        imbalance_wh=settled.imbalance_wh,
        trades_uct=settled.trades_uct + settled.fees_uct,
        imbalance_uct=settled.imbalance_uct,
        demand_response_uct=settled.demand_response_uct,
        estimated=settled.estimated,
        version=settled.version,
    )


def broadcast(view: ProductView, *, zone: str, at_ms: int) -> MarketBroadcast:
    """Return the public message of a product's state."""
    return MarketBroadcast(
        zone=zone,
        interval_start=instant(view.interval_ms),
        issued_at=instant(at_ms),
        state=view.state,
        price_mct_per_kwh=view.price,
        price_low_mct_per_kwh=view.low,
        price_high_mct_per_kwh=view.high,
        volume_wh=view.volume_wh,
        trades=view.trades,
        area_prices_mct_per_kwh=view.area_prices,
    )
