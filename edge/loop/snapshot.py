"""Freezes what the devices last said into the one picture that a control cycle decides from."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from contracts.telemetry import Sample
from contracts.units import Quality
from edge.config import DeviceRole, DeviceSection, LoadSection, Rest
from edge.control.model import AssetKind, AssetState, Capability, Confirmed, Measured, Snapshot
from edge.devices.device import Device
from edge.modbus.point import Reading

POWER = "active_power_w"
BATTERY_POWER = "battery_power_w"
PV_POWER = "pv_power_w"
SOC = "soc_pct"
IMPORT_ENERGY = "energy_import_wh"
EXPORT_ENERGY = "energy_export_wh"
_PHASES = ("active_power_l1_w", "active_power_l2_w", "active_power_l3_w")

KIND = {
    DeviceRole.PV: AssetKind.PV,
    DeviceRole.HYBRID: AssetKind.HYBRID,
    DeviceRole.BATTERY: AssetKind.BATTERY,
    DeviceRole.LOAD: AssetKind.LOAD,
    DeviceRole.METER: AssetKind.METER,
}

Readings = Mapping[str, Reading]
Lever = tuple[str, Capability]
_NEVER = Confirmed(decided_s=float("-inf"), at_s=float("-inf"))


class SnapshotBuilder:
    """Makes snapshots of one site's devices; remembers the last good power of each for when it falls silent."""

    def __init__(self, sections: Iterable[DeviceSection], *, meter: str) -> None:
        self._sections = {section.id: section for section in sections}
        self._meter = meter
        self._last_power_w: dict[str, float] = {}

    def build(
        self,
        devices: Mapping[str, Device],
        readings: Mapping[str, Readings],
        *,
        now_s: float,
        confirmed: Mapping[Lever, Confirmed],
    ) -> Snapshot:
        """Return the picture at ``now_s``; what generates, stores or can be switched is an asset.

        Args:
            devices: Every device of the site, by its name.
            readings: What each said last.
            now_s: On the monotonic clock.
            confirmed: The last setpoint of each lever that its device was seen to hold.
        """
        meter = readings[self._meter]
        assets = tuple(
            self._asset(section, devices[name], readings[name], now_s, confirmed)
            for name, section in self._sections.items()
            if section.role in KIND and section.role is not DeviceRole.METER
        )
        phases = tuple(measured(meter.get(name), now_s) for name in _PHASES)
        known = len(phases) == len(_PHASES) and all(phase.value is not None for phase in phases)
        return Snapshot(
            taken_s=now_s,
            connection_power=measured(meter.get(POWER), now_s),
            phase_power=(phases[0], phases[1], phases[2]) if known else None,
            assets=assets,
        )

    def _asset(
        self,
        section: DeviceSection,
        device: Device,
        readings: Readings,
        now_s: float,
        confirmed: Mapping[Lever, Confirmed],
    ) -> AssetState:
        load = section.load
        state = readings.get(load.state) if load is not None else None
        power = measured(readings.get(POWER), now_s)
        if load is not None and POWER not in readings:
            power = _by_rating(load, state, now_s)
        if (power_w := power.usable()) is not None:
            self._last_power_w[section.id] = power_w
        battery = section.battery
        soc = readings.get(SOC)
        return AssetState(
            id=section.id,
            kind=KIND[section.role],
            capabilities=device.capabilities,
            online=device.health.online,
            power=power,
            battery_power=measured(readings[BATTERY_POWER], now_s) if BATTERY_POWER in readings else None,
            pv_power=measured(readings[PV_POWER], now_s) if PV_POWER in readings else None,
            soc_percent=measured(soc, now_s) if soc is not None else None,
            phases=section.phases,
            generation_rated_w=float(section.pv_peak_w),
            charge_w_max=float(battery.charge_limit_w) if battery else None,
            discharge_w_max=float(battery.discharge_limit_w) if battery else None,
            soc_percent_min=battery.soc_min_percent if battery else 0.0,
            soc_percent_max=battery.soc_max_percent if battery else 100.0,
            efficiency=battery.efficiency if battery else 1.0,
            ramp_w_per_s=battery.ramp_w_per_s if battery else None,
            load_rated_w=float(load.rated_w) if load else 0.0,
            on_s_min=load.on_s_min if load else 0.0,
            off_s_min=load.off_s_min if load else 0.0,
            switched_on=_is_on(state),
            rest_on=load.rest is Rest.ON if load else None,
            last_power_w=self._last_power_w.get(section.id),
            wear_period_s={one: period_s for one in device.capabilities if (period_s := device.wear_period_s(one)) > 0},
            limit_confirmed=confirmed.get((section.id, Capability.LIMIT_GENERATION), _NEVER),
        )


def _is_on(state: Reading | None) -> bool | None:
    """Return whether a load is on; ``None`` while nobody can tell."""
    if state is None or state.quality is not Quality.GOOD or not isinstance(state.value, bool | int | float):
        return None
    return bool(state.value)


def _by_rating(load: LoadSection, state: Reading | None, now_s: float) -> Measured:
    """Return the power of a load that nobody measures: its rating while it is on."""
    is_on = _is_on(state)
    if state is None or is_on is None:
        return Measured()
    age_s = max(0.0, now_s - state.monotonic_s)
    return Measured(value=float(load.rated_w) if is_on else 0.0, quality=Quality.SUBSTITUTED, age_s=age_s)


def measured(reading: Reading | None, now_s: float) -> Measured:
    """Return a reading as control sees it: a number, how good it is, how old it is."""
    if reading is None or not isinstance(reading.value, int | float) or isinstance(reading.value, bool):
        return Measured()
    return Measured(value=float(reading.value), quality=reading.quality, age_s=max(0.0, now_s - reading.monotonic_s))


def samples(readings: Mapping[str, Readings], *, names: frozenset[str], now: datetime) -> list[Sample]:
    """Return the readings that telemetry reports, at their source times; a missing number keeps its quality."""
    found = []
    for device, values in readings.items():
        for name, reading in values.items():
            if name not in names:
                continue
            number = isinstance(reading.value, int | float) and not isinstance(reading.value, bool)
            found.append(
                Sample(
                    point=f"{device}/{name}",
                    at=reading.source_at or now,
                    value=float(reading.value) if number else None,  # type: ignore[arg-type]
                    quality=reading.quality if number else Quality.INVALID,
                )
            )
    return found
