"""What a site is going to do: its battery by its own announcement and its trades, its loads by forecast, its orders."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cloud.errors import SkillMissing
from cloud.market.state import Storage
from cloud.market.storage import battery_wh
from cloud.shell.market.reading import read_fold
from cloud.stores import keys
from cloud.stores.registry import Registry, SiteRecord
from cloud.stores.tables import Table, Tables
from contracts.forecast import ForecastKind, ForecastSeries
from contracts.skills.plan import STEPS_MAX, GridOrder, LoadSchedule, PlanStep, SitePlan
from contracts.units import DELIVERY_INTERVAL_S, DeliveryInterval, SiteId, epoch_ms, instant

_INTERVAL_MS = DELIVERY_INTERVAL_S * 1000


class StorePlans:
    """The sites of a registry as the tables have them."""

    def __init__(self, tables: Tables, registry: Registry) -> None:
        self._tables = tables
        self._registry = registry

    def battery(self, site: SiteId, *, at: datetime, intervals: int) -> SitePlan:
        """Return what a site's battery is to do in the intervals from an instant on."""
        fold = read_fold(self._tables, self._site(site).zone)
        storage = fold.engine.storage_of(site) if fold is not None else None
        if fold is None or storage is None:
            return SitePlan(site=site, announced_from=None, stored_wh=None, room_wh=None, steps=())
        traded: dict[int, int] = {}
        for view in fold.engine.products():
            product = fold.engine.product(view.interval_ms)
            position = product.positions.get(site) if product is not None else None
            if position is not None:
                traded[view.interval_ms] = position.net_wh
        first_ms = epoch_ms(DeliveryInterval.containing(at).start)
        steps = [step for step in _steps(storage, traded) if epoch_ms(step.interval_start) >= first_ms]
        return SitePlan(
            site=site,
            announced_from=instant(storage.interval_ms),
            stored_wh=storage.stored_wh,
            room_wh=storage.room_wh,
            steps=tuple(steps[:intervals]),
        )

    def reserve_refusal(self, site: SiteId, *, percent: int, at: datetime) -> str | None:
        """Return why a level cannot be kept in a site's battery, ``None`` where what it traded leaves it there.

        What the site has traded is walked through twice, with the energy below the level and without it.
        """
        battery = self._site(site).battery
        if battery is None:
            return f"{site} has no battery"
        if percent >= battery.soc_percent_max:
            full = f"{battery.soc_percent_max:g} %"
            return f"{percent} % is not below the {full} up to which the battery of {site} is charged"
        plan = self.battery(site, at=at, intervals=STEPS_MAX)
        if plan.stored_wh is None or plan.room_wh is None:
            return None  # It announced no battery to the market, so it has sold nothing out of it.
        kept_wh = round(battery.capacity_wh * max(0.0, percent - battery.soc_percent_min) / 100)
        kept, free = _missing_wh(plan, kept_wh=kept_wh), _missing_wh(plan, kept_wh=0)
        for step, with_wh, without_wh in zip(plan.steps, kept, free, strict=True):
            if with_wh > without_wh:
                return (
                    f"what {site} has traded needs {with_wh - without_wh} Wh below {percent} % "
                    f"in the interval {step.interval_start:%Y-%m-%dT%H:%MZ}"
                )
        return None

    def loads(self, site: SiteId, *, at: datetime) -> LoadSchedule:
        """Return what a site's loads are expected to draw from an instant on."""
        record = self._site(site)
        pk = keys.forecast(site, ForecastKind.LOAD, at, at).pk
        items = self._tables.query(Table.FORECAST_DATA, pk, reverse=True, limit=1)
        series = ForecastSeries.model_validate(items[0].body) if items else None
        return LoadSchedule(site=site, sheddable_w=record.sheddable_load_w, load=series)

    def orders(self, site: SiteId, *, count: int) -> Sequence[GridOrder]:
        """Return the grid's newest orders to a site, the newest first."""
        self._site(site)
        items = self._tables.query(Table.GRID_METRICS, keys.command(site, "").pk)
        told = [item.body for item in items if item.body["command"] is not None]
        told.sort(key=lambda body: str(body["command"]["issued_at"]), reverse=True)
        return [_order(body) for body in told[:count]]

    def _site(self, site: SiteId) -> SiteRecord:
        record = self._registry.site(site)
        if record is None:
            raise SkillMissing(f"no site {site!r}")
        return record


def _steps(storage: Storage, traded: dict[int, int]) -> list[PlanStep]:
    """Return every interval from the announcement to the last that was announced or traded, with the level after it."""
    announced = storage.interval_ms + max(0, len(storage.own_net_wh) - 1) * _INTERVAL_MS
    end_ms = max([announced, *(start for start, net_wh in traded.items() if net_wh)])
    full_wh, level_wh = storage.stored_wh + storage.room_wh, storage.stored_wh
    steps = []
    for number, start_ms in enumerate(range(storage.interval_ms, end_ms + 1, _INTERVAL_MS)):
        own_wh = storage.own_net_wh[number] if number < len(storage.own_net_wh) else 0
        net_wh = traded.get(start_ms, 0)
        change_wh = battery_wh(net_wh=net_wh, own_net_wh=own_wh)
        level_wh = min(max(level_wh + change_wh, 0), full_wh)
        steps.append(
            PlanStep(
                interval_start=instant(start_ms),
                own_net_wh=own_wh,
                traded_wh=net_wh,
                battery_wh=change_wh,
                level_wh=level_wh,
            )
        )
    return steps


def _missing_wh(plan: SitePlan, *, kept_wh: int) -> list[int]:
    """Return what the battery lacks in each step where it may not give ``kept_wh`` of what it holds."""
    assert plan.stored_wh is not None and plan.room_wh is not None, "the caller looked"
    full_wh = max(0, plan.stored_wh + plan.room_wh - kept_wh)
    level_wh = max(0, plan.stored_wh - kept_wh)
    missing = []
    for step in plan.steps:
        level_wh += step.battery_wh
        missing.append(max(0, -level_wh))
        level_wh = min(max(level_wh, 0), full_wh)
    return missing


def _order(body: dict[str, Any]) -> GridOrder:
    command, acks = body["command"], body["acks"]
    last = acks[-1] if acks else {}
    return GridOrder(
        command_id=command["command_id"],
        event_id=command.get("event_id"),
        kind=command["action"]["kind"],
        issued_at=command["issued_at"],
        expires_at=command["expires_at"],
        stage=last.get("stage"),
        reason=last.get("reason"),
    )
