"""Is a meter reading what its connection point can have counted: held against all else that the tables know of it.

The engine holds a reading against the registered connection by its zone's rules; here it is held against the register
of the interval before, the telemetry of its quarter and the feeder's own meter. Telemetry that comes after its
reading, as after an outage, is held against it then: what speaks against it is noted, and the market hears of it with
the site's next reading.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cloud.shell.aggregates import held_mean, point_in
from cloud.stores import keys
from cloud.stores.registry import FeederRecord, Registry, SiteRecord
from cloud.stores.tables import Key, Put, Tables
from contracts.market import SiteAgent
from contracts.metering import MeterReading
from contracts.units import DELIVERY_INTERVAL_S, Quality, SiteId, epoch_ms, instant
from domain.plausibility import above_connection, feeder_doubt, interval_doubt, rest_doubt

# What a table's reading says where it was not believed, and why.
DOUBT: Final = "doubt"
_LENGTH: Final = timedelta(seconds=DELIVERY_INTERVAL_S)
_LENGTH_MS: Final = DELIVERY_INTERVAL_S * 1000
# With less of a quarter known its telemetry says nothing about its energy.
_KNOWN_MS_MIN: Final = _LENGTH_MS * 4 // 5
# A reading so far above the connection is no neighbour to compare with, whatever a zone's rules let settle.
_ABOVE_PERMILLE: Final = 100
# How long it is remembered what a feeder carried beside its sites.
_RESTS_KEPT: Final = timedelta(days=8)
# The doubts of one site that wait for its next reading: those of a month.
_DOUBTS_MAX: Final = 3_000


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Why a reading is not believed (``doubt``), whether others may be held against it, what its feeder's meter says.

    ``doubt`` is ``None`` where nothing speaks against the reading; ``feeder`` is a feeder and why the readings of its
    sites do not sum to its own, ``rest`` what it carried beside them in Wh, once all of them are known.
    """

    doubt: str | None
    kept_doubt: str | None
    feeder: tuple[SiteId, str] | None = None
    rest: tuple[SiteId, int] | None = None


@dataclass(frozen=True, kw_only=True)
class LateDoubt:
    """Why a version of a reading that was believed is not any more; the interval by its beginning."""

    site: SiteId
    start_ms: int
    version: int
    reason: str


class Readings:
    """The readings of one batch before they are kept, and those that the tables hold."""

    def __init__(self, tables: Tables, registry: Registry) -> None:
        self._tables = tables
        self._registry = registry
        self._fresh: dict[Key, MeterReading | None] = {}

    def judge(self, reading: MeterReading) -> Judgement:
        """Return what speaks against a reading; the next ones of the batch are held against it too.

        A reading that is not good is an estimate anyway, and settles as one.

        Raises:
            StoreError: The tables failed; deliver the batch again.
        """
        good = reading.quality is Quality.GOOD
        found = self._judge(reading) if good else Judgement(doubt=None, kept_doubt=None)
        believed = good and found.kept_doubt is None
        self._fresh[keys.meter_reading(reading.site, reading.interval_start)] = reading if believed else None
        return found

    def _judge(self, reading: MeterReading) -> Judgement:
        site = self._registry.site(reading.site)
        feeder, rest = self._against_feeder(reading)
        if site is None:
            return Judgement(doubt=None, kept_doubt=None, feeder=feeder, rest=rest)
        telemetry_wh = self._telemetry_wh(site, reading)
        before = self._believed(reading.site, reading, steps_back=1)
        doubt = interval_doubt(reading, before=before, telemetry_wh=telemetry_wh)
        if doubt is None and feeder is not None and telemetry_wh is None:
            doubt = f"{feeder[1]}, and no telemetry confirms this one"
        above = above_connection(
            import_wh=reading.import_wh,
            export_wh=reading.export_wh,
            connection_wh=max(site.import_limit_w, site.export_limit_w) * DELIVERY_INTERVAL_S // 3600,
            margin_permille=_ABOVE_PERMILLE,
        )
        kept_doubt = doubt or above
        return Judgement(doubt=doubt, kept_doubt=kept_doubt, feeder=feeder, rest=rest if kept_doubt is None else None)

    def judge_again(self, site: SiteRecord, start: datetime) -> tuple[MeterReading, str] | None:
        """Return a believed reading against which its quarter's telemetry speaks by now, and why.

        Raises:
            StoreError: The tables failed.
        """
        item = self._tables.get(keys.meter_reading(site.id, start))
        if item is None or not _is_believed(item.body):
            return None
        reading = _stored(item.body)
        doubt = interval_doubt(reading, before=None, telemetry_wh=self._telemetry_wh(site, reading))
        return None if doubt is None else (reading, doubt)

    def _against_feeder(self, reading: MeterReading) -> tuple[tuple[SiteId, str] | None, tuple[SiteId, int] | None]:
        """Return the feeder whose meter speaks against its sites' readings, and what it carried beside them.

        Neither is known before the last of the readings is here.
        """
        site = self._registry.site(reading.site)
        feeder = self._registry.feeder(reading.site if site is None else site.feeder or "")
        if feeder is None or feeder.sites_complete is False:
            return None, None
        sites = [one.id for one in self._registry.sites if one.feeder == feeder.id]
        net_wh: dict[SiteId, int] = {}
        for member in _after(reading.site, [feeder.id, *sites]):
            told = reading if member == reading.site else self._believed(member, reading)
            if told is None:
                return None, None
            net_wh[member] = told.import_wh - told.export_wh
        rest_wh = net_wh[feeder.id] - sum(net_wh[one] for one in sites)
        if feeder.sites_complete:
            why = feeder_doubt({one: net_wh[one] for one in sites}, feeder_wh=net_wh[feeder.id])
        else:
            usual_wh = self._rests(feeder, reading.interval_start)
            why = rest_doubt(rest_wh, usual_wh=usual_wh, largest_wh=max(map(abs, net_wh.values())))
        return None if why is None else (feeder.id, why), (feeder.id, rest_wh)

    def _rests(self, feeder: FeederRecord, start: datetime) -> list[int]:
        """Return what a feeder carried beside its sites in the intervals before one, as far as it is remembered."""
        first, last = (keys.feeder_rest(feeder.id, at) for at in (start - _RESTS_KEPT, start - _LENGTH))
        items = self._tables.query(first.table, first.pk, first=first.sk, last=last.sk)
        return [item.body["rest_wh"] for item in items]

    def _believed(self, site: SiteId, reading: MeterReading, *, steps_back: int = 0) -> MeterReading | None:
        """Return a good reading that was believed, of an interval some steps before that of another reading."""
        key = keys.meter_reading(site, reading.interval_start - steps_back * _LENGTH)
        if key in self._fresh:
            return self._fresh[key]
        item = self._tables.get(key)
        return None if item is None or not _is_believed(item.body) else _stored(item.body)

    def _telemetry_wh(self, site: SiteRecord, reading: MeterReading) -> float | None:
        """Return the interval's net energy by the connection point's power, ``None`` where too little was told."""
        begin_ms = keys.quarter_of(reading.interval_start)
        keyed = (keys.energy_quarter(site.id, at_ms) for at_ms in (begin_ms - _LENGTH_MS, begin_ms))
        bodies = [item.body for key in keyed if (item := self._tables.get(key)) is not None]
        spans = [told.span for body in bodies for told in point_in(body, "active_power_w")]
        mean_w = held_mean(spans, begin_ms=begin_ms, end_ms=begin_ms + _LENGTH_MS, known_ms_min=_KNOWN_MS_MIN)
        return None if mean_w is None else mean_w * DELIVERY_INTERVAL_S / 3600


