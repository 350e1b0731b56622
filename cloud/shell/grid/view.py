"""What the tables and the registry say about a feeder, in the grid agent's own terms."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final

from cloud.errors import SetupError
from cloud.grid.model import FlexibleSite, GridSettings, OrderBy, PowerSample, SiteObservation
from cloud.grid.supply import SupplySample
from cloud.shell.aggregates import HOLD_S_MAX
from cloud.stores import keys
from cloud.stores.registry import FeederRecord, Registry, SiteRecord
from cloud.stores.tables import Tables
from contracts.telemetry import Sample, TelemetryMessage, samples_of
from contracts.units import ClockTrust, Quality, instant

ACTIVE_POWER: Final = "active_power_w"
BATTERY_POWER: Final = "battery_power_w"
PV_POWER: Final = "pv_power_w"
FREQUENCY: Final = "frequency_hz"
VOLTAGES: Final = ("voltage_l1_v", "voltage_l2_v", "voltage_l3_v")
STATE_OF_CHARGE: Final = ("soc_percent", "soc_pct")

# A gateway is silent about a value that stays within its dead band, so between two samples the first one holds.
HOLD_STEP_S: Final = 5
# What has just changed is looked at sooner: an outage is told within three seconds.
HOLD_FIRST_S: Final = (1, 2, 3)
MARGIN_PERCENT: Final = 2
HYSTERESIS_PERCENT: Final = 5

_USABLE: Final = frozenset({Quality.GOOD, Quality.SUBSTITUTED})


def settings_of(feeder: FeederRecord) -> GridSettings:
    """Return a feeder's limits and how they are held.

    Raises:
        SetupError: The registry names a setting that does not exist, or one that is out of bounds.
    """
    limit_w = min(feeder.import_limit_w, feeder.export_limit_w)
    arguments: dict[str, Any] = {
        "margin_w": limit_w * MARGIN_PERCENT // 100,
        "hysteresis_w": limit_w * HYSTERESIS_PERCENT // 100,
        **feeder.settings,
    }
    known = {field.name for field in fields(GridSettings)}
    if unknown := sorted(set(arguments) - known):
        raise SetupError(f"feeder {feeder.id} has the setting {unknown[0]}, which does not exist")
    try:
        return GridSettings(
            feeder=feeder.id,
            zone=feeder.zone,
            import_limit_w=feeder.import_limit_w,
            export_limit_w=feeder.export_limit_w,
            **arguments,
        )
    except ValueError as error:
        raise SetupError(f"feeder {feeder.id} cannot be held: {error}") from error


def offers_of(registry: Registry, feeder: FeederRecord) -> tuple[FlexibleSite, ...]:
    """Return what the sites on a feeder offer."""
    return tuple(_offer(site) for site in registry.sites_on(feeder.id) if site.flexible)


def power_samples(message: TelemetryMessage, feeder: FeederRecord) -> tuple[PowerSample, ...]:
    """Return the loading that a feeder's message tells, at least every five seconds up to when it was sent."""
    point = f"{feeder.meter}/{ACTIVE_POWER}"
    told = [sample for sample in samples_of(message) if sample.point == point]
    held = _held([(sample.at, _usable(sample)) for sample in told], until=message.sent_at)
    return tuple(PowerSample(at=at, power_w=power_w) for at, power_w, _ in held)


def supply_samples(message: TelemetryMessage, feeder: FeederRecord) -> tuple[SupplySample, ...]:
    """Return frequency and voltages that a feeder's message tells, each held until it was told anew, in time order."""
    names = {f"{feeder.meter}/{name}": name for name in (FREQUENCY, *VOLTAGES)}
    columns: dict[str, list[tuple[datetime, float | None]]] = {}
    for sample in samples_of(message):
        if sample.point in names:
            columns.setdefault(names[sample.point], []).append((sample.at, _usable(sample)))
    found: dict[datetime, dict[str, float | None]] = {}
    fresh: set[datetime] = set()
    for name, readings in columns.items():
        for at, value, held in _held(readings, until=message.sent_at, sooner_s=HOLD_FIRST_S):
            found.setdefault(at, {})[name] = value
            if name == FREQUENCY and not held:
                fresh.add(at)
    known: dict[str, float | None] = {}
    samples = []
    for at, values in sorted(found.items()):
        known |= values
        volts = tuple(value for name in VOLTAGES if (value := known.get(name)) is not None)
        samples.append(SupplySample(at=at, frequency_hz=known.get(FREQUENCY), voltage_v=volts, held=at not in fresh))
    return tuple(samples)


