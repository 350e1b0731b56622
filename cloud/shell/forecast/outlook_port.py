"""What is to be expected in a zone, out of the tables: weather, demand, and what was broadcast."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from cloud.errors import SkillMissing
from cloud.stores import keys
from cloud.stores.registry import Registry, ZoneRecord
from cloud.stores.tables import Item, Table, Tables
from contracts.forecast import ForecastKind, ForecastSeries
from contracts.skills.outlook import BroadcastLine, DemandAnswer, DemandStep, WeatherAnswer, WeatherHourAnswer
from contracts.units import SiteId, ZoneId, epoch_ms, instant

_HOUR = timedelta(hours=1)


class StoreOutlook:
    """The zones of a registry as the forecasting agent's items have them."""

    def __init__(self, tables: Tables, registry: Registry) -> None:
        self._tables = tables
        self._registry = registry

    def weather(self, zone: ZoneId, *, site: SiteId | None, since: datetime, until: datetime) -> WeatherAnswer:
        """Return the hours that touch ``[since, until)`` at a site, or in the middle of the zone."""
        record = self._zone(zone)
        latitude_deg, longitude_deg = record.latitude, record.longitude
        if site is not None:
            place = self._registry.site(site)
            if place is None or place.zone != zone:
                raise SkillMissing(f"no site {site!r} in {zone}")
            latitude_deg, longitude_deg = place.latitude_in(record), place.longitude_in(record)
        cell = f"{round(latitude_deg, 1):.1f},{round(longitude_deg, 1):.1f}"
        state = self._tables.get(keys.weather_state(zone, cell))
        told_ms = state.body["told_ms"] if state is not None else 0
        return WeatherAnswer(
            zone=zone,
            cell=cell,
            provider=record.weather.provider or None,
            told_at=instant(told_ms) if told_ms else None,
            hours=tuple(self._hours(zone, cell, since=since, until=until)),
        )

    def demand(self, zone: ZoneId, *, at: datetime) -> DemandAnswer:
        """Return the sum of the sites' newest forecasts over the steps that all of them have, from an instant on."""
        self._zone(zone)
        sites = [one.id for one in self._registry.sites_in(zone)]
        loads = [one for site in sites if (one := self._newest(site, ForecastKind.LOAD)) is not None]
        suns = [one for site in sites if (one := self._newest(site, ForecastKind.PV)) is not None]
        usual = {one.step_s for one in (*loads, *suns)}
        if not loads or len(usual) > 1:
            return DemandAnswer(zone=zone, sites=len(sites), forecast=len(loads), step_s=None, steps=())
        (step_s,) = usual
        load_w, pv_w = [_by_start(one) for one in loads], [_by_start(one) for one in suns]
        starts = sorted(set.intersection(*(set(one) for one in (*load_w, *pv_w))))
        steps = []
        for start in starts:
            if start + timedelta(seconds=step_s) <= at:
                continue
            load, sun = sum(one[start] for one in load_w), sum(one[start] for one in pv_w)
            steps.append(DemandStep(start=start, load_w=load, pv_w=sun, net_w=load + sun))
        return DemandAnswer(zone=zone, sites=len(sites), forecast=len(loads), step_s=step_s, steps=tuple(steps))

    def told(self, zone: ZoneId) -> Sequence[BroadcastLine]:
        """Return the newest issue of each forecast: the zone's price, then each site's."""
        self._zone(zone)
        wanted: list[tuple[SiteId, ForecastKind]] = [(zone, ForecastKind.PRICE)]
        for site in self._registry.sites_in(zone):
            wanted += [(site.id, ForecastKind.LOAD), (site.id, ForecastKind.PV)]
        found = ((kind, self._item(name, kind)) for name, kind in wanted)
        return [_line(kind, item) for kind, item in found if item is not None]

    def _hours(self, zone: ZoneId, cell: str, *, since: datetime, until: datetime) -> Iterator[WeatherHourAnswer]:
        first, last = keys.weather(zone, cell, since), keys.weather(zone, cell, until)
        for item in self._tables.query(Table.FORECAST_DATA, first.pk, first=first.sk, last=last.sk):
            day = datetime.strptime(item.key.sk, "%Y%m%d").replace(tzinfo=UTC)
            for number, (ghi, air) in enumerate(zip(item.body["ghi"], item.body["air"], strict=True)):
                start = day + number * _HOUR
                if ghi is not None and air is not None and start + _HOUR > since and start < until:
                    yield WeatherHourAnswer(start=start, ghi_w_m2=ghi, air_temperature_c=air)

    def _newest(self, site: SiteId, kind: ForecastKind) -> ForecastSeries | None:
        item = self._item(site, kind)
        return ForecastSeries.model_validate(item.body) if item is not None else None

    def _item(self, name: str, kind: ForecastKind) -> Item | None:
        pk = keys.forecast(name, kind, instant(0), instant(0)).pk
        items = self._tables.query(Table.FORECAST_DATA, pk, reverse=True, limit=1)
        return items[0] if items else None

    def _zone(self, zone: ZoneId) -> ZoneRecord:
        record = self._registry.zone(zone)
        if record is None:
            raise SkillMissing(f"no zone {zone!r}")
        return record


def _by_start(series: ForecastSeries) -> dict[datetime, int]:
    begin_ms, step_ms = epoch_ms(series.start), series.step_s * 1000
    return {instant(begin_ms + number * step_ms): value for number, value in enumerate(series.p50)}


def _line(kind: ForecastKind, item: Item) -> BroadcastLine:
    series = ForecastSeries.model_validate(item.body)
    return BroadcastLine(
        kind=kind,
        site=series.site,
        issued_at=instant(int(item.key.sk.partition("#")[0])),
        start=series.start,
        until=series.start + timedelta(seconds=series.step_s * len(series.p50)),
        method=series.method,
    )