def rest_put(judgement: Judgement, start: datetime) -> list[Put]:
    """Return the write that remembers what a feeder carried beside its sites in an interval, where it is believed."""
    if judgement.rest is None or judgement.feeder is not None:
        return []
    feeder, rest_wh = judgement.rest
    return [
        Put(key=keys.feeder_rest(feeder, start), body={"rest_wh": rest_wh}, expires_at=start + _RESTS_KEPT + _LENGTH)
    ]


def note_late_doubts(tables: Tables, registry: Registry, site: SiteId, starts: Iterable[datetime]) -> None:
    """Hold the readings of intervals that are over against telemetry that came after them, and note what fails.

    A note that was made twice is told twice, which changes nothing.

    Raises:
        StoreError: The tables failed; deliver the telemetry again.
    """
    record = registry.site(site)
    if record is None or record.agent is SiteAgent.MONITOR:
        return
    readings = Readings(tables, registry)
    found = {start: doubted for start in starts if (doubted := readings.judge_again(record, start)) is not None}
    if not found:
        return
    key = keys.site_state(site, keys.DOUBTED)
    item = tables.get(key)
    noted = dict(item.body["intervals"]) if item is not None else {}
    noted |= {str(epoch_ms(start)): [reading.version, doubt] for start, (reading, doubt) in found.items()}
    newest = dict(sorted(noted.items(), key=lambda one: int(one[0]))[-_DOUBTS_MAX:])
    tables.put(Put(key=key, body={"intervals": newest}, if_version=item.version if item else 0))
    for start, (reading, doubt) in found.items():
        kept = tables.get(keys.meter_reading(site, start))
        if kept is not None and kept.body["version"] == reading.version:
            tables.put(
                Put(key=keys.meter_reading(site, start), body={**kept.body, DOUBT: doubt}, if_version=kept.version)
            )


def late_doubts(tables: Tables, site: SiteId) -> tuple[list[LateDoubt], list[Put]]:
    """Return the doubts that came late, and the write that takes them off the list once the market has heard of them.

    Raises:
        StoreError: The tables failed.
    """
    key = keys.site_state(site, keys.DOUBTED)
    item = tables.get(key)
    if item is None or not item.body["intervals"]:
        return [], []
    noted = [
        LateDoubt(site=site, start_ms=int(start_ms), version=version, reason=reason)
        for start_ms, (version, reason) in item.body["intervals"].items()
    ]
    return noted, [Put(key=key, body={"intervals": {}}, if_version=item.version)]


def ended_quarters(begins_ms: Iterable[int], *, at: datetime) -> list[datetime]:
    """Return the quarters that were over at an instant, the earliest first."""
    return [instant(begin_ms) for begin_ms in sorted(set(begins_ms)) if begin_ms + _LENGTH_MS <= epoch_ms(at)]


def _after(site: SiteId, members: list[SiteId]) -> list[SiteId]:
    """Return members from one on, round to it again: whoever asks, one that has not reported is soon found."""
    place = members.index(site)
    return [*members[place:], *members[:place]]


def _is_believed(body: dict[str, object]) -> bool:
    return body.get(DOUBT) is None and body["quality"] == Quality.GOOD


def _stored(body: dict[str, object]) -> MeterReading:
    """Return a reading as the tables keep it; when it was sent is not kept, and stands as its interval's beginning."""
    fields = {name: value for name, value in body.items() if name in MeterReading.model_fields}
    return MeterReading.model_validate({**fields, "sent_at": body["interval_start"]})
