"""What control says of itself: devices, the last cycle and its reasons, commands, limits, contacts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from contracts.units import ClockTrust
from edge.commands.grid_limits import LimitStatus
from edge.control.flow import flow
from edge.control.life import Life
from edge.control.model import AssetState, Interval, Link, Setpoint, load_capability
from edge.devices.site_device import SiteDevice
from edge.loop.cycle import Cycle
from edge.loop.stats import LoopStats
from edge.site.status import Plain, encode, part_status, peer_status, process_status

if TYPE_CHECKING:
    from edge.site.control_process import Control


@dataclass(frozen=True, kw_only=True)
class ControlStatus:
    """Control's state at an instant, made of plain values."""

    site: str
    at: datetime
    clock: ClockTrust
    locked: bool
    devices: tuple[Plain, ...]
    cycle: Plain | None
    loop: Plain
    commands: tuple[Plain, ...]
    answers: Mapping[str, int]
    grid_limits: Mapping[str, Plain]
    relays: Mapping[str, bool]
    relays_unread: tuple[str, ...]
    weaknesses: tuple[str, ...]
    device_clocks: tuple[str, ...]
    parts: tuple[Plain, ...]
    store: Plain
    process: Plain
    peer: Plain

    def encode(self) -> bytes:
        """Return the status as one line of JSON."""
        return encode({**asdict(self), "at": self.at.isoformat()})


def control_status(control: "Control") -> ControlStatus:
    """Return what somebody on site asks of control."""
    cycle, now_s, store = control.loop.last, control.clock.monotonic(), control.outbox.stats()
    return ControlStatus(
        site=control.config.site.id,
        at=control.clock.now(),
        clock=control.watch.trust(),
        locked=control.executor.locked(),
        devices=tuple(device_status(device) for device in control.devices.values()),
        cycle=None if cycle is None else cycle_status(cycle),
        loop=loop_status(control.loop.stats, period_s=control.config.control.period_s),
        commands=tuple(command_status(life, now_s=now_s) for life in control.executor.running()),
        answers={**control.executor.stats, **control.executor.refusals},
        grid_limits={one.value: limit_status(found) for one, found in control.grid_limits.status(now_s).items()},
        relays=dict(control.relays.contacts),
        relays_unread=tuple(sorted(control.relays.unread)),
        weaknesses=tuple(finding.consequence for finding in control.failsafe_findings),
        device_clocks=control.clocks.wrong,
        parts=tuple(part_status(part) for part in control.supervisor.parts),
        store={"state": store.state.value, "waiting": sum(store.depth.values()), "error": store.last_error},
        process=process_status(control.opened_at),
        peer=peer_status(control.end.peer),
    )


def device_status(device: SiteDevice) -> Plain:
    """Return how a device does."""
    health = device.health
    return {
        "id": device.id,
        "profile": device.profile_id,
        "online": health.online,
        "stage": health.stage,
        "doubt": health.doubt,
        "since_at": None if health.since_at is None else health.since_at.isoformat(),
        "last_error": health.last_error,
        "latency_ms": None if health.latency_s is None else round(health.latency_s * 1000, 1),
        "error_rate": round(health.error_rate, 4),
        "quarantined": dict(health.quarantined),
        "implausible": dict(health.implausible),
        "foreign_writes": {lever.value: count for lever, count in health.foreign_writes.items()},
        "no_timer": [lever.value for lever in health.no_timer],
        "writes_today": dict(health.writes_today),
        "write_budgets": dict(device.write_budgets),
    }


def cycle_status(cycle: Cycle) -> Plain:
    """Return what a cycle decided and why: who asked, what was left to each, who clipped it, what was told."""
    decision = cycle.decision
    return {
        "number": cycle.number,
        "fresh": decision.fresh,
        "connection_w": cycle.snapshot.connection_power.usable(),
        "flow": asdict(flow(cycle.snapshot)),
        "expected_w": decision.expected_w,
        "left": _interval(decision.connection),
        "import_excess_w": decision.import_excess_w,
        "export_excess_w": decision.export_excess_w,
        "chain": [_link(link) for link in decision.chain],
        "loads": [_load(asset) for asset in cycle.snapshot.assets if load_capability(asset.capabilities)],
        "setpoints": [_setpoint(setpoint, cycle) for setpoint in decision.setpoints],
        "alarms": list(decision.alarms),
    }


def _load(asset: AssetState) -> Plain:
    """Return what is known of a load: how it is moved, between what, what it draws, whether it runs or has a car."""
    moved_by = load_capability(asset.capabilities)
    return {
        "device": asset.id,
        "moved_by": None if moved_by is None else moved_by.value,
        "power_w": asset.power.usable(),
        "least_w": asset.load_w_min,
        "rated_w": asset.load_rated_w,
        "on": asset.switched_on,
        "connected": asset.connected,
    }


def loop_status(stats: LoopStats, *, period_s: float) -> Plain:
    """Return the loop's counters; times are real milliseconds."""
    return {
        "period_s": period_s,
        "cycles": stats.cycles,
        "late": stats.late,
        "late_in_a_row": stats.late_in_a_row,
        "writes": stats.writes,
        "failed_writes": stats.failed_writes,
        "last_cycle_ms": round(stats.last_cycle_ms, 3),
        "longest_cycle_ms": round(stats.longest_cycle_ms, 3),
        "alarms": list(stats.alarms),
    }


def command_status(life: Life, *, now_s: float) -> Plain:
    """Return how far a running command has come."""
    command = life.command
    return {
        "command_id": command.command_id,
        "event_id": command.event_id,
        "issuer": command.issuer,
        "action": command.action.model_dump(mode="json"),
        "stage": life.stage.value,
        "issued_at": command.issued_at.isoformat(),
        "left_s": round(life.expires_s - now_s, 1),
    }


def limit_status(found: LimitStatus) -> Plain:
    """Return where a grid limit stands."""
    return {"state": found.state.value, "limit_w": found.limit_w, "silent_s": round(found.silent_s, 1)}


def _link(link: Link) -> Plain:
    return {
        "requester": link.requester,
        "priority": link.priority.name.lower(),
        "resource": link.resource,
        "reason": link.reason.value,
        "asked": _interval(link.asked),
        "preferred_w": link.preferred_w,
        "outcome": link.outcome.value,
        "clipped_by": link.clipped_by,
        "left": _interval(link.left),
    }


def _setpoint(setpoint: Setpoint, cycle: Cycle) -> Plain:
    applied = cycle.applied.get((setpoint.asset, setpoint.capability))
    return {
        "device": setpoint.asset,
        "capability": setpoint.capability.value,
        "value_w": setpoint.value_w,
        "requester": setpoint.requester,
        "reason": setpoint.reason.value,
        "held_w": None if applied is None else applied.held_w,
        "proven": applied is not None and applied.ok and applied.value_w == setpoint.value_w,
    }


def _interval(interval: Interval) -> list[float | None]:
    return [interval.min_w, interval.max_w]
