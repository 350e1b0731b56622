"""Is a meter reading what its connection point can have counted: held against all else that the tables know of it.

The engine holds a reading against the registered connection by its zone's rules; here it is held against the register
of the interval before, the telemetry of its quarter and, where every connection of a feeder is a site, the feeder's
own meter.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from cloud.shell.aggregates import held_mean, point_in
from cloud.stores import keys
from cloud.stores.registry import Registry, SiteRecord
from cloud.stores.tables import Key, Tables
from contracts.metering import MeterReading
from contracts.units import DELIVERY_INTERVAL_S, Quality, SiteId
from domain.plausibility import above_connection, feeder_doubt, interval_doubt

# What a table's reading says where it was not believed, and why.
DOUBT: Final = "doubt"
_LENGTH: Final = timedelta(seconds=DELIVERY_INTERVAL_S)
_LENGTH_MS: Final = DELIVERY_INTERVAL_S * 1000
# With less of a quarter known its telemetry says nothing about its energy.
_KNOWN_MS_MIN: Final = _LENGTH_MS * 4 // 5
# A reading so far above the connection is no neighbour to compare with, whatever a zone's rules let settle.
_ABOVE_PERMILLE: Final = 100


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Why a reading is not believed (``doubt``), whether others may be held against it, what its feeder's meter says.

    ``doubt`` is ``None`` where nothing speaks against the reading; ``feeder`` is a feeder and why the readings of its
    sites do not sum to its own.
    """

    doubt: str | None
    kept_doubt: str | None
    feeder: tuple[SiteId, str] | None = None


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
        feeder = self._against_feeder(reading)
        if site is None:
            return Judgement(doubt=None, kept_doubt=None, feeder=feeder)
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
        return Judgement(doubt=doubt, kept_doubt=doubt or above, feeder=feeder)

    def _against_feeder(self, reading: MeterReading) -> tuple[SiteId, str] | None:
        """Return the feeder whose meter speaks against the readings of all its sites, once the last of them is here."""
        site = self._registry.site(reading.site)
        feeder = self._registry.feeder(reading.site if site is None else site.feeder or "")
        if feeder is None or not feeder.sites_complete:
            return None
        members = [one.id for one in self._registry.sites if one.feeder == feeder.id]
        net_wh: dict[SiteId, int] = {}
        for member in [feeder.id, *members]:
            told = reading if member == reading.site else self._believed(member, reading)
            if told is None:
                return None
            net_wh[member] = told.import_wh - told.export_wh
        why = feeder_doubt({member: net_wh[member] for member in members}, feeder_wh=net_wh[feeder.id])
        return None if why is None else (feeder.id, why)

    def _believed(self, site: SiteId, reading: MeterReading, *, steps_back: int = 0) -> MeterReading | None:
        """Return a good reading that was believed, of an interval some steps before that of another reading."""
        key = keys.meter_reading(site, reading.interval_start - steps_back * _LENGTH)
        if key in self._fresh:
            return self._fresh[key]
        item = self._tables.get(key)
        if item is None or item.body.get(DOUBT) is not None or item.body["quality"] != Quality.GOOD:
            return None
        return _stored(item.body)

    def _telemetry_wh(self, site: SiteRecord, reading: MeterReading) -> float | None:
        """Return the interval's net energy by the connection point's power, ``None`` where too little was told."""
        begin_ms = keys.quarter_of(reading.interval_start)
        keyed = (keys.energy_quarter(site.id, at_ms) for at_ms in (begin_ms - _LENGTH_MS, begin_ms))
        bodies = [item.body for key in keyed if (item := self._tables.get(key)) is not None]
        spans = [told.span for body in bodies for told in point_in(body, "active_power_w")]
        mean_w = held_mean(spans, begin_ms=begin_ms, end_ms=begin_ms + _LENGTH_MS, known_ms_min=_KNOWN_MS_MIN)
        return None if mean_w is None else mean_w * DELIVERY_INTERVAL_S / 3600


def _stored(body: dict[str, Any]) -> MeterReading:
    """Return a reading as the tables keep it; when it was sent is not kept, and stands as its interval's beginning."""
    fields = {name: value for name, value in body.items() if name in MeterReading.model_fields}
    return MeterReading.model_validate({**fields, "sent_at": body["interval_start"]})