def observations(tables: Tables, sites: Iterable[SiteRecord]) -> tuple[SiteObservation, ...]:
    """Return what is newest of each site that has ever told its connection power, as of when it last spoke."""
    found = (_observation(tables, site) for site in sites)
    return tuple(observation for observation in found if observation is not None)


def _usable(sample: Sample) -> float | None:
    return sample.value if sample.quality in _USABLE else None


def _held(
    readings: Sequence[tuple[datetime, float | None]], *, until: datetime, sooner_s: Sequence[int] = ()
) -> Iterator[tuple[datetime, float | None, bool]]:
    """Yield readings with what holds between them, and whether it is only held."""
    step = timedelta(seconds=HOLD_STEP_S)
    for position, (told_at, value) in enumerate(readings):
        yield told_at, value, False
        end = readings[position + 1][0] if position + 1 < len(readings) else until
        end = min(end, told_at + timedelta(seconds=HOLD_S_MAX))
        for second in sooner_s:
            if told_at + timedelta(seconds=second) < end:
                yield told_at + timedelta(seconds=second), value, True
        at = told_at + step
        while at < end:
            yield at, value, True
            at += step


def _offer(site: SiteRecord) -> FlexibleSite:
    battery = site.battery
    return FlexibleSite(
        site=site.id,
        order_by=OrderBy(site.order_by),
        battery_charge_w_max=battery.charge_w_max if battery else 0,
        battery_discharge_w_max=battery.discharge_w_max if battery else 0,
        battery_capacity_wh=battery.capacity_wh if battery else 0,
        inverter_w_max=battery.inverter_w_max if battery else None,
        soc_percent_min=battery.soc_percent_min if battery else 10.0,
        soc_percent_max=battery.soc_percent_max if battery else 95.0,
        sheddable_load_w=site.sheddable_load_w,
        pv_curtailable=site.pv_curtailable,
        battery_price_mct_per_kwh=site.relief_prices.battery_mct_per_kwh,
        load_price_mct_per_kwh=site.relief_prices.load_mct_per_kwh,
        pv_price_mct_per_kwh=site.relief_prices.pv_mct_per_kwh,
    )


def _observation(tables: Tables, site: SiteRecord) -> SiteObservation | None:
    item = tables.get(keys.site_state(site.id, keys.LATEST))
    if item is None:
        return None
    points: dict[str, list[Any]] = item.body["points"]
    connection = points.get(f"{site.meter}/{ACTIVE_POWER}")
    if connection is None:
        return None
    charge = _values(points, *STATE_OF_CHARGE)
    return SiteObservation(
        site=site.id,
        at=instant(max(connection[0], min(item.body["told_until"], connection[0] + HOLD_S_MAX * 1000))),
        connection_power_w=connection[1] if connection[2] in _USABLE else None,
        battery_power_w=_sum(_values(points, BATTERY_POWER)),
        pv_power_w=_sum(_values(points, PV_POWER)),
        soc_percent=sum(charge) / len(charge) if charge else None,
        clock=ClockTrust(item.body["clock"]),
    )


def _values(points: dict[str, list[Any]], *names: str) -> list[float]:
    """Return the usable values of a point over all devices."""
    return [
        value
        for point, (_, value, quality) in points.items()
        if point.rpartition("/")[2] in names and value is not None and quality in _USABLE
    ]


def _sum(values: Sequence[float]) -> float | None:
    return sum(values) if values else None
