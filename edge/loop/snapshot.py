"""Freezes what the devices last said into the one picture that a control cycle decides from."""

from collections.abc import Iterable, Mapping

from edge.config import DeviceRole, DeviceSection, Rest
from edge.control.model import AssetKind, AssetState, Capability, Confirmed, Measured, Snapshot, load_capability
from edge.devices.phases import PHASE_V
from edge.devices.site_device import SteeredDevice
from edge.loop.lever_records import Lever
from edge.loop.load_state import is_connected, least_power_w, load_is_on, load_power
from edge.loop.measured import measured
from edge.loop.readings import BATTERY_POWER, CURRENTS, POWER, PV_POWER, SOC, Readings

_PHASES = ("active_power_l1_w", "active_power_l2_w", "active_power_l3_w")
_VOLTAGES = ("voltage_l1_v", "voltage_l2_v", "voltage_l3_v")

KIND = {
    DeviceRole.PV: AssetKind.PV,
    DeviceRole.HYBRID: AssetKind.HYBRID,
    DeviceRole.BATTERY: AssetKind.BATTERY,
    DeviceRole.LOAD: AssetKind.LOAD,
    DeviceRole.METER: AssetKind.METER,
}

_NEVER = Confirmed(decided_s=float("-inf"), at_s=float("-inf"))


class SnapshotBuilder:
    """Makes snapshots of one site's devices; remembers the last good power of each for when it falls silent."""

    def __init__(self, sections: Iterable[DeviceSection], *, meter: str) -> None:
        self._sections = {section.id: section for section in sections}
        self._meter = meter
        self._last_power_w: dict[str, float] = {}

    def adopt(self, sections: Iterable[DeviceSection]) -> None:
        """Take the same devices with other bounds, as the level that a battery keeps for an outage."""
        self._sections = {section.id: section for section in sections}

    def build(
        self,
        devices: Mapping[str, SteeredDevice],
        readings: Mapping[str, Readings],
        *,
        now_s: float,
        confirmed: Mapping[Lever, Confirmed],
        held: Mapping[Lever, float | None] | None = None,
    ) -> Snapshot:
        """Return the picture at ``now_s``; what generates, stores or can be switched is an asset.

        Args:
            devices: Every device of the site, by its name.
            readings: What each said last.
            now_s: On the monotonic clock.
            confirmed: When the last setpoint of each lever was seen to be held by its device.
            held: That setpoint, ``None`` for what we took away again.
        """
        meter = readings[self._meter]
        assets = tuple(
            self._asset(section, devices[name], readings[name], now_s=now_s, confirmed=confirmed, held=held or {})
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
        device: SteeredDevice,
        readings: Readings,
        *,
        now_s: float,
        confirmed: Mapping[Lever, Confirmed],
        held: Mapping[Lever, float | None],
    ) -> AssetState:
        load = section.load
        moved_by = load_capability(device.capabilities)
        lever = None if moved_by is None else (section.id, moved_by)
        is_told, told_w = lever in held, None if lever is None else held.get(lever)
        is_on = None if load is None else load_is_on(load, readings, is_told=is_told, told_w=told_w)
        power = measured(readings.get(POWER), now_s)
        if load is not None and POWER not in readings:
            power = load_power(load, readings, is_on=is_on, told_w=told_w, now_s=now_s)
        if (power_w := power.usable()) is not None:
            self._last_power_w[section.id] = power_w
        limited = Capability.LIMIT_GENERATION if load is None else Capability.LIMIT_CONSUMPTION
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
            phase_power=None if load is None else phase_power(readings, len(section.phases), now_s=now_s),
            all_phases_from_w=device.all_phases_from_w,
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
            load_w_min=0.0 if load is None else least_power_w(load, section, moved_by),
            connected=None if load is None else is_connected(readings),
            follows_surplus=load is not None and load.rest is Rest.SURPLUS,
            switched_on=is_on,
            rest_on=load.rest is Rest.ON if load else None,
            last_power_w=self._last_power_w.get(section.id),
            wear_period_s={one: period_s for one in device.capabilities if (period_s := device.wear_period_s(one)) > 0},
            limit_confirmed=confirmed.get((section.id, limited), _NEVER),
        )


def phase_power(readings: Readings, number: int, *, now_s: float) -> tuple[Measured, ...] | None:
    """Return what a device draws on each of its first phases, ``None`` where it does not tell of each.

    That is its power there, else its current at the voltage that it measures, or at the nominal one.
    """
    answer = []
    for power, current, voltage in zip(_PHASES[:number], CURRENTS, _VOLTAGES, strict=False):
        told = measured(readings.get(power), now_s)
        if told.value is None:
            amps, volts = measured(readings.get(current), now_s), measured(readings.get(voltage), now_s).usable()
            if amps.value is None:
                return None
            told = Measured(value=amps.value * (volts or PHASE_V), quality=amps.quality, age_s=amps.age_s)
        answer.append(told)
    return tuple(answer)
