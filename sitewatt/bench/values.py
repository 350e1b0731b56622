"""What a plant makes each canonical quantity read, in our sign."""

from collections.abc import Callable, Mapping
from math import sqrt

from edge.devices.points import DerivedSpec, Kind, PointSpec
from edge.devices.profile import Profile
from edge.devices.quality import plausible_range
from firmware_sim.consumers import LEAST_A, PHASE_V
from firmware_sim.plant_parts import Inverter
from sitewatt.bench.plant import CAPACITY_WH, PEAK_W, Bench

TEMPERATURE_C = 25.0
_BATTERY_V = 400.0
_STRING_V = 600.0


def value_of(profile: Profile, spec: PointSpec | DerivedSpec, bench: Bench) -> float | str | None:
    """Return what a quantity is in the plant now; None where the plant does not know it.

    Text is what the device calls itself.
    """
    canonical = spec.canonical
    named = _names(profile).get(canonical)
    if named is not None:
        return named
    if canonical == "ev_state":
        return _pilot(bench)
    if canonical == "sg_ready_state" and bench.heat_pump is not None:
        return float(bench.heat_pump.state)
    quantities = _quantities(bench, power_w=_own_power_w(profile, spec, bench))
    plain = _without_phase(canonical)
    if plain in quantities:
        value = quantities[plain]()
        return value / 3 if plain != canonical and plain.endswith(("_w", "_va", "_var")) else value
    if (bounds := plausible_range(canonical)) is not None:
        return TEMPERATURE_C if canonical.endswith("temperature_c") else sum(bounds) / 2
    return None


def _names(profile: Profile) -> Mapping[str, str]:
    return {
        "manufacturer": profile.vendor,
        "model": profile.models[0],
        "serial_number": "BENCH0001",
        "firmware_version": "1.0",
    }


def _without_phase(canonical: str) -> str:
    """Return the quantity of all phases, or of all strings, that a quantity of one of them belongs to."""
    for phase in ("_l1_", "_l2_", "_l3_"):
        if phase in canonical and canonical.count("_l") == 1:
            return canonical.replace(phase, "_")
    return canonical


def _own_power_w(profile: Profile, spec: PointSpec | DerivedSpec, bench: Bench) -> float:
    """Return the power that the device itself stands for, positive into it."""
    kinds = set(profile.kinds) if spec.kind is None else {spec.kind}
    if bench.charger is not None:
        return bench.charger.power_w(bench.plant.now_s)
    if bench.heat_pump is not None:
        return bench.heat_pump.power_w(bench.plant.now_s)
    if bench.inverter is not None and kinds & {Kind.INVERTER, Kind.BATTERY}:
        return -bench.inverter.output_w
    return bench.site.connection_w


def _quantities(bench: Bench, *, power_w: float) -> Mapping[str, Callable[[], float]]:
    site, feeder = bench.site, bench.plant.feeder
    inverter = bench.inverter
    pv_w = site.pv_w if inverter is None else inverter.pv_w
    battery_w = site.battery_w
    known: dict[str, Callable[[], float]] = {
        "active_power_w": lambda: power_w,
        "apparent_power_va": lambda: abs(power_w),
        "reactive_power_var": lambda: 0.0,
        "power_factor": lambda: 1.0,
        "current_a": lambda: abs(power_w) / 3 / feeder.voltage_v,
        "voltage_v": lambda: feeder.voltage_v,
        "grid_voltage_v": lambda: feeder.voltage_v,
        "voltage_l1_l2_v": lambda: sqrt(3) * feeder.voltage_v,
        "voltage_l2_l3_v": lambda: sqrt(3) * feeder.voltage_v,
        "voltage_l3_l1_v": lambda: sqrt(3) * feeder.voltage_v,
        "frequency_hz": lambda: feeder.frequency_hz,
        "grid_frequency_hz": lambda: feeder.frequency_hz,
        "grid_power_w": lambda: site.connection_w,
        "grid_import_power_w": lambda: max(0.0, site.connection_w),
        "grid_export_power_w": lambda: max(0.0, -site.connection_w),
        "grid_power_export_w": lambda: max(0.0, -site.connection_w),
        "load_power_w": lambda: site.load_w,
        "pv_power_w": lambda: pv_w,
        "dc_power_w": lambda: abs(pv_w),
        "dc1_power_w": lambda: abs(pv_w),
        "dc1_voltage_v": lambda: _STRING_V,
        "dc1_current_a": lambda: abs(pv_w) / _STRING_V,
        "battery_power_w": lambda: battery_w,
        "battery_charge_power_w": lambda: max(0.0, battery_w),
        "battery_discharge_power_w": lambda: max(0.0, -battery_w),
        "battery_power_abs_w": lambda: abs(battery_w),
        "battery_voltage_v": lambda: _BATTERY_V,
        "battery_current_a": lambda: battery_w / _BATTERY_V,
        "soc_pct": lambda: site.battery.soc_percent if site.battery else 0.0,
        "soh_pct": lambda: 98.0,
        "capacity_wh": lambda: CAPACITY_WH,
        "rated_power_w": lambda: PEAK_W,
        "power_max_w": lambda: PEAK_W,
        "ev_applied_current_a": lambda: bench.charger.current_a(bench.plant.now_s) if bench.charger else 0.0,
        "ev_phases": lambda: 3.0,
        "ev_hw_max_current_a": lambda: 16.0,
        "ev_hw_min_current_a": lambda: LEAST_A,
    }
    known |= _energies(bench, inverter)
    return known


def _energies(bench: Bench, inverter: Inverter | None) -> dict[str, Callable[[], float]]:
    site = bench.site
    own_wh = bench.charger.energy_wh if bench.charger is not None else site.meter.import_wh
    battery = site.battery
    return {
        "energy_import_wh": lambda: own_wh,
        "energy_export_wh": lambda: site.meter.export_wh if inverter is None else inverter.energy_out_wh,
        "grid_import_wh": lambda: site.meter.import_wh,
        "grid_export_wh": lambda: site.meter.export_wh,
        "grid_energy_import_wh": lambda: site.meter.import_wh,
        "grid_energy_export_wh": lambda: site.meter.export_wh,
        "energy_yield_wh": lambda: 0.0 if inverter is None else inverter.pv_energy_wh,
        "energy_total_wh": lambda: site.meter.import_wh if inverter is None else inverter.energy_out_wh,
        "energy_charged_wh": lambda: battery.energy_in_wh if battery else 0.0,
        "energy_discharged_wh": lambda: battery.energy_out_wh if battery else 0.0,
    }


def _pilot(bench: Bench) -> str:
    """Return the state of a charging point as IEC 61851 names it."""
    if bench.charger is None or not bench.charger.is_plugged:
        return "A"
    return "C" if bench.charger.current_a(bench.plant.now_s) * PHASE_V > 0 else "B"
