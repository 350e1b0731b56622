"""What the demonstration's page shows, as plain values: the state of an instant, and the course so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from contracts.grid import FeederState
from sitewatt.demo.neighbourhood import Neighbourhood, Site
from sitewatt.demo.watch import NeighbourhoodView, SiteView

POINTS_MAX = 3600
_AHEAD = timedelta(minutes=20)  # The market trades a day ahead; what matters here is now.
_BEHIND = timedelta(hours=3)


class Stage(StrEnum):
    """Where a demonstration stands."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    ENDED = "ended"


@dataclass(kw_only=True)
class Course:
    """Powers over the run, W, one value an instant; ``None`` where nothing was measured yet."""

    at_ms: list[int] = field(default_factory=list)
    feeder_w: list[float | None] = field(default_factory=list)
    sites_w: dict[str, list[float | None]] = field(default_factory=dict)

    def note(self, view: NeighbourhoodView, place: Neighbourhood, *, now: datetime) -> None:
        """Keep an instant, none beyond ``POINTS_MAX``: the page then goes on without a chart that grows."""
        if len(self.at_ms) >= POINTS_MAX:
            return
        self.feeder_w.append(_connection_w(view.sites.get(place.feeder.id)))
        for site in place.sites:
            self.sites_w.setdefault(site.id, []).append(_connection_w(view.sites.get(site.id)))
        self.at_ms.append(round(now.timestamp() * 1000))  # Last: a reader in another thread takes what is complete.

    def since(self, first: int) -> dict[str, Any]:
        """Return the instants from a position on, as JSON values."""
        count = len(self.at_ms)
        first = max(0, min(first, count))
        return {
            "first": first,
            "at_ms": self.at_ms[first:count],
            "feeder_w": self.feeder_w[first:count],
            "sites_w": {name: values[first:count] for name, values in list(self.sites_w.items())},
        }


def instant(
    view: NeighbourhoodView, place: Neighbourhood, *, now: datetime, speed: float, stage: Stage
) -> dict[str, Any]:
    """Return the neighbourhood at an instant, as JSON values; powers in W, positive into the site."""
    near = sorted(start for start in view.intervals if now - _BEHIND <= start <= now + _AHEAD)
    return {
        "stage": stage.value,
        "at": now.astimezone(place.timezone).isoformat(timespec="seconds"),
        "utc_offset_s": _offset_s(place),
        "speed": speed,
        "week": place.week.value,
        "messages": view.messages,
        "connected": view.connected,
        "feeder": _feeder(view, place),
        "sites": [_site(site, view.sites.get(site.id, SiteView())) for site in place.sites],
        "intervals": [_interval(view, place, start) for start in near],
        "news": [
            {"at": at.astimezone(place.timezone).isoformat(timespec="seconds"), "text": text, "count": count}
            for at, text, count in coalesced(view.news)
        ],
    }


def coalesced(news: Any) -> list[tuple[datetime, str, int]]:
    """Return news with repetitions in a row told once: the last one's time, and how often."""
    lines: list[tuple[datetime, str, int]] = []
    for at, text in news:
        if lines and lines[-1][1] == text:
            lines[-1] = (at, text, lines[-1][2] + 1)
        else:
            lines.append((at, text, 1))
    return lines


def _offset_s(place: Neighbourhood) -> int:
    offset = place.started_at.astimezone(place.timezone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())


def _connection_w(seen: SiteView | None) -> float | None:
    return None if seen is None else seen.values.get("meter/active_power_w")


def _feeder(view: NeighbourhoodView, place: Neighbourhood) -> dict[str, Any]:
    grid = view.grid
    return {
        "power_w": _connection_w(view.sites.get(place.feeder.id)),
        "limit_w": place.feeder.limit_w,
        "state": (grid.state if grid else FeederState.NORMAL).value,
        "event": grid.event_id if grid else None,
        "disturbances": [disturbance.value for disturbance in grid.disturbances] if grid else [],
    }


def _site(site: Site, seen: SiteView) -> dict[str, Any]:
    values: Mapping[str, float] = seen.values
    return {
        "id": site.id,
        "agent": site.agent.value,
        "online": seen.online,
        "connection_w": values.get("meter/active_power_w"),
        "pv_w": values.get("inverter/pv_power_w") if site.pv_peak_w else None,
        "battery_w": values.get("inverter/battery_power_w") if site.battery else None,
        "soc_percent": values.get("inverter/soc_pct") if site.battery else None,
        "orders": seen.orders,
        "traded_wh": seen.traded_wh,
        "earned_uct": -sum(seen.settled_uct.values()) if seen.settled_uct else None,
        "command": seen.command,
    }


def _interval(view: NeighbourhoodView, place: Neighbourhood, start: datetime) -> dict[str, Any]:
    interval = view.intervals[start]
    return {
        "start": start.astimezone(place.timezone).isoformat(timespec="seconds"),
        "start_ms": round(start.timestamp() * 1000),
        "state": interval.state.value,
        "price_mct_per_kwh": interval.price_mct_per_kwh,
        "volume_wh": interval.volume_wh,
        "trades": interval.trades,
    }
